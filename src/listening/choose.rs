//! Which of the sockets that were passed to us are used, and which addresses we bind ourselves.
//!
//! Pure: addresses in, a choice out. Whoever manages our sockets (systemd) is the one to say what is
//! listened on, so those count, and what the configuration says otherwise is told. A daemon that we take
//! over from only lends what it has: there the configuration counts.

use super::passed::Entrance;
use std::net::SocketAddr;

/// Who passed sockets to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passer {
    /// systemd, by socket units; the sockets stay open in it.
    Manager,
    /// The daemon that we take over from.
    Predecessor,
}

/// What becomes of each socket and address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// For each passed socket what it is used as; `None` when it is not used.
    pub used_as: Vec<Option<Entrance>>,
    /// Addresses to bind.
    pub bound: Vec<(Entrance, SocketAddr)>,
    /// What is told.
    pub remarks: Vec<Remark>,
}

/// What the configuration and the passed sockets disagree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// Configured, but not among the sockets of systemd: not listened on.
    #[error(
        "{address} ({}) is configured, but not among the sockets passed to us, so nobody listens there: \
         add ListenStream={address} to the socket unit, or take it out of the configuration", .entrance.key()
    )]
    NotPassed {
        /// Under which key.
        entrance: Entrance,
        /// The address.
        address: SocketAddr,
    },
    /// Passed by systemd, but not configured: listened on.
    #[error(
        "{address} is listened on because it was passed to us, but it is not configured: \
         write it to {}, or take it out of the socket unit", .entrance.key()
    )]
    NotConfigured {
        /// What it is used as.
        entrance: Entrance,
        /// The address.
        address: SocketAddr,
    },
    /// Lent by the daemon before us, but not configured any more: closed.
    #[error("{address} ({}) is not configured any more and not listened on from now on", .entrance.key())]
    Left {
        /// What it was used as.
        entrance: Entrance,
        /// The address.
        address: SocketAddr,
    },
}

/// A passed socket that could be for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the socket {0} was passed to us, but not what it is for: set FileDescriptorName=https, http or backend \
     in its unit, or write its address to listen.https, listen.http or listen.backend"
)]
pub struct Unknown(pub SocketAddr);

/// Decides on the passed sockets, each with what it is said to be for, and its address.
///
/// Port 0 in the configuration stands for any port of that address.
pub(super) fn choose(
    https: &[SocketAddr],
    http: &[SocketAddr],
    backend: &[SocketAddr],
    page: &[SocketAddr],
    passed: &[(Option<Entrance>, SocketAddr)],
    passer: Passer,
) -> Result<Choice, Unknown> {
    let mut wanted: Vec<(Entrance, SocketAddr)> = Vec::new();
    wanted.extend(https.iter().map(|address| (Entrance::Https, *address)));
    wanted.extend(http.iter().map(|address| (Entrance::Http, *address)));
    wanted.extend(backend.iter().map(|address| (Entrance::Backend, *address)));
    wanted.extend(page.iter().map(|address| (Entrance::Page, *address)));
    let mut choice = Choice::default();
    let mut managed = Vec::new();
    for (said, address) in passed {
        let fits = |(entrance, configured): &(Entrance, SocketAddr)| {
            said.is_none_or(|said| said == *entrance) && stands_for(*configured, *address)
        };
        let found = wanted.iter().position(fits).map(|place| wanted.remove(place).0);
        let entrance = found.or(*said).or_else(|| of_port(address.port())).ok_or(Unknown(*address))?;
        managed.push(entrance);
        let address = *address;
        let used = match (found, passer) {
            (Some(_), _) => Some(entrance),
            (None, Passer::Manager) => {
                choice.remarks.push(Remark::NotConfigured { entrance, address });
                Some(entrance)
            }
            (None, Passer::Predecessor) => {
                choice.remarks.push(Remark::Left { entrance, address });
                None
            }
        };
        choice.used_as.push(used);
    }
    for (entrance, address) in wanted {
        match passer == Passer::Manager && managed.contains(&entrance) {
            true => choice.remarks.push(Remark::NotPassed { entrance, address }),
            false => choice.bound.push((entrance, address)),
        }
    }
    Ok(choice)
}

fn stands_for(configured: SocketAddr, address: SocketAddr) -> bool {
    configured == address || (configured.port() == 0 && configured.ip() == address.ip())
}

