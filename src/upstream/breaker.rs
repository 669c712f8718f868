//! Fails fast while the upstream is down: after some attempts in a row without any answer, calls are
//! refused at once, and single calls probe until one is answered.
//!
//! Any HTTP answer closes the breaker, whatever its status: it says that somebody is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::UpstreamError;
use super::gate::Progress;
use super::metrics::Metrics;
use crate::causes::causes;

pub(crate) mod state;

use state::{Ended, Record, Sign, State};

/// The states as the metric shows them.
const CLOSED: i64 = 0;
const OPEN: i64 = 1;
const PROBING: i64 = 2;

/// Decides whether attempts are made; one for all callers.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

/// Lets one attempt through. Dropped before the attempt has ended, its caller gave up.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    started: Instant,
    probe: bool,
    settled: bool,
}

impl Breaker {
    /// Closed: attempts are made.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::new(State::Closed(Record::clean(Instant::now()))),
            metrics,
        }
    }

    /// Lets an attempt through.
    ///
    /// # Errors
    /// The time until the next probe, when the upstream is known to be down.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Duration> {
        let now = Instant::now();
        let probe = self.change(|state| match state.next_probe() {
            None => (state, Ok(false)),
            Some(at) if at <= now => (State::Probing { since: now }, Ok(true)),
            Some(at) => (state, Err(at - now)),
        });
        match probe {
            Ok(false) => {}
            Ok(true) => _ = self.metrics.breaker_state.set(PROBING),
            Err(_) => _ = self.metrics.breaker_refused.inc(),
        }
        Ok(Permit {
            breaker: self,
            started: now,
            probe: probe?,
            settled: false,
        })
    }

    fn change<T>(&self, change: impl FnOnce(State) -> (State, T)) -> T {
        // The state is a plain value, so it is whole even after a panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (after, result) = change(*state);
        *state = after;
        result
    }

    /// Says in the log and in the metrics what has changed.
    fn tell(&self, before: State, after: State, error: Option<&UpstreamError>) {
        match (before, after) {
            (State::Closed(record), State::Open { .. }) => {
                tracing::error!(
                    unanswered = record.unanswered() + 1,
                    cause = error.map(|error| causes(error)),
                    "the upstream is down: calls are refused at once until it answers a probe",
                );
                self.metrics.breaker_state.set(OPEN);
            }
            (State::Probing { .. }, State::Open { .. }) => _ = self.metrics.breaker_state.set(OPEN),
            (State::Open { .. } | State::Probing { .. }, State::Closed(_)) => {
                tracing::info!("the upstream is back");
                self.metrics.breaker_state.set(CLOSED);
            }
            (State::Closed(_), State::Closed(_))
            | (State::Open { .. }, State::Open { .. })
            | (_, State::Probing { .. }) => {}
        }
    }
}

impl Permit<'_> {
    /// Draws the conclusion from an attempt that has ended.
    pub(super) fn settle<T>(mut self, result: &Result<T, UpstreamError>) {
        let error = result.as_ref().err();
        self.conclude(error.map_or(Sign::Alive, sign_of), error);
    }

    fn conclude(&mut self, sign: Sign, error: Option<&UpstreamError>) {
        self.settled = true;
        let ended = Ended {
            started: self.started,
            probe: self.probe,
            sign,
        };
        let now = Instant::now();
        let (before, after) = self.breaker.change(|before| {
            let after = before.after(ended, now);
            (after, (before, after))
        });
        let cause = error.filter(|_| sign == Sign::Dead);
        self.breaker.tell(before, after, cause);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.conclude(Sign::Silent, None);
        }
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

#[cfg(test)]
mod tests;
