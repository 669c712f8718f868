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
use prometheus_client::registry::Registry;
use tonic::Code;

use super::page;
use super::process::Process;

mod connections;
mod upstream;

pub use connections::{Connections, OpenConnection};
pub use upstream::{AttemptEnd, RetryReason, Upstream};

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
    pub calls: Arc<Calls>,
    /// The connections over which they make them.
    pub connections: Arc<Connections>,
    /// What becomes of them at the REST side.
    pub upstream: Arc<Upstream>,
}

/// The calls that callers make.
#[derive(Debug)]
pub struct Calls {
    started: Counter,
    handled: [Counter; 17],
    seconds: Histogram,
    in_flight: Gauge,
    shed: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// All metrics at zero; `service` and `method` name the one RPC.
    pub fn new(service: &'static str, method: &'static str) -> Self {
        let mut registry = Registry::default();
        let calls = Arc::new(Calls::register(&mut registry, service, method));
        let connections = Arc::new(Connections::register(&mut registry));
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
            connections,
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

#[cfg(test)]
mod tests;
