//! Conference ids that make the stand-in misbehave, in the manner of a payment provider's test cards.
//!
//! ```text
//! id       = ( failure [ "+" seconds ] | ( "90000200" | "90000400" ) ( "1" … "5" ) ) [ "-" name ]
//! failure  = ( "900000" | "900001" ) status | "900003" 3 digits | code [ "@" ( "200" | status ) ]
//! code     = ( "MMC" | "USG" | "APIG" | "APIGW" ) "." 1 to 9 digits, not all of them 0
//! status   = "400" … "599"
//! seconds  = "0" … "3600"
//! name     = 1 to 64 of A-Z a-z 0-9 . _ -
//! ```
//!
//! Numbers have no leading zeros. Any other id is one of a running meeting. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::StatusCode;

use super::refusal::Refusal;

/// What the stand-in does with a REST call for a meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// The call succeeds.
    Run,
    /// It is refused.
    Refuse(Refusal),
    /// It is refused twice, then succeeds.
    RefuseTwice(Refusal),
    /// It succeeds, after that long.
    Delay(Duration),
    /// It succeeds, with [`HUGE`] bytes.
    Huge,
    /// Nothing is answered.
    Hang,
    /// The connection ends without an HTTP answer.
    Fault(Fault),
}

/// What the stand-in does with a request for a token, whatever it does with changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Issuing {
    /// A token is issued.
    Issue,
    /// A token is issued, after that long.
    Delay(Duration),
    /// It is refused twice, then a token is issued.
    RefuseTwice(Refusal),
    /// The meeting's first token is refused where it is used, as if another had displaced it.
    DisplaceFirst,
    /// A token with that life is issued.
    Short(Duration),
    /// It is refused.
    Refuse(Refusal),
}

/// How a connection ends without an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the connection is cut")]
    Cut,
    #[error("the answer is not HTTP")]
    NotHttp,
}

/// Size of a body that is larger than a caller should read.
pub(super) const HUGE: usize = 1024 * 1024;

const STATUSES: RangeInclusive<u16> = 400..=599;
const MAX_RETRY_AFTER: u16 = 3600;
const MAX_CODE_DIGITS: usize = 9;
const MAX_NAME: usize = 64;

/// What `id` asks for where settings are changed.
pub(super) fn behaviour(id: &str) -> Behaviour {
    asked(id).and_then(special).unwrap_or(Behaviour::Run)
}

/// What `id` asks for where a token is.
pub(super) fn issuing(id: &str) -> Issuing {
    match asked(id) {
        Some("900004001") => Issuing::Delay(Duration::from_secs(1)),
        Some("900004002") => Issuing::RefuseTwice(Refusal::bare(StatusCode::SERVICE_UNAVAILABLE)),
        Some("900004003") => Issuing::DisplaceFirst,
        Some("900004004") => Issuing::Short(Duration::from_secs(2)),
        Some("900004005") => Issuing::Refuse(Refusal::with_code(
            StatusCode::BAD_REQUEST,
            "MMC.111072064".to_owned(),
        )),
        _ => Issuing::Issue,
    }
}

/// An id without its name; `None` if what stands there is no name.
fn asked(id: &str) -> Option<&str> {
    match id.split_once('-') {
        None => Some(id),
        Some((asked, name)) => is_name(name).then_some(asked),
    }
}

fn special(asked: &str) -> Option<Behaviour> {
    Some(match asked {
        "900002001" => Behaviour::Hang,
        "900002002" => Behaviour::Fault(Fault::Cut),
        "900002003" => Behaviour::Fault(Fault::NotHttp),
        "900002004" => Behaviour::Huge,
        "900002005" => Behaviour::Delay(Duration::from_secs(1)),
        _ => return failure(asked),
    })
}

fn failure(asked: &str) -> Option<Behaviour> {
    let (asked, retry_after) = match asked.split_once('+') {
        None => (asked, None),
        Some((asked, seconds)) => (asked, Some(number(seconds, 0..=MAX_RETRY_AFTER)?)),
    };
    let refusal = Refusal {
        retry_after,
        ..refusal(asked)?
    };
    Some(if asked.starts_with("900001") {
        Behaviour::RefuseTwice(refusal)
    } else {
        Behaviour::Refuse(refusal)
    })
}

fn refusal(asked: &str) -> Option<Refusal> {
    match asked.split_at_checked(6) {
        Some(("900000" | "900001", status)) => self::status(status).map(Refusal::bare),
        Some(("900003", number)) => is_digits(number, 3..=3)
            .then(|| Refusal::with_code(StatusCode::BAD_REQUEST, format!("MMC.111072{number}"))),
        _ => with_code(asked),
    }
}

fn with_code(asked: &str) -> Option<Refusal> {
    let (code, status) = match asked.split_once('@') {
        // As most of the upstream's errors come.
        None => (asked, StatusCode::BAD_REQUEST),
        Some((code, "200")) => (code, StatusCode::OK),
        Some((code, status)) => (code, self::status(status)?),
    };
    let (prefix, digits) = code.split_once('.')?;
    let is_code = matches!(prefix, "MMC" | "USG" | "APIG" | "APIGW")
        && is_digits(digits, 1..=MAX_CODE_DIGITS)
        && digits.bytes().any(|digit| digit != b'0');
    is_code.then(|| Refusal::with_code(status, code.to_owned()))
}

fn status(text: &str) -> Option<StatusCode> {
    StatusCode::from_u16(number(text, STATUSES)?).ok()
}

fn number(text: &str, range: RangeInclusive<u16>) -> Option<u16> {
    let number = text.parse().ok()?;
    // No sign and no leading zeros, so that an id has one spelling.
    (range.contains(&number) && number.to_string() == text).then_some(number)
}

fn is_digits(text: &str, length: RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
