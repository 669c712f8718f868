//! The serving side: listener, HTTP/2, the layers around the RPC, health and reflection.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceBuilder;

use crate::deadline;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;

mod observe;

use observe::ObserveLayer;

/// The largest request message; a real one is well under 200 bytes.
const LARGEST_MESSAGE: usize = 16 * 1024;

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
    limits: &deadline::Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<MeetingControlServer<Service>>().await;

    // Outermost first. Only our own service is observed and limited; health and reflection never are.
    let meeting_control = ServiceBuilder::new()
        // The record of the call, the answer to a panic, to a late request and to a caller gone.
        .layer(ObserveLayer::new(limits.timeout))
        .named_layer(MeetingControlServer::new(service).max_decoding_message_size(LARGEST_MESSAGE));
    let routes = Routes::new(meeting_control)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);

    Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async {
                shutdown.await;
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
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}
