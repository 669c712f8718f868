//! What the upstream's error codes and HTTP statuses mean: two tables, and the way to look them up.
//!
//! The vendor publishes no complete list. [`Evidence`] says how sure each row is.

use tonic::Code;

use crate::call::Outcome;

mod known;
mod table;

pub use known::{Evidence, Known, PasswordDoubt, Retry};
pub use table::TABLE;

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
    /// Whether it says that the credential of the request is not good: a token, or a password.
    pub rejects_credential: bool,
}

/// Finds the row of a code, in whatever spelling the upstream used; `status` decides where a code has
/// several meanings.
pub fn find(code: &str, status: u16) -> Option<&'static Known> {
    let (_, number) = code.split_once('.').unwrap_or(("", code));
    TABLE
        .iter()
        // Rules out nearly all rows at once: a body may hold thousands of codes.
        .filter(|row| row.code.ends_with(number))
        .filter(|row| row.status.is_none_or(|of_row| of_row == status))
        .find(|row| row.is_called(code))
}

/// Whether a code looks like one of the vendor's, known or not: of the meeting service, the user service, or
/// a gateway.
pub fn is_of_the_vendor(code: &str) -> bool {
    const PREFIXES: [&str; 4] = ["MMC", "USG", "APIG", "APIGW"];
    code.split_once('.').is_some_and(|(prefix, number)| {
        let is_prefix = |known: &str| known.eq_ignore_ascii_case(prefix);
        PREFIXES.into_iter().any(is_prefix) && !number.is_empty()
    })
}

/// Whether a code is one of the meeting service's, known or not: by its prefix, or as nine digits alone.
pub fn is_of_the_api(code: &str) -> bool {
    let nine_digits = code.len() == 9 && code.bytes().all(|byte| byte.is_ascii_digit());
    nine_digits || is_quoted(code)
}

/// Whether a code of the meeting service stands anywhere in a text, known or not.
pub fn is_quoted(text: &str) -> bool {
    const PREFIX: &[u8] = b"MMC.";
    let mut parts = text.as_bytes().windows(PREFIX.len());
    parts.any(|part| part.eq_ignore_ascii_case(PREFIX))
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
        // Whatever wrote it saw its client hang up, which says nothing of what lies behind.
        499 => (Unavailable, Unknown, Backoff, "was cut off on the way"),
        400..=499 => (FailedPrecondition, NotApplied, Never, "refused the change"),
        502 | 503 => (Unavailable, Unknown, Backoff, "is not available"),
        // It is how a change that was made may be answered, too.
        303 => (Internal, Unknown, Never, "answered with a redirect, which is not followed"),
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
        rejects_credential: status == 401,
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
    fn a_login_or_user_that_is_locked_is_told_apart_from_a_wrong_password() {
        for row in TABLE {
            // A meeting that is locked is FAILED_PRECONDITION.
            let is_locked = row.grpc == Code::ResourceExhausted && row.symbol.contains("LOCKED");
            assert_eq!(
                row.password == PasswordDoubt::Locked,
                is_locked,
                "{}",
                row.code
            );
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
    fn what_is_no_known_code_is_not_found_but_told_by_its_shape() {
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
        for (code, of_the_vendor, of_the_api) in [
            ("MMC.111099998", true, true),
            ("mmc.x", true, true),
            ("111099998", false, true),
            ("USG.1", true, false),
            ("apigw.0101", true, false),
            ("APIG.", false, false),
            ("APIG", false, false),
            ("XYZ.1", false, false),
            ("11109999", false, false),
            ("1110999980", false, false),
            ("11109999x", false, false),
        ] {
            assert_eq!(is_of_the_vendor(code), of_the_vendor, "{code}");
            assert_eq!(is_of_the_api(code), of_the_api, "{code}");
        }
        assert!(find("APIG.0201", 418).is_none(), "no row for this status");
        assert!(find("XYZ.0101", 404).is_none(), "not the gateway's prefix");
        assert!(
            find("APIGW.111072005", 400).is_none(),
            "not the gateway's number"
        );
    }
}
