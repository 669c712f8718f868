//! Every way in which a call fails becomes a gRPC status here, and one line in the log.
//!
//! The only room that makes a [`Status`]. The caller gets a sentence that stands alone and typed
//! details; what is of use only to an operator, such as the chain of causes, goes to the log.

use std::collections::HashMap;
use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::call::{Call, Outcome, UPSTREAM_REQUEST_ID};
use crate::command::{Rejection, TOKEN, Violation};
use crate::upstream::UpstreamError;

mod failure;
mod log;
mod refusal;

/// `ErrorInfo.domain` when the REST side said no.
pub const VENDOR_DOMAIN: &str = "meeting.huaweicloud.com";
/// `ErrorInfo.domain` when the façade did.
pub const OUR_DOMAIN: &str = "meeting-control";

/// What a caller is asked to wait when too many calls are under way.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// A failed call, told in full.
#[derive(Debug)]
struct Verdict {
    code: Code,
    domain: &'static str,
    reason: String,
    message: String,
    metadata: Vec<(&'static str, String)>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    cause: Option<String>,
    /// Whether someone must act, whatever the code says.
    alarming: bool,
}

/// The request breaks rules, or has no token; nothing was sent.
pub fn rejected(call: &Call, rejection: Rejection) -> Status {
    if let Some(id) = &rejection.conference_id {
        call.concerns(id);
    }
    let faults: Vec<_> = rejection.violations.iter().map(sentence).collect();
    let faults = faults.join("; ");
    let verdict = if rejection.token_missing {
        let also = if faults.is_empty() {
            String::new()
        } else {
            format!("; also: {faults}")
        };
        let message =
            format!("The meeting control token is missing: send it as metadata {TOKEN}{also}.");
        Verdict::ours(Code::Unauthenticated, "TOKEN_MISSING", message)
    } else {
        let message = format!("The request is invalid: {faults}.");
        Verdict::ours(Code::InvalidArgument, "INVALID_REQUEST", message)
    };
    let violations = rejection
        .violations
        .into_iter()
        .map(|violation| FieldViolation::new(violation.field, violation.description))
        .collect();
    Verdict {
        violations,
        ..verdict
    }
    .close(call)
}

fn sentence(violation: &Violation) -> String {
    match violation.field {
        Violation::WHOLE_REQUEST => violation.description.clone(),
        field => format!("{field} {}", violation.description),
    }
}

/// The REST side refused, or gave no usable answer.
pub fn failed(call: &Call, error: &UpstreamError) -> Status {
    Verdict::of(error, call.outcome()).close(call)
}

/// The request could not even be read, and the framework says why. Its words go to the log: it calls
/// INTERNAL or OUT_OF_RANGE what to the caller is a fault of the request.
pub fn unreadable(call: &Call, framework: &Status) -> Status {
    let (code, reason, sentence) = match framework.code() {
        Code::Unimplemented => (
            Code::Unimplemented,
            "NOT_SUPPORTED",
            "This service, method or encoding is not supported.",
        ),
        Code::OutOfRange => (
            Code::InvalidArgument,
            "REQUEST_UNREADABLE",
            "The request message is too large.",
        ),
        _ => (
            Code::InvalidArgument,
            "REQUEST_UNREADABLE",
            "The request message could not be read as what the contract describes.",
        ),
    };
    let mut status = Verdict {
        cause: Some(framework.message().to_owned()),
        ..Verdict::ours(code, reason, sentence.to_owned())
    }
    .close(call);
    // It tells a caller that compresses what would be understood.
    const ENCODINGS: &str = "grpc-accept-encoding";
    if let Some(encodings) = framework.metadata().get(ENCODINGS) {
        status.metadata_mut().insert(ENCODINGS, encodings.clone());
    }
    status
}

/// The deadline passed, and not even the rooms below have said so: as a rule because the request message
/// has not arrived whole.
pub fn late(call: &Call) -> Status {
    let limit = humantime::format_duration(call.deadline.allowed());
    let fate = fate(call.outcome());
    let (reason, message) = if !call.has_arrived() {
        (
            "REQUEST_INCOMPLETE",
            format!("The request message did not arrive in time; {fate}."),
        )
    } else {
        (
            "DEADLINE_EXCEEDED",
            format!("The deadline of {limit} passed; {fate}."),
        )
    };
    Verdict::ours(Code::DeadlineExceeded, reason, message).close(call)
}

/// The peer's certificate has no name that may call; `call` is there where calls are recorded.
pub fn not_admitted(call: Option<&Call>) -> Status {
    let message = "The name in the client certificate is not allowed to call here.".to_owned();
    let verdict = Verdict::ours(Code::PermissionDenied, "CLIENT_NOT_ALLOWED", message);
    match call {
        Some(call) => verdict.close(call),
        None => Status::permission_denied(verdict.message),
    }
}

/// Too many calls are under way here.
pub fn overloaded(call: &Call) -> Status {
    let message = "Too many calls are under way here; nothing was sent.".to_owned();
    Verdict {
        retry_after: Some(OVERLOAD_PAUSE),
        ..Verdict::ours(Code::ResourceExhausted, "OVERLOADED", message)
    }
    .close(call)
}

/// A bug: the call panicked, or a layer failed in a way that none is made for.
pub fn broken(call: &Call, cause: String) -> Status {
    // Nothing else that happened to the call can be relied upon.
    let fate = fate(Outcome::Unknown);
    let message = format!("The façade failed unexpectedly, for this call alone; {fate}.");
    Verdict {
        metadata: vec![("outcome", Outcome::Unknown.to_string())],
        cause: Some(cause),
        ..Verdict::ours(Code::Internal, "INTERNAL_FAULT", message)
    }
    .close(call)
}

/// A call that did not come through the door, where its record is made: a bug in the wiring.
pub fn unannounced() -> Status {
    Status::internal("The call has no record; this is a bug in the façade.")
}

/// For a client: there is no façade at `address`.
pub fn unreachable(address: &http::Uri, cause: &(dyn std::error::Error + 'static)) -> Status {
    let cause = crate::upstream::causes(cause);
    Status::unavailable(format!("No façade answers at {address}: {cause}."))
}

/// For a client: no answer came from a façade in time.
pub fn unanswered() -> Status {
    Status::deadline_exceeded("The façade did not answer in time; the settings may have changed.")
}

/// The caller went away; nobody is left to read a status, so it goes to the log alone.
pub fn cancelled(call: &Call) {
    let message = "The caller went away before the answer.".to_owned();
    Verdict::ours(Code::Cancelled, "CALLER_GONE", message).close(call);
}

/// We closed the connection before the answer; the caller sees that as UNAVAILABLE, and the log says it.
pub fn cut_off(call: &Call) {
    let message = "The call was cut off: its time to finish after GOAWAY was over.".to_owned();
    Verdict::ours(Code::Unavailable, "SHUTTING_DOWN", message).close(call);
}

/// The name of a code in the gRPC specification, such as `FAILED_PRECONDITION`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What an outcome means to the caller, to end a sentence.
fn fate(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "nothing was changed",
        Outcome::Unknown => "the settings may have changed",
    }
}

// === impl Verdict ===

impl Verdict {
    fn ours(code: Code, reason: &str, message: String) -> Self {
        Self {
            code,
            domain: OUR_DOMAIN,
            reason: reason.to_owned(),
            message,
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
            cause: None,
            alarming: false,
        }
    }

    fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.metadata.iter().find(|(name, _)| *name == key)?;
        Some(value)
    }

    /// Writes the log line and makes the status.
    fn close(mut self, call: &Call) -> Status {
        if !self.metadata.iter().any(|(key, _)| *key == "outcome") {
            self.metadata.push(("outcome", call.outcome().to_string()));
        }
        self.metadata
            .push(("attempts", call.attempts().to_string()));
        self.log(call);

        let mut headers = MetadataMap::new();
        if let Some(id) = self.value("upstream_request_id")
            && let Ok(id) = MetadataValue::try_from(id)
        {
            headers.insert(UPSTREAM_REQUEST_ID, id);
        }
        let metadata: HashMap<String, String> = self
            .metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(self.reason, self.domain, metadata);
        details.set_request_info(call.request_id(), "");
        if !self.violations.is_empty() {
            details.set_bad_request(self.violations);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        Status::with_error_details_and_metadata(self.code, self.message, details, headers)
    }
}
