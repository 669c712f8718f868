//! The one log line of a failed call: readable alone, with every value as a field.

use tonic::Code;
use tracing::Level;

use super::verdict::Verdict;
use crate::call::Call;
use crate::names;

macro_rules! line {
    ($level:expr, $verdict:expr, $call:expr) => {{
        let (verdict, call) = ($verdict, $call);
        tracing::event!(
            $level,
            request_id = call.request_id(),
            trace_id = call.trace_id(),
            conference_id = call.conference_id(),
            peer = call.peer.identity(),
            grpc_code = names::code(verdict.code),
            reason = verdict.reason,
            domain = verdict.domain,
            stage = verdict.value("stage"),
            outcome = verdict.outcome.as_str(),
            attempts = call.attempts(),
            elapsed_ms = call.elapsed_ms(),
            http_status = verdict
                .value("http_status")
                .and_then(|status| status.parse::<u16>().ok()),
            error_code = verdict.value("error_code"),
            error_msg = verdict.value("error_msg"),
            upstream_request_id = verdict.value("upstream_request_id"),
            cause = verdict.cause,
            "{}: {}",
            names::code(verdict.code),
            verdict.message,
        )
    }};
}

impl Verdict {
    /// Tells the verdict on `call` to the operator.
    pub fn report(&self, call: &Call) {
        match self.level() {
            Level::ERROR => line!(Level::ERROR, self, call),
            Level::WARN => line!(Level::WARN, self, call),
            _ => line!(Level::INFO, self, call),
        }
    }

    /// ERROR: someone must act. WARN: it passes, but should not happen often. INFO: the caller's own affair.
    pub(super) fn level(&self) -> Level {
        if self.alarming {
            return Level::ERROR;
        }
        match self.code {
            Code::Internal | Code::Unknown | Code::DataLoss => Level::ERROR,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted => Level::WARN,
            Code::Ok
            | Code::Cancelled
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Level::INFO,
        }
    }
}

#[cfg(test)]
mod tests;
