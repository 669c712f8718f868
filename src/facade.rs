//! The façade, composed: settings become something that serves. The commands and the tests both use it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::join3;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::server::metrics::{Calls, Connections};
use crate::server::tls::{self, Tls, TlsError};
use crate::server::{self, Layers, Server};
use crate::service::Service;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::{Export, Tracing};
use crate::upstream::{self, BaseUrl, Renewal, SetupError, Upstream};
use crate::{admin, deadline, workers};

/// How the façade works.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct FacadeSettings {
    /// How callers are served.
    #[command(flatten)]
    pub server: server::ServerSettings,
    /// How callers come in.
    #[command(flatten)]
    pub tls: tls::TlsSettings,
    /// Where probes and metrics are.
    #[command(flatten)]
    pub admin: admin::AdminSettings,
    /// How long a call may take.
    #[command(flatten)]
    pub deadline: deadline::DeadlineSettings,
    /// How the upstream is reached.
    #[command(flatten)]
    pub upstream: upstream::UpstreamSettings,
    /// Threads that serve connections; with one, whoever runs the façade does.
    #[arg(skip = workers::count())]
    pub threads: usize,
}

/// The façade, ready to serve.
#[derive(Debug)]
pub struct Facade {
    server: Server,
    /// One for each thread.
    services: Vec<Service>,
    upstream: Upstream,
    renewal: Renewal,
    metrics: Arc<Metrics>,
    health: Health,
    export: Option<Export>,
}

/// Where the façade is reached.
#[derive(Debug)]
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// HTTP for probes and metrics.
    pub admin: TcpListener,
}

/// The façade cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FacadeError {
    /// A setting for the upstream cannot work.
    #[error(transparent)]
    Upstream(#[from] SetupError),
    /// A setting for TLS cannot work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The environment asks for something impossible.
    #[error("{0}")]
    Environment(String),
    /// A bug in the build.
    #[error("reflection cannot start: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Facade {
    /// Makes the façade over the API at `base`. All that can fail because of a setting fails here; nothing
    /// is bound or sent yet. Must be called within a tokio runtime, as exporting spans starts here.
    ///
    /// # Errors
    /// [`FacadeError`] when a setting cannot work.
    pub fn new(base: &BaseUrl, settings: FacadeSettings) -> Result<Self, FacadeError> {
        let mut metrics = Metrics::default();
        let registry = metrics.registry();
        let (calls, connections) = (Calls::register(registry), Connections::register(registry));
        let timeout = settings.deadline.timeout;
        let (upstream, renewal) = Upstream::new(base, &settings.upstream, timeout, registry)?;
        let services = (0..settings.threads.max(1))
            .map(|_| upstream.for_thread().map(Service::new))
            .collect::<Result<_, _>>()?;
        let tls = Tls::load(&settings.tls)?;
        let local = settings.server.listen.ip().to_canonical().is_loopback();
        if tls.is_none() && settings.upstream.max_tokens > 0 && !local {
            tracing::warn!(
                "host passwords may come in over plaintext from other machines: give --tls-cert, \
                 or let a mesh encrypt, or take none with --max-tokens 0"
            );
        }
        let tracing = Tracing::from_environment().map_err(FacadeError::Environment)?;
        let (tracing, export) = tracing.unzip();
        let health = Health::default();
        let layers = Layers::new(&settings.server, timeout, Arc::new(calls), tracing, &health)?;
        let connections = Arc::new(connections);
        let server = Server::new(settings.server, tls, layers, health.clone(), connections);
        Ok(Self {
            server,
            services,
            upstream,
            renewal,
            metrics: Arc::new(metrics),
            health,
            export,
        })
    }

    /// What the admin port shows as metrics.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves until `shutdown` resolves, and then ends in order, telemetry last.
    ///
    /// # Errors
    /// When the system grants no thread.
    pub async fn serve(
        self,
        listeners: Listeners,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let serving = async {
            let served = self
                .server
                .serve(listeners.grpc, self.services, shutdown)
                .await;
            // The calls that ended while draining are told as well.
            if let Some(export) = self.export {
                export.flush().await;
            }
            served
        };
        let background = join3(
            admin::serve(&listeners.admin, self.metrics, self.health),
            self.renewal.run(),
            self.upstream.sweep(),
        );
        tokio::select! {
            served = serving => served,
            _ = background => Ok(()),
        }
    }
}

impl Listeners {
    /// Binds both addresses of the settings.
    ///
    /// # Errors
    /// A sentence that names the flag when an address cannot be bound.
    pub async fn bind(settings: &FacadeSettings) -> Result<Self, String> {
        Ok(Self {
            grpc: bind("--listen", settings.server.listen).await?,
            admin: bind("--admin-listen", settings.admin.admin_listen).await?,
        })
    }
}

/// Binds the address that `flag` names.
///
/// # Errors
/// A sentence that names the flag.
pub async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("{flag}: cannot listen on {address}: {error}"))
}

#[cfg(test)]
mod tests;
