//! The layers around the services, and which service a request is for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tower::util::Oneshot;
use tower::{ServiceBuilder, ServiceExt as _};

use super::admission::Admission;
use super::metrics::Calls;
use super::permits::Permits;
use super::record::Record;
use super::rescue::{MAX_ARRIVAL, Rescue};
use super::settings::ServerSettings;
use crate::health::Health;
use crate::names::METHOD_PATH;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;
use crate::telemetry::trace::Tracing;

/// The largest request message; a real one is well under 200 bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// The most calls of health and reflection at once whose request has not arrived.
const MAX_BESIDE: u32 = 256;
/// Services that are served beside our own, by the beginnings of their paths.
const BESIDE: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// The layers around the services, and what is the same for those of every thread.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The longest time for a call.
    limit: Duration,
    /// For the calls of all connections of all threads.
    pub(super) permits: Permits,
    calls: Arc<Calls>,
    tracing: Option<Tracing>,
    beside: Stack<Routes>,
}

/// Everything that one thread serves. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Services {
    /// Our own method, without a router: the hot way is a comparison of one path.
    ours: Stack<MeetingControlServer<Service>>,
    /// Any method and service that is not here: answered by our own as unimplemented, and not counted.
    unknown: Stack<MeetingControlServer<Service>>,
    /// Health and reflection.
    beside: Stack<Routes>,
}

/// A service within its layers.
type Stack<S> = Record<Rescue<Admission<S>>>;

/// An answer under way; a rare one is boxed, so that the others need no room for it.
pub(super) type Answering = Either<
    Oneshot<Stack<MeetingControlServer<Service>>, Request<Incoming>>,
    BoxFuture<'static, Result<Response<Body>, Infallible>>,
>;

impl Layers {
    /// `limit` is the longest time for a call. Calls are counted by `calls`, and have spans where there is
    /// `tracing`.
    ///
    /// # Errors
    /// When the descriptor set that reflection serves is broken: a bug in the build.
    pub fn new(
        settings: &ServerSettings,
        limit: Duration,
        calls: Arc<Calls>,
        tracing: Option<Tracing>,
        health: &Health,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let beside = Routes::new(health.service())
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .prepare();
        Ok(Self {
            limit,
            permits: Permits::new(settings.max_in_flight, settings.share()),
            calls,
            tracing,
            // Not limited by our own service's load, yet bounded as well.
            beside: Rules {
                limit: MAX_ARRIVAL,
                permits: Permits::new(MAX_BESIDE, 0),
                calls: None,
                tracing: None,
                explain: false,
            }
            .around(beside),
        })
    }

    /// Puts the layers around the service of one thread.
    pub(super) fn around(&self, service: Service) -> Services {
        let service = MeetingControlServer::new(service).max_decoding_message_size(MAX_MESSAGE);
        let rules = Rules {
            limit: self.limit,
            permits: self.permits.clone(),
            calls: None,
            tracing: None,
            explain: true,
        };
        Services {
            unknown: rules.clone().around(service.clone()),
            ours: Rules {
                calls: Some(Arc::clone(&self.calls)),
                tracing: self.tracing.clone(),
                ..rules
            }
            .around(service),
            beside: self.beside.clone(),
        }
    }
}

/// What the layers around a service are to do.
#[derive(Debug, Clone)]
struct Rules {
    /// The longest time for a call.
    limit: Duration,
    permits: Permits,
    /// Where calls are counted, if they are.
    calls: Option<Arc<Calls>>,
    tracing: Option<Tracing>,
    /// Whether a status by the framework is put in our words.
    explain: bool,
}

impl Rules {
    fn around<S>(self, service: S) -> Stack<S> {
        // Outermost first.
        ServiceBuilder::new()
            // The record of the call sees every end, a caller's going away included.
            .layer_fn(|inner| Record {
                inner,
                limit: self.limit,
                metrics: self.calls.clone(),
                tracing: self.tracing.clone(),
            })
            // Answers where nobody inside does: after a panic, a late request, a refusal to let it in.
            .layer_fn(|inner| Rescue {
                inner,
                explain: self.explain,
            })
            // Innermost, so that nothing is spent on a call that may not come in.
            .layer_fn(|inner| Admission {
                inner,
                permits: self.permits.clone(),
                metrics: self.calls.clone(),
            })
            .service(service)
    }
}

impl Services {
    /// Has the service that a request names answer it.
    pub(super) fn answer(&self, request: Request<Incoming>) -> Answering {
        let path = request.uri().path();
        if path == METHOD_PATH {
            Either::Left(self.ours.clone().oneshot(request))
        } else if BESIDE.iter().any(|service| path.starts_with(service)) {
            Either::Right(self.beside.clone().oneshot(request).boxed())
        } else {
            Either::Right(self.unknown.clone().oneshot(request).boxed())
        }
    }
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
