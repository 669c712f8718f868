//! Fails fast while the upstream is down: after some attempts in a row without any answer, calls are
//! refused at once, and single calls probe until one is answered.
//!
//! Any HTTP answer closes the breaker, whatever its status: it says that somebody is there.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Either;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::failure::causes;
use super::gate::Progress;
use super::wire::{Accepted, Put};
use crate::telemetry::metrics;

mod state;

use state::{Ended, Record, Sign, State};

/// Adds [`Breaker`] to a service that makes attempts.
#[derive(Debug, Clone)]
pub(super) struct BreakerLayer(Arc<Shared>);

/// Refuses attempts while the upstream is down.
#[derive(Debug, Clone)]
pub(super) struct Breaker<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    metrics: Arc<metrics::Upstream>,
}

impl BreakerLayer {
    pub(super) fn new(metrics: Arc<metrics::Upstream>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::Closed(Record::clean(Instant::now()))),
            metrics,
        }))
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

impl<S> Service<Put> for Breaker<S>
where
    S: Service<Put, Response = Accepted, Error = UpstreamError>,
{
    type Response = Accepted;
    type Error = UpstreamError;
    type Future = Either<Ready<Result<Accepted, UpstreamError>>, Watched<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, put: Put) -> Self::Future {
        let attempt = match Shared::admit(&self.shared) {
            Ok(attempt) => attempt,
            Err(wait) => {
                self.shared.metrics.refused_by_breaker();
                return Either::Left(ready(Err(UpstreamError::KnownDown(wait))));
            }
        };
        Either::Right(Watched {
            answer: self.inner.call(put),
            attempt: Some(attempt),
        })
    }
}

pin_project! {
    /// An attempt under way, whose end the breaker learns.
    pub(super) struct Watched<F> {
        #[pin]
        answer: F,
        attempt: Option<Admitted>,
    }
}

impl<F> Future for Watched<F>
where
    F: Future<Output = Result<Accepted, UpstreamError>>,
{
    type Output = Result<Accepted, UpstreamError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.answer.poll(cx));
        if let Some(attempt) = this.attempt.take() {
            attempt.ended(&result);
        }
        Poll::Ready(result)
    }
}

/// An attempt that was let through; dropped without an end, its caller gave up.
#[derive(Debug)]
pub(super) struct Admitted {
    shared: Arc<Shared>,
    started: Instant,
    probe: bool,
    sign: Sign,
    cause: Option<String>,
}

impl Admitted {
    fn ended_as(&self) -> Ended {
        Ended {
            started: self.started,
            probe: self.probe,
            sign: self.sign,
        }
    }

    fn ended(mut self, result: &Result<Accepted, UpstreamError>) {
        self.sign = match result {
            Ok(_) => Sign::Alive,
            Err(error) => {
                let sign = sign_of(error);
                self.cause = (sign == Sign::Dead).then(|| causes(error));
                sign
            }
        };
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shared.settle(self);
    }
}

fn sign_of(error: &UpstreamError) -> Sign {
    match error {
        UpstreamError::Refused(_)
        | UpstreamError::NotTaken(_)
        | UpstreamError::ConnectionLost {
            progress: Progress::Answered,
            ..
        }
        | UpstreamError::AttemptTimedOut {
            progress: Progress::Answered,
            ..
        }
        | UpstreamError::DeadlineExceeded {
            progress: Progress::Answered,
            ..
        } => Sign::Alive,
        UpstreamError::ConnectionLost { stale: true, .. } => Sign::None,
        UpstreamError::DeadlineExceeded { .. } | UpstreamError::KnownDown(_) => Sign::Silent,
        UpstreamError::NameNotFound(_)
        | UpstreamError::ConnectFailed(_)
        | UpstreamError::ConnectTimedOut(_)
        | UpstreamError::TlsFailed(_)
        | UpstreamError::ConnectionLost { .. }
        | UpstreamError::NotHttp(_)
        | UpstreamError::AttemptTimedOut { .. } => Sign::Dead,
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a plain value, so it is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an attempt through, or says how long until the next probe.
    fn admit(shared: &Arc<Self>) -> Result<Admitted, Duration> {
        let now = Instant::now();
        let mut state = shared.state();
        let next_probe = state.next_probe();
        let probe = next_probe.is_some();
        if let Some(at) = next_probe {
            let wait = at.saturating_duration_since(now);
            if !wait.is_zero() {
                return Err(wait);
            }
            *state = State::Probing { since: now };
        }
        drop(state);
        if probe {
            shared.metrics.breaker(2);
        }
        Ok(Admitted {
            shared: Arc::clone(shared),
            started: now,
            probe,
            sign: Sign::Silent,
            cause: None,
        })
    }

    /// Draws the conclusion from an attempt.
    fn settle(&self, attempt: &Admitted) {
        let now = Instant::now();
        let mut state = self.state();
        let before = *state;
        let after = before.after(attempt.ended_as(), now);
        *state = after;
        drop(state);
        self.tell(before, after, attempt);
    }

    /// Says in the log and in the metrics what has changed.
    fn tell(&self, before: State, after: State, attempt: &Admitted) {
        match (before, after) {
            (State::Closed(record), State::Open { .. }) => {
                tracing::error!(
                    unanswered = record.unanswered() + 1,
                    cause = attempt.cause,
                    "the upstream is down: calls are refused at once until it answers a probe",
                );
                self.metrics.breaker(1);
            }
            (State::Probing { .. }, State::Open { .. }) => self.metrics.breaker(1),
            (State::Open { .. } | State::Probing { .. }, State::Closed(_)) => {
                tracing::info!("the upstream is back");
                self.metrics.breaker(0);
            }
            (State::Closed(_), State::Closed(_))
            | (State::Open { .. }, State::Open { .. })
            | (_, State::Probing { .. }) => {}
        }
    }
}

#[cfg(test)]
mod tests;
