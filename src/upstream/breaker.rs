//! Fails fast while the upstream cannot be reached: no name, no connection, no TLS in time. Calls are then
//! refused at once, but for one a second, whose connection shows whether the upstream is back.
//!
//! It judges reachability alone. What connects but does not answer is the affair of the calls that meet it,
//! and a caller that gives up says nothing of others. Connections tell it themselves how they ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::Metrics;

pub(crate) mod state;

use state::State;

/// The states as the metric shows them.
const CLOSED: i64 = 0;
const OPEN: i64 = 1;

/// Decides whether attempts are made; one for all callers.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Whether it ever opens.
    armed: bool,
    metrics: Arc<Metrics>,
}

impl Breaker {
    /// Closed: attempts are made. One that is not `armed` stays so.
    pub(super) fn new(armed: bool, metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::new(State::clean(Instant::now())),
            armed,
            metrics,
        }
    }

    /// Lets an attempt be made.
    ///
    /// # Errors
    /// The time until the next probe, when the upstream is known to be unreachable.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut admitted = Ok(());
        self.change(|state| {
            let (after, result) = state.admit(Instant::now());
            admitted = result;
            after
        });
        if admitted.is_err() {
            self.metrics.breaker_refused.inc();
        }
        admitted
    }

    /// A connection was made, or an answer came over one that was there.
    pub(super) fn reached(&self) {
        let (before, _) = self.change(|state| state.reached(Instant::now()));
        if let State::Open { .. } = before {
            tracing::info!("the upstream is back");
        }
    }

    /// A connection that was begun at `started` could not be made; `cause` says why, for the log.
    pub(super) fn missed(&self, started: Instant, cause: impl FnOnce() -> String) {
        if !self.armed {
            return;
        }
        let change = self.change(|state| state.missed(started, Instant::now()));
        if let (State::Closed { missed, .. }, State::Open { .. }) = change {
            tracing::error!(
                missed = missed + 1,
                cause = cause(),
                "the upstream is down: calls are refused at once until it is reached again",
            );
        }
    }

    /// Changes the state, and the metric with it. Returns what it was and what it is.
    fn change(&self, change: impl FnOnce(State) -> State) -> (State, State) {
        // The state is a plain value, so it is whole even after a panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *state;
        *state = change(before);
        self.metrics.breaker_state.set(match *state {
            State::Closed { .. } => CLOSED,
            State::Open { .. } => OPEN,
        });
        (before, *state)
    }
}

#[cfg(test)]
mod tests;
