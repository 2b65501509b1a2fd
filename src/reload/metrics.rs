//! Looks at the configuration, in figures.

use super::{ReloadReport, ReloadStatus};
use crate::metrics::{Counter, Family, Labels, Registry, read_by};

/// Looks by what came of them; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Reloads {
    applied: Counter,
    applied_in_part: Counter,
    unchanged: Counter,
    refused: Counter,
    family: Family<Labels<1>, Counter>,
}

impl Default for Reloads {
    fn default() -> Self {
        let family = Family::<Labels<1>, Counter>::default();
        let reload = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            applied: reload("applied"),
            applied_in_part: reload("applied_in_part"),
            unchanged: reload("unchanged"),
            refused: reload("refused"),
            family,
        }
    }
}

impl Reloads {
    pub(super) fn count(&self, report: &ReloadReport) {
        let counter = match (report.server_refused, report.is_good(), report.replaced) {
            (true, _, _) => &self.refused,
            (false, false, _) => &self.applied_in_part,
            (false, true, true) => &self.applied,
            (false, true, false) => &self.unchanged,
        };
        counter.inc();
    }
}

/// Shows in `registry` what came of the looks, and what of the configuration is not applied now.
pub fn register(registry: &mut Registry, reloads: &Reloads, status: ReloadStatus) {
    registry.register(
        "attempts",
        "Times the configuration was read because something about it was new; applied_in_part: what has a \
         fault stayed as it was; refused: everything did",
        reloads.family.clone(),
    );
    read_by(registry, move |page| {
        let state = status.load();
        let refused = f64::from(u8::from(state.server_refused));
        page.gauge(
            "refused",
            "1 while the server's part of the files is refused, so that no edit is applied",
            refused,
        )?;
        page.gauge("tenants_refused", "Tenants that are not served as written", state.refused_count as f64)?;
        page.gauge("faults", "Faults that hold something back", state.held_back as f64)?;
        page.gauge("restart_keys", "Changed keys that wait for a restart", state.needs_restart.len() as f64)?;
        let since = state.since.map_or(0, |since| since.as_second());
        page.gauge("applied_timestamp_seconds", "When what is served was put in place", since as f64)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fault, Severity};

    #[test]
    fn a_look_is_counted_by_what_came_of_it() {
        let reloads = Reloads::default();
        let fault = || {
            let (path, text) = (std::path::Path::new("a.toml"), "planted".to_owned());
            Fault::of_file(Severity::Fault, path, text.clone(), text)
        };
        for (server_refused, replaced, faults) in
            [(true, false, 1), (false, true, 1), (false, false, 1), (false, true, 0), (false, false, 0)]
        {
            let faults = (0..faults).map(|_| fault()).collect();
            reloads.count(&ReloadReport { server_refused, replaced, faults, ..ReloadReport::default() });
        }
        let counts = [&reloads.refused, &reloads.applied_in_part, &reloads.applied, &reloads.unchanged];
        assert_eq!(counts.map(Counter::get), [1, 2, 1, 1]);
    }
}
