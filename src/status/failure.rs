//! A call to the upstream that brought no usable answer, as a verdict.

use tonic::Code;

use super::verdict::{Verdict, fate};
use crate::call::Outcome;
use crate::causes::causes;
use crate::upstream::UpstreamError;

impl Verdict {
    /// Judges a failure of the upstream, `outcome` being what the whole call leaves behind.
    pub fn failed(error: &UpstreamError, outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::of(error, outcome)
        }
    }

    fn of(error: &UpstreamError, outcome: Outcome) -> Self {
        let fate = fate(outcome);
        let (code, reason, sentence) = match error {
            UpstreamError::Refused(refusal) => return Self::refused(refusal, outcome),
            UpstreamError::NameNotFound(_) => (
                Code::Unavailable,
                "UPSTREAM_NAME_NOT_FOUND",
                "The REST API's host name was not found",
            ),
            UpstreamError::ConnectFailed(_) => (
                Code::Unavailable,
                "UPSTREAM_UNREACHABLE",
                "The REST API could not be reached",
            ),
            UpstreamError::ConnectTimedOut(_) => (
                Code::Unavailable,
                "UPSTREAM_CONNECT_TIMEOUT",
                "The REST API could not be reached in time",
            ),
            UpstreamError::TlsFailed(_) => (
                Code::Unavailable,
                "UPSTREAM_TLS_FAILED",
                "No secure connection to the REST API could be made",
            ),
            UpstreamError::ConnectionLost { .. } => (
                Code::Unavailable,
                "UPSTREAM_CONNECTION_LOST",
                "The connection to the REST API broke before its answer was complete",
            ),
            UpstreamError::NotHttp(_) => (
                Code::Internal,
                "UPSTREAM_NOT_HTTP",
                "The REST API's answer is not HTTP",
            ),
            UpstreamError::NotTaken { .. } => (
                Code::Unavailable,
                "UPSTREAM_NOT_TAKEN",
                "The REST API did not take the request on",
            ),
            UpstreamError::AttemptTimedOut { limit, .. } => {
                let limit = humantime::format_duration(*limit);
                let message = format!("The REST API did not answer within {limit}; {fate}.");
                return Self::ours(Code::DeadlineExceeded, "UPSTREAM_TIMEOUT", message);
            }
            UpstreamError::KnownDown(wait) => {
                let message =
                    format!("The REST API is known to be down and was not asked; {fate}.");
                return Self {
                    retry_after: Some(*wait),
                    ..Self::ours(Code::Unavailable, "UPSTREAM_DOWN", message)
                };
            }
            UpstreamError::DeadlineExceeded { allowed, .. } => {
                let limit = humantime::format_duration(*allowed);
                let message = format!(
                    "The deadline of {limit} passed without an answer from the REST API; {fate}."
                );
                return Self::ours(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message);
            }
        };
        Self {
            cause: Some(causes(error)),
            alarming: matches!(error, UpstreamError::TlsFailed(_)),
            ..Self::ours(code, reason, format!("{sentence}; {fate}."))
        }
    }
}
