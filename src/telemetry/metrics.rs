//! What is counted: calls as gRPC dashboards know them, and what happens on the way to the REST side.
//!
//! Every handle is resolved once, at the start; labels come from closed sets.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::page;
use super::process::Process;

/// Suits answers between 1 ms and 10 s.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

type Label = [(&'static str, &'static str); 1];
type Counters = Family<Label, Counter>;

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The calls that callers make.
    pub calls: Calls,
    /// What becomes of them at the REST side.
    pub upstream: Arc<Upstream>,
}

/// The calls that callers make. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Calls {
    started: Counter,
    handled: [Counter; 17],
    seconds: Histogram,
    in_flight: Gauge,
    shed: Counter,
}

/// Attempts, retries, errors and the breaker.
#[derive(Debug)]
pub struct Upstream {
    attempts: [Counter; AttemptEnd::ALL.len()],
    attempt_seconds: Histogram,
    retries: [Counter; RetryReason::ALL.len()],
    budget_spent: Counter,
    errors: Counters,
    breaker_state: Gauge,
    breaker_refused: Counter,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The REST side accepted the change.
    Accepted,
    /// The REST side answered, and said no.
    Refused,
    /// Nothing was sent.
    NotSent,
    /// Something was sent, and no answer came that can be understood.
    NoAnswer,
    /// The caller went away.
    Cancelled,
}

/// Why an attempt was followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The attempt before was not sent.
    NotSent,
    /// The attempt before was refused, and changed nothing.
    Refused,
    /// The attempt before may have changed the settings.
    Unknown,
    /// The attempt before met a pooled connection that the peer had closed.
    StaleConnection,
}

impl AttemptEnd {
    const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Refused,
        Self::NotSent,
        Self::NoAnswer,
        Self::Cancelled,
    ];

    /// The name of the end, as metrics and spans show it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::NoAnswer => "no_answer",
            Self::Cancelled => "cancelled",
        }
    }
}

impl RetryReason {
    const ALL: [Self; 4] = [
        Self::NotSent,
        Self::Refused,
        Self::Unknown,
        Self::StaleConnection,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::StaleConnection => "stale_connection",
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// All metrics at zero; `service` and `method` name the one RPC.
    pub fn new(service: &'static str, method: &'static str) -> Self {
        let mut registry = Registry::default();
        let calls = Calls::register(&mut registry, service, method);
        let upstream = Arc::new(Upstream::register(&mut registry));
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
        Self {
            registry,
            calls,
            upstream,
        }
    }

    /// Everything in Prometheus's text format, version 0.0.4.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut page, &self.registry);
        page::from_open_metrics(&page)
    }
}

// === impl Calls ===

impl Calls {
    fn register(registry: &mut Registry, service: &'static str, method: &'static str) -> Self {
        let rpc = [
            ("grpc_service", service),
            ("grpc_method", method),
            ("grpc_type", "unary"),
        ];
        let labels = rpc.map(|(name, value)| (name.into(), value.into()));
        let shed = Counter::default();
        registry.register(
            "meeting_control_shed",
            "Calls refused because too many were under way",
            shed.clone(),
        );
        let registry = registry.sub_registry_with_labels(labels.into_iter());

        let started = Counter::default();
        registry.register("grpc_server_started", "Calls that arrived", started.clone());
        let handled = Counters::default();
        registry.register(
            "grpc_server_handled",
            "Calls that ended, by gRPC code",
            handled.clone(),
        );
        let seconds = Histogram::new(SECONDS);
        registry.register(
            "grpc_server_handling_seconds",
            "Time from a call's arrival to its end",
            seconds.clone(),
        );
        let in_flight = Gauge::default();
        registry.register(
            "grpc_server_in_flight",
            "Calls under way",
            in_flight.clone(),
        );
        Self {
            started,
            handled: std::array::from_fn(|code| {
                let name = code_label(Code::from(i32::try_from(code).unwrap_or_default()));
                handled.get_or_create(&[("grpc_code", name)]).clone()
            }),
            seconds,
            in_flight,
            shed,
        }
    }

    /// A call arrived.
    pub fn start(&self) {
        self.started.inc();
        self.in_flight.inc();
    }

    /// A call ended with `code` after `elapsed`.
    pub fn end(&self, code: Code, elapsed: Duration) {
        self.in_flight.dec();
        self.handled[code as usize].inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }

    /// A call was refused because too many were under way.
    pub fn shed(&self) {
        self.shed.inc();
    }
}

/// The code as existing dashboards spell it, such as `FailedPrecondition`.
fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

// === impl Upstream ===

