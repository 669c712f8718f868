//! What happens on the way to the REST side.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Counters, SECONDS};

/// Attempts, retries, errors and the breaker.
#[derive(Debug)]
pub struct Upstream {
    attempts: [Counter; AttemptEnd::ALL.len()],
    attempt_seconds: Histogram,
    retries: [Counter; RetryReason::ALL.len()],
    budget_spent: Counter,
    errors: Counters,
    breaker_state: Gauge,
    breaker_refused: Counter,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The REST side accepted the change.
    Accepted,
    /// The REST side answered, and said no.
    Refused,
    /// Nothing was sent.
    NotSent,
    /// Something was sent, and no answer came that can be understood.
    NoAnswer,
    /// The caller went away.
    Cancelled,
}

/// Why an attempt was followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The attempt before was not sent.
    NotSent,
    /// The attempt before was refused, and changed nothing.
    Refused,
    /// The attempt before may have changed the settings.
    Unknown,
    /// The attempt before met a pooled connection that the peer had closed.
    StaleConnection,
}

impl AttemptEnd {
    pub(super) const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Refused,
        Self::NotSent,
        Self::NoAnswer,
        Self::Cancelled,
    ];

    /// The name of the end, as metrics and spans show it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::NoAnswer => "no_answer",
            Self::Cancelled => "cancelled",
        }
    }
}

impl RetryReason {
    pub(super) const ALL: [Self; 4] = [
        Self::NotSent,
        Self::Refused,
        Self::Unknown,
        Self::StaleConnection,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::StaleConnection => "stale_connection",
        }
    }
}

impl Upstream {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("meeting_control");
        let attempts = Counters::default();
        registry.register(
            "upstream_attempts",
            "Attempts at the REST call, by how they ended",
            attempts.clone(),
        );
        let attempt_seconds = Histogram::new(SECONDS);
        registry.register_with_unit(
            "upstream_attempt",
            "Time of one attempt at the REST call",
            Unit::Seconds,
            attempt_seconds.clone(),
        );
        let retries = Counters::default();
        registry.register(
            "upstream_retries",
            "Attempts after the first, by what the one before left behind",
            retries.clone(),
        );
        let budget_spent = Counter::default();
        registry.register(
            "upstream_retry_budget_exhausted",
            "Retries left out because the retry budget was spent",
            budget_spent.clone(),
        );
        let errors = Counters::default();
        registry.register(
            "upstream_errors",
            "Refusals by the REST side, by error code",
            errors.clone(),
        );
        let breaker_state = Gauge::default();
        registry.register(
            "breaker_state",
            "0: calls go through; 1: upstream is down, calls are refused at once; 2: probing",
            breaker_state.clone(),
        );
        let breaker_refused = Counter::default();
        registry.register(
            "breaker_refused",
            "Attempts not made because the upstream was known to be down",
            breaker_refused.clone(),
        );
        Self {
            attempts: AttemptEnd::ALL
                .map(|end| attempts.get_or_create(&[("outcome", end.label())]).clone()),
            attempt_seconds,
            retries: RetryReason::ALL
                .map(|reason| retries.get_or_create(&[("reason", reason.label())]).clone()),
            budget_spent,
            errors,
            breaker_state,
            breaker_refused,
        }
    }

    /// An attempt ended after `elapsed`.
    pub fn attempt(&self, end: AttemptEnd, elapsed: Duration) {
        self.attempts[end as usize].inc();
        self.attempt_seconds.observe(elapsed.as_secs_f64());
    }

    /// An attempt is followed by another.
    pub fn retry(&self, reason: RetryReason) {
        self.retries[reason as usize].inc();
    }

    /// A retry was left out because the budget was spent.
    pub fn budget_spent(&self) {
        self.budget_spent.inc();
    }

    /// The REST side refused; `code` is a code of the table, `None` for any other.
    pub fn error(&self, code: Option<&'static str>) {
        self.errors
            .get_or_create(&[("error_code", code.unwrap_or("other"))])
            .inc();
    }

    /// An attempt was not made because the upstream was known to be down.
    pub fn refused_by_breaker(&self) {
        self.breaker_refused.inc();
    }

    /// The breaker changed; see the metric's help for the numbers.
    pub fn breaker(&self, state: i64) {
        self.breaker_state.set(state);
    }
}
