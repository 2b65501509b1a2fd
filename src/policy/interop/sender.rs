//! Who the senders are.

use std::fmt;

/// A deployed implementation, with the version whose behaviour is described here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// postfix-mta-sts-resolver 1.5.1, a policy service for Postfix.
    PostfixMtaStsResolver,
    /// postfix-tlspol (August 2026), a policy service for Postfix.
    PostfixTlspol,
    /// mox (August 2026).
    Mox,
    /// chasquid (June 2026).
    Chasquid,
    /// go-mtasts (January 2024), the library of maddy.
    GoMtasts,
    /// KumoMTA (August 2026).
    KumoMta,
    /// Stalwart (August 2026), with mail-auth 0.7.5.
    Stalwart,
    /// mailauth 4.13 and 5.0, for Node.js; mx-connect 2.0 builds on it.
    Mailauth5,
    /// mailauth 7.1, for Node.js, as it comes.
    Mailauth7,
    /// mailauth 7.1 with its option `strict`.
    Mailauth7Strict,
    /// checkdmarc 6.0.4: not a sender but an auditor, whose word operators hear.
    Checkdmarc,
}

impl Sender {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::PostfixMtaStsResolver,
        Self::PostfixTlspol,
        Self::Mox,
        Self::Chasquid,
        Self::GoMtasts,
        Self::KumoMta,
        Self::Stalwart,
        Self::Mailauth5,
        Self::Mailauth7,
        Self::Mailauth7Strict,
        Self::Checkdmarc,
    ];

    /// The stable name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostfixMtaStsResolver => "postfix-mta-sts-resolver",
            Self::PostfixTlspol => "postfix-tlspol",
            Self::Mox => "mox",
            Self::Chasquid => "chasquid",
            Self::GoMtasts => "go-mtasts",
            Self::KumoMta => "kumomta",
            Self::Stalwart => "stalwart",
            Self::Mailauth5 => "mailauth-4.13_and_5.0",
            Self::Mailauth7 => "mailauth-7.1-default",
            Self::Mailauth7Strict => "mailauth-7.1-strict",
            Self::Checkdmarc => "checkdmarc",
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
