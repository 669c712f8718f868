//! The connections that callers hold, and the certificate that they are shown.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// Connections of the gRPC listener.
#[derive(Debug)]
pub struct Connections {
    open: Gauge,
    certificate: CertificateEnd,
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

/// When the certificate in use ends, in seconds since 1970. Not shown where there is none.
#[derive(Debug, Clone, Default)]
struct CertificateEnd(Arc<Mutex<Option<i64>>>);

impl Connections {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let open = Gauge::default();
        registry.register(
            "meeting_control_connections",
            "Connections that callers hold, handshakes included",
            open.clone(),
        );
        let certificate = CertificateEnd::default();
        registry.register_collector(Box::new(certificate.clone()));
        Self { open, certificate }
    }

    /// A connection was accepted; it is closed when the return value is dropped.
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// A certificate chain is in use that ends at `not_after`, in seconds since 1970, if it says so.
    pub fn use_certificate(&self, not_after: Option<i64>) {
        *self.certificate.value() = not_after;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl CertificateEnd {
    fn value(&self) -> MutexGuard<'_, Option<i64>> {
        // Nothing is ever half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for CertificateEnd {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(end) = *self.value() else {
            return Ok(());
        };
        let encoder = encoder.encode_descriptor(
            "meeting_control_tls_certificate_not_after_timestamp_seconds",
            "When the certificate chain in use ends, its earliest certificate, in seconds since 1970",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(end).encode(encoder)
    }
}
