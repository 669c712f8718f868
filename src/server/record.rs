//! The record of each call: opened at the door, closed once, with an answer or because nobody waits for one
//! any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::metrics::Calls;
use super::streams::Streams;
use crate::call::{Call, Outcome, Peer};
use crate::deadline::Deadline;
use crate::names::REQUEST_ID;
use crate::status::Verdict;
use crate::telemetry::trace::Tracing;

/// Keeps the record of each call.
#[derive(Debug, Clone)]
pub(super) struct Record<S> {
    pub(super) inner: S,
    /// The longest time for a call.
    pub(super) limit: Duration,
    /// Where calls are counted, if they are.
    pub(super) metrics: Option<Arc<Calls>>,
    /// Where calls have spans, if they have.
    pub(super) tracing: Option<Tracing>,
}

/// A request and its record, which the rooms below find among the request's extensions.
pub(super) struct Recorded<B> {
    pub(super) call: Arc<Call>,
    pub(super) request: Request<B>,
}

impl<S, B> Service<Request<B>> for Record<S>
where
    S: Service<Recorded<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Recording<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = Deadline::of_call(request.headers(), self.limit);
        let peer = request.extensions().get::<Peer>();
        let peer = peer.cloned().unwrap_or_else(Peer::anonymous);
        let call = Arc::new(Call::arrive(
            request.headers(),
            deadline,
            peer,
            self.tracing.as_ref(),
        ));
        request.extensions_mut().insert(Arc::clone(&call));
        let mut open = Open::new(Arc::clone(&call), self.metrics.clone());
        open.streams = request.extensions_mut().remove();
        Recording {
            answer: self.inner.call(Recorded { call, request }),
            open,
        }
    }
}

pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct Recording<F> {
        #[pin]
        answer: F,
        open: Open,
    }
}

impl<F, E> Future for Recording<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        Poll::Ready(answer.map(|response| this.open.answer(response)))
    }
}

/// A record that is open. Dropped without an answer, the caller has gone, or we have cut it off.
#[derive(Debug)]
struct Open {
    call: Arc<Call>,
    metrics: Option<Arc<Calls>>,
    /// Those of its connection.
    streams: Option<Arc<Streams>>,
    closed: bool,
}

impl Open {
    fn new(call: Arc<Call>, metrics: Option<Arc<Calls>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.start();
        }
        Self {
            call,
            metrics,
            streams: None,
            closed: false,
        }
    }

    fn answer(&mut self, mut response: Response<Body>) -> Response<Body> {
        let status = response.extensions().get::<Status>();
        match status.and_then(Verdict::behind) {
            Some(verdict) => self.close(verdict),
            None => self.succeed(),
        }
        let id = self.call.request_id.clone();
        response.headers_mut().insert(&REQUEST_ID, id);
        response
    }

    fn succeed(&mut self) {
        let call = &self.call;
        tracing::debug!(
            request_id = call.request_id(),
            trace_id = call.trace_id(),
            conference_id = call.conference_id(),
            attempts = call.attempts(),
            elapsed_ms = call.elapsed_ms(),
            "OK",
        );
        self.count(Code::Ok, None);
    }

    fn close(&mut self, verdict: &Verdict) {
        verdict.report(&self.call);
        self.count(verdict.code(), Some(verdict.outcome()));
    }

    fn count(&mut self, code: Code, outcome: Option<Outcome>) {
        self.closed = true;
        if let Some(metrics) = &self.metrics {
            metrics.end(code, self.call.deadline.elapsed());
        }
        if let Some(span) = &self.call.span {
            span.end_call(code, outcome.map(Outcome::as_str));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let is_abused = self
            .streams
            .as_ref()
            .is_some_and(|streams| streams.is_abused());
        let verdict = if is_abused {
            Verdict::thrown_out(&self.call)
        } else if self.call.peer.is_cut_off() {
            Verdict::cut_off(&self.call)
        } else {
            Verdict::cancelled(&self.call)
        };
        self.close(&verdict);
    }
}

#[cfg(test)]
mod tests;