impl Upstream {
    fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("meeting_control");
        let attempts = Counters::default();
        registry.register(
            "upstream_attempts",
            "Attempts at the REST call, by how they ended",
            attempts.clone(),
        );
        let attempt_seconds = Histogram::new(SECONDS);
        registry.register_with_unit(
            "upstream_attempt",
            "Time of one attempt at the REST call",
            Unit::Seconds,
            attempt_seconds.clone(),
        );
        let retries = Counters::default();
        registry.register(
            "upstream_retries",
            "Attempts after the first, by what the one before left behind",
            retries.clone(),
        );
        let budget_spent = Counter::default();
        registry.register(
            "upstream_retry_budget_exhausted",
            "Retries left out because the retry budget was spent",
            budget_spent.clone(),
        );
        let errors = Counters::default();
        registry.register(
            "upstream_errors",
            "Refusals by the REST side, by error code",
            errors.clone(),
        );
        let breaker_state = Gauge::default();
        registry.register(
            "breaker_state",
            "0: calls go through; 1: upstream is down, calls are refused at once; 2: probing",
            breaker_state.clone(),
        );
        let breaker_refused = Counter::default();
        registry.register(
            "breaker_refused",
            "Attempts not made because the upstream was known to be down",
            breaker_refused.clone(),
        );
        Self {
            attempts: AttemptEnd::ALL
                .map(|end| attempts.get_or_create(&[("outcome", end.label())]).clone()),
            attempt_seconds,
            retries: RetryReason::ALL
                .map(|reason| retries.get_or_create(&[("reason", reason.label())]).clone()),
            budget_spent,
            errors,
            breaker_state,
            breaker_refused,
        }
    }

    /// An attempt ended after `elapsed`.
    pub fn attempt(&self, end: AttemptEnd, elapsed: Duration) {
        self.attempts[end as usize].inc();
        self.attempt_seconds.observe(elapsed.as_secs_f64());
    }

    /// An attempt is followed by another.
    pub fn retry(&self, reason: RetryReason) {
        self.retries[reason as usize].inc();
    }

    /// A retry was left out because the budget was spent.
    pub fn budget_spent(&self) {
        self.budget_spent.inc();
    }

    /// The REST side refused; `code` is a code of the table, `None` for any other.
    pub fn error(&self, code: Option<&'static str>) {
        self.errors
            .get_or_create(&[("error_code", code.unwrap_or("other"))])
            .inc();
    }

    /// An attempt was not made because the upstream was known to be down.
    pub fn refused_by_breaker(&self) {
        self.breaker_refused.inc();
    }

    /// The breaker changed; see the metric's help for the numbers.
    pub fn breaker(&self, state: i64) {
        self.breaker_state.set(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(
            "meeting.control.v1.MeetingControl",
            "UpdateStartedConfConfig",
        )
    }

    #[test]
    fn a_call_is_counted_under_the_names_that_dashboards_read() {
        let metrics = metrics();
        metrics.calls.start();
        metrics.calls.start();
        metrics
            .calls
            .end(Code::FailedPrecondition, Duration::from_millis(3));
        let page = metrics.encode();
        let rpc = "grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"";
        for line in [
            format!("grpc_server_started_total{{{rpc}}} 2\n"),
            format!("grpc_server_handled_total{{{rpc},grpc_code=\"FailedPrecondition\"}} 1\n"),
            format!("grpc_server_handled_total{{{rpc},grpc_code=\"OK\"}} 0\n"),
            format!("grpc_server_in_flight{{{rpc}}} 1\n"),
            format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.0025\"}} 0\n"),
            format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.005\"}} 1\n"),
        ] {
            assert!(page.contains(&line), "{line}{page}");
        }
    }

    #[test]
    fn what_happens_upstream_is_counted_by_closed_sets() {
        let metrics = metrics();
        let upstream = &metrics.upstream;
        for end in AttemptEnd::ALL {
            upstream.attempt(end, Duration::from_millis(1));
        }
        for reason in RetryReason::ALL {
            upstream.retry(reason);
        }
        upstream.error(Some("MMC.111072005"));
        upstream.error(None);
        upstream.budget_spent();
        upstream.breaker(1);
        let page = metrics.encode();
        for line in [
            "meeting_control_upstream_attempts_total{outcome=\"accepted\"} 1\n",
            "meeting_control_upstream_attempts_total{outcome=\"cancelled\"} 1\n",
            "meeting_control_upstream_attempt_seconds_count 5\n",
            "meeting_control_upstream_retries_total{reason=\"stale_connection\"} 1\n",
            "meeting_control_upstream_retry_budget_exhausted_total 1\n",
            "meeting_control_upstream_errors_total{error_code=\"MMC.111072005\"} 1\n",
            "meeting_control_upstream_errors_total{error_code=\"other\"} 1\n",
            "meeting_control_breaker_state 1\n",
            concat!(
                "meeting_control_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1\n"
            ),
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }
}
