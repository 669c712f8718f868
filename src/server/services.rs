//! Which service a request is for.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;

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

impl Services {
    /// Has the service that a request names answer it.
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if is_ours(request.uri().path()) {
            self.meeting_control.oneshot(request).await
        } else {
            self.others.oneshot(request.map(Body::new)).await
        }
    }
}

/// Whether a path is `/SERVICE/` and any method.
fn is_ours(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(SERVICE))
        .is_some_and(|rest| rest.starts_with('/'))
}
