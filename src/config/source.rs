//! A configuration file as it was read: its text, and where an octet of it stands.
//!
//! Files are opened once and judged by the open handle (regular, not too large), so that nothing can
//! be swapped in between and a pipe or a device cannot hold us up. Links are followed: Kubernetes
//! mounts its files through them.

use super::fault::{self, Fault, Severity};
use std::{
    fs::{File, Metadata, OpenOptions},
    io::{ErrorKind, Read},
    ops::Range,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    string::FromUtf8Error,
    sync::{Arc, OnceLock},
};

/// What [`Metadata`] shows of a file's content; equal stamps mean that it was not written in between,
/// unless it was written again within the resolution of the file system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            octets: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When the file was last touched, in seconds of Unix time.
    pub(super) fn touched(&self) -> i64 {
        self.modified.0.max(self.changed.0)
    }
}

/// Octets `start..end` of a source; four octets each, because there are millions of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let octet = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: octet(range.start), end: octet(range.end) }
    }
}

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    path: Arc<Path>,
    text: String,
    /// Whether every user of the machine may write the file.
    open_to_all: bool,
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    pub(super) fn new(path: Arc<Path>, text: String) -> Self {
        Self { path, text, open_to_all: false, lines: OnceLock::new() }
    }

    /// Reads the file, at most `octets_max` of it; `if_missing` is what to do when there is none.
    pub(super) fn read(
        path: &Arc<Path>,
        octets_max: u64,
        if_missing: &str,
    ) -> Result<(Self, Stamp), Box<Fault>> {
        let fault = |problem: String, remedy: &str| {
            Box::new(Fault::of_file(Severity::Fault, path, problem, remedy.to_owned()))
        };
        let unreadable = |error: std::io::Error| {
            let remedy = match error.kind() {
                ErrorKind::NotFound => if_missing,
                ErrorKind::PermissionDenied => "let the service's user read the file and enter its folders",
                _ => "mend what the system says, then check again",
            };
            fault(format!("the file cannot be read: {error}"), remedy)
        };
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file: File =
            OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(fault("this is not a regular file".into(), "put a plain text file here"));
        }
        let mut octets = Vec::with_capacity(metadata.len().min(octets_max).try_into().unwrap_or(0));
        let mut bounded = (&mut file).take(octets_max.saturating_add(1));
        bounded.read_to_end(&mut octets).map_err(unreadable)?;
        if octets.len() as u64 > octets_max {
            return Err(fault(
                format!("the file is larger than {octets_max} octets"),
                "split it, or raise the limit under [limits] and restart",
            ));
        }
        match String::from_utf8(octets) {
            Ok(text) => {
                let open_to_all = metadata.mode() & 0o002 != 0;
                let source = Self { open_to_all, ..Self::new(Arc::clone(path), text) };
                Ok((source, Stamp::of(&metadata)))
            }
            Err(error) => Err(Box::new(Self::not_utf8(path, &error))),
        }
    }

    fn not_utf8(path: &Arc<Path>, error: &FromUtf8Error) -> Fault {
        // Everything up to the fault stands where it stood in the file.
        let at = error.utf8_error().valid_up_to();
        let readable = Self::new(Arc::clone(path), String::from_utf8_lossy(error.as_bytes()).into_owned());
        let remedy = "save it as UTF-8; names in other scripts may also be written as A-labels";
        let span = Span::from(at..at + 1);
        Fault::at(Severity::Fault, &readable, span, "", "the file is not UTF-8 from here on", remedy)
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Whether reading it again would come to the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.open_to_all == other.open_to_all && self.text == other.text
    }

    /// Whether every user of the machine may write the file.
    pub(super) fn is_open_to_all(&self) -> bool {
        self.open_to_all
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of the octet `at`, both from 1; the column counts characters.
    pub(super) fn position(&self, at: u32) -> (usize, usize) {
        let starts = self.line_starts();
        let line = starts.partition_point(|start| *start <= at).max(1);
        let front = self.slice(starts.get(line - 1).copied().unwrap_or(0), at);
        (line, front.chars().count() + 1)
    }

    /// `file:line` of the octet `at`, to point at another place from within a sentence.
    pub(super) fn place(&self, at: u32) -> String {
        format!("{}:{}", fault::shown(&self.path.to_string_lossy()), self.position(at).0)
    }

    /// The line with the octet `at`, without its end.
    pub(super) fn line(&self, at: u32) -> &str {
        let starts = self.line_starts();
        let line = starts.partition_point(|start| *start <= at).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0);
        let end = starts.get(line).copied().unwrap_or(u32::MAX);
        self.slice(start, end).trim_end_matches(['\n', '\r'])
    }

    /// The nearest `[table]` header at or above the octet `at`.
    pub(super) fn header_above(&self, at: u32) -> &str {
        let end = self.slice(0, at).len() + self.slice(at, u32::MAX).find('\n').unwrap_or(0);
        let above = self.text.get(..end).unwrap_or("");
        above.lines().rev().map(str::trim_start).find(|line| line.starts_with('[')).unwrap_or("")
    }

    /// The text between two octets, moved to where characters begin.
    pub(super) fn slice(&self, start: u32, end: u32) -> &str {
        let floor = |at: u32| self.text.floor_char_boundary(at as usize);
        self.text.get(floor(start)..floor(end)).unwrap_or("")
    }

    fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let ends = self.text.match_indices('\n').map(|(at, _)| Span::from(at..at + 1).end);
            std::iter::once(0).chain(ends).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("a.toml").into(), text.into())
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = source("a\nbücher = 1\r\n\nend");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (2, 1));
        assert_eq!(source.position(5), (2, 3), "ü is one column, two octets");
        assert_eq!(source.line(5), "bücher = 1");
        assert_eq!(source.position(source.text.len() as u32), (4, 4));
        assert_eq!(source.position(u32::MAX), (4, 4), "past the end is the end");
        assert_eq!(source.place(2), "a.toml:2");
    }

    #[test]
    fn only_regular_files_within_the_limit_and_in_utf_8_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |name: &str, octets: &[u8]| {
            let path: Arc<Path> = folder.path().join(name).into();
            std::fs::write(&path, octets).unwrap();
            Source::read(&path, 8, "").map(|_| ()).map_err(|fault| fault.problem)
        };
        assert_eq!(problem("eight", b"12345678"), Ok(()));
        assert_eq!(problem("nine", b"123456789"), Err("the file is larger than 8 octets".into()));
        let latin: Arc<Path> = folder.path().join("latin").into();
        std::fs::write(&latin, b"a\nb\xfccher\n").unwrap();
        let fault = Source::read(&latin, 99, "").unwrap_err();
        assert_eq!((fault.line, fault.column, &*fault.problem), (2, 2, "the file is not UTF-8 from here on"));
        let read = |path: &Path| Source::read(&path.into(), 8, "").map(|_| ()).map_err(|f| f.problem);
        assert_eq!(read(folder.path()), Err("this is not a regular file".into()));
        assert_eq!(read(Path::new("/dev/zero")), Err("this is not a regular file".into()));
        assert!(read(&folder.path().join("none")).unwrap_err().starts_with("the file cannot be read: "));
    }

    #[test]
    fn a_pipe_without_writer_does_not_hold_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let fault = Source::read(&path.into(), 8, "").unwrap_err();
        assert_eq!(fault.problem, "this is not a regular file");
    }
}
