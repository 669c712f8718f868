//! The metrics of the process, and the page that shows them. Each room registers what it counts.
//!
//! Every handle is resolved once, at the start, and labels come from closed sets.

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::process::Process;

/// Upper bounds of the buckets of time, in seconds; they suit answers between 1 ms and 10 s.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

type Label = [(&'static str, &'static str); 1];
/// Counters that differ in the value of one label.
pub type Counters = Family<Label, Counter>;

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Default for Metrics {
    /// What is known of the process itself: its version, and how the operating system sees it.
    fn default() -> Self {
        let mut registry = Registry::default();
        let build = Family::<Label, Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        registry.register(
            "meeting_control_build_info",
            "The version that is running; always 1",
            build,
        );
        registry.register_collector(Box::new(Process));
        Self(registry)
    }
}

impl Metrics {
    /// Where a room registers what it counts.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.0
    }

    /// Everything in Prometheus's text format, version 0.0.4.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut page, &self.0);
        page
    }
}

/// Registers a counter; the page adds `_total` to its name.
pub fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

/// Registers counters that differ in the value of `label`, one for each of `values`, in their order.
pub fn counters<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = open_counters(registry, name, help);
    values.map(|value| family.get_or_create(&[(label, value)]).clone())
}

/// Registers counters whose label values are shown as they come up; they must be of a closed set.
pub fn open_counters(registry: &mut Registry, name: &str, help: &str) -> Counters {
    let family = Counters::default();
    registry.register(name, help, family.clone());
    family
}

/// Registers a gauge.
pub fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Registers a histogram of times in seconds.
pub fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(SECONDS);
    registry.register(name, help, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_the_version_and_the_process() {
        let page = Metrics::default().page();
        let version = concat!(
            "meeting_control_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        );
        for line in [version, "# TYPE process_cpu_seconds_total counter\n"] {
            assert!(page.contains(line), "{line}{page}");
        }
    }

    #[test]
    fn counters_are_declared_under_the_name_of_their_samples() {
        let mut metrics = Metrics::default();
        let [one, other] = counters(metrics.registry(), "calls", "Calls", "end", ["a", "b"]);
        one.inc_by(2);
        other.inc();
        let expected = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{end=\"a\"} 2
calls_total{end=\"b\"} 1
";
        let page = metrics.page();
        let mut lines: Vec<_> = page.lines().filter(|line| line.contains("calls")).collect();
        lines.sort_unstable();
        let mut expected: Vec<_> = expected.lines().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}
