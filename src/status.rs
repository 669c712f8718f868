//! Every way in which a call fails, as a [`Verdict`]; it is made a gRPC [`Status`] here, and one line in the
//! log in [`Verdict::report`].
//!
//! The only room that makes a [`Status`]. The caller gets a sentence that stands alone and typed
//! details; what is of use only to an operator, such as the chain of causes, goes to the log.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::call::{Call, Outcome};
use crate::command::{InvalidRequest, Violation};
use crate::names::{AUTHORIZATION, UPSTREAM_REQUEST_ID};

mod failure;
mod refusal;
mod report;

/// `ErrorInfo.domain` when the upstream said no.
pub const VENDOR_DOMAIN: &str = "meeting.huaweicloud.com";
/// `ErrorInfo.domain` when the façade did.
pub const OUR_DOMAIN: &str = "meeting-control";

/// What a caller is asked to wait when too many calls are under way.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);
/// Tells a caller that compresses what would be understood.
const ENCODINGS: &str = "grpc-accept-encoding";

/// Why a call failed, told in full. A value: making it tells nobody.
#[derive(Debug)]
pub struct Verdict {
    code: Code,
    domain: &'static str,
    reason: String,
    message: String,
    outcome: Outcome,
    /// What `ErrorInfo` says beside the outcome and the attempts.
    metadata: Vec<(&'static str, String)>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    encodings: Option<MetadataValue<tonic::metadata::Ascii>>,
    /// For the log alone.
    cause: Option<String>,
    /// Whether someone must act, whatever the code says.
    alarming: bool,
}

// === Why a call failed ===

impl Verdict {
    /// The request breaks rules, or has no token; nothing was sent.
    pub fn invalid(request: InvalidRequest) -> Self {
        let all: Vec<_> = request.violations.iter().map(sentence).collect();
        let all = all.join("; ");
        let verdict = if request.token_missing {
            let also = if all.is_empty() {
                String::new()
            } else {
                format!("; also: {all}")
            };
            let message = format!(
                "The meeting control token is missing: send it as metadata {AUTHORIZATION}{also}."
            );
            Self::ours(Code::Unauthenticated, "TOKEN_MISSING", message)
        } else {
            let message = format!("The request is invalid: {all}.");
            Self::ours(Code::InvalidArgument, "INVALID_REQUEST", message)
        };
        let violations = request
            .violations
            .into_iter()
            .map(|violation| FieldViolation::new(violation.field, violation.description));
        Self {
            violations: violations.collect(),
            ..verdict
        }
    }

    /// The request could not even be read, and the framework says why. Its words go to the log: it calls
    /// INTERNAL or OUT_OF_RANGE what to the caller is a fault of the request.
    pub fn unreadable(framework: &Status) -> Self {
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
        Self {
            cause: Some(framework.message().to_owned()),
            encodings: framework.metadata().get(ENCODINGS).cloned(),
            ..Self::ours(code, reason, sentence.to_owned())
        }
    }

    /// The deadline passed, and not even the rooms below have said so: as a rule because the request
    /// message has not arrived whole.
    pub fn late(call: &Call) -> Self {
        let limit = humantime::format_duration(call.deadline.allowed());
        let fate = fate(call.outcome());
        let (reason, message) = if !call.is_received() {
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
        Self {
            outcome: call.outcome(),
            ..Self::ours(Code::DeadlineExceeded, reason, message)
        }
    }

    /// The peer's certificate has no name that may call.
    pub fn not_admitted() -> Self {
        let message = "The name in the client certificate is not allowed to call here.".to_owned();
        Self::ours(Code::PermissionDenied, "CLIENT_NOT_ALLOWED", message)
    }

    /// Too many calls are under way here.
    pub fn overloaded() -> Self {
        let message = "Too many calls are under way here; nothing was sent.".to_owned();
        Self {
            retry_after: Some(OVERLOAD_PAUSE),
            ..Self::ours(Code::ResourceExhausted, "OVERLOADED", message)
        }
    }

    /// A bug: the call panicked, or a layer failed in a way that none is made for.
    pub fn broken(cause: String) -> Self {
        // Nothing else that happened to the call can be relied upon.
        let outcome = Outcome::Unknown;
        let fate = fate(outcome);
        let message = format!("The façade failed unexpectedly, for this call alone; {fate}.");
        Self {
            outcome,
            cause: Some(cause),
            ..Self::ours(Code::Internal, "INTERNAL_FAULT", message)
        }
    }

    /// The caller went away, and nobody is left to read a status.
    pub fn cancelled(call: &Call) -> Self {
        let message = "The caller went away before the answer.".to_owned();
        Self {
            outcome: call.outcome(),
            ..Self::ours(Code::Cancelled, "CALLER_GONE", message)
        }
    }

    /// We closed the connection before the answer; the caller sees that as UNAVAILABLE.
    pub fn cut_off(call: &Call) -> Self {
        let message = "The call was cut off: its time to finish after GOAWAY was over.".to_owned();
        Self {
            outcome: call.outcome(),
            ..Self::ours(Code::Unavailable, "SHUTTING_DOWN", message)
        }
    }

    /// The verdict of the façade itself on a call of which nothing was sent.
    fn ours(code: Code, reason: &str, message: String) -> Self {
        Self {
            code,
            domain: OUR_DOMAIN,
            reason: reason.to_owned(),
            message,
            outcome: Outcome::NotApplied,
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
            encodings: None,
            cause: None,
            alarming: false,
        }
    }
}

// === What becomes of a verdict ===

impl Verdict {
    /// The verdict behind a status that this room made.
    pub fn behind(status: &Status) -> Option<&Self> {
        status.source()?.downcast_ref()
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the settings may have changed.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The status that the caller of `call` gets. The verdict stays [behind](Self::behind) it.
    pub fn into_status(self, call: &Call) -> Status {
        let mut headers = MetadataMap::new();
        if let Some(id) = self.value("upstream_request_id")
            && let Ok(id) = MetadataValue::try_from(id)
        {
            headers.insert(UPSTREAM_REQUEST_ID.as_str(), id);
        }
        if let Some(encodings) = &self.encodings {
            headers.insert(ENCODINGS, encodings.clone());
        }
        let own = [
            ("outcome", self.outcome.to_string()),
            ("attempts", call.attempts().to_string()),
        ];
        let metadata: HashMap<String, String> = own
            .into_iter()
            .chain(self.metadata.iter().cloned())
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(&self.reason, self.domain, metadata);
        details.set_request_info(call.request_id(), "");
        if !self.violations.is_empty() {
            details.set_bad_request(self.violations.clone());
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let mut status =
            Status::with_error_details_and_metadata(self.code, &self.message, details, headers);
        status.set_source(Arc::new(self));
        status
    }

    fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.metadata.iter().find(|(name, _)| *name == key)?;
        Some(value)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Verdict {}

/// A call that did not come through the door, where its record is made: a bug in the wiring.
pub fn unannounced() -> Status {
    Status::internal("The call has no record; this is a bug in the façade.")
}

fn sentence(violation: &Violation) -> String {
    match violation.field {
        Violation::WHOLE_REQUEST => violation.description.clone(),
        field => format!("{field} {}", violation.description),
    }
}

/// What an outcome means to the caller, to end a sentence.
fn fate(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "nothing was changed",
        Outcome::Unknown => "the settings may have changed",
    }
}
