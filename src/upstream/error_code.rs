//! What the REST side's error codes and HTTP statuses mean: two tables, and the way to look them up.
//!
//! The vendor publishes no complete list. [`Evidence`] says how sure each row is.

use tonic::Code;

use crate::call::Outcome;

mod table;

pub use table::TABLE;

/// One error code and what a caller should make of it.
#[derive(Debug)]
pub struct Known {
    /// The code with its prefix, such as `MMC.111072005`.
    pub code: &'static str,
    /// The HTTP status for which the row holds; `None` for any.
    pub status: Option<u16>,
    /// The vendor's symbol, or ours where the vendor has none.
    pub symbol: &'static str,
    /// The gRPC code.
    pub grpc: Code,
    /// Whether the settings may have changed.
    pub outcome: Outcome,
    /// Whether asking again can help.
    pub retry: Retry,
    /// Where the row comes from.
    pub evidence: Evidence,
    /// One sentence for the caller, without a full stop.
    pub explanation: &'static str,
}

/// What an HTTP status means when no known code came with it.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The gRPC code.
    pub grpc: Code,
    /// Whether the settings may have changed.
    pub outcome: Outcome,
    /// Whether asking again can help.
    pub retry: Retry,
    /// What the status says, to follow "The REST API …".
    pub explanation: &'static str,
}

/// Whether the façade asks again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request would fail again.
    Never,
    /// A second try may succeed, a third would not.
    Once,
    /// It passes; ask again after a pause, as often as allowed.
    Backoff,
}

/// How a row is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Seen in answers of the REST API.
    Seen,
    /// Written in the documentation of the API gateway.
    Documented,
    /// Taken over from the client SDK's table, where the same numbers appear.
    Inferred,
}

/// Finds the row of a code in whatever spelling the REST side used: any case, with or without its
/// prefix, `APIGW.` for `APIG.`; `status` decides where a code has several meanings.
pub fn find(code: &str, status: u16) -> Option<&'static Known> {
    let code = code.to_ascii_uppercase();
    let code = code
        .strip_prefix("APIGW.")
        .map_or_else(|| code.clone(), |digits| format!("APIG.{digits}"));
    TABLE
        .iter()
        .filter(|row| row.status.is_none_or(|of_row| of_row == status))
        .find(|row| row.code == code || digits(row.code) == code)
}

fn digits(code: &str) -> &str {
    code.rsplit('.').next().unwrap_or(code)
}

/// What an HTTP status means on its own.
#[rustfmt::skip] // one row per line
pub fn by_status(status: u16) -> Meaning {
    use Code::*;
    use Outcome::{NotApplied, Unknown as InDoubt};
    use Retry::{Backoff, Never};

    let (grpc, outcome, retry, explanation) = match status {
        400 | 413 | 414 | 422 | 494 => (InvalidArgument, NotApplied, Never, "rejected the request as invalid"),
        401 => (Unauthenticated, NotApplied, Never, "rejected the control token"),
        403 => (PermissionDenied, NotApplied, Never, "does not allow this change"),
        404 | 410 => (NotFound, NotApplied, Never, "found nothing at this address or no such meeting"),
        405 | 501 => (Unimplemented, NotApplied, Never, "does not know this operation"),
        408 | 504 => (DeadlineExceeded, InDoubt, Backoff, "timed out"),
        409 => (Aborted, NotApplied, Never, "found a conflict with another change"),
        429 => (ResourceExhausted, NotApplied, Backoff, "is throttling calls"),
        400..=499 => (FailedPrecondition, NotApplied, Never, "refused the change"),
        502 | 503 => (Unavailable, InDoubt, Backoff, "is not available"),
        300..=399 => (Internal, NotApplied, Never, "answered with a redirect, which is not followed"),
        100..=199 => (Internal, InDoubt, Never, "answered with an unfinished response"),
        200..=299 => (Internal, InDoubt, Never, "reported a failure inside a success"),
        _ => (Internal, InDoubt, Never, "failed"),
    };
    Meaning {
        grpc,
        outcome,
        retry,
        explanation,
    }
}
