//! The serving side: the listener, the layers around the RPC, health, reflection, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::service::{LayerExt as _, Routes};
use tonic_health::server::HealthReporter;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::admin::Readiness;
use crate::call::{Call, Peer, REQUEST_ID};
use crate::deadline::{Deadline, parse_limit, parse_pause};
use crate::proto::v1::meeting_control_server::{self, MeetingControlServer};
use crate::service::Service;
use crate::telemetry::metrics::{Connections, Metrics};
use crate::telemetry::trace::Tracing;
use crate::workers::Workers;
use crate::{accept, status};

mod admission;
mod connection;
mod greeted;
mod observe;
mod services;
pub mod tls;

use admission::AdmissionLayer;
use connection::{Bounds, Phase};
use observe::ObserveLayer;
use services::Services;
use tls::Tls;

/// Full name of the gRPC service.
pub const SERVICE: &str = meeting_control_server::SERVICE_NAME;
/// Name of its one method.
pub const METHOD: &str = "UpdateStartedConfConfig";

/// The largest request message; a real one is well under 200 bytes.
const LARGEST_MESSAGE: usize = 16 * 1024;
/// The most connections at once; more are closed as they come. Each may hold some 33 kB, 47 with TLS, so
/// that all of them stay well under 200 MB.
const MOST_CONNECTIONS: usize = 3500;
/// Calls on one connection beyond the limit of all, so that health and refusals get through.
const SPARE_STREAMS: u32 = 256;
/// The most calls of health and reflection at once whose request has not arrived.
const MOST_ASIDE: usize = 256;
/// How long the request of such a call may take.
const ASIDE_LIMIT: Duration = Duration::from_secs(5);
/// What the last connections may take to be swept up.
const SWEEP: Duration = Duration::from_millis(100);

/// Where gRPC is served, and within which bounds.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Address and port of the gRPC service
    #[arg(
        long,
        env = "MEETING_CONTROL_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:50051"
    )]
    pub listen: SocketAddr,

    /// Most calls under way at once, up to 1000000; more are refused with RESOURCE_EXHAUSTED
    #[arg(
        long,
        env = "MEETING_CONTROL_MAX_IN_FLIGHT",
        value_name = "NUMBER",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_in_flight: u32,

    /// Time between SIGTERM and closing the door, for load balancers to notice
    #[arg(long, env = "MEETING_CONTROL_DRAIN_DELAY", value_name = "DURATION",
          default_value = "5s", value_parser = parse_pause)]
    pub drain_delay: Duration,

    /// Longest time after that for open calls to end
    #[arg(long, env = "MEETING_CONTROL_DRAIN_TIMEOUT", value_name = "DURATION",
          default_value = "20s", value_parser = parse_pause)]
    pub drain_timeout: Duration,

    /// Age at which a client is asked to connect anew, ±10 %, so that calls spread over replicas
    #[arg(long, env = "MEETING_CONTROL_MAX_CONNECTION_AGE", value_name = "DURATION",
          default_value = "30m", value_parser = parse_limit)]
    pub max_connection_age: Duration,

    /// Longest time after that for the connection's open calls to end
    #[arg(long, env = "MEETING_CONTROL_MAX_CONNECTION_AGE_GRACE", value_name = "DURATION",
          default_value = "30s", value_parser = parse_pause)]
    pub max_connection_age_grace: Duration,
}

/// The gRPC server, ready to serve.
#[derive(Debug)]
pub struct Server {
    services: Services,
    health: HealthReporter,
    readiness: Readiness,
    tls: Option<Tls>,
    settings: Settings,
    workers: Workers,
    connections: Arc<Connections>,
}

