//! One attempt: counted, held to its time limit, and settled as applied, not applied or unknown.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Either;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Timeout, timeout};
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::gate::{Gate, Progress};
use super::wire::{Accepted, Answer, Content, Put};
use crate::call::{Call, Outcome};
use crate::deadline::Deadline;
use crate::telemetry::metrics::{self, AttemptEnd};
use crate::telemetry::trace::Span;

/// Adds [`Attempt`] to a service that carries requests and answers.
#[derive(Debug, Clone)]
pub(super) struct AttemptLayer {
    limit: Duration,
    metrics: Arc<metrics::Upstream>,
}

/// Sends a request once and reads the answer.
#[derive(Debug, Clone)]
pub(super) struct Attempt<S> {
    inner: S,
    limit: Duration,
    metrics: Arc<metrics::Upstream>,
}

impl AttemptLayer {
    /// `limit` is the longest time for one attempt; a call's deadline may shorten it.
    pub(super) fn new(limit: Duration, metrics: Arc<metrics::Upstream>) -> Self {
        Self { limit, metrics }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Attempt<S> {
        Attempt {
            inner,
            limit: self.limit,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<S> Service<Put> for Attempt<S>
where
    S: Service<Put, Response = Answer, Error = UpstreamError>,
{
    type Response = Accepted;
    type Error = UpstreamError;
    type Future = Either<Ready<Result<Accepted, UpstreamError>>, UnderWay<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut put: Put) -> Self::Future {
        let limit = Limit::of(self.limit, &put.call.deadline);
        if limit.time.is_zero() {
            return Either::Left(ready(Err(limit.error(Progress::NotSent))));
        }
        put.call.start_attempt();
        if let Some(reason) = put.retry_of {
            self.metrics.retry(reason);
        }
        put.gate = Arc::default();
        let watch = Watch::start(Arc::clone(&self.metrics), &put);
        put.traceparent = watch.span.as_ref().and_then(Span::traceparent);
        let content = Arc::clone(&put.content);
        Either::Right(UnderWay {
            answer: timeout(limit.time, self.inner.call(put)),
            content,
            limit,
            watch: Some(watch),
        })
    }
}

pin_project! {
    /// An attempt under way.
    pub(super) struct UnderWay<F> {
        #[pin]
        answer: Timeout<F>,
        content: Arc<Content>,
        limit: Limit,
        // Gone once the attempt has ended: what it leaves behind is known before its answer is.
        watch: Option<Watch>,
    }
}

impl<F> Future for UnderWay<F>
where
    F: Future<Output = Result<Answer, UpstreamError>>,
{
    type Output = Result<Accepted, UpstreamError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        let Some(watch) = this.watch.take() else {
            // Only after the answer, when nobody polls any more.
            return Poll::Pending;
        };
        let result = match answer {
            Ok(Ok(answer)) => this.content.read(&answer),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(this.limit.error(watch.gate.close())),
        };
        watch.end(&result);
        Poll::Ready(result)
    }
}

/// The time that an attempt has, and whose time it is.
pub(super) struct Limit {
    time: Duration,
    /// What the caller was allowed, when its deadline comes first.
    deadline: Option<Duration>,
}

impl Limit {
    fn of(attempt: Duration, deadline: &Deadline) -> Self {
        let remaining = deadline.remaining();
        Self {
            time: attempt.min(remaining),
            deadline: (remaining <= attempt).then(|| deadline.allowed()),
        }
    }

    fn error(&self, progress: Progress) -> UpstreamError {
        match self.deadline {
            Some(allowed) => UpstreamError::DeadlineExceeded { allowed, progress },
            None => UpstreamError::AttemptTimedOut {
                limit: self.time,
                progress,
            },
        }
    }
}

/// Settles an attempt when it ends, or when its caller goes away.
pub(super) struct Watch {
    metrics: Arc<metrics::Upstream>,
    call: Arc<Call>,
    gate: Arc<Gate>,
    span: Option<Span>,
    started: Instant,
    end: AttemptEnd,
    /// What the attempt leaves behind, once that is known.
    outcome: Option<Outcome>,
}

impl Watch {
    fn start(metrics: Arc<metrics::Upstream>, put: &Put) -> Self {
        let number = put.call.attempts();
        let span = put.call.span.as_ref();
        Self {
            metrics,
            call: Arc::clone(&put.call),
            gate: Arc::clone(&put.gate),
            span: span.map(|span| span.attempt(number, &put.content.url)),
            started: Instant::now(),
            end: AttemptEnd::Cancelled,
            outcome: None,
        }
    }

    fn end(mut self, result: &Result<Accepted, UpstreamError>) {
        let (status, outcome, end) = match result {
            Ok(accepted) => (
                Some(accepted.status),
                Outcome::NotApplied,
                AttemptEnd::Accepted,
            ),
            Err(UpstreamError::Refused(refusal)) => {
                self.metrics.error(refusal.known.map(|row| row.code));
                (Some(refusal.status), refusal.outcome(), AttemptEnd::Refused)
            }
            Err(error) => match error.outcome() {
                Outcome::NotApplied => (None, Outcome::NotApplied, AttemptEnd::NotSent),
                Outcome::Unknown => (None, Outcome::Unknown, AttemptEnd::NoAnswer),
            },
        };
        if let (Some(span), Some(status)) = (&self.span, status) {
            span.set("http.response.status_code", i64::from(status));
        }
        self.end = end;
        self.outcome = Some(outcome);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        // Also without an end of its own, the attempt must leave no body that could still depart.
        let progress = self.gate.close();
        let outcome = self.outcome.unwrap_or(match progress {
            Progress::NotSent => Outcome::NotApplied,
            Progress::Sent | Progress::Answered => Outcome::Unknown,
        });
        self.call.end_attempt(outcome, elapsed);
        self.metrics.attempt(self.end, elapsed);
        if let Some(span) = &self.span {
            let failed = self.end != AttemptEnd::Accepted;
            span.end_attempt(failed.then(|| self.end.label()));
        }
    }
}

#[cfg(test)]
mod tests;
