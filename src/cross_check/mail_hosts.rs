//! What the last audit of a domain saw of its mail hosts, small enough to be kept for every domain.

use crate::{dns::DnsName, starttls::Why};
use jiff::Timestamp;
use std::{net::IpAddr, sync::Arc};

/// The last audit of a domain: what of it is worth a table. Findings stand elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastAudit {
    /// The mail hosts in order of preference, at most [`audit::HOSTS_MAX`](crate::audit::HOSTS_MAX).
    pub hosts: Box<[MailHost]>,
    /// Hosts and addresses beyond the bounds, or whose turn did not come.
    pub left_out: usize,
}

/// One MX host of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHost {
    /// As the MX record names it: a stranger's text, see [`audit::shown`](crate::audit::shown).
    pub host: DnsName,
    /// Lower is tried first.
    pub preference: u16,
    /// Whether the policy that we serve allows it.
    pub allowed: bool,
    /// Where it leads, at most [`audit::ADDRESSES_MAX`](crate::audit::ADDRESSES_MAX) each; shared by
    /// the domains that share the host.
    pub addresses: Arc<[MailAddress]>,
}

/// One address of an MX host, and how it speaks SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    /// The address.
    pub address: IpAddr,
    /// What came of the look.
    pub transport: Transport,
    /// When it was looked at; one look serves all domains with this host. `None` where it was not.
    pub looked_at: Option<Timestamp>,
    /// When its certificate ends, where one was shown.
    pub certificate_ends: Option<Timestamp>,
}

/// What came of a look at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS came up, with a certificate that senders accept.
    Secured,
    /// TLS came up, with a certificate that strict senders refuse.
    BadCertificate,
    /// A sender that wants TLS cannot have it.
    Failed(Why),
    /// Nothing is proven.
    Unknown(Why),
    /// It is never dialled; the network's name.
    NotDialled(&'static str),
}

impl Transport {
    /// The stable word, as `secured`, `no_starttls` or `not_dialled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secured => "secured",
            Self::BadCertificate => "bad_certificate",
            Self::Failed(why) | Self::Unknown(why) => why.as_str(),
            Self::NotDialled(_) => "not_dialled",
        }
    }

    /// Whether mail to it is protected: `None` where nothing is proven.
    pub fn is_good(self) -> Option<bool> {
        match self {
            Self::Secured => Some(true),
            Self::BadCertificate | Self::Failed(_) => Some(false),
            Self::Unknown(_) | Self::NotDialled(_) => None,
        }
    }
}
