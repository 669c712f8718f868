//! The one log line of a failed call: readable alone, with every value as a field.

use tonic::Code;

use super::{Verdict, code_name};
use crate::call::Call;

/// How loud a failure is in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loudness {
    /// Someone must act.
    Error,
    /// It passes, but it should not happen often.
    Warn,
    /// The caller's own affair.
    Info,
}

macro_rules! line {
    ($level:ident, $verdict:expr, $call:expr) => {{
        let (verdict, call) = ($verdict, $call);
        tracing::$level!(
            request_id = call.request_id(),
            trace_id = call.trace_id(),
            conference_id = call.conference_id(),
            peer = call.peer.identity(),
            grpc_code = code_name(verdict.code),
            reason = verdict.reason,
            domain = verdict.domain,
            outcome = verdict.value("outcome"),
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
            code_name(verdict.code),
            verdict.message,
        )
    }};
}

impl Verdict {
    pub(super) fn log(&self, call: &Call) {
        match self.loudness() {
            Loudness::Error => line!(error, self, call),
            Loudness::Warn => line!(warn, self, call),
            Loudness::Info => line!(info, self, call),
        }
    }

    pub(super) fn loudness(&self) -> Loudness {
        if self.alarming {
            return Loudness::Error;
        }
        match self.code {
            Code::Internal | Code::Unknown | Code::DataLoss => Loudness::Error,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted => Loudness::Warn,
            Code::Ok
            | Code::Cancelled
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Loudness::Info,
        }
    }
}
