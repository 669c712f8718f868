//! The layers around the services, and which service a request is for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::util::Oneshot;
use tower::{ServiceBuilder, ServiceExt as _};

use super::admission::Admission;
use super::metrics::Calls;
use super::permits::{Limit, Permits};
use super::record::Record;
use super::rescue::{MAX_ARRIVAL, Rescue, Words};
use crate::health::Health;
use crate::names::METHOD_PATH;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;
use crate::telemetry::trace::Tracing;

/// The largest request message; a real one is well under 200 bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// The most calls of health and reflection at once whose request has not arrived.
const MAX_ASIDE: usize = 256;
/// Services that are served beside our own, by the beginnings of their paths.
const ASIDE: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// The layers around the services, and what is the same for those of every thread.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The longest time for a call.
    limit: Duration,
    /// For the calls of all connections of all threads.
    pub(super) permits: Permits,
    calls: Arc<Calls>,
    tracing: Option<Tracing>,
    aside: Routes,
}

/// Everything that one thread serves. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Services {
    /// Our own method, without a router: the hot way is a comparison of one path.
    ours: Ours,
    /// Any method and service that is not here: answered by our own as unimplemented, and not counted.
    unknown: Ours,
    /// Health and reflection.
    aside: Routes,
}

/// Our own service within its layers.
type Ours = Record<Rescue<Admission<Limit<MeetingControlServer<Service>>>>>;

/// An answer under way; a rare one is boxed, so that the others need no room for it.
pub(super) type Answering = Either<
    Oneshot<Ours, Request<Incoming>>,
    BoxFuture<'static, Result<Response<Body>, Infallible>>,
>;

impl Layers {
    /// `limit` is the longest time for a call; `max` may be under way at once, and `share` of one caller
    /// while permits are short, 0 for as many as there are. Calls are counted
    /// by `calls`, and have spans where there is `tracing`.
    ///
    /// # Errors
    /// When the descriptor set that reflection serves is broken: a bug in the build.
    pub fn new(
        limit: Duration,
        (max, share): (u32, u32),
        calls: Arc<Calls>,
        tracing: Option<Tracing>,
        health: &Health,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let places_aside = GlobalConcurrencyLimitLayer::new(MAX_ASIDE);
        let aside = add(Routes::default(), &places_aside, health.service());
        let aside = add(aside, &places_aside, reflection().build_v1()?);
        let aside = add(aside, &places_aside, reflection().build_v1alpha()?);
        Ok(Self {
            limit,
            permits: Permits::new(max, share),
            calls,
            tracing,
            aside: aside.prepare(),
        })
    }

    /// Puts the layers around the service of one thread.
    pub(super) fn around(&self, service: Service) -> Services {
        Services {
            ours: self.stack(service.clone(), Some(&self.calls)),
            unknown: self.stack(service, None),
            aside: self.aside.clone(),
        }
    }

    fn stack(&self, service: Service, calls: Option<&Arc<Calls>>) -> Ours {
        // Outermost first.
        ServiceBuilder::new()
            // The record of the call sees every end, a caller's going away included.
            .layer_fn(|inner| Record {
                inner,
                limit: self.limit,
                metrics: calls.cloned(),
                tracing: calls.and(self.tracing.clone()),
            })
            // Answers where nobody inside does: after a panic, a late request, a refusal by a layer.
            .layer_fn(|inner| Rescue {
                inner,
                words: Words {
                    metrics: calls.cloned(),
                    explain: true,
                },
            })
            // Before anything is spent on a peer that may not call.
            .layer_fn(Admission)
            // A permit for each call, or a refusal at once.
            .layer_fn(|inner| Limit {
                inner,
                permits: self.permits.clone(),
            })
            .service(MeetingControlServer::new(service).max_decoding_message_size(MAX_MESSAGE))
    }
}

impl Services {
    /// Has the service that a request names answer it.
    pub(super) fn answer(&self, request: Request<Incoming>) -> Answering {
        let path = request.uri().path();
        if path == METHOD_PATH {
            Either::Left(self.ours.clone().oneshot(request))
        } else if ASIDE.iter().any(|service| path.starts_with(service)) {
            Either::Right(self.aside.clone().oneshot(request.map(Body::new)).boxed())
        } else {
            Either::Right(self.unknown.clone().oneshot(request).boxed())
        }
    }
}

/// Adds a service that is not limited by our own service's load, yet bounded as well.
fn add<S>(routes: Routes, permits: &GlobalConcurrencyLimitLayer, service: S) -> Routes
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let layers = ServiceBuilder::new()
        .layer_fn(|inner| Record {
            inner,
            limit: MAX_ARRIVAL,
            metrics: None,
            tracing: None,
        })
        .layer_fn(|inner| Rescue {
            inner,
            words: Words::default(),
        })
        .layer_fn(Admission)
        .load_shed()
        .layer(permits.clone());
    routes.add_service(layers.named_layer(service))
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
