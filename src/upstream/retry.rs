//! When an attempt is followed by another: what can pass, within the deadline and the budget.
//!
//! The call sets absolute values, so repeating it is harmless at once; a late repeat could undo what
//! a host did meanwhile, so the window is the deadline and never more.

use std::future::{Ready, ready};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use tokio::time::{Sleep, sleep};
use tonic::Code;
use tower::retry::Policy;

use super::budget::Budget;
use super::error::UpstreamError;
use super::error_code::Retry;
use super::wire::{Accepted, Put};
use crate::call::Outcome;
use crate::telemetry::metrics::{self, RetryReason};

/// Upper bound of the first pause; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of every pause that the REST side did not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause when calls are throttled and the REST side does not say for how long; callers are told
/// the same.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// What the next attempt is expected to take: as long as the one before, within these bounds. With less
/// time left, the answer that is there is worth more.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(20);
const LONGEST_ATTEMPT: Duration = Duration::from_millis(500);

/// A connection that had been closed is found out sooner than this.
const STALE_LIMIT: Duration = Duration::from_millis(500);

/// Decides for one call, with a budget that all calls share. A clone begins a new call.
#[derive(Debug)]
pub(super) struct RetryPolicy {
    shared: Arc<Shared>,
    /// Whether this call has paid its share.
    paid: bool,
    /// Retries of this call so far, without the one for a stale connection.
    done: u32,
    met_stale: bool,
    /// What the attempt before ended with.
    before: Option<UpstreamError>,
}

/// What all calls have in common.
#[derive(Debug)]
struct Shared {
    most: u32,
    /// For failures of the REST side.
    budget: Budget,
    /// For pooled connections that turn out to be closed: nothing is wrong with the REST side.
    stale_budget: Budget,
    metrics: Arc<metrics::Upstream>,
}

impl RetryPolicy {
    /// Allows up to `most` retries for each call; 0 turns them off.
    pub(super) fn new(most: u32, metrics: Arc<metrics::Upstream>) -> Self {
        Self::for_a_call(Arc::new(Shared {
            most,
            budget: Budget::new(0.2, 1.0, 100.0),
            stale_budget: Budget::new(0.0, 10.0, 100.0),
            metrics,
        }))
    }

    fn for_a_call(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            paid: false,
            done: 0,
            met_stale: false,
            before: None,
        }
    }

    /// The pause before the next attempt, `None` when there is to be none.
    fn pause(&mut self, put: &Put, error: &UpstreamError) -> Option<Duration> {
        let remaining = put.call.deadline.remaining();
        let expected = put
            .call
            .last_attempt()
            .clamp(SHORTEST_ATTEMPT, LONGEST_ATTEMPT);
        if self.shared.most == 0 || remaining <= expected {
            return None;
        }
        if self.is_free(put, error) {
            self.met_stale = true;
            return Some(Duration::ZERO);
        }
        let most = match error.retry() {
            Retry::Never => return None,
            Retry::Once => self.shared.most.min(1),
            Retry::Backoff => self.shared.most,
        };
        let pause = jitter(self.done).max(asked_for(error));
        if self.done >= most || pause + expected >= remaining {
            return None;
        }
        if !self.shared.budget.withdraw() {
            self.shared.metrics.budget_spent();
            return None;
        }
        self.done += 1;
        Some(pause)
    }

    /// Whether the attempt met a pooled connection that had been closed, for the first time in this
    /// call, and not too often in all.
    fn is_free(&self, put: &Put, error: &UpstreamError) -> bool {
        error.is_stale()
            && !self.met_stale
            && put.call.last_attempt() < STALE_LIMIT
            && self.shared.stale_budget.withdraw()
    }
}

impl Clone for RetryPolicy {
    fn clone(&self) -> Self {
        Self::for_a_call(Arc::clone(&self.shared))
    }
}

/// The pause that a refusal asks for.
fn asked_for(error: &UpstreamError) -> Duration {
    match error.refusal() {
        Some(refusal) => refusal.retry_after.unwrap_or_else(|| {
            let throttled = refusal.grpc_code() == Code::ResourceExhausted;
            if throttled {
                THROTTLED_PAUSE
            } else {
                Duration::ZERO
            }
        }),
        None => Duration::ZERO,
    }
}

/// Full jitter: anything between nothing and a bound that doubles with each retry.
fn jitter(done: u32) -> Duration {
    let bound = FIRST_PAUSE
        .saturating_mul(1 << done.min(16))
        .min(LONGEST_PAUSE);
    bound.mul_f64(fastrand::f64())
}

impl Policy<Put, Accepted, UpstreamError> for RetryPolicy {
    type Future = Either<Ready<()>, Sleep>;

    fn retry(
        &mut self,
        put: &mut Put,
        result: &mut Result<Accepted, UpstreamError>,
    ) -> Option<Self::Future> {
        // A call that never reached the REST side must not pay for others to do so.
        if !self.paid && put.call.attempts() > 0 {
            self.paid = true;
            self.shared.budget.deposit();
        }
        let Err(error) = result else {
            return None;
        };
        if let UpstreamError::KnownDown(_) = error {
            // The attempt before says more than that there was no other.
            if let Some(before) = self.before.take() {
                *error = before;
            }
            return None;
        }
        let pause = self.pause(put, error)?;
        put.retry_of = Some(RetryReason::of(error));
        self.before = Some(mem::replace(error, UpstreamError::KnownDown(pause)));
        Some(if pause.is_zero() {
            Either::Left(ready(()))
        } else {
            Either::Right(sleep(pause))
        })
    }

    fn clone_request(&mut self, put: &Put) -> Option<Put> {
        Some(put.clone())
    }
}

impl RetryReason {
    fn of(error: &UpstreamError) -> Self {
        if error.is_stale() {
            return Self::StaleConnection;
        }
        match (error.refusal(), error.outcome()) {
            (_, Outcome::Unknown) => Self::Unknown,
            (Some(_), Outcome::NotApplied) => Self::Refused,
            (None, Outcome::NotApplied) => Self::NotSent,
        }
    }
}

#[cfg(test)]
mod tests;
