//! Fails fast while the upstream is down: after a few attempts in a row without any answer, calls are
//! refused at once, and single calls probe until one is answered.
//!
//! Any HTTP answer closes the breaker, whatever its status: it says that somebody is there.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::wire::{Accepted, Put};
use crate::telemetry::metrics;

/// Attempts in a row without an answer, after which the upstream counts as down, …
const THRESHOLD: u32 = 5;
/// … if that has gone on for so long: faults come back sooner than answers, so at the start of a burst
/// a few of them can be the first that is heard.
const TRIAL: Duration = Duration::from_millis(500);
/// The time between two probes; an upstream that is back is noticed so soon.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A caller's deadline that passed sooner says nothing about whether a connection can be made.
const FAIR_TRIAL: Duration = Duration::from_millis(500);

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

#[derive(Debug, Clone, Copy)]
enum State {
    /// Attempts go through.
    Closed(Record),
    /// Attempts are refused until then.
    Open { until: Instant },
    /// One attempt goes through to see whether the upstream is back.
    Probing,
}

/// What is held against an upstream that counts as up.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// It counts as up since then; attempts from before tell of a time that is over.
    since: Instant,
    /// So many attempts in a row got no answer.
    failures: u32,
    /// The first of them ended then.
    first: Instant,
}

impl Record {
    fn clean(since: Instant) -> Self {
        Self {
            since,
            failures: 0,
            first: since,
        }
    }

    /// One more attempt without an answer.
    fn and_failure(self, now: Instant) -> State {
        let failures = self.failures.saturating_add(1);
        let first = if failures == 1 { now } else { self.first };
        if failures >= THRESHOLD && now.duration_since(first) >= TRIAL {
            State::Open {
                until: now + PROBE_INTERVAL,
            }
        } else {
            State::Closed(Self {
                failures,
                first,
                ..self
            })
        }
    }
}

/// What an attempt says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Alive,
    Dead,
    /// Nothing: the caller went away, was in too much of a hurry, or met a stale connection.
    None,
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
    S::Future: Send + 'static,
{
    type Response = Accepted;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Accepted, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, put: Put) -> Self::Future {
        let attempt = match Shared::admit(&self.shared) {
            Ok(attempt) => attempt,
            Err(wait) => return Box::pin(async move { Err(UpstreamError::KnownDown(wait)) }),
        };
        let answer = self.inner.call(put);
        Box::pin(async move {
            let result = answer.await;
            attempt.ended(&result);
            result
        })
    }
}

/// An attempt that was let through; dropped without an end, it has given no sign.
#[derive(Debug)]
struct Admitted {
    shared: Arc<Shared>,
    started: Instant,
    probe: bool,
    sign: Sign,
}

impl Admitted {
    fn ended(mut self, result: &Result<Accepted, UpstreamError>) {
        self.sign = match result {
            Ok(_) => Sign::Alive,
            Err(error) => sign_of(error, self.started.elapsed()),
        };
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shared.settle(self);
    }
}

fn sign_of(error: &UpstreamError, elapsed: Duration) -> Sign {
    match error {
        UpstreamError::Refused(_) => Sign::Alive,
        UpstreamError::ConnectionLost { stale: true, .. } | UpstreamError::KnownDown(_) => {
            Sign::None
        }
        // A slow answer is the service's own affair; a connection that does not come is a sign.
        UpstreamError::DeadlineExceeded { sent, .. } if *sent || elapsed < FAIR_TRIAL => Sign::None,
        UpstreamError::NameNotFound(_)
        | UpstreamError::ConnectFailed(_)
        | UpstreamError::ConnectTimedOut(_)
        | UpstreamError::TlsFailed(_)
        | UpstreamError::ConnectionLost { .. }
        | UpstreamError::NotHttp(_)
        | UpstreamError::AttemptTimedOut(_)
        | UpstreamError::DeadlineExceeded { .. } => Sign::Dead,
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a plain value, so it is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an attempt through, or says how long until the next probe.
    fn admit(shared: &Arc<Self>) -> Result<Admitted, Duration> {
        let mut state = shared.state();
        let probe = match *state {
            State::Closed(_) => false,
            State::Open { until } => {
                let wait = until.saturating_duration_since(Instant::now());
                if !wait.is_zero() {
                    return Err(wait);
                }
                *state = State::Probing;
                shared.metrics.breaker(2);
                true
            }
            State::Probing => return Err(PROBE_INTERVAL),
        };
        drop(state);
        Ok(Admitted {
            shared: Arc::clone(shared),
            started: Instant::now(),
            probe,
            sign: Sign::None,
        })
    }

    /// Draws the conclusion from an attempt.
    fn settle(&self, attempt: &Admitted) {
        let now = Instant::now();
        let mut state = self.state();
        let next = match (*state, attempt.sign) {
            (State::Closed(record), Sign::Alive) => State::Closed(Record::clean(record.since)),
            (State::Closed(record), Sign::Dead) if attempt.started >= record.since => {
                record.and_failure(now)
            }
            // Whoever has an answer, the upstream is back.
            (State::Open { .. } | State::Probing, Sign::Alive) => State::Closed(Record::clean(now)),
            (State::Probing, Sign::Dead) if attempt.probe => State::Open {
                until: now + PROBE_INTERVAL,
            },
            // The probe said nothing, so the next call is the probe.
            (State::Probing, Sign::None) if attempt.probe => State::Open { until: now },
            (unmoved, Sign::Dead | Sign::None) => unmoved,
        };
        self.tell(*state, next);
        *state = next;
    }

    /// Says in the log and in the metrics what has changed.
    fn tell(&self, before: State, after: State) {
        match (before, after) {
            (State::Closed(_), State::Open { .. }) => {
                tracing::error!(
                    "the upstream is down: calls are refused at once until it answers a probe"
                );
                self.metrics.breaker(1);
            }
            (State::Probing, State::Open { .. }) => self.metrics.breaker(1),
            (State::Open { .. } | State::Probing, State::Closed(_)) => {
                tracing::info!("the upstream is back");
                self.metrics.breaker(0);
            }
            (State::Closed(_), State::Closed(_))
            | (State::Open { .. }, State::Open { .. })
            | (_, State::Probing) => {}
        }
    }
}

#[cfg(test)]
mod tests;
