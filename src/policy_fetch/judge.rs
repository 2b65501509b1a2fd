//! What a strict sender would object to.

use super::{Answered, Fetch, Offer, Outcome, Stage};
use crate::certificate::presented::{ChainJudgement, Expiring, NameMatch, Trust};
use std::time::Duration;

/// One thing about a fetch that a strict sender would object to, or that will hurt soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// The address lies in a network that is not part of the public internet; its name.
    PrivateAddress(String),
    /// No connection.
    Unreachable(String),
    /// It took too long, even for the most patient sender.
    Timeout(Stage),
    /// The handshake failed.
    TlsFailed(String),
    /// The certificate is not for the policy host (RFC 8461 §3.3, RFC 9525).
    CertificateName {
        /// Its common name is, but that counts no more.
        common_name_only: bool,
    },
    /// A certificate is no longer valid.
    CertificateExpired,
    /// A certificate is not valid yet.
    CertificateNotYetValid,
    /// No known root vouches for it: self-signed, an unknown root, or broken.
    CertificateUntrusted(Trust),
    /// The server left out an intermediate certificate.
    CertificateIncomplete {
        /// Who issued what was sent last.
        issuer: String,
    },
    /// The certificate is valid, but should have been renewed.
    CertificateExpiring(Expiring),
    /// What came back is no HTTP, or not all of it came.
    BadHttp {
        /// Which kind of senders meets this.
        offer: Offer,
        /// What was wrong.
        problem: String,
    },
    /// A redirect; senders do not follow (RFC 8461 §3.3).
    Redirect {
        /// The status code.
        status: u16,
        /// Where to.
        location: Option<String>,
    },
    /// A status other than 200.
    Status(u16),
    /// No media type: five of eight senders refuse the policy.
    NoContentType,
    /// A media type other than `text/plain`.
    ContentType(String),
    /// `text/plain` with capital letters: KumoMTA compares letter by letter.
    ContentTypeCase(String),
    /// The body is coded, though nobody asked for it.
    ContentEncoding(String),
    /// The body is larger than 64 KiB, or whatever the limit was set to.
    TooLarge,
    /// The body is larger than 10 KiB: chasquid reads no further, and says nothing.
    CutByChasquid {
        /// Octets of the body.
        octets: usize,
    },
    /// It took longer than some senders wait.
    Slow {
        /// How long it took.
        elapsed: Duration,
        /// The longest time it may take with them: [`SLOW`] or [`VERY_SLOW`].
        limit: Duration,
    },
}

/// How long the most impatient sender waits, postfix-tlspol: 2 s.
pub const SLOW: Duration = Duration::from_secs(2);

/// How long postfix-mta-sts-resolver waits: 4 s.
pub const VERY_SLOW: Duration = Duration::from_secs(4);

/// The longest policy that chasquid reads whole: 10 KiB.
const CHASQUID_READS: usize = 10 * 1024;

/// What a strict sender would object to in `fetch`, in the order in which it would notice.
///
/// Empty for a fetch that every known sender is content with. All faults are told at once, except that
/// media type, coding and size are judged of a policy alone, which means of status 200.
pub fn judge(fetch: &Fetch) -> Vec<FetchFault> {
    let mut faults = Vec::new();
    faults.extend(fetch.chain.iter().flat_map(judge_chain));
    match &fetch.outcome {
        Outcome::NotDialled(network) => faults.push(FetchFault::PrivateAddress(network.clone())),
        Outcome::Unreachable(problem) => faults.push(FetchFault::Unreachable(problem.clone())),
        Outcome::TlsFailed(problem) => faults.push(FetchFault::TlsFailed(problem.clone())),
        Outcome::Timeout(stage) => faults.push(FetchFault::Timeout(*stage)),
        // The certificate's faults say it.
        Outcome::NotAsked => {}
        Outcome::BadHttp(problem) => {
            faults.push(FetchFault::BadHttp { offer: fetch.offer, problem: problem.clone() });
        }
        Outcome::Answered(answered) => {
            faults.extend(judge_answer(answered));
            let limit = [VERY_SLOW, SLOW].into_iter().find(|limit| fetch.elapsed > *limit);
            faults.extend(limit.map(|limit| FetchFault::Slow { elapsed: fetch.elapsed, limit }));
        }
    }
    faults
}

