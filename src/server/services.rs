//! Which service a request is for.

use std::convert::Infallible;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::util::Oneshot;

use super::SERVICE;
use super::admission::Admission;
use super::observe::Observe;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;

/// Everything that is served. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Services {
    /// Our own, without a router: the hot way is a comparison of one path.
    pub(super) meeting_control: MeetingControl,
    /// Health, reflection, and the answer for what is not here.
    pub(super) others: Routes,
}

/// Our own service within its layers.
pub(super) type MeetingControl =
    Observe<Admission<LoadShed<ConcurrencyLimit<MeetingControlServer<Service>>>>>;

/// An answer under way; a rare one is boxed, so that the others need no place for it.
pub(super) type Answer = Either<
    Oneshot<MeetingControl, Request<Incoming>>,
    BoxFuture<'static, Result<Response<Body>, Infallible>>,
>;

impl Services {
    /// Has the service that a request names answer it.
    pub(super) fn answer(&self, request: Request<Incoming>) -> Answer {
        if is_ours(request.uri().path()) {
            Either::Left(self.meeting_control.clone().oneshot(request))
        } else {
            Either::Right(self.others.clone().oneshot(request.map(Body::new)).boxed())
        }
    }
}

/// Whether a path is `/SERVICE/` and any method.
fn is_ours(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(SERVICE))
        .is_some_and(|rest| rest.starts_with('/'))
}
