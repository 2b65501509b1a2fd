//! What commands share that look at the world: whom they ask, whom they trust, where they may go.

use super::{CONFIG, FAILED};
use crate::{
    certificate::presented::Roots,
    config::Dns,
    dialing::Reach,
    dns::{HickoryLookup, Settings},
    logging::chain,
    policy_fetch::{self, Fetcher},
};
use clap::Args;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// Where DNS resolvers listen.
const DNS_PORT: u16 = 53;

/// How a command looks at the world.
#[derive(Debug, Args)]
pub(super) struct LookingArgs {
    /// Resolver to ask in place of the configured ones; may be given several times
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = resolver)]
    pub resolver: Vec<SocketAddr>,
    /// PEM file with roots to trust beside Mozilla's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Dial addresses in private networks too, and take this machine for the world
    #[arg(long)]
    pub allow_private: bool,
    /// Port of policy hosts; senders ask 443 and no other
    #[arg(long, hide = true, default_value_t = 443)]
    pub policy_port: u16,
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let alone = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS_PORT));
    let address = text.parse().ok().or_else(alone);
    address.ok_or_else(|| "write an address, as in 192.0.2.53 or [2001:db8::53]:5353".to_owned())
}

impl LookingArgs {
    /// Asks the resolvers given, else those of `configured`, else the system's. What is wrong is
    /// printed, and its exit code returned.
    pub(super) fn lookup(&self, configured: Option<&Dns>) -> Result<HickoryLookup, u8> {
        let dns = configured.cloned().unwrap_or_default();
        let servers = if self.resolver.is_empty() { dns.servers.clone() } else { self.resolver.clone() };
        // Vouched for are the configured resolvers and no others.
        asking(servers, Dns { trust_ad: dns.trust_ad && self.resolver.is_empty(), ..dns })
    }

    /// Asks the second resolvers of `configured`; nobody where it has none, or where resolvers are
    /// given. What is wrong is printed, and its exit code returned.
    pub(super) fn second_lookup(&self, configured: &Dns) -> Result<Option<HickoryLookup>, u8> {
        let servers = configured.second_servers.clone();
        let wanted = self.resolver.is_empty() && !servers.is_empty();
        wanted.then(|| asking(servers, configured.clone())).transpose()
    }

    /// The lists of roots to trust. What is wrong is printed, and its exit code returned.
    pub(super) fn roots(&self) -> Result<Vec<Arc<Roots>>, u8> {
        let mut roots = vec![Arc::new(Roots::mozilla())];
        if let Some(file) = &self.ca {
            match Roots::read(file) {
                Ok(given) => roots.push(Arc::new(given)),
                Err(error) => {
                    eprintln!("mta-stsd: {error}");
                    return Err(CONFIG);
                }
            }
        }
        Ok(roots)
    }

    /// How far connections may reach.
    pub(super) fn reach(&self) -> Reach {
        Reach { allow_private: self.allow_private, own: Vec::new() }
    }

    /// Fetches policies as senders do, within the numbers of RFC 8461 §3.3. What is wrong is printed,
    /// and its exit code returned.
    pub(super) fn fetcher(&self) -> Result<Fetcher, u8> {
        let settings =
            policy_fetch::Settings { port: self.policy_port, roots: self.roots()?, ..Default::default() };
        Ok(Fetcher::new(settings, self.reach()))
    }
}

/// Asks `servers`, in the manner of `dns`.
fn asking(servers: Vec<SocketAddr>, dns: Dns) -> Result<HickoryLookup, u8> {
    let Dns { timeout, retries, lookups_at_once, trust_ad, .. } = dns;
    HickoryLookup::new(&Settings { servers, timeout, retries, lookups_at_once, trust_ad }).map_err(|error| {
        eprintln!("mta-stsd: {}", chain(&error));
        FAILED
    })
}

/// Addresses of one policy host that are asked: more are a stranger's joke.
pub(super) const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_an_address_with_or_without_its_port() {
        for (text, shown) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(resolver(text).unwrap().to_string(), shown);
        }
        assert!(resolver("dns.example").is_err());
    }
}
