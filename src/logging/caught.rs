//! Log lines caught for a test to read.

use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing::{Dispatch, Level, subscriber::DefaultGuard};

/// What is written to it, kept to be read; clones write to the same place.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Catches the lines of this thread at level info and above while it lives.
pub(crate) struct Caught {
    lines: Lines,
    _guard: DefaultGuard,
    /// While there is one subscriber alone, tracing lets whichever thread comes first decide whether a
    /// line is of interest, and the other tests' threads have none. A second one ends that.
    _second: Dispatch,
}

impl Caught {
    pub(crate) fn from_here() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(Level::INFO)
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        Self { lines, _guard: guard, _second: Dispatch::new(tracing_subscriber::registry()) }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.text().lines().map(str::to_owned).collect()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines.text().matches(part).count()
    }
}
