//! What the serving side counts: calls, under the names that gRPC dashboards read, and connections.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::names::{self, METHOD, SERVICE};
use crate::status::Shed;
use crate::telemetry::metrics::{counter, counters, gauge, seconds};

/// The calls of our method.
#[derive(Debug)]
pub struct Calls {
    started: Counter,
    handled: [Counter; 17],
    seconds: Histogram,
    in_flight: Gauge,
    shed: [Counter; 2],
}

/// The connections that callers hold, and the certificate that they are shown.
#[derive(Debug)]
pub struct Connections {
    open: Gauge,
    malformed: Counter,
    untaken: Gauge,
    closed: [Counter; Closing::LABELS.len()],
    /// When the chain in use ends; nothing where there is none.
    certificate: Family<[(&'static str, &'static str); 0], Gauge>,
}

/// Why we end a connection before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Its client leaves answers for too long, or too many where memory is short.
    Untaken,
    /// It resets streams as fast as it can.
    Resets,
    /// It does not end its headers.
    Headers,
    /// It does not speak HTTP/2 in time.
    Silent,
    /// It has spent half of what the HTTP/2 library bears in a connection's life, and is asked to make a new one.
    Worn,
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

// === impl Calls ===

impl Calls {
    /// All counts at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let shed = counters(
            registry,
            "meeting_control_shed",
            "Calls refused because too many were under way: in all, or of their caller",
            "limit",
            ["all", "caller"],
        );
        let rpc = [
            ("grpc_service", SERVICE),
            ("grpc_method", METHOD),
            ("grpc_type", "unary"),
        ];
        let labels = rpc.map(|(name, value)| (name.into(), value.into()));
        let registry = registry.sub_registry_with_labels(labels.into_iter());
        Self {
            started: counter(registry, "grpc_server_started", "Calls that arrived"),
            handled: counters(
                registry,
                "grpc_server_handled",
                "Calls that ended, by gRPC code",
                "grpc_code",
                names::code_labels(),
            ),
            seconds: seconds(
                registry,
                "grpc_server_handling_seconds",
                "Time from a call's arrival to its end",
            ),
            in_flight: gauge(registry, "grpc_server_in_flight", "Calls under way"),
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
    pub fn shed(&self, shed: Shed) {
        self.shed[shed as usize].inc();
    }
}

// === impl Connections ===

impl Connections {
    /// No connection, and no certificate.
    pub fn register(registry: &mut Registry) -> Self {
        let certificate = Family::default();
        registry.register(
            "meeting_control_tls_certificate_not_after_timestamp_seconds",
            "When the certificate chain in use ends, its earliest certificate, in seconds since 1970",
            certificate.clone(),
        );
        Self {
            open: gauge(
                registry,
                "meeting_control_connections",
                "Connections that callers hold, handshakes included",
            ),
            malformed: counter(
                registry,
                "meeting_control_malformed_requests",
                "Requests that break the rules of HTTP/2, and were reset before any service saw them",
            ),
            untaken: gauge(
                registry,
                "meeting_control_untaken_answers",
                "Answers whose last frame has not been handed over",
            ),
            closed: counters(
                registry,
                "meeting_control_connections_closed",
                "Connections ended before their time, because of what their clients did",
                "reason",
                Closing::LABELS,
            ),
            certificate,
        }
    }

    /// Counts requests that break the rules of HTTP/2.
    pub(super) fn malformed(&self) -> Counter {
        self.malformed.clone()
    }

    /// Counts answers that wait for their clients.
    pub(super) fn untaken(&self) -> Gauge {
        self.untaken.clone()
    }

    /// Counts connections that are ended before their time.
    pub(super) fn closed(&self) -> [Counter; Closing::LABELS.len()] {
        self.closed.clone()
    }

    /// A connection was accepted; it is closed when the return value is dropped.
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// A certificate chain is in use that ends at `not_after`, in seconds since 1970, if it says so.
    pub fn use_certificate(&self, not_after: Option<i64>) {
        match not_after {
            Some(end) => _ = self.certificate.get_or_create(&[]).set(end),
            None => self.certificate.clear(),
        }
    }
}

impl Closing {
    /// In the order of the reasons.
    pub(super) const LABELS: [&str; 5] = ["untaken", "resets", "headers", "silent", "worn"];

    /// As metrics and the log say it.
    pub(super) fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }

    /// Whether the client costs the others too much.
    pub(super) fn is_abuse(self) -> bool {
        matches!(self, Self::Untaken | Self::Resets | Self::Headers)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
