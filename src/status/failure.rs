//! A call to the upstream that brought no usable answer, as a verdict.

use tonic::Code;

use super::stage::Stage;
use super::verdict::{OVERLOAD_PAUSE, Verdict, fate};
use crate::call::Outcome;
use crate::causes::causes;
use crate::names::{AUTHORIZATION, PASSWORD};
use crate::upstream::UpstreamError;
use crate::upstream::error::Withheld;

impl Verdict {
    /// Judges a failure of the upstream, `outcome` being what the whole call leaves behind.
    pub fn failed(error: &UpstreamError, outcome: Outcome) -> Self {
        let (stage, error) = match error {
            UpstreamError::NoToken(error) => (Stage::Token, &**error),
            error => (Stage::Settings, error),
        };
        let mut verdict = Self {
            outcome,
            ..Self::of(error, stage, outcome)
        };
        let is_asked = !matches!(
            error,
            UpstreamError::KnownDown(_) | UpstreamError::Withheld(_)
        );
        if is_asked {
            let stage = ("stage", stage.as_str().to_owned());
            verdict.metadata.push(stage);
        }
        verdict
    }

    fn of(error: &UpstreamError, stage: Stage, outcome: Outcome) -> Self {
        let fate = fate(outcome);
        let (code, reason, sentence) = match error {
            UpstreamError::Refused(refusal) => return Self::refused(refusal, stage, outcome),
            UpstreamError::Withheld(withheld) => return Self::withheld(*withheld, outcome),
            // It has been opened above.
            UpstreamError::NoToken(error) => return Self::of(error, stage, outcome),
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
            UpstreamError::ProxyRefused(_) => (
                Code::Unavailable,
                "PROXY_REFUSED",
                "The proxy on the way to the REST API does not let calls through",
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
            UpstreamError::TokensUnusable => (
                Code::Unavailable,
                "UPSTREAM_TOKENS_UNUSABLE",
                "Each token that the REST API issued was over or displaced before it could be used",
            ),
            UpstreamError::NotTaken { .. } => (
                Code::Unavailable,
                "UPSTREAM_NOT_TAKEN",
                "The REST API did not take the request on",
            ),
            UpstreamError::AttemptTimedOut { limit, .. } => {
                let limit = humantime::format_duration(*limit);
                let sentence = format!("The REST API did not answer within {limit}");
                let message = stage.tell(&sentence, fate);
                return Self::ours(Code::DeadlineExceeded, "UPSTREAM_TIMEOUT", message);
            }
            UpstreamError::KnownDown(wait) => {
                let sentence = "The REST API is known to be down and was not asked";
                let message = stage.tell(sentence, fate);
                return Self {
                    retry_after: Some(*wait),
                    ..Self::ours(Code::Unavailable, "UPSTREAM_DOWN", message)
                };
            }
            UpstreamError::DeadlineExceeded { allowed, .. } => {
                let limit = humantime::format_duration(*allowed);
                let sentence =
                    format!("The deadline of {limit} passed without an answer from the REST API");
                let message = stage.tell(&sentence, fate);
                return Self::ours(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message);
            }
        };
        Self {
            // Of a token, it is told once for all that wait for it.
            cause: (stage == Stage::Settings).then(|| causes(error)),
            alarming: matches!(
                error,
                UpstreamError::TlsFailed(_) | UpstreamError::ProxyRefused(_)
            ),
            ..Self::ours(code, reason, stage.tell(sentence, fate))
        }
    }

    /// No token was asked for.
    fn withheld(withheld: Withheld, outcome: Outcome) -> Self {
        let (code, reason, sentence, wait) = match withheld {
            Withheld::PasswordsOff => (
                Code::Unauthenticated,
                "PASSWORD_NOT_ACCEPTED",
                format!(
                    "Passwords are not accepted here: send the meeting control token as {AUTHORIZATION}"
                ),
                None,
            ),
            Withheld::TooManyPasswords(wait) => (
                Code::ResourceExhausted,
                "TOO_MANY_PASSWORDS",
                format!(
                    "This caller has sent too many passwords as {PASSWORD} that are wrong, or not yet usable, \
                     and the REST API was not asked: it locks meetings"
                ),
                Some(wait),
            ),
            Withheld::NoPlace => (
                Code::ResourceExhausted,
                "TOO_MANY_PASSWORDS",
                format!(
                    "Too many other passwords that this caller sent as {PASSWORD} wait for the REST API's judgement"
                ),
                Some(OVERLOAD_PAUSE),
            ),
            Withheld::Busy => (
                Code::ResourceExhausted,
                "OVERLOADED",
                "Too many tokens are being obtained here".to_owned(),
                Some(OVERLOAD_PAUSE),
            ),
            Withheld::TaskLost => {
                let cause = "the task that obtains a token was lost".to_owned();
                return Self::broken(cause, outcome);
            }
        };
        let fate = fate(outcome);
        Self {
            retry_after: wait,
            ..Self::ours(code, reason, format!("{sentence}; {fate}."))
        }
    }
}
