//! The JSON envelopes in which the upstream and the gateways before it wrap a code and a text.
//!
//! A code may be text or a number and may stand alone, in a nested object or in a list, and a body may hold
//! several. Then the one that says most counts: a code of the table that leaves it open what happened to the
//! settings, any other code of the table, a code that looks like the vendor's, the outermost. An envelope
//! that says both yes and no says no.

use super::error_code::{self, Known};
use crate::call::{self, Outcome};

mod fields;

use fields::{Field, Value, fields};

/// Names of a code, in the order in which they are tried. Names are compared without regard to case and
/// underscores.
const CODES: [&str; 3] = ["errorcode", "code", "returncode"];
const ERROR_CODE: usize = 0;
const RETURN_CODE: usize = 2;

/// Names of the text beside a code, in the order in which they are tried.
const TEXTS: [&str; 5] = ["errormsg", "errormessage", "returndesc", "message", "msg"];

/// What a body says about a refusal, as it stands there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The error code: visible ASCII, never empty, never 0. None where a success is only denied.
    pub(super) code: Option<String>,
    /// The text beside it.
    pub(super) message: Option<String>,
    /// The id that the gateway gave the request.
    pub(super) request_id: Option<String>,
}

/// Reads the body of an answer with this HTTP status. `None` when it holds no code, and for a 2xx also
/// when nothing in it speaks of a failure.
pub(super) fn read(text: &str, status: u16) -> Option<Envelope> {
    // Some gateways encode the body of another once more.
    let encoded = text
        .starts_with('"')
        .then(|| serde_json::from_str::<String>(text));
    let encoded = encoded.and_then(Result::ok);
    let text = encoded.as_deref().unwrap_or(text);
    let fields: Vec<_> = fields(text).collect();
    let denial = fields.iter().find(|field| denies_success(field));
    let succeeded = (200..=299).contains(&status);
    let code = fields
        .iter()
        .filter_map(|field| Code::read(field, status))
        .filter(|code| !succeeded || denial.is_some() || code.is_a_failure())
        .min_by_key(Code::rank);
    let object = match (&code, denial) {
        (Some(code), _) => code.object,
        (None, Some(denial)) if succeeded => denial.object,
        (None, _) => return None,
    };
    let beside = || fields.iter().filter(|field| field.object == object);
    Some(Envelope {
        code: code.map(|code| code.text),
        message: beside()
            .filter_map(|field| Some((position(field, &TEXTS)?, text_of(field)?)))
            .min_by_key(|(position, _)| *position)
            .map(|(_, text)| text.to_owned()),
        request_id: beside()
            .filter(|field| is_called(&field.key, "requestid"))
            .filter_map(text_of)
            .find(|id| call::is_request_id(id.as_bytes()))
            .map(str::to_owned),
    })
}

/// A code in a body.
struct Code {
    text: String,
    known: Option<&'static Known>,
    /// Which of [`CODES`] names it.
    name: usize,
    depth: usize,
    object: usize,
}

impl Code {
    /// The code that a field holds, if it holds one that is not 0.
    fn read(field: &Field<'_>, status: u16) -> Option<Self> {
        let name = position(field, &CODES)?;
        let text = match &field.value {
            Value::Text(text) => {
                let text = text.trim();
                integer(text).unwrap_or_else(|| text.to_owned())
            }
            // A fraction is a code that makes no sense, yet not 0.
            Value::Word(word) => {
                integer(word).or_else(|| number(word).map(|_| (*word).to_owned()))?
            }
        };
        let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && !is_zero(&text)).then(|| Self {
            known: error_code::find(&text, status),
            text,
            name,
            depth: field.depth,
            object: field.object,
        })
    }

    /// Whether the code speaks of a failure even in a success. A bare `code` is often just the status.
    fn is_a_failure(&self) -> bool {
        self.known.is_some()
            || error_code::is_of_the_vendor(&self.text)
            || match self.name {
                ERROR_CODE => true,
                RETURN_CODE => integer(&self.text).is_some(),
                _ => false,
            }
    }

    /// The lowest counts.
    fn rank(&self) -> (u8, usize, usize) {
        let meaning = match self.known {
            Some(known) if known.outcome_of(2) == Outcome::Unknown => 0,
            Some(_) => 1,
            None if error_code::is_of_the_vendor(&self.text) => 2,
            None => 3,
        };
        (meaning, self.depth, self.name)
    }
}

/// Whether a field says that the call did not succeed: by `false`, which may be a text, or 0.
fn denies_success(field: &Field<'_>) -> bool {
    is_called(&field.key, "success")
        && match &field.value {
            Value::Text(text) => text.trim().eq_ignore_ascii_case("false") || is_zero(text.trim()),
            Value::Word(word) => word.eq_ignore_ascii_case("false") || is_zero(word),
        }
}

fn position(field: &Field<'_>, names: &[&str]) -> Option<usize> {
    names.iter().position(|name| is_called(&field.key, name))
}

fn is_called(key: &str, name: &str) -> bool {
    let letters = key.bytes().filter(|byte| *byte != b'_');
    letters
        .map(|byte| byte.to_ascii_lowercase())
        .eq(name.bytes())
}

fn text_of<'a>(field: &'a Field<'_>) -> Option<&'a str> {
    match &field.value {
        Value::Text(text) => Some(text),
        Value::Word(_) => None,
    }
}

/// An integral number by its digits, so that 7, 7.0 and 0.7e1 are the same; `None` for anything else.
fn integer(text: &str) -> Option<String> {
    let number = number(text)?;
    let plain = unsigned(text).bytes().all(|byte| byte.is_ascii_digit());
    if plain || number.is_infinite() {
        // As it stands: it may have more digits than a number can hold.
        return Some(text.to_owned());
    }
    (number.fract() == 0.0).then(|| number.to_string())
}

fn number(text: &str) -> Option<f64> {
    // The standard library takes `inf` and `NaN` for numbers, too.
    let first = unsigned(text).bytes().next()?;
    first.is_ascii_digit().then(|| text.parse().ok())?
}

fn is_zero(text: &str) -> bool {
    let digits = unsigned(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte == b'0')
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

#[cfg(test)]
mod tests;
