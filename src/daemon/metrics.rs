//! All figures together: each room's under its own name, and those of the process.

use super::process;
use crate::{
    acme::{self, AcmeStatus},
    admin::Health,
    alert::{self, AlertStatus},
    clock::Clock,
    cross_check::{self, CrossCheckStatus},
    dns::Lookups,
    https::PolicyServer,
    logging,
    metrics::{Registry, read_by},
    reload::{self, ReloadStatus, metrics::Reloads},
    snapshot::{self, SharedSnapshot},
    storage,
};

/// Where figures come from.
pub(super) struct Figures<'a> {
    pub snapshot: &'a SharedSnapshot,
    pub policies: &'a PolicyServer,
    pub acme: &'a AcmeStatus,
    pub cross_check: &'a CrossCheckStatus,
    pub alerts: &'a AlertStatus,
    pub reload: &'a ReloadStatus,
    pub reloads: &'a Reloads,
    pub lookups: &'a Lookups,
    pub health: &'a Health,
    pub clock: Clock,
}

impl Figures<'_> {
    /// All of them, to be read whenever somebody asks.
    pub(super) fn registry(&self) -> Registry {
        let mut root = Registry::default();
        register_process(&mut root, self.clock);
        let ours = root.sub_registry_with_prefix("mta_stsd");
        register_program(ours, self.health.clone());
        self.policies.register(ours.sub_registry_with_prefix("https"));
        snapshot::metrics::register(ours.sub_registry_with_prefix("snapshot"), self.snapshot.clone());
        reload::metrics::register(ours.sub_registry_with_prefix("reload"), self.reloads, self.reload.clone());
        acme::metrics::register(
            ours.sub_registry_with_prefix("acme"),
            self.acme.clone(),
            self.snapshot.clone(),
            self.clock,
        );
        cross_check::metrics::register(
            ours.sub_registry_with_prefix("cross_check"),
            self.cross_check.clone(),
            self.snapshot.clone(),
        );
        self.lookups.register(ours.sub_registry_with_prefix("dns"));
        alert::metrics::register(ours.sub_registry_with_prefix("alert"), self.alerts.clone());
        storage::metrics::register(ours.sub_registry_with_prefix("storage"));
        root
    }
}

fn register_program(registry: &mut Registry, health: Health) {
    read_by(registry, move |page| {
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1.0)];
        page.gauges("build_info", "The program that runs; always 1", version)?;
        let ready = f64::from(u8::from(health.is_ready()));
        page.gauge("ready", "1 while connections should be sent here, as /readyz says", ready)?;
        let left_out = logging::current().map_or(0, logging::Log::left_out) as f64;
        page.counter(
            "logging_left_out_lines",
            "Log lines not written, because there were too many of their kind",
            left_out,
        )?;
        page.counter("panics", "Panics of ours, wherever; anything but 0 is a bug", process::panics() as f64)
    });
}

/// What the operating system says of us, under the names that every program uses.
fn register_process(registry: &mut Registry, clock: Clock) {
    let started = clock.now().as_second() as f64;
    read_by(registry, move |page| {
        let usage = process::Usage::of_now();
        page.counter("process_cpu_seconds", "Processor time spent", usage.cpu.as_secs_f64())?;
        page.gauge("process_resident_memory_bytes", "Memory in use", usage.resident_bytes as f64)?;
        page.gauge("process_open_fds", "File descriptors open", usage.open_descriptors as f64)?;
        page.gauge("process_max_fds", "File descriptors that may be open", usage.most_descriptors as f64)?;
        page.gauge("process_start_time_seconds", "When the process began", started)
    });
}
