//! Figures for Prometheus: how rooms count, and how what they counted is written out.
//!
//! A room that counts has a `metrics.rs` with a function that puts its figures into a [`Registry`]; the
//! daemon gives each room one under `mta_stsd_` and the room's name. What strangers move is a [`Counter`]
//! whose labels were chosen at start: counting is one atomic addition. What stands in a table is not
//! counted beside it but read when it is asked for ([`read_by`]).
//!
//! Labels come from closed sets. A tenant's name is never one, except on lists of at most [`WORST`].

pub use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelValue, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::{collections::HashSet, fmt};

/// Entries of a list that names domains: as many as a person reads, and few enough for any store of
/// figures, however large the fleet.
pub const WORST: usize = 20;

/// Labels of a family of counters, all of them known at start.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Upper ends of buckets in seconds, for what goes over the network; 2 and 4 s are where senders give up.
pub const NETWORK_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0];

/// Upper ends of buckets in seconds, for what waits for nobody.
pub const LOCAL_SECONDS: [f64; 10] =
    [0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.01, 0.1, 1.0];

/// Registers a family of counters; each of its members is made by [`Family::get_or_create_owned`].
pub fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> Family<Labels<N>, Counter> {
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

/// Has `read` write its figures whenever somebody asks.
pub fn read_by(registry: &mut Registry, read: impl Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static) {
    registry.register_collector(Box::new(Reader(read)));
}

struct Reader<F>(F);

impl<F> fmt::Debug for Reader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl<F: Fn(&mut Page<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Reader<F> {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        (self.0)(&mut Page(encoder))
    }
}

/// Where figures are written that are read when they are asked for.
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// One number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, &sentence(help), None, gauge.metric_type())?)
    }

    /// One number that only grows; its name is given without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, &sentence(help), None, counter.metric_type())?)
    }

    /// Numbers that go up and down, told apart by labels.
    pub fn gauges<V: EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, V); N], f64)>,
    ) -> fmt::Result {
        let metric_type = ConstGauge::new(0.0).metric_type();
        let mut encoder = self.0.encode_descriptor(name, &sentence(help), None, metric_type)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// As the registry ends the sentences of what is registered.
fn sentence(help: &str) -> String {
    format!("{help}.")
}

/// How figures are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format of Prometheus, 0.0.4.
    Text,
}

impl Format {
    /// What a request with this `Accept` field wants: OpenMetrics when it says so.
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Everything in `registry`, as of now.
pub fn written(registry: &Registry, format: Format) -> String {
    let mut text = String::new();
    // Strings take everything, and our readers fail only where what they write to does.
    let _ = encode(&mut text, registry);
    match format {
        Format::OpenMetrics => text,
        Format::Text => as_text(&text),
    }
}

/// OpenMetrics in the older format, which names a counter with its `_total` and knows no units.
fn as_text(metrics: &str) -> String {
    let kind = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    };
    let of_kind = |wanted: &str| -> HashSet<String> {
        metrics.lines().filter_map(kind).filter(|(_, kind)| kind == wanted).map(|(name, _)| name).collect()
    };
    let (counters, infos) = (of_kind("counter"), of_kind("info"));
    let mut text = String::with_capacity(metrics.len());
    for line in metrics.lines() {
        let renamed = ["# HELP ", "# TYPE "].into_iter().find_map(|word| {
            let (name, rest) = line.strip_prefix(word)?.split_once(' ')?;
            match (counters.contains(name), infos.contains(name)) {
                (true, _) => Some(format!("{word}{name}_total {rest}")),
                (_, true) => {
                    Some(format!("{word}{name}_info {}", if word == "# TYPE " { "gauge" } else { rest }))
                }
                _ => None,
            }
        });
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        text.push_str(renamed.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::info::Info;

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.register("build", "What runs", Info::new([("version", "1.0")]));
        let ours = registry.sub_registry_with_prefix("room");
        let answers = counters::<1>(ours, "answers", "Answers by status");
        answers.get_or_create_owned(&[("status", "200")]).inc_by(3);
        let seconds = Histogram::new([0.5, 1.0]);
        seconds.observe(0.7);
        ours.register_with_unit("wait", "How long it took", Unit::Seconds, seconds);
        read_by(ours, |page| {
            page.gauge("open", "Connections open now", 4.0)?;
            page.counter("work_seconds", "Time spent", 1.5)?;
            page.gauges("worst", "The worst", [([("host", "a\"\n\\b".to_owned())], 1.0)])
        });
        registry
    }

    #[test]
    fn figures_are_written_as_openmetrics() {
        let text = written(&registry(), Format::OpenMetrics);
        for line in [
            "# TYPE build info",
            "build_info{version=\"1.0\"} 1",
            "# TYPE room_answers counter",
            "room_answers_total{status=\"200\"} 3",
            "# UNIT room_wait_seconds seconds",
            "room_wait_seconds_bucket{le=\"1.0\"} 1",
            "# HELP room_open Connections open now.",
            "room_open 4.0",
            "room_work_seconds_total 1.5",
            "room_worst{host=\"a\\\"\\n\\\\b\"} 1.0",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_older_format_names_counters_in_full() {
        let text = written(&registry(), Format::Text);
        for line in [
            "# HELP build_info What runs.",
            "# TYPE build_info gauge",
            "# HELP room_answers_total Answers by status.",
            "# TYPE room_answers_total counter",
            "# TYPE room_work_seconds_total counter",
            "# TYPE room_wait_seconds histogram",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
    }

    #[test]
    fn the_format_is_what_the_accept_field_names() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::wanted(Some(prometheus)), Format::OpenMetrics);
        for accept in [None, Some("*/*"), Some("text/plain")] {
            assert_eq!(Format::wanted(accept), Format::Text);
        }
    }
}
