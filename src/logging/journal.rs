//! Whether a stream leads to systemd's journal.

use rustix::{fd::AsFd, fs::fstat};
use std::env;

/// Whether `stream` is the one that systemd connected to the journal for this process
/// (`JOURNAL_STREAM`, systemd.exec(5)). A stream that was led elsewhere since is another one.
pub fn is_journal(stream: &impl AsFd) -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|named| is_named(stream, &named))
}

/// Whether `named` is the device and inode number of `stream`, as in `8:12345`.
fn is_named(stream: &impl AsFd, named: &str) -> bool {
    let numbers = named.split_once(':');
    let numbers = numbers.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let Ok(stat) = fstat(stream) else { return false };
    numbers == Some((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::fs::MetadataExt};

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let (one, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let name = |file: &File| {
            let metadata = file.metadata().unwrap();
            format!("{}:{}", metadata.dev(), metadata.ino())
        };
        assert!(is_named(&one, &name(&one)));
        assert!(!is_named(&one, &name(&other)));
        for nonsense in ["", ":", "8", "8:x", "-1:-1"] {
            assert!(!is_named(&one, nonsense), "{nonsense:?}");
        }
    }
}
