//! Pure: who has logged in, and who has tried in vain too often.
//!
//! Sessions live in memory and end with the process. A session belongs to the token it was opened with:
//! whoever replaces the token has logged everybody out.

use crate::listening::address_of;
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, rand};
use jiff::{SignedDuration, Timestamp};
use std::{collections::HashMap, net::IpAddr};

/// A working day; nobody wants to be logged out before its end.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// People who look after one server, generously; the oldest gives way.
const SESSIONS_MAX: usize = 64;
/// Logins in vain that one address has free within [`WHILE`].
const ATTEMPTS: u32 = 10;
/// How long an attempt is remembered.
const WHILE: SignedDuration = SignedDuration::from_mins(5);
/// Addresses whose attempts are remembered.
const ADDRESSES_MAX: usize = 4_096;

/// The SHA-256 of a secret: compared in place of the secret, so that neither its octets nor its length
/// show in the time it takes.
#[derive(Clone, Copy)]
pub(super) struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

impl Digest {
    pub(super) fn of(secret: &[u8]) -> Self {
        let mut octets = [0; digest::SHA256_OUTPUT_LEN];
        octets.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(octets)
    }
}

/// In constant time.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// Everybody who has logged in.
#[derive(Default)]
pub(super) struct Sessions(Vec<Session>);

struct Session {
    cookie: Digest,
    csrf: String,
    token: Digest,
    until: Timestamp,
}

impl Sessions {
    /// Opens a session for who showed `token`; returns the cookie. `None` when the system has no random
    /// octets.
    pub(super) fn open(&mut self, token: Digest, now: Timestamp) -> Option<String> {
        self.0.retain(|session| session.until > now);
        if self.0.len() >= SESSIONS_MAX {
            self.0.remove(0);
        }
        let cookie = random()?;
        self.0.push(Session {
            cookie: Digest::of(cookie.as_bytes()),
            csrf: random()?,
            token,
            until: now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX),
        });
        Some(cookie)
    }

    /// What the forms of the session behind `cookie` have to repeat; `None` when there is no such
    /// session, or it was opened with another token.
    pub(super) fn csrf(&self, cookie: &str, token: Digest, now: Timestamp) -> Option<&str> {
        let cookie = Digest::of(cookie.as_bytes());
        let found = self.0.iter().find(|session| session.cookie == cookie)?;
        (found.token == token && found.until > now).then_some(found.csrf.as_str())
    }

    /// Ends the session behind `cookie`.
    pub(super) fn close(&mut self, cookie: &str) {
        let cookie = Digest::of(cookie.as_bytes());
        self.0.retain(|session| session.cookie != cookie);
    }
}

/// 256 random bits in hexadecimal digits.
fn random() -> Option<String> {
    let mut octets = [0; 32];
    rand::fill(&mut octets).ok()?;
    Some(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Who showed a wrong token lately, by address (IPv4 /32, IPv6 /64).
#[derive(Default)]
pub(super) struct Attempts(HashMap<IpAddr, Tried>);

#[derive(Clone, Copy)]
struct Tried {
    times: u32,
    last: Timestamp,
}

impl Attempts {
    /// Whether `peer` may show a token at `now`.
    pub(super) fn may(&self, peer: IpAddr, now: Timestamp) -> bool {
        self.0.get(&address_of(peer)).is_none_or(|tried| tried.times < ATTEMPTS || is_over(*tried, now))
    }

    /// Notes that `peer` showed a wrong one.
    pub(super) fn failed(&mut self, peer: IpAddr, now: Timestamp) {
        let address = address_of(peer);
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&address) {
            self.0.retain(|_, tried| !is_over(*tried, now));
            // Whoever has that many addresses is not held back by a limit for each of them.
            let oldest = self.0.iter().min_by_key(|(_, tried)| tried.last).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= ADDRESSES_MAX) {
                self.0.remove(&oldest);
            }
        }
        let tried = self.0.entry(address).or_insert(Tried { times: 0, last: now });
        let times = if is_over(*tried, now) { 1 } else { tried.times.saturating_add(1) };
        *tried = Tried { times, last: now };
    }
}

fn is_over(tried: Tried, now: Timestamp) -> bool {
    now.duration_since(tried.last) >= WHILE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_session_lasts_for_a_day_of_work_and_no_longer_than_its_token() {
        let (mut sessions, token) = (Sessions::default(), Digest::of(b"token"));
        let cookie = sessions.open(token, at(0)).unwrap();
        let csrf = sessions.csrf(&cookie, token, at(1)).unwrap().to_owned();
        assert_eq!((cookie.len(), csrf.len()), (64, 64));
        assert_ne!(csrf, cookie);
        assert_eq!(sessions.csrf(&cookie, token, at(12 * 3600 - 1)), Some(csrf.as_str()));
        assert_eq!(sessions.csrf(&cookie, token, at(12 * 3600)), None);
        assert_eq!(sessions.csrf(&cookie, Digest::of(b"another"), at(1)), None);
        assert_eq!(sessions.csrf(&csrf, token, at(1)), None);
        sessions.close(&cookie);
        assert_eq!(sessions.csrf(&cookie, token, at(1)), None);
    }

    #[test]
    fn the_oldest_session_gives_way() {
        let (mut sessions, token) = (Sessions::default(), Digest::of(b"token"));
        let cookies: Vec<_> = (0..100).map(|second| sessions.open(token, at(second)).unwrap()).collect();
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
        assert!(sessions.csrf(&cookies[35], token, at(100)).is_none());
        assert!(sessions.csrf(&cookies[36], token, at(100)).is_some());
    }

    #[test]
    fn who_fails_too_often_waits_and_nobody_else_does() {
        let (mut attempts, one) = (Attempts::default(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..ATTEMPTS {
            assert!(attempts.may(one, at(0)));
            attempts.failed(one, at(0));
        }
        assert!(!attempts.may(one, at(299)));
        assert!(attempts.may(IpAddr::from([192, 0, 2, 2]), at(0)));
        assert!(attempts.may(one, at(300)));
        attempts.failed(one, at(300));
        assert!(attempts.may(one, at(300)), "the count begins anew");
        for host in 0..10_000_u32 {
            attempts.failed(IpAddr::from((0x0a00_0000 + host).to_be_bytes()), at(301));
        }
        assert!(attempts.0.len() <= ADDRESSES_MAX);
    }
}
