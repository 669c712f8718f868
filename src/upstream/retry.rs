//! When an attempt is followed by another: what can pass, within the deadline and the budget.
//!
//! A change sets absolute values, so repeating it at once is harmless; a late repeat could undo what a host
//! did meanwhile, so the window is the deadline and never more.

use std::time::Duration;

use tonic::Code;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::error::UpstreamError;
use super::error_code::Retry;
use crate::call::Outcome;

/// Upper bound of the first pause; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of every pause that the upstream did not ask for.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The pause when calls are throttled and the upstream does not say for how long; callers are told the
/// same.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);

/// What the next attempt is expected to take: as long as the one before, within these bounds. With less
/// time left, the answer that is there is worth more.
const MIN_ATTEMPT: Duration = Duration::from_millis(20);
const MAX_ATTEMPT: Duration = Duration::from_millis(500);

/// How often a call has a token that was obtained for it replaced.
const MAX_REPLACED_TOKENS: u32 = 3;
/// Upper bound of the pause before the first of them; doubled for each further one. Façades that displace each
/// other's tokens fall out of step.
const FIRST_TOKEN_PAUSE: Duration = Duration::from_millis(200);

/// A connection that had been closed is found out sooner than this.
pub(super) const MAX_STALE: Duration = Duration::from_millis(500);

/// What all calls together may spend on retries.
#[derive(Debug)]
pub(super) struct Budget {
    unlimited: bool,
    /// A fifth of the calls of the last ten seconds, and one a second.
    retries: TpsBudget,
}

/// Why an attempt followed another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryReason {
    /// The attempt before was not sent, or not taken on.
    NotSent,
    /// The attempt before was refused, and changed nothing.
    Refused,
    /// The attempt before may have changed the settings.
    Unknown,
    /// The attempt before met a pooled connection that the peer had closed.
    StaleConnection,
    /// The attempt before had a token, obtained here, that was no longer good.
    TokenRejected,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt, after a pause.
    Again(Duration, RetryReason),
    /// Nothing: it would not help, or not in time.
    GiveUp,
    /// Nothing, although it might help: the budget is spent.
    BudgetSpent,
}

/// Decides what follows the failures of one call.
#[derive(Debug)]
pub(super) struct Retries {
    max: u32,
    /// Whether the call may be sent again after it may have taken effect.
    idempotent: bool,
    /// Retries so far, without the one for a stale connection.
    done: u32,
    met_stale: bool,
    /// How often a token has been replaced.
    replaced_tokens: u32,
}

// === impl Budget ===

impl Budget {
    /// An `unlimited` budget pays for everything.
    pub(super) fn new(unlimited: bool) -> Self {
        Self {
            unlimited,
            retries: TpsBudget::new(Duration::from_secs(10), 1, 0.2),
        }
    }

    /// A call reached the upstream, and pays its share.
    pub(super) fn deposit(&self) {
        self.retries.deposit();
    }

    fn pays_retry(&self) -> bool {
        self.unlimited || self.retries.withdraw()
    }
}

// === impl RetryReason ===

impl RetryReason {
    /// The names of the reasons, as metrics show them.
    pub(super) const LABELS: [&str; 5] = [
        "not_sent",
        "refused",
        "unknown",
        "stale_connection",
        "token_rejected",
    ];

    /// What the attempt that failed with `error` left behind.
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

// === impl Retries ===

impl Retries {
    /// Allows up to `max` retries; 0 turns them off, but for the one for a stale connection.
    pub(super) fn new(max: u32, idempotent: bool) -> Self {
        Self {
            max,
            idempotent,
            done: 0,
            met_stale: false,
            replaced_tokens: 0,
        }
    }

    /// What follows an attempt that took `took` and failed with `error`, while `remaining` is left of the
    /// deadline.
    pub(super) fn next(
        &mut self,
        error: &UpstreamError,
        took: Duration,
        remaining: Duration,
        budget: &Budget,
    ) -> Next {
        let expected = took.clamp(MIN_ATTEMPT, MAX_ATTEMPT);
        let harmless = self.idempotent || error.outcome() == Outcome::NotApplied;
        if !harmless || remaining <= expected {
            return Next::GiveUp;
        }
        // Nothing is wrong with the upstream, and the next connection is a new one: that costs no budget.
        if error.is_stale() && !self.met_stale && took < MAX_STALE {
            self.met_stale = true;
            return Next::Again(Duration::ZERO, RetryReason::StaleConnection);
        }
        let max = match error.retry() {
            Retry::Never => 0,
            Retry::Once => self.max.min(1),
            Retry::Backoff => self.max,
        };
        let pause = jitter(FIRST_PAUSE, self.done).max(asked_for(error));
        if self.done >= max || pause + expected >= remaining {
            return Next::GiveUp;
        }
        if !budget.pays_retry() {
            return Next::BudgetSpent;
        }
        self.done += 1;
        Next::Again(pause, RetryReason::of(error))
    }

    /// What follows an attempt that took `took` and whose token was rejected, where another can be obtained.
    /// That is no retry: it costs no budget, and is not counted.
    pub(super) fn next_token(&mut self, took: Duration, remaining: Duration) -> Next {
        let pause = jitter(FIRST_TOKEN_PAUSE, self.replaced_tokens);
        let expected = took.clamp(MIN_ATTEMPT, MAX_ATTEMPT);
        if self.replaced_tokens >= MAX_REPLACED_TOKENS || pause + expected >= remaining {
            return Next::GiveUp;
        }
        self.replaced_tokens += 1;
        Next::Again(pause, RetryReason::TokenRejected)
    }
}

/// The pause that a refusal asks for.
fn asked_for(error: &UpstreamError) -> Duration {
    let Some(refusal) = error.refusal() else {
        return Duration::ZERO;
    };
    refusal.retry_after.unwrap_or_else(|| {
        let throttled = refusal.grpc_code() == Code::ResourceExhausted;
        if throttled {
            THROTTLED_PAUSE
        } else {
            Duration::ZERO
        }
    })
}

/// Full jitter: anything between nothing and a bound that begins with `first` and doubles with each retry.
fn jitter(first: Duration, done: u32) -> Duration {
    let bound = first.saturating_mul(1 << done.min(16)).min(MAX_PAUSE);
    bound.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests;
