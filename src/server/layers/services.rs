//! Everything that one thread serves, and the way of a request into it and of the answer out.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use crate::names::METHOD_PATH;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::server::admission::Admission;
use crate::server::answer::Answer;
use crate::server::arriving::Arriving;
use crate::server::record::Record;
use crate::server::rescue::Rescue;
use crate::server::streams::{Kind, Streams, TooMany, Work};
use crate::service::Service;
use crate::status;

/// Services that are served beside our own, by the beginnings of their paths.
const HEALTH: &str = "/grpc.health.v1.";
const REFLECTION: &str = "/grpc.reflection.";
/// The method of health that lasts.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Everything that one thread serves. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::server) struct Services {
    /// Our own method, without a router: the hot way is a comparison of one path.
    pub(super) ours: Stack<MeetingControlServer<Service>>,
    /// Any method and service that is not here: answered by our own as unimplemented, and not counted.
    pub(super) unknown: Stack<MeetingControlServer<Service>>,
    pub(super) health: Stack<Routes>,
    pub(super) reflection: Stack<Routes>,
}

/// A service within its layers.
pub(super) type Stack<S> = Record<Rescue<Admission<S>>>;

/// An answer that is being made; a rare one is boxed, so that the others need no room for it.
type Making = Either<
    Oneshot<Stack<MeetingControlServer<Service>>, Request<Arriving>>,
    BoxFuture<'static, Result<Response<Body>, Infallible>>,
>;

pin_project! {
    /// An answer under way.
    pub(in crate::server) struct Answering {
        #[pin]
        making: Making,
        // An error is told in place of an answer.
        work: Option<Result<Work, TooMany>>,
    }
}

impl Services {
    /// Has the service that a request names answer it, on one of `streams`.
    pub(in crate::server) fn answer(
        &self,
        request: Request<Incoming>,
        streams: &Arc<Streams>,
    ) -> Answering {
        let request = request.map(Arriving::from);
        let path = request.uri().path();
        if path == METHOD_PATH {
            let ours = self.ours.clone().oneshot(request);
            return Answering::new(Either::Left(ours), streams.begin(Kind::Ours));
        }
        let (kind, answer) = match path {
            WATCH => (Kind::Watch, self.health.clone().oneshot(request).boxed()),
            _ if path.starts_with(HEALTH) => {
                (Kind::Other, self.health.clone().oneshot(request).boxed())
            }
            _ if path.starts_with(REFLECTION) => {
                let answer = self.reflection.clone().oneshot(request).boxed();
                (Kind::Reflection, answer)
            }
            _ => (Kind::Other, self.unknown.clone().oneshot(request).boxed()),
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
        work.answer(response.extensions_mut().remove().unwrap_or_default());
        Poll::Ready(Ok(response.map(|body| Answer::new(body, work))))
    }
}
