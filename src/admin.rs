//! The admin port, plain HTTP: `/livez`, `/readyz` and `/metrics`, and nothing secret.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;

use crate::accept;
use crate::health::Health;
use crate::telemetry::metrics::Metrics;

/// The most connections at once; a scraper and the probes need a few. The oldest gives way to a new one, so that
/// whoever says nothing keeps no probe out.
const MAX_CONNECTIONS: usize = 256;
/// How long a request's head may take.
const MAX_HEAD: Duration = Duration::from_secs(2);

/// Where the admin port is.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct AdminSettings {
    /// Address and port of /livez, /readyz and /metrics, over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_listen: SocketAddr,
}

/// Serves the admin port until the future is dropped.
pub async fn serve(listener: &TcpListener, metrics: Arc<Metrics>, health: Health) {
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route("/metrics", get(page).with_state(metrics));
    accept::newest(listener, MAX_CONNECTIONS, |stream, _| {
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(MAX_HEAD)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        async move {
            // An error is the client's own: it is gone, or does not speak HTTP.
            let _ = connection.await;
        }
    })
    .await;
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn page(State(metrics): State<Arc<Metrics>>) -> ([(HeaderName, &'static str); 1], String) {
    (
        [(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)],
        metrics.page(),
    )
}