fn judge_chain(chain: &ChainJudgement) -> Vec<FetchFault> {
    let trust = match &chain.trust {
        Trust::Trusted { .. } => None,
        Trust::Incomplete { issuer } => Some(FetchFault::CertificateIncomplete { issuer: issuer.clone() }),
        other => Some(FetchFault::CertificateUntrusted(other.clone())),
    };
    let name = match chain.name {
        NameMatch::San => None,
        NameMatch::CommonNameOnly => Some(FetchFault::CertificateName { common_name_only: true }),
        NameMatch::Nothing => Some(FetchFault::CertificateName { common_name_only: false }),
    };
    let expired = chain.expired.then_some(FetchFault::CertificateExpired);
    let not_yet = chain.not_yet.then_some(FetchFault::CertificateNotYetValid);
    let expiring = chain.expiring.map(FetchFault::CertificateExpiring);
    [trust, name, expired, not_yet, expiring].into_iter().flatten().collect()
}

fn judge_answer(answered: &Answered) -> Vec<FetchFault> {
    match answered.status {
        200 => {}
        status @ 300..=399 => {
            return vec![FetchFault::Redirect { status, location: answered.location.clone() }];
        }
        status => return vec![FetchFault::Status(status)],
    }
    let media_type = match answered.content_type.as_deref() {
        None => Some(FetchFault::NoContentType),
        Some(text) => match text.split(';').next().unwrap_or_default().trim() {
            "text/plain" => None,
            other if other.eq_ignore_ascii_case("text/plain") => {
                Some(FetchFault::ContentTypeCase(text.to_owned()))
            }
            _ => Some(FetchFault::ContentType(text.to_owned())),
        },
    };
    let coded = answered.content_encoding.as_ref().filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let octets = answered.body.len();
    let size = match answered.too_large {
        true => Some(FetchFault::TooLarge),
        false => (octets > CHASQUID_READS).then_some(FetchFault::CutByChasquid { octets }),
    };
    [media_type, coded.cloned().map(FetchFault::ContentEncoding), size].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy_fetch::HttpVersion;

    fn good() -> Answered {
        Answered {
            status: 200,
            location: None,
            content_type: Some("text/plain".to_owned()),
            content_encoding: None,
            server: None,
            body: b"version: STSv1\n".to_vec(),
            too_large: false,
            http_version: HttpVersion::Http1,
        }
    }

    fn faults(outcome: Outcome, milliseconds: u64) -> Vec<FetchFault> {
        judge(&Fetch {
            address: [192, 0, 2, 1].into(),
            offer: Offer::Http2,
            elapsed: Duration::from_millis(milliseconds),
            tls_version: None,
            chain: None,
            outcome,
        })
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Answered), expected: &[FetchFault]) {
        let mut answered = good();
        change(&mut answered);
        assert_eq!(faults(Outcome::Answered(answered), 100), expected);
    }

    #[test]
    fn only_what_some_sender_refuses_is_a_fault() {
        check(|_| {}, &[]);
        check(|answer| answer.content_type = Some("text/plain; charset=utf-8".to_owned()), &[]);
        check(|answer| answer.content_encoding = Some("identity".to_owned()), &[]);
        let capital = "Text/Plain; charset=utf-8".to_owned();
        check(
            |answer| answer.content_type = Some(capital.clone()),
            &[FetchFault::ContentTypeCase(capital.clone())],
        );
        check(|answer| answer.content_type = None, &[FetchFault::NoContentType]);
        let html = "text/html".to_owned();
        check(|answer| answer.content_type = Some(html.clone()), &[FetchFault::ContentType(html.clone())]);
        let gzip = "gzip".to_owned();
        check(
            |answer| answer.content_encoding = Some(gzip.clone()),
            &[FetchFault::ContentEncoding(gzip.clone())],
        );
        check(|answer| answer.body = vec![b' '; 10_241], &[FetchFault::CutByChasquid { octets: 10_241 }]);
        check(|answer| answer.too_large = true, &[FetchFault::TooLarge]);
    }

    #[test]
    fn no_status_but_200_carries_a_policy() {
        for status in [204, 206, 404, 500] {
            check(|answer| answer.status = status, &[FetchFault::Status(status)]);
        }
        let location = Some("https://www.example.com/".to_owned());
        let moved = |answer: &mut Answered| {
            (answer.status, answer.location, answer.content_type) = (302, location.clone(), None);
        };
        check(moved, &[FetchFault::Redirect { status: 302, location: location.clone() }]);
    }

    #[test]
    fn slow_is_measured_by_the_patience_of_real_senders() {
        let slow = |milliseconds| faults(Outcome::Answered(good()), milliseconds);
        let elapsed = Duration::from_millis;
        assert_eq!(slow(2000), []);
        assert_eq!(slow(2001), [FetchFault::Slow { elapsed: elapsed(2001), limit: SLOW }]);
        assert_eq!(slow(4001), [FetchFault::Slow { elapsed: elapsed(4001), limit: VERY_SLOW }]);
        assert_eq!(faults(Outcome::Timeout(Stage::Tls), 30_000), [FetchFault::Timeout(Stage::Tls)]);
    }
}
