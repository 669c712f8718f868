//! `serve`: the façade over the REST API, until it is told to stop.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::failure::Failure;
use super::signals::Signals;
use crate::facade::{self, Facade, Listeners};
use crate::telemetry;
use crate::upstream::BaseUrl;

const HELP: &str = "\
A DURATION is a number and a unit, such as 250ms, 10s or 1m 30s, at most 24h.
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are honoured; SSL_CERT_FILE and SSL_CERT_DIR say where the
system's roots are.
Traces are exported where OTEL_EXPORTER_OTLP_ENDPOINT names a collector (OTLP over gRPC); the other
OTEL_* variables hold as well.
SIGTERM drains and exits with 0; a second signal exits at once.";

/// What runs, and over what.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = HELP)]
pub(super) struct Serve {
    /// Base URL of the REST API
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://api.meeting.huaweicloud.com"
    )]
    upstream: BaseUrl,

    #[command(flatten)]
    facade: facade::FacadeSettings,
    #[command(flatten)]
    telemetry: telemetry::LogSettings,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // First of all, so that no signal finds nobody there.
        let signals = Signals::listen().map_err(Failure::no_signals)?;
        telemetry::init(&self.telemetry).map_err(Failure::run)?;
        let facade = Facade::new(&self.upstream, self.facade.clone())?;
        let listeners = Listeners::bind(&self.facade).await.map_err(Failure::Run)?;
        self.announce(&listeners)?;
        serve(signals, facade, listeners).await
    }

    /// The first log line: what runs, where, and within which settings.
    fn announce(&self, listeners: &Listeners) -> Result<(), Failure> {
        let facade::FacadeSettings {
            server,
            tls,
            deadline,
            upstream,
            ..
        } = &self.facade;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %address(&listeners.grpc)?,
            admin_listen = %address(&listeners.admin)?,
            upstream = %self.upstream,
            timeout = ?deadline.timeout,
            attempt_timeout = ?upstream.attempt_timeout,
            connect_timeout = ?upstream.connect_timeout,
            max_retries = upstream.max_retries,
            max_tokens = upstream.max_tokens,
            max_in_flight = server.max_in_flight,
            max_in_flight_per_caller = server.share(),
            max_connection_age = ?server.max_connection_age,
            max_connection_age_grace = ?server.max_connection_age_grace,
            drain_delay = ?server.drain_delay,
            drain_timeout = ?server.drain_timeout,
            tls = tls.tls_cert.is_some(),
            client_certificates = tls.tls_client_ca.is_some(),
            client_names = tls.tls_client_allow.len(),
            "serving gRPC",
        );
        Ok(())
    }
}

/// Serves until a signal asks for the end.
pub(super) async fn serve(
    signals: Signals,
    facade: Facade,
    listeners: Listeners,
) -> Result<(), Failure> {
    let ended = signals.run(|stop| {
        facade.serve(listeners, async {
            // An error means that no signal can come any more: the process ends.
            let _ = stop.await;
        })
    });
    ended
        .await?
        .map_err(|error| Failure::Run(format!("threads cannot start: {error}")))
}

pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::Run(format!("a listener has no address: {error}")))
}
