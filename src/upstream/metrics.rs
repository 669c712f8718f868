//! What is counted on the way to the upstream: attempts, retries, refusals, and the breaker.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::retry::RetryReason;
use crate::telemetry::metrics::{Counters, counter, counters, gauge, open_counters, seconds};

/// Attempts, retries, refusals and the breaker.
#[derive(Debug)]
pub(super) struct Metrics {
    attempts: [Counter; AttemptEnd::LABELS.len()],
    attempt_seconds: Histogram,
    retries: [Counter; RetryReason::LABELS.len()],
    pub(super) budget_spent: Counter,
    errors: Counters,
    pub(super) breaker_state: Gauge,
    pub(super) breaker_refused: Counter,
    pub(super) tokens: Gauge,
    token_requests: [Counter; TokenRequest::LABELS.len()],
    token_lookups: [Counter; TokenLookup::LABELS.len()],
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// The upstream did what it was asked.
    Accepted,
    /// The upstream answered, and said no.
    Refused,
    /// Nothing was sent, or nothing of it was taken on.
    NotSent,
    /// Something was sent, and no answer came that can be understood.
    NoAnswer,
    /// The caller went away.
    Cancelled,
}

/// How asking for a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRequest {
    /// With a token.
    Issued,
    /// The upstream did not accept the password, or may not have, or has locked the login.
    Refused,
    /// In any other way.
    Failed,
}

/// What a call with a password found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenLookup {
    /// A token that is kept.
    Kept,
    /// None that is kept, and one was obtained.
    Obtained,
    /// The upstream refused to give one, just now or as far as is remembered.
    Refused,
    /// None could be obtained for another reason.
    Failed,
    /// None was asked for.
    Withheld,
}

impl TokenRequest {
    const LABELS: [&str; 3] = ["issued", "refused", "failed"];
}

impl TokenLookup {
    const LABELS: [&str; 5] = ["kept", "obtained", "refused", "failed", "withheld"];
}

impl AttemptEnd {
    const LABELS: [&str; 5] = ["accepted", "refused", "not_sent", "no_answer", "cancelled"];

    /// The name of the end, as metrics and spans show it.
    pub(super) fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }
}

impl Metrics {
    /// All counts at zero, and the breaker closed.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("meeting_control");
        Self {
            attempts: counters(
                registry,
                "upstream_attempts",
                "Attempts at the REST call, by how they ended",
                "outcome",
                AttemptEnd::LABELS,
            ),
            attempt_seconds: seconds(
                registry,
                "upstream_attempt_seconds",
                "Time of one attempt at the REST call",
            ),
            retries: counters(
                registry,
                "upstream_retries",
                "Attempts after the first, by what the one before left behind",
                "reason",
                RetryReason::LABELS,
            ),
            budget_spent: counter(
                registry,
                "upstream_retry_budget_exhausted",
                "Retries left out because the retry budget was spent",
            ),
            errors: open_counters(
                registry,
                "upstream_errors",
                "Refusals by the upstream, by error code",
            ),
            breaker_state: gauge(
                registry,
                "breaker_state",
                "0: calls go through; 1: upstream is unreachable, calls are refused at once but for a probe a second",
            ),
            breaker_refused: counter(
                registry,
                "breaker_refused",
                "Attempts not made because the upstream was known to be unreachable",
            ),
            tokens: gauge(registry, "tokens", "Control tokens that are kept"),
            token_requests: counters(
                registry,
                "token_requests",
                "Control tokens asked for, by what came of it",
                "result",
                TokenRequest::LABELS,
            ),
            token_lookups: counters(
                registry,
                "token_lookups",
                "Attempts of calls with a password, by where their token came from",
                "result",
                TokenLookup::LABELS,
            ),
        }
    }

    /// An attempt ended after `elapsed`.
    pub(super) fn attempt(&self, end: AttemptEnd, elapsed: Duration) {
        self.attempts[end as usize].inc();
        self.attempt_seconds.observe(elapsed.as_secs_f64());
    }

    /// An attempt follows another.
    pub(super) fn retry(&self, reason: RetryReason) {
        self.retries[reason as usize].inc();
    }

    /// Asking for a token has ended.
    pub(super) fn token_request(&self, end: TokenRequest) {
        self.token_requests[end as usize].inc();
    }

    /// A call with a password has looked for a token.
    pub(super) fn token_lookup(&self, found: TokenLookup) {
        self.token_lookups[found as usize].inc();
    }

    /// The upstream refused; `code` is a code of the table, `None` for any other.
    pub(super) fn refused(&self, code: Option<&'static str>) {
        self.errors
            .get_or_create(&[("error_code", code.unwrap_or("other"))])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_upstream_is_counted_by_closed_sets() {
        let mut page = crate::telemetry::metrics::Metrics::default();
        let upstream = Metrics::register(page.registry());
        for end in [
            AttemptEnd::Accepted,
            AttemptEnd::Refused,
            AttemptEnd::NotSent,
            AttemptEnd::NoAnswer,
            AttemptEnd::Cancelled,
        ] {
            upstream.attempt(end, Duration::from_millis(1));
        }
        for reason in [
            RetryReason::NotSent,
            RetryReason::Refused,
            RetryReason::Unknown,
            RetryReason::StaleConnection,
        ] {
            upstream.retry(reason);
        }
        upstream.refused(Some("MMC.111072005"));
        upstream.refused(None);
        upstream.budget_spent.inc();
        upstream.breaker_state.set(1);
        let page = page.page();
        for line in [
            "meeting_control_upstream_attempts_total{outcome=\"accepted\"} 1\n",
            "meeting_control_upstream_attempts_total{outcome=\"refused\"} 1\n",
            "meeting_control_upstream_attempts_total{outcome=\"not_sent\"} 1\n",
            "meeting_control_upstream_attempts_total{outcome=\"no_answer\"} 1\n",
            "meeting_control_upstream_attempts_total{outcome=\"cancelled\"} 1\n",
            "meeting_control_upstream_attempt_seconds_count 5\n",
            "meeting_control_upstream_retries_total{reason=\"not_sent\"} 1\n",
            "meeting_control_upstream_retries_total{reason=\"refused\"} 1\n",
            "meeting_control_upstream_retries_total{reason=\"unknown\"} 1\n",
            "meeting_control_upstream_retries_total{reason=\"stale_connection\"} 1\n",
            "meeting_control_upstream_retry_budget_exhausted_total 1\n",
            "meeting_control_upstream_errors_total{error_code=\"MMC.111072005\"} 1\n",
            "meeting_control_upstream_errors_total{error_code=\"other\"} 1\n",
            "meeting_control_breaker_state 1\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }
}
