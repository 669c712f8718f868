//! When an attempt is followed by another: what can pass, within the deadline and the budget.
//!
//! The call sets absolute values, so repeating it is harmless at once; a late repeat could undo what
//! a host did meanwhile, so the window is the deadline and never more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tower::retry::Policy;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::error::UpstreamError;
use super::error_code::Retry;
use super::wire::{Accepted, Put};
use crate::call::Outcome;
use crate::telemetry::metrics::{self, RetryReason};

/// Upper bound of the first pause; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of every pause that the REST side did not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Retries per call that the budget allows on average.
const BUDGET_SHARE: f32 = 0.2;
/// Retries per second that the budget allows however few calls there are.
const BUDGET_FLOOR: u32 = 1;
/// How long a call's share of the budget lasts.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// What all calls share: the limit and the budget.
#[derive(Debug, Clone)]
pub(super) struct RetryPolicy {
    most: u32,
    budget: Arc<TpsBudget>,
    metrics: Arc<metrics::Upstream>,
    /// Whether this call has paid its share into the budget.
    paid: bool,
    /// Retries of this call so far.
    done: u32,
    /// Whether this call has met a stale connection before.
    met_stale: bool,
}

impl RetryPolicy {
    /// Allows up to `most` retries for each call; 0 turns them off.
    pub(super) fn new(most: u32, metrics: Arc<metrics::Upstream>) -> Self {
        Self {
            most,
            budget: Arc::new(TpsBudget::new(BUDGET_WINDOW, BUDGET_FLOOR, BUDGET_SHARE)),
            metrics,
            paid: false,
            done: 0,
            met_stale: false,
        }
    }

    /// The pause before the next attempt, `None` when there is to be none.
    fn pause(&mut self, put: &Put, error: &UpstreamError) -> Option<Duration> {
        if self.most == 0 {
            return None;
        }
        // Nothing is wrong with the REST side, so neither a pause nor the budget is called for.
        if error.is_stale() && !self.met_stale {
            self.met_stale = true;
            self.metrics.retry(RetryReason::StaleConnection);
            return Some(Duration::ZERO);
        }
        let most = match error.retry() {
            Retry::Never => return None,
            Retry::Once => self.most.min(1),
            Retry::Backoff => self.most,
        };
        if self.done >= most {
            return None;
        }
        let asked_for = error.refusal().and_then(|refusal| refusal.retry_after);
        let pause = jitter(self.done).max(asked_for.unwrap_or_default());
        if pause >= put.call.deadline.remaining() {
            return None;
        }
        if !self.budget.withdraw() {
            self.metrics.budget_spent();
            return None;
        }
        self.done += 1;
        self.metrics.retry(match put.call.outcome() {
            Outcome::NotApplied => RetryReason::NotApplied,
            Outcome::Unknown => RetryReason::Unknown,
        });
        Some(pause)
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
    type Future = Sleep;

    fn retry(
        &mut self,
        put: &mut Put,
        result: &mut Result<Accepted, UpstreamError>,
    ) -> Option<Sleep> {
        if !self.paid {
            self.paid = true;
            self.budget.deposit();
        }
        match result {
            Ok(_) => None,
            Err(error) => self.pause(put, error).map(sleep),
        }
    }

    fn clone_request(&mut self, put: &Put) -> Option<Put> {
        Some(put.clone())
    }
}
