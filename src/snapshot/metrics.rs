//! What is served, in figures. Counted when a snapshot is built, so that asking costs nothing.

use super::SharedSnapshot;
use crate::{
    metrics::{Registry, read_by},
    policy::Mode,
};

/// How many there are of each mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByMode {
    /// In enforce.
    pub enforce: usize,
    /// In testing.
    pub testing: usize,
    /// In none.
    pub none: usize,
}

impl ByMode {
    pub(super) fn count(&mut self, mode: Mode) {
        match mode {
            Mode::Enforce => self.enforce += 1,
            Mode::Testing => self.testing += 1,
            Mode::None => self.none += 1,
        }
    }

    fn labelled(self) -> [([(&'static str, &'static str); 1], f64); 3] {
        [("enforce", self.enforce), ("testing", self.testing), ("none", self.none)]
            .map(|(mode, count)| ([("mode", mode)], count as f64))
    }
}

/// Shows in `registry` what `snapshot` holds at the moment of asking.
pub fn register(registry: &mut Registry, snapshot: SharedSnapshot) {
    read_by(registry, move |page| {
        let snapshot = snapshot.load_full();
        page.gauge(
            "generation",
            "Snapshots served by this process, the one that is served now among them",
            snapshot.generation() as f64,
        )?;
        page.gauges("tenants", "Tenants served, by the mode of their policy", snapshot.tenants.labelled())?;
        page.gauges(
            "domains",
            "Policy domains served, by the mode of their policy",
            snapshot.domains.labelled(),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, written};

    #[test]
    fn before_the_first_snapshot_nothing_is_served() {
        let mut registry = Registry::default();
        register(&mut registry, SharedSnapshot::default());
        let text = written(&registry, Format::Text);
        assert!(
            text.contains("generation 0.0\n") && text.contains("domains{mode=\"enforce\"} 0.0\n"),
            "{text}"
        );
    }
}
