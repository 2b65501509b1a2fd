//! ClientHellos of old versions, and what the host says to them (RFC 4346, RFC 5246).
//!
//! Our TLS library speaks nothing older than TLS 1.2, and of that only what is still good. To learn
//! whether a host takes older versions (S-07), the hello is written by hand and the answer is read just
//! far enough to see the version that the host picks. No handshake is ever finished this way.

/// The most that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Most {
    /// TLS 1.1, and with it 1.0: a server picks what it likes best below.
    Tls11,
    /// TLS 1.2 with the suites our library refuses, among them those of its predecessors.
    Tls12,
}

/// What the host said to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A ServerHello of TLS 1.2.
    Tls12,
    /// A ServerHello of an older version.
    Older,
    /// An alert, something else, or the end of the connection.
    Refused,
}

/// Suites before TLS 1.2: ECDHE, DHE and RSA, with AES in CBC mode and with triple DES.
const OLD_SUITES: &[u16] =
    &[0xc009, 0xc00a, 0xc013, 0xc014, 0x0033, 0x0039, 0x002f, 0x0035, 0xc008, 0xc012, 0x0016, 0x000a];

/// Suites of TLS 1.2 beyond the ones our library has: CBC with SHA-2, and GCM under DHE and RSA.
const SUITES_1_2: &[u16] = &[
    0xc023, 0xc024, 0xc027, 0xc028, 0x009e, 0x009f, 0x009c, 0x009d, 0x0067, 0x006b, 0x003c, 0x003d, 0xc02b,
    0xc02c, 0xc02f, 0xc030,
];

/// Says that secure renegotiation is understood (RFC 5746 §3.3): some hosts insist.
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// The record of a ClientHello that offers at most `most`, with `host` as its SNI.
pub(super) fn client_hello(most: Most, host: &str, random: [u8; 32]) -> Vec<u8> {
    let (version, newer) = match most {
        Most::Tls11 => ([3, 2], &[][..]),
        Most::Tls12 => ([3, 3], SUITES_1_2),
    };
    let suites = newer.iter().chain(OLD_SUITES).chain(&[RENEGOTIATION_SCSV]);
    let suites: Vec<u8> = suites.flat_map(|suite| suite.to_be_bytes()).collect();
    let name = [&[0], sized::<2>(host.as_bytes()).as_slice()].concat();
    let mut extensions = extension(0, &sized::<2>(&name));
    // Groups: X25519, P-256, P-384, P-521. Points: uncompressed.
    extensions.extend(extension(10, &sized::<2>(&[0, 29, 0, 23, 0, 24, 0, 25])));
    extensions.extend(extension(11, &sized::<1>(&[0])));
    if most == Most::Tls12 {
        // Signatures: ECDSA, RSA-PSS and RSA with SHA-256 to SHA-512, and both with SHA-1.
        let schemes = [4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1];
        extensions.extend(extension(13, &sized::<2>(&schemes)));
    }
    let hello = [
        &version[..],
        &random,
        &[0], // no session
        &sized::<2>(&suites),
        &[1, 0], // no compression
        &sized::<2>(&extensions),
    ]
    .concat();
    let message = [&[1], sized::<3>(&hello).as_slice()].concat();
    [&[22, 3, 1], sized::<2>(&message).as_slice()].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), sized::<2>(data).as_slice()].concat()
}

/// `data` behind its length in `N` octets. All that is written here is far shorter than that allows:
/// a host name has at most 255 octets.
fn sized<const N: usize>(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_be_bytes();
    [length.split_at(length.len() - N).1, data].concat()
}

/// Reads what came so far; `None` while more is needed.
pub(super) fn read(mut octets: &[u8]) -> Option<Answer> {
    loop {
        let (head, rest) = octets.split_at_checked(5)?;
        let &[kind, 3, _, high, low] = head else { return Some(Answer::Refused) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match kind {
            // A warning, such as "unrecognized_name", comes before a ServerHello.
            21 => match rest.split_at_checked(length)? {
                ([1, description], after) if *description != 0 => octets = after,
                _ => return Some(Answer::Refused),
            },
            // Handshake, ServerHello, its length, its version.
            22 => {
                let &[message, _, _, _, major, minor] = rest.split_at_checked(6)?.0 else { return None };
                return Some(match (message, major, minor) {
                    (2, 3, 3) => Answer::Tls12,
                    (2, 3, 0..=2) => Answer::Older,
                    _ => Answer::Refused,
                });
            }
            _ => return Some(Answer::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], expected: Option<Answer>) {
        assert_eq!(read(octets), expected, "{octets:?}");
        for end in 0..octets.len() {
            assert!(matches!(read(&octets[..end]), None | Some(Answer::Refused)), "cut after {end}");
        }
    }

    #[test]
    fn the_version_that_the_host_picked_is_read() {
        check(&[22, 3, 1, 0, 90, 2, 0, 0, 86, 3, 1], Some(Answer::Older));
        check(&[22, 3, 2, 0, 90, 2, 0, 0, 86, 3, 2], Some(Answer::Older));
        check(&[22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3], Some(Answer::Tls12));
        // A warning first: the name is not known.
        check(&[21, 3, 2, 0, 2, 1, 112, 22, 3, 2, 0, 90, 2, 0, 0, 86, 3, 2], Some(Answer::Older));
        check(&[21, 3, 2, 0, 2, 2, 70], Some(Answer::Refused));
        check(&[21, 3, 2, 0, 2, 1, 0], Some(Answer::Refused));
        check(b"500 what?\r\n", Some(Answer::Refused));
        check(&[22, 3], None);
    }

    #[test]
    fn lengths_within_a_hello_add_up() {
        for most in [Most::Tls11, Most::Tls12] {
            let hello = client_hello(most, &"a.".repeat(127), [7; 32]);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
            let suites = usize::from(u16::from_be_bytes([hello[44], hello[45]]));
            let extensions = 46 + suites + 2;
            let length = u16::from_be_bytes([hello[extensions], hello[extensions + 1]]);
            assert_eq!(usize::from(length), hello.len() - extensions - 2);
        }
    }
}
