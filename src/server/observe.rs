//! The door of the RPC: gives each call its record, and makes sure that it ends with an answer.
//!
//! A call that panics, whose request does not arrive in time, that the framework refuses, or whose
//! caller goes away, ends here; every other failure has its status already.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, Request, Response};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::call::{self, Call};
use crate::deadline::{self, Deadline};
use crate::status;

/// How long after its deadline a call is given up here: the rooms below answer first, and in time,
/// unless the request itself has not arrived.
const BACKSTOP: Duration = Duration::from_millis(10);

const GRPC_TIMEOUT: &str = "grpc-timeout";
const REQUEST_ID: HeaderName = HeaderName::from_static(call::REQUEST_ID);

/// Adds [`Observe`] to the generated gRPC service.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObserveLayer {
    limit: Duration,
}

/// Keeps the record of each call.
#[derive(Debug, Clone)]
pub(super) struct Observe<S> {
    inner: S,
    limit: Duration,
}

impl ObserveLayer {
    /// `limit` is the longest time for a call.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            limit: self.limit,
        }
    }
}

impl<S, B> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller_limit = request
            .headers()
            .get(GRPC_TIMEOUT)
            .and_then(deadline::parse_grpc_timeout);
        let deadline = Deadline::start(caller_limit, self.limit);
        let call = Arc::new(Call::arrive(request.headers(), deadline));
        request.extensions_mut().insert(Arc::clone(&call));
        Observed {
            inner: self.inner.call(request),
            backstop: Box::pin(sleep(deadline.limit() + BACKSTOP)),
            call,
            ended: false,
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Observed<F> {
    inner: F,
    backstop: Pin<Box<Sleep>>,
    call: Arc<Call>,
    ended: bool,
}

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let inner = Pin::new(&mut this.inner);
        // The future is not polled again after a panic, so no broken state is ever seen.
        let mut response = match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Ready(Ok(response))) => settle(response, &this.call),
            Ok(Poll::Pending) => match this.backstop.as_mut().poll(cx) {
                Poll::Ready(()) => status::late(&this.call).into_http(),
                Poll::Pending => return Poll::Pending,
            },
            Err(_panic) => status::panicked(&this.call).into_http(),
        };
        this.ended = true;
        let id = this.call.request_id.clone();
        response.headers_mut().insert(REQUEST_ID, id);
        Poll::Ready(Ok(response))
    }
}

impl<F> Drop for Observed<F> {
    fn drop(&mut self) {
        if !self.ended {
            status::cancelled(&self.call);
        }
    }
}

/// Logs a success; gives a refusal by the framework, which knows no details, a status of ours.
fn settle(response: Response<Body>, call: &Call) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        None => {
            log_success(call);
            response
        }
        Some(status) if status.code() == Code::Ok => {
            log_success(call);
            response
        }
        Some(status) if status.details().is_empty() => {
            status::unreadable(call, status.code(), status.message()).into_http()
        }
        Some(_ours) => response,
    }
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
