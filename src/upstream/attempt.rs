//! One attempt: counted, held to its time limit, and settled as applied, not applied or unknown.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::wire::{Accepted, Answer, Put};
use crate::call::Outcome;
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
    S::Future: Send + 'static,
{
    type Response = Accepted;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Accepted, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut put: Put) -> Self::Future {
        let call = Arc::clone(&put.call);
        let limit = Limit::of(self.limit, &call.deadline);
        if limit.time.is_zero() {
            return Box::pin(ready(Err(limit.error(false))));
        }
        call.start_attempt();
        let span = call
            .span
            .as_ref()
            .map(|span| span.attempt(call.attempts(), &put.content.url));
        put.traceparent = span.as_ref().and_then(Span::traceparent);
        let mut watch = Watch::start(Arc::clone(&self.metrics), span);
        let content = Arc::clone(&put.content);
        let answer = self.inner.call(put);
        Box::pin(async move {
            let result = match timeout(limit.time, answer).await {
                Ok(Ok(answer)) => content.read(&answer),
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => Err(limit.error(call.sent())),
            };
            let outcome = match &result {
                Ok(_) => Outcome::NotApplied,
                Err(error) => error.outcome(call.sent()),
            };
            call.end_attempt(outcome);
            watch.end(&result, outcome);
            result
        })
    }
}

/// The time that an attempt has, and whose time it is.
struct Limit {
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

    fn error(&self, sent: bool) -> UpstreamError {
        match self.deadline {
            Some(allowed) => UpstreamError::DeadlineExceeded { allowed, sent },
            None => UpstreamError::AttemptTimedOut(self.time),
        }
    }
}

/// Counts an attempt when it ends, or when its caller goes away.
struct Watch {
    metrics: Arc<metrics::Upstream>,
    span: Option<Span>,
    started: Instant,
    end: AttemptEnd,
}

impl Watch {
    fn start(metrics: Arc<metrics::Upstream>, span: Option<Span>) -> Self {
        Self {
            metrics,
            span,
            started: Instant::now(),
            end: AttemptEnd::Cancelled,
        }
    }

    fn end(&mut self, result: &Result<Accepted, UpstreamError>, outcome: Outcome) {
        if let Some(span) = &self.span {
            let status = match result {
                Ok(accepted) => Some(accepted.status),
                Err(error) => error.refusal().map(|refusal| refusal.status),
            };
            if let Some(status) = status {
                span.set("http.response.status_code", i64::from(status));
            }
        }
        self.end = match result {
            Ok(_) => AttemptEnd::Accepted,
            Err(UpstreamError::Refused(refusal)) => {
                self.metrics.error(refusal.known.map(|row| row.code));
                AttemptEnd::Refused
            }
            Err(_) if outcome == Outcome::NotApplied => AttemptEnd::NotSent,
            Err(_) => AttemptEnd::NoAnswer,
        };
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.metrics.attempt(self.end, self.started.elapsed());
        if let Some(span) = &self.span {
            let failed = self.end != AttemptEnd::Accepted;
            span.end_attempt(failed.then(|| self.end.label()));
        }
    }
}

#[cfg(test)]
mod tests;
