//! The serving side: it serves gRPC on a listener until it is told to stop, and then drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::accept;
use crate::call::Identity;
use crate::health::Health;
use crate::service::Service;
use crate::workers::Workers;

pub(crate) mod admission;
mod answer;
mod arriving;
pub(crate) mod connection;
mod frames;
pub(crate) mod layers;
pub mod metrics;
pub(crate) mod permits;
pub(crate) mod record;
pub(crate) mod rescue;
mod seldom;
mod settings;
pub(crate) mod streams;
pub mod tls;
mod wire;

use connection::{Bounds, Phase};
pub use layers::Layers;
pub use settings::ServerSettings;

use layers::Services;
use metrics::Connections;
use permits::Permits;
use seldom::Seldom;
use streams::All;
use tls::Tls;

/// The most connections at once; more are closed as they come. Each may hold some 33 kB, 47 with TLS, so
/// that all of them stay well under 200 MB.
const MAX_CONNECTIONS: usize = 3500;
/// What the last connections may take to be swept up.
const SWEEP: Duration = Duration::from_millis(100);

/// The gRPC server, ready to serve.
#[derive(Debug)]
pub struct Server {
    layers: Layers,
    tls: Option<Tls>,
    settings: ServerSettings,
    health: Health,
    connections: Arc<Connections>,
}

/// What every connection needs.
#[derive(Debug, Clone)]
struct Door {
    tls: Option<Tls>,
    permits: Permits,
    bounds: Bounds,
    streams: Arc<All>,
    told: Arc<Told>,
    phase: watch::Receiver<Phase>,
}

/// What is told of clients now and then, however often it happens.
#[derive(Debug, Default)]
struct Told {
    handshakes: Seldom,
    unlisted: Seldom,
}

impl Server {
    /// A server whose calls go through `layers`, and that tells `health` whether it is up.
    pub fn new(
        settings: ServerSettings,
        tls: Option<Tls>,
        layers: Layers,
        health: Health,
        connections: Arc<Connections>,
    ) -> Self {
        Self {
            layers,
            tls,
            settings,
            health,
            connections,
        }
    }

    /// Serves gRPC on `listener` until `shutdown` resolves, on a thread for each of `services`; then ends in
    /// order: health down, a pause for load balancers, GOAWAY, and an end to open calls within the drain
    /// time-out.
    ///
    /// # Errors
    /// When the system grants no thread.
    pub async fn serve(
        self,
        listener: TcpListener,
        services: Vec<Service>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let services = services.into_iter().map(|each| self.layers.around(each));
        let workers = Workers::start(services.collect())?;
        let (phase, watching) = watch::channel(Phase::Serving);
        self.health.set_ready(true).await;
        tokio::select! {
            () = self.accept(&listener, &workers, watching) => {}
            () = self.watch_tls() => {}
            () = async {
                shutdown.await;
                tracing::info!("draining: not ready any more");
                self.health.set_ready(false).await;
                sleep(self.settings.drain_delay).await;
            } => {}
        }
        drop(listener);
        self.drain(phase).await;
        Ok(())
    }

    /// Has every connection end, with the calls that are open.
    async fn drain(self, phase: watch::Sender<Phase>) {
        let patience = self.settings.drain_timeout;
        let until = Instant::now() + patience;
        // An error means that no connection is left.
        let _ = phase.send(Phase::Draining { until });
        tracing::info!("draining: no new calls");
        self.health.end_watches().await;
        // Each connection ends by itself at that moment; the rest is for the last to be swept up.
        match timeout(patience + SWEEP, phase.closed()).await {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!("drained, with connections left open"),
        }
    }

    /// Follows the TLS files, if there are any; never ends.
    async fn watch_tls(&self) {
        match &self.tls {
            Some(tls) => tls.watch(&self.connections).await,
            None => std::future::pending().await,
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        workers: &Workers<Services>,
        phase: watch::Receiver<Phase>,
    ) {
        let door = Door {
            tls: self.tls.clone(),
            permits: self.layers.permits.clone(),
            bounds: Bounds {
                age: self.settings.max_connection_age,
                grace: self.settings.max_connection_age_grace,
            },
            streams: Arc::new(All::new(
                &self.connections,
                self.layers.limit,
                self.settings.max_resets,
            )),
            told: Arc::default(),
            phase,
        };
        let bounds = accept::Bounds {
            max: MAX_CONNECTIONS,
            share: MAX_CONNECTIONS / 2,
        };
        accept::each(listener, bounds, |stream, address| {
            let door = door.clone();
            let open = self.connections.open();
            workers.serve(stream, move |stream, services| {
                door.admit(stream, address, services).map(|()| drop(open))
            })
        })
        .await;
    }
}

impl Door {
    /// Finds out who a client is, and serves it.
    async fn admit(mut self, stream: TcpStream, address: SocketAddr, services: Services) {
        let ip = address.ip();
        let Some(tls) = self.tls else {
            let peer = self.permits.peer(Identity::default(), ip);
            let (bounds, streams) = (self.bounds, self.streams);
            return connection::serve(stream, peer, services, bounds, streams, self.phase).await;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            // A handshake that is not complete holds no call.
            _until = connection::draining(&mut self.phase) => return,
        };
        let (stream, identity) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(left_out) = self.told.handshakes.is_due() {
                    let cause = tls::explain(&error);
                    tracing::warn!(%address, cause, left_out, "a TLS handshake failed");
                }
                return;
            }
        };
        let peer = self.permits.peer(identity, ip);
        if !peer.may_call()
            && let Some(left_out) = self.told.unlisted.is_due()
        {
            tracing::warn!(
                peer = peer.identity(),
                %address,
                left_out,
                "a client's certificate has no name that --tls-client-allow lists",
            );
        }
        let (bounds, streams) = (self.bounds, self.streams);
        connection::serve(stream, peer, services, bounds, streams, self.phase).await;
    }
}