fn of_port(port: u16) -> Option<Entrance> {
    match port {
        443 => Some(Entrance::Https),
        80 => Some(Entrance::Http),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Entrance::{Http, Https};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(
        passer: Passer,
        https: &[&str],
        http: &[&str],
        passed: &[(Option<Entrance>, &str)],
        used_as: &[Option<Entrance>],
        bound: &[(Entrance, &str)],
        remarks: &[&str],
    ) {
        let addresses = |texts: &[&str]| texts.iter().map(|text| at(text)).collect::<Vec<_>>();
        let passed: Vec<_> = passed.iter().map(|(said, address)| (*said, at(address))).collect();
        let choice = choose(&addresses(https), &addresses(http), &[], &[], &passed, passer).unwrap();
        assert_eq!(choice.used_as, used_as);
        let bound: Vec<_> = bound.iter().map(|(entrance, address)| (*entrance, at(address))).collect();
        assert_eq!(choice.bound, bound);
        let told: Vec<_> = choice.remarks.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), remarks.len(), "{told:?}");
        for (told, part) in told.iter().zip(remarks) {
            assert!(told.starts_with(part), "{told}");
        }
    }

    #[test]
    fn the_managers_sockets_count_and_differences_are_told() {
        let both = &[(Some(Https), "[::]:443"), (Some(Http), "[::]:80")][..];
        let used = &[Some(Https), Some(Http)][..];
        check(Passer::Manager, &["[::]:443"], &["[::]:80"], both, used, &[], &[]);
        check(
            Passer::Manager,
            &["192.0.2.1:443"],
            &[],
            both,
            used,
            &[],
            &[
                "[::]:443 is listened on",
                "[::]:80 is listened on",
                "192.0.2.1:443 (listen.https) is configured",
            ],
        );
    }

    #[test]
    fn an_entrance_without_a_managed_socket_is_bound_by_us() {
        let https = &[(Some(Https), "[::]:443")][..];
        let bound = &[(Http, "[::]:80")][..];
        check(Passer::Manager, &["[::]:443"], &["[::]:80"], https, &[Some(Https)], bound, &[]);
        let bound = &[(Https, "[::]:443"), (Http, "[::]:80")][..];
        check(Passer::Manager, &["[::]:443"], &["[::]:80"], &[], &[], bound, &[]);
    }

    #[test]
    fn from_a_predecessor_the_configuration_takes_what_it_names() {
        check(
            Passer::Predecessor,
            &["192.0.2.1:443", "192.0.2.2:443"],
            &[],
            &[(Some(Https), "192.0.2.1:443"), (Some(Http), "192.0.2.1:80")],
            &[Some(Https), None],
            &[(Https, "192.0.2.2:443")],
            &["192.0.2.1:80 (listen.http) is not configured any more"],
        );
        // A socket of the other entrance is another socket.
        let swapped = &[(Some(Https), "192.0.2.1:8080")][..];
        let (bound, told) = (&[(Http, "192.0.2.1:8080")][..], &["192.0.2.1:8080 (listen.https)"][..]);
        check(Passer::Predecessor, &[], &["192.0.2.1:8080"], swapped, &[None], bound, told);
    }

    #[test]
    fn a_socket_without_a_name_is_known_by_its_address_or_its_port() {
        let used = &[Some(Https), Some(Http)][..];
        let nameless = &[(None, "192.0.2.1:8443"), (None, "192.0.2.1:8080")][..];
        check(Passer::Manager, &["192.0.2.1:8443"], &["192.0.2.1:8080"], nameless, used, &[], &[]);
        let nameless = &[(None, "[::]:443"), (None, "[::]:80")][..];
        check(Passer::Manager, &["[::]:443"], &["[::]:80"], nameless, used, &[], &[]);
        let unknown = choose(&[at("[::]:443")], &[], &[], &[], &[(None, at("[::]:8443"))], Passer::Manager);
        assert_eq!(unknown, Err(Unknown(at("[::]:8443"))));
    }

    #[test]
    fn port_zero_stands_for_one_socket_of_that_address_each() {
        let passed = &[(Some(Https), "127.0.0.1:40001"), (Some(Https), "127.0.0.1:40002")][..];
        let (used, told) = (&[Some(Https), None][..], &["127.0.0.1:40002 (listen.https) is not"][..]);
        check(Passer::Predecessor, &["127.0.0.1:0"], &[], passed, used, &[], told);
    }
}
