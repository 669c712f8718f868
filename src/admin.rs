//! The admin port, plain HTTP: `/livez`, `/readyz` and `/metrics`, and nothing secret.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::telemetry::metrics::Metrics;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the admin port is.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Address and port of /livez, /readyz and /metrics, over HTTP
    #[arg(
        long,
        env = "MEETING_CONTROL_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    pub admin_listen: SocketAddr,
}

/// Whether calls should be sent here: not before the listeners are up, not while draining. It does
/// not depend on the upstream, or all replicas would leave at once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether calls should be sent here.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether calls should be sent here.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves the admin port until the future is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .route("/metrics", get(page).with_state(metrics));
    axum::serve(listener, router).await
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn page(State(metrics): State<Arc<Metrics>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, TEXT)], metrics.encode())
}
