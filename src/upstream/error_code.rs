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
    /// Whether the code refuses one setting and says nothing of others in the same request, which may
    /// have been changed before.
    pub of_one_setting: bool,
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

/// Finds the row of a code, in whatever spelling the REST side used; `status` decides where a code has
/// several meanings.
pub fn find(code: &str, status: u16) -> Option<&'static Known> {
    TABLE
        .iter()
        .filter(|row| row.status.is_none_or(|of_row| of_row == status))
        .find(|row| row.is_called(code))
}

impl Known {
    /// Whether `code` means this row, in any case: with its prefix, `APIGW.` for `APIG.`, or as nine
    /// digits alone. The gateway's four digits are too common to be taken for its own.
    pub fn is_called(&self, code: &str) -> bool {
        let Some((prefix, digits)) = self.code.split_once('.') else {
            return false;
        };
        match code.split_once('.') {
            None => code == digits && digits.len() == 9,
            Some((sent, rest)) => {
                let of_gateway = prefix == "APIG" && sent.eq_ignore_ascii_case("APIGW");
                rest == digits && (of_gateway || sent.eq_ignore_ascii_case(prefix))
            }
        }
    }
}

/// What an HTTP status means on its own.
#[rustfmt::skip] // one row per line
pub fn by_status(status: u16) -> Meaning {
    use Code::*;
    use Outcome::{NotApplied, Unknown};
    use Retry::{Backoff, Never};

    let (grpc, outcome, retry, explanation) = match status {
        400 | 413 | 414 | 422 | 494 => (InvalidArgument, NotApplied, Never, "rejected the request as invalid"),
        401 => (Unauthenticated, NotApplied, Never, "rejected the control token"),
        403 => (PermissionDenied, NotApplied, Never, "does not allow this change"),
        404 | 410 => (NotFound, NotApplied, Never, "found nothing at this address or no such meeting"),
        405 | 501 => (Unimplemented, NotApplied, Never, "does not know this operation"),
        408 | 504 => (DeadlineExceeded, Unknown, Backoff, "timed out"),
        409 => (Aborted, NotApplied, Never, "found a conflict with another change"),
        429 => (ResourceExhausted, NotApplied, Backoff, "is throttling calls"),
        400..=499 => (FailedPrecondition, NotApplied, Never, "refused the change"),
        502 | 503 => (Unavailable, Unknown, Backoff, "is not available"),
        300..=399 => (Internal, NotApplied, Never, "answered with a redirect, which is not followed"),
        100..=199 => (Internal, Unknown, Never, "answered with an unfinished response"),
        200..=299 => (Internal, Unknown, Never, "reported a failure inside a success"),
        _ => (Internal, Unknown, Never, "failed"),
    };
    Meaning {
        grpc,
        outcome,
        retry,
        explanation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_row_comes_twice() {
        for pair in TABLE.windows(2) {
            let [first, second] = pair else { continue };
            let key = |row: &Known| (row.code, row.status);
            assert!(key(first) < key(second), "{} {}", first.code, second.code);
        }
    }

    #[test]
    fn every_symbol_can_stand_as_a_reason_and_every_explanation_as_a_sentence() {
        for row in TABLE {
            let symbol = row.symbol.as_bytes();
            let upper_snake = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
            assert!((2..=63).contains(&symbol.len()), "{}", row.symbol);
            assert!(symbol.iter().all(upper_snake), "{}", row.symbol);
            assert!(symbol[0].is_ascii_uppercase(), "{}", row.symbol);
            assert_ne!(symbol.last(), Some(&b'_'), "{}", row.symbol);
            let explanation = row.explanation;
            assert!(
                explanation.starts_with(|c: char| c.is_uppercase()),
                "{explanation}"
            );
            assert!(!explanation.ends_with('.'), "{explanation}");
            assert_ne!(row.grpc, Code::Ok, "{}", row.code);
        }
    }

    #[test]
    fn every_row_is_found_in_each_spelling() {
        for row in TABLE {
            let status = row.status.unwrap_or(400);
            let (_, digits) = row.code.split_once('.').unwrap();
            let mut spellings = vec![row.code.to_owned(), row.code.to_lowercase()];
            if row.code.starts_with("APIG.") {
                spellings.push(format!("APIGW.{digits}"));
            } else {
                spellings.push(digits.to_owned());
            }
            for spelling in spellings {
                let found = find(&spelling, status).map(|row| (row.code, row.status));
                assert_eq!(found, Some((row.code, row.status)), "{spelling}");
            }
        }
    }

    #[test]
    fn what_is_no_known_code_is_not_found() {
        for code in [
            "",
            "MMC.",
            "MMC.1",
            "0",
            "XYZ.111072005",
            "MMC.111072005 ",
            "MMC",
            "1001",
            "0101",
        ] {
            assert!(find(code, 400).is_none(), "{code:?}");
        }
        assert!(find("APIG.0201", 418).is_none(), "no row for this status");
        assert!(find("XYZ.0101", 404).is_none(), "not the gateway's prefix");
        assert!(
            find("APIGW.111072005", 400).is_none(),
            "not the gateway's number"
        );
    }
}