impl Server {
    /// Puts the layers around `service`; `timeout` is the longest time for a call.
    ///
    /// # Errors
    /// When the descriptor set that reflection serves is broken: a bug in the build.
    pub fn new(
        service: Service,
        settings: Settings,
        tls: Option<Tls>,
        timeout: Duration,
        metrics: &Metrics,
        tracing: Option<Tracing>,
        readiness: Readiness,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        // Outermost first.
        let meeting_control = ServiceBuilder::new()
            // The record of the call, the answer to a panic, to a late request and to a caller gone.
            .layer(ObserveLayer::new(
                timeout,
                Arc::clone(&metrics.calls),
                tracing,
            ))
            // Before anything is spent on a peer that may not call.
            .layer(AdmissionLayer)
            // Refuses at once what the limit inside would keep waiting.
            .load_shed()
            // One limit for all connections.
            .layer(GlobalConcurrencyLimitLayer::new(
                settings.max_in_flight as usize,
            ))
            .service(MeetingControlServer::new(service).max_decoding_message_size(LARGEST_MESSAGE));
        // Health and reflection are not limited by our own service's load, yet they are bounded as well.
        let aside = ServiceBuilder::new()
            .layer(ObserveLayer::aside(ASIDE_LIMIT))
            .layer(AdmissionLayer)
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(MOST_ASIDE));
        let routes = Routes::new(aside.named_layer(health_service))
            .add_service(aside.named_layer(reflection().build_v1()?))
            .add_service(aside.named_layer(reflection().build_v1alpha()?));
        let router = routes.into_axum_router().fallback(unknown_service);
        Ok(Self {
            services: Services {
                meeting_control,
                others: Routes::from(router).prepare(),
            },
            health,
            readiness,
            tls,
            settings,
            workers: Workers::default(),
            connections: Arc::clone(&metrics.connections),
        })
    }

    /// Has `workers` serve the connections.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    /// Serves gRPC on `listener` until `shutdown` resolves, then ends in order: health down, a pause
    /// for load balancers, GOAWAY, and an end to open calls within the drain time-out.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (phase, watching) = watch::channel(Phase::Serving);
        let watching_files = self
            .tls
            .clone()
            .map(|tls| tokio::spawn(tls.watch(Arc::clone(&self.connections))));
        self.set_ready(true).await;
        tokio::select! {
            () = self.accept(&listener, &watching) => {}
            () = async {
                shutdown.await;
                tracing::info!("draining: not ready any more");
                self.set_ready(false).await;
                sleep(self.settings.drain_delay).await;
            } => {}
        }
        drop(listener);
        drop(watching);
        let patience = self.settings.drain_timeout;
        let until = Instant::now() + patience;
        // An error means that no connection is left.
        let _ = phase.send(Phase::Draining { until });
        tracing::info!("draining: no new calls");
        // Whoever watches health has been told, and must not hold up the end.
        for name in ["", SERVICE] {
            self.health.clone().clear_service_status(name).await;
        }
        // Each connection ends by itself at that moment; the rest is for the last to be swept up.
        let swept = timeout(patience + SWEEP, phase.closed()).await;
        if let Some(task) = watching_files {
            task.abort();
        }
        match swept {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!("drained, with connections left open"),
        }
    }

    async fn set_ready(&self, ready: bool) {
        self.readiness.set(ready);
        let status = if ready {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        for name in ["", SERVICE] {
            self.health.set_service_status(name, status).await;
        }
    }

    async fn accept(&self, listener: &TcpListener, phase: &watch::Receiver<Phase>) {
        let bounds = Bounds {
            // One connection may use all places, and its excess is shed, not kept waiting in the client.
            most_streams: self.settings.max_in_flight.saturating_add(SPARE_STREAMS),
            age: self.settings.max_connection_age,
            grace: self.settings.max_connection_age_grace,
        };
        accept::each(listener, MOST_CONNECTIONS, |stream, address| {
            let (tls, services, phase) = (self.tls.clone(), self.services.clone(), phase.clone());
            let open = self.connections.open();
            self.workers.serve(stream, move |stream| {
                converse(stream, address, tls, services, bounds, phase).map(|()| drop(open))
            })
        })
        .await;
    }
}

async fn converse(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Tls>,
    services: Services,
    bounds: Bounds,
    mut phase: watch::Receiver<Phase>,
) {
    let Some(tls) = tls else {
        return connection::serve(stream, Peer::anonymous(), services, bounds, phase).await;
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        // Who has not come in by now need not.
        _until = connection::draining(&mut phase) => return,
    };
    let (stream, peer) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%address, cause = tls::explain(&error), "a TLS handshake failed");
            return;
        }
    };
    if !peer.may_call() {
        tracing::warn!(
            peer = peer.identity(),
            %address,
            "a client's certificate has no name that --tls-client-allow lists",
        );
    }
    connection::serve(stream, peer, services, bounds, phase).await;
}

/// Answers calls of services that are not here, with an id and details as everywhere.
async fn unknown_service(request: http::Request<axum::body::Body>) -> http::Response<Body> {
    let deadline = Deadline::start(None, Duration::ZERO);
    let call = Call::arrive(request.headers(), deadline, Peer::anonymous());
    let status = status::unreadable(&call, &Status::unimplemented("unknown service"));
    let mut response = status.into_http();
    response.headers_mut().insert(REQUEST_ID, call.request_id);
    response
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that a client with reflection alone can read the details of our errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}
