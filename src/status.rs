//! Every way in which a call fails becomes a [`Verdict`] here, a value. Two verbs act on it:
//! [`Verdict::into_status`] tells the caller, [`Verdict::report`] the operator.
//!
//! The only room that makes a [`Status`] for callers. They get a sentence that stands alone and typed
//! details; what is of use only to an operator, such as the chain of causes, goes to the log.

use tonic::{Code, Status};
use tonic_types::FieldViolation;

use crate::call::Call;
use crate::command::{InvalidRequest, Violation};
use crate::names::{AUTHORIZATION, PASSWORD};

mod failure;
mod refusal;
mod report;
mod stage;
mod verdict;

pub use verdict::{OUR_DOMAIN, VENDOR_DOMAIN, Verdict};

use verdict::{ENCODINGS, OVERLOAD_PAUSE, fate};

/// Whose limit keeps a call out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// The one of all calls.
    All,
    /// The caller's own.
    Caller,
}

impl Verdict {
    /// The request breaks rules, or has no credential; nothing was sent.
    pub fn invalid(request: InvalidRequest) -> Self {
        let all: Vec<_> = request.violations.iter().map(sentence).collect();
        let all = all.join("; ");
        let verdict = if request.credential_missing {
            let also = if all.is_empty() {
                String::new()
            } else {
                format!("; also: {all}")
            };
            let message = format!(
                "A credential is missing: send the meeting control token as metadata {AUTHORIZATION}, or \
                 the host password as {PASSWORD}{also}."
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

    /// The request has more headers than are taken.
    pub fn too_many_headers(fields: usize, bytes: usize, max: (usize, usize)) -> Self {
        let message = format!(
            "The request has {fields} header fields of {bytes} bytes, and at most {} of {} bytes are taken; \
             nothing was sent.",
            max.0, max.1
        );
        Self::ours(Code::InvalidArgument, "TOO_MANY_HEADERS", message)
    }

    /// Too many calls are under way here.
    pub fn overloaded(shed: Shed) -> Self {
        let message = match shed {
            Shed::All => "Too many calls are under way here; nothing was sent.",
            Shed::Caller => {
                "Too many calls of this caller are under way while permits are short; nothing was sent."
            }
        };
        let message = message.to_owned();
        Self {
            retry_after: Some(OVERLOAD_PAUSE),
            ..Self::ours(Code::ResourceExhausted, "OVERLOADED", message)
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

    /// We closed the connection because its client costs the others too much.
    pub fn thrown_out(call: &Call) -> Self {
        let message = "The connection was closed: its client left answers, reset streams as fast as it could, \
                       or did not end its headers."
            .to_owned();
        Self {
            outcome: call.outcome(),
            ..Self::ours(Code::Unavailable, "CONNECTION_ABUSED", message)
        }
    }
}

/// A call that did not come through the door, where its record is made: a bug in the wiring.
pub fn unannounced() -> Status {
    Status::internal("The call has no record; this is a bug in the façade.")
}

/// A connection has too many streams of health or reflection, which last.
pub fn too_many_streams() -> Status {
    Status::resource_exhausted("This connection has too many streams of this kind; end one first.")
}

fn sentence(violation: &Violation) -> String {
    match violation.field {
        Violation::WHOLE_REQUEST => violation.description.clone(),
        field => format!("{field} {}", violation.description),
    }
}
