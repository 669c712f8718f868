//! The layers around the services, and which service a request is for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::service::Routes;
use tower::util::Oneshot;
use tower::{ServiceBuilder, ServiceExt as _};

use super::admission::Admission;
use super::answer::Answer;
use super::metrics::Calls;
use super::permits::{Permit, Permits};
use super::record::Record;
use super::rescue::{MAX_ARRIVAL, Rescue};
use super::settings::ServerSettings;
use super::streams::{Kind, Streams, TooMany, Work};
use crate::health::Health;
use crate::names::METHOD_PATH;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;
use crate::status;
use crate::telemetry::trace::Tracing;

/// The largest request message; a real one is well under 200 bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// The largest request message of health and reflection: the name of a service or a symbol.
const MAX_NAME: usize = 4 * 1024;
/// The most calls of health and reflection at once that have not been answered.
const MAX_BESIDE: u32 = 1024;
/// How many of them one caller may have while they are short.
const SHARE_BESIDE: u32 = 256;
/// Services that are served beside our own, by the beginnings of their paths.
const HEALTH: &str = "/grpc.health.v1.";
const REFLECTION: &str = "/grpc.reflection.";
/// The method of health that lasts.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

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

/// An answer that is being made; a rare one is boxed, so that the others need no room for it.
type Making = Either<
    Oneshot<Stack<MeetingControlServer<Service>>, Request<Incoming>>,
    BoxFuture<'static, Result<Response<Body>, Infallible>>,
>;

pin_project! {
    /// An answer under way.
    pub(super) struct Answering {
        #[pin]
        making: Making,
        // An error is told in place of an answer.
        work: Option<Result<Work, TooMany>>,
    }
}

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
        let v1 = reflection().build_v1()?.max_decoding_message_size(MAX_NAME);
        let v1alpha = reflection().build_v1alpha()?;
        let beside = Routes::new(health.service().max_decoding_message_size(MAX_NAME))
            .add_service(v1)
            .add_service(v1alpha.max_decoding_message_size(MAX_NAME))
            .prepare();
        Ok(Self {
            limit,
            permits: Permits::new(settings.max_in_flight, settings.share()),
            calls,
            tracing,
            // Not limited by our own service's load, yet bounded as well.
            beside: Rules {
                limit: limit.min(MAX_ARRIVAL),
                permits: Permits::new(MAX_BESIDE, SHARE_BESIDE),
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
    /// Has the service that a request names answer it, on one of `streams`.
    pub(super) fn answer(&self, request: Request<Incoming>, streams: &Arc<Streams>) -> Answering {
        let path = request.uri().path();
        if path == METHOD_PATH {
            let ours = self.ours.clone().oneshot(request);
            return Answering::new(Either::Left(ours), streams.begin(Kind::Ours));
        }
        let is_reflection = path.starts_with(REFLECTION);
        let kind = match path {
            WATCH => Kind::Watch,
            _ if is_reflection => Kind::Reflection,
            _ => Kind::Other,
        };
        let answer = if is_reflection || path.starts_with(HEALTH) {
            self.beside.clone().oneshot(request).boxed()
        } else {
            self.unknown.clone().oneshot(request).boxed()
        };
        Answering::new(Either::Right(answer), streams.begin(kind))
    }
}

impl Answering {
    fn new(making: Making, work: Result<Work, TooMany>) -> Self {
        let work = Some(work);
        Self { making, work }
    }
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (response, mut work) = match this.work.take() {
            Some(Ok(work)) => match this.making.poll(cx) {
                Poll::Ready(Ok(response)) => (response, work),
                Poll::Ready(Err(never)) => match never {},
                Poll::Pending => {
                    *this.work = Some(Ok(work));
                    return Poll::Pending;
                }
            },
            Some(Err(TooMany(work))) => (status::too_many_streams().into_http(), work),
            // Only after the answer, when nobody polls any more.
            None => return Poll::Pending,
        };
        let mut response = response;
        work.answer(response.extensions_mut().remove::<Arc<Permit>>());
        Poll::Ready(Ok(response.map(|body| Answer::new(body, work))))
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
