//! `[cross_check]`: how policies are held against the world, and how often.

use super::{DAY, HOUR, MINUTE, Reader, SECOND, duration};
use crate::config::{CrossCheck, file::Table};

impl Default for CrossCheck {
    fn default() -> Self {
        Self {
            enabled: true,
            period: HOUR,
            recheck: 2 * MINUTE,
            records: true,
            audit: true,
            audit_every: DAY,
            audit_recheck: 15 * MINUTE,
            audits_at_once: 16,
            probe_mx: true,
            ehlo_name: None,
            root_file: None,
            dial_private: false,
        }
    }
}

impl Reader<'_, '_> {
    pub(super) fn cross_check(&self, table: Option<Table<'_, '_>>) -> CrossCheck {
        let mut read = CrossCheck::default();
        let Some(mut table) = table else { return read };
        let t = &mut table;
        read.enabled = t.flag("enabled").unwrap_or(read.enabled);
        duration(t, "period", &mut read.period, MINUTE..=7 * DAY);
        read.records = t.flag("records").unwrap_or(read.records);
        duration(t, "recheck", &mut read.recheck, 10 * SECOND..=HOUR);
        read.audit = t.flag("audit").unwrap_or(read.audit);
        duration(t, "audit_every", &mut read.audit_every, 10 * SECOND..=30 * DAY);
        duration(t, "audit_recheck", &mut read.audit_recheck, 3 * SECOND..=6 * HOUR);
        read.audits_at_once = t.number("audits_at_once", read.audits_at_once, 1..=1_000);
        read.probe_mx = t.flag("probe_mx").unwrap_or(read.probe_mx);
        read.ehlo_name = self.published_name(
            t,
            "ehlo_name",
            "write a name that leads to this machine, as mail hosts may ask",
        );
        read.root_file = self.path(t, "root_file");
        read.dial_private = t.flag("dial_private").unwrap_or(read.dial_private);
        table.finish();
        read
    }
}
