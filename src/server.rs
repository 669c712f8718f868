//! The serving side: listener, HTTP/2, the layers around the RPC, health and reflection.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::admin::Readiness;
use crate::proto::v1::meeting_control_server::{self, MeetingControlServer};
use crate::service::Service;
use crate::telemetry::metrics::Metrics;

mod observe;

use observe::ObserveLayer;

/// Full name of the gRPC service.
pub const SERVICE: &str = meeting_control_server::SERVICE_NAME;
/// Name of its one method.
pub const METHOD: &str = "UpdateStartedConfConfig";

/// The largest request message; a real one is well under 200 bytes.
const LARGEST_MESSAGE: usize = 16 * 1024;

/// The most calls at once on one connection.
const MOST_STREAMS: u32 = 1024;

/// The largest header list; leaves room for a token that is too long to be told so.
const LARGEST_HEADERS: u32 = 32 * 1024;

/// Where gRPC is served.
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

    /// Most calls under way at once; more are refused with RESOURCE_EXHAUSTED
    #[arg(
        long,
        env = "MEETING_CONTROL_MAX_IN_FLIGHT",
        value_name = "NUMBER",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_in_flight: u32,
}

/// How long a call may take, and how many may be under way at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest time for a call.
    pub timeout: Duration,
    /// Most calls at once, over all connections.
    pub max_in_flight: usize,
}

/// The server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptor set that reflection serves is broken: a bug in the build.
    #[error("reflection cannot start: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("serving gRPC failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves gRPC on `listener` until `shutdown` resolves and every open call has its answer.
///
/// # Errors
/// [`ServeError`] when serving cannot start or go on.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    limits: Limits,
    metrics: &Metrics,
    readiness: Readiness,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<MeetingControlServer<Service>>().await;
    readiness.set(true);

    // Outermost first. Only our own service is observed and limited; health and reflection never are.
    let meeting_control = ServiceBuilder::new()
        // The record of the call, the answer to a panic, to a late request and to a caller gone.
        .layer(ObserveLayer::new(limits.timeout, metrics.calls.clone()))
        // Refuses at once what the limit inside would keep waiting.
        .load_shed()
        // One limit for all connections.
        .layer(GlobalConcurrencyLimitLayer::new(limits.max_in_flight))
        .named_layer(MeetingControlServer::new(service).max_decoding_message_size(LARGEST_MESSAGE));
    let routes = Routes::new(meeting_control)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);

    Server::builder()
        .max_concurrent_streams(Some(MOST_STREAMS))
        .http2_max_header_list_size(Some(LARGEST_HEADERS))
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async {
                shutdown.await;
                readiness.set(false);
                health
                    .set_not_serving::<MeetingControlServer<Service>>()
                    .await;
                health
                    .set_service_status("", tonic_health::ServingStatus::NotServing)
                    .await;
            },
        )
        .await?;
    Ok(())
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
