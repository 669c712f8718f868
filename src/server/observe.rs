//! The door of the RPC: gives each call its record, and makes sure that it ends with an answer.
//!
//! A call that panics, whose request does not arrive in time, that the framework refuses, or whose
//! caller goes away, ends here; every other failure has its status already.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::load_shed::error::Overloaded;
use tower::{BoxError, Layer, Service};

use super::{METHOD, SERVICE};
use crate::call::{self, Call, Peer};
use crate::deadline::{self, Deadline};
use crate::status;
use crate::telemetry::metrics::Calls;
use crate::telemetry::trace::Tracing;

/// How long after its deadline a call is given up here: the rooms below answer first, and in time,
/// unless the request itself has not arrived.
const BACKSTOP: Duration = Duration::from_millis(10);

/// How long a request message may take to arrive: a place is not held for those that never do.
const ARRIVAL: Duration = Duration::from_secs(2);

const GRPC_TIMEOUT: &str = "grpc-timeout";
const REQUEST_ID: HeaderName = HeaderName::from_static(call::REQUEST_ID);

/// Adds [`Observe`] to the generated gRPC service.
#[derive(Debug, Clone)]
pub(super) struct ObserveLayer {
    limit: Duration,
    /// For our own service; others are bounded, not counted, and have the framework's own statuses.
    metrics: Option<Arc<Calls>>,
    tracing: Option<Tracing>,
}

/// Keeps the record of each call.
#[derive(Debug, Clone)]
pub(super) struct Observe<S> {
    inner: S,
    limit: Duration,
    metrics: Option<Arc<Calls>>,
    tracing: Option<Tracing>,
}

impl ObserveLayer {
    /// `limit` is the longest time for a call.
    pub(super) fn new(limit: Duration, metrics: Arc<Calls>, tracing: Option<Tracing>) -> Self {
        Self {
            limit,
            metrics: Some(metrics),
            tracing,
        }
    }

    /// For a service beside our own, whose requests may take `limit` to arrive.
    pub(super) fn aside(limit: Duration) -> Self {
        Self {
            limit,
            metrics: None,
            tracing: None,
        }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            limit: self.limit,
            metrics: self.metrics.clone(),
            tracing: self.tracing.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What keeps the layers inside from being ready is told by the call's own error.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller_limit = request
            .headers()
            .get(GRPC_TIMEOUT)
            .and_then(deadline::parse_grpc_timeout);
        let deadline = Deadline::start(caller_limit, self.limit);
        let peer = request.extensions().get::<Peer>();
        let peer = peer.cloned().unwrap_or_else(Peer::anonymous);
        let explained = self.metrics.is_some();
        // A method that does not exist is not counted as the one that does.
        let exists = is_our_method(request.uri().path());
        let metrics = self.metrics.clone().filter(|_| exists);
        let tracing = self.tracing.as_ref().filter(|_| exists);
        let span = tracing.map(|tracing| tracing.call(request.headers(), SERVICE, METHOD));
        let call = Arc::new(Call::arrive(request.headers(), deadline, peer).with_span(span));
        request.extensions_mut().insert(Arc::clone(&call));
        if let Some(metrics) = &metrics {
            metrics.start();
        }
        Observed {
            inner: Some(self.inner.call(request)),
            backstop: sleep(ARRIVAL.min(deadline.limit() + BACKSTOP)),
            ending: Ending {
                call,
                metrics,
                explained,
                ended: false,
            },
        }
    }
}

pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct Observed<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        backstop: Sleep,
        ending: Ending,
    }
}

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, BoxError>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = &this.ending.call;
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            // Only after the answer, when nobody polls any more.
            return Poll::Pending;
        };
        // The future is dropped after a panic, so no broken state is ever seen.
        let end = match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Ready(Ok(response))) if !this.ending.explained => Ok(response),
            Ok(Poll::Ready(Ok(response))) => end_of(response, call),
            Ok(Poll::Ready(Err(error))) if error.is::<Overloaded>() => {
                if let Some(metrics) = &this.ending.metrics {
                    metrics.shed();
                }
                Err(status::overloaded(call))
            }
            Ok(Poll::Ready(Err(error))) => Err(status::broken(call, error.to_string())),
            Err(panic) => Err(status::broken(call, message_of(&*panic))),
            Ok(Poll::Pending) => {
                if !is_overdue(this.backstop.as_mut(), call, cx) {
                    return Poll::Pending;
                }
                // What it was doing ends here, and is known to the call.
                this.inner.set(None);
                Err(status::late(call))
            }
        };
        this.inner.set(None);
        Poll::Ready(Ok(this.ending.answer(end)))
    }
}

/// Whether a call has to be given up: its request has not arrived, or its deadline is well past.
fn is_overdue(mut backstop: Pin<&mut Sleep>, call: &Call, cx: &mut Context<'_>) -> bool {
    while backstop.as_mut().poll(cx).is_ready() {
        let left = call.deadline.remaining();
        if !call.has_arrived() || left.is_zero() {
            return true;
        }
        backstop.as_mut().reset(Instant::now() + left + BACKSTOP);
    }
    false
}

/// Makes sure that each call ends once: with its answer, or as cancelled.
#[derive(Debug)]
struct Ending {
    call: Arc<Call>,
    metrics: Option<Arc<Calls>>,
    /// Whether the framework's own statuses are put in our words.
    explained: bool,
    ended: bool,
}

impl Ending {
    fn answer(&mut self, end: Result<Response<Body>, Status>) -> Response<Body> {
        let mut response = match end {
            Ok(response) => {
                self.end(Code::Ok);
                log_success(&self.call);
                response
            }
            Err(status) => {
                self.end(status.code());
                status.into_http()
            }
        };
        let id = self.call.request_id.clone();
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    fn end(&mut self, code: Code) {
        self.ended = true;
        if let Some(metrics) = &self.metrics {
            metrics.end(code, self.call.deadline.elapsed());
        }
        if let Some(span) = &self.call.span {
            span.end_call(code, &self.call.outcome().to_string());
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.call.peer.is_cut_off() {
            status::cut_off(&self.call);
            self.end(Code::Unavailable);
        } else {
            status::cancelled(&self.call);
            self.end(Code::Cancelled);
        }
    }
}

/// Whether a path is `/SERVICE/METHOD`.
fn is_our_method(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_suffix(METHOD))
        .and_then(|service| service.strip_suffix('/'))
        == Some(SERVICE)
}

/// The status of a response that is none of success; one by the framework, which knows no details,
/// becomes one of ours.
fn end_of(response: Response<Body>, call: &Call) -> Result<Response<Body>, Status> {
    match Status::from_header_map(response.headers()) {
        None => Ok(response),
        Some(status) if status.code() == Code::Ok => Ok(response),
        Some(status) if status.details().is_empty() => Err(status::unreadable(call, &status)),
        Some(ours) => Err(ours),
    }
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without words"))
}

fn log_success(call: &Call) {
    tracing::debug!(
        request_id = call.request_id(),
        trace_id = call.trace_id(),
        conference_id = call.conference_id(),
        attempts = call.attempts(),
        elapsed_ms = call.elapsed_ms(),
        "OK",
    );
}

#[cfg(test)]
mod tests;
