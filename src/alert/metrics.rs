//! Deliveries of alerts, in figures.

use super::AlertStatus;
use crate::metrics::{Counter, Family, Registry, read_by};

/// Deliveries by alert and outcome; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries(Family<[(&'static str, String); 2], Counter>);

impl Deliveries {
    /// Has the figures of `alert` stand at 0 before its first delivery.
    pub fn expect(&self, alert: &str) {
        [true, false].into_iter().for_each(|delivered| drop(self.counter(alert, delivered)));
    }

    pub fn count(&self, alert: &str, delivered: bool) {
        self.counter(alert, delivered).inc();
    }

    fn counter(&self, alert: &str, delivered: bool) -> Counter {
        let outcome = if delivered { "delivered" } else { "failed" };
        self.0.get_or_create_owned(&[("alert", alert.to_owned()), ("outcome", outcome.to_owned())])
    }
}

/// Shows in `registry` how deliveries go.
pub fn register(registry: &mut Registry, status: AlertStatus) {
    registry.register(
        "deliveries",
        "Tries to deliver an alert, by the name of its table; what failed is tried again",
        status.deliveries.0.clone(),
    );
    read_by(registry, move |page| {
        let troubled = status
            .targets()
            .into_iter()
            .map(|target| ([("alert", target.alert)], f64::from(u8::from(target.trouble.is_some()))));
        page.gauges("undelivered", "1 while there is something to tell that is not taken", troubled)
    });
}
