//! One attempt: counted, held to its time limit, and settled as applied, not applied or unknown.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::wire::{self, Accepted, Answer, Put};
use crate::call::Outcome;
use crate::deadline::Deadline;

/// Adds [`Attempt`] to a service that carries requests and answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptLayer {
    limit: Duration,
}

/// Sends a request once and reads the answer.
#[derive(Debug, Clone)]
pub(super) struct Attempt<S> {
    inner: S,
    limit: Duration,
}

impl AttemptLayer {
    /// `limit` is the longest time for one attempt; a call's deadline may shorten it.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Attempt<S> {
        Attempt {
            inner,
            limit: self.limit,
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

    fn call(&mut self, put: Put) -> Self::Future {
        let call = Arc::clone(&put.call);
        let limit = Limit::of(self.limit, &call.deadline);
        let answer = self.inner.call(put);
        Box::pin(async move {
            if limit.time.is_zero() {
                return Err(limit.error);
            }
            call.start_attempt();
            let result = match timeout(limit.time, answer).await {
                Ok(Ok(answer)) => wire::read(&answer),
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => Err(limit.error),
            };
            call.end_attempt(match &result {
                Ok(_) => Outcome::NotApplied,
                Err(error) => error.outcome(call.sent()),
            });
            result
        })
    }
}

/// The time that an attempt has, and the error when it is over.
struct Limit {
    time: Duration,
    error: UpstreamError,
}

impl Limit {
    fn of(attempt: Duration, deadline: &Deadline) -> Self {
        let remaining = deadline.remaining();
        if attempt < remaining {
            Self {
                time: attempt,
                error: UpstreamError::AttemptTimedOut(attempt),
            }
        } else {
            Self {
                time: remaining,
                error: UpstreamError::DeadlineExceeded(deadline.allowed()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
