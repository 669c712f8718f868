//! What an HTTP answer means: a refusal, or a success that each call reads in its own way.
//!
//! Pure: takes all that it needs as arguments, and reads no clock. Bytes are read leniently, as what the
//! vendor documents leaves much open: any body of a success will do, and a code is looked for in every
//! encoding and shape that was ever seen. Meaning is read strictly. Where an answer contradicts itself:
//!
//! - A code of the table that was read whole decides, whatever the HTTP status, the headers and the rest of the
//!   body say.
//! - Else a sign of failure counts, not one of success beside it.
//! - Else the HTTP status decides. It cannot where the body might have held a code that leaves it open whether
//!   the settings changed, and that code was lost or is not known. Then they may have changed. A few statuses
//!   are clear by themselves.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::envelope;
use super::error::UpstreamError;
use super::error_code;
use super::refusal::{Basis, Refusal};
use super::wait;
use crate::call::{self, Outcome};
use crate::names::REQUEST_ID;
use crate::secret::Secrets;

mod issued;
mod text;

pub use issued::Issued;

use text::tidy;

/// The HTTP statuses of a 4xx that say by themselves that nothing was changed.
const CLEAR: [u16; 8] = [401, 403, 404, 405, 413, 414, 429, 494];

/// The longest text of the upstream's that is handed on, in characters.
const MAX_TEXT: usize = 256;
/// The longest error code that is handed on, in characters.
const MAX_CODE: usize = 64;

/// An HTTP answer as it came in.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// As much of the body as is read: at most 64 KiB.
    pub body: Bytes,
    /// How much of the body that is.
    pub extent: Extent,
    /// Whether it came over a connection that served nobody else and had lain idle.
    pub idle: bool,
}

/// How much of an answer's body is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// All that came before the connection ended: without a length, that may be its end or not.
    Unframed,
    /// The beginning: it is longer than what is read.
    Cut,
    /// Perhaps a beginning: the rest did not come. A success cannot be told from such an answer.
    Lost,
}

/// What must be known of a request to read the answer to it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What it carried that nobody else is to see, though an answer may quote it.
    pub secrets: Secrets<'a>,
    /// How many settings it was to change; 0 for a call that changes none.
    pub settings: usize,
    /// When the answer came; a wait that is given as a date counts from here if the answer has no date.
    pub now: SystemTime,
}

/// The upstream accepted a change of settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// HTTP status, 2xx.
    pub status: u16,
    /// The upstream's own id of the request.
    pub upstream_request_id: Option<String>,
}

/// Reads the answer to a change of settings.
///
/// # Errors
/// [`UpstreamError::Refused`] if the answer is a [`refusal`].
pub fn read(answer: &Answer, context: &Context<'_>) -> Result<Accepted, UpstreamError> {
    match refusal(answer, context) {
        Some(refusal) => Err(UpstreamError::Refused(Box::new(refusal))),
        None => Ok(Accepted {
            status: answer.status.as_u16(),
            // A success is no place for a password, and looking for one takes its time.
            upstream_request_id: request_id(&answer.headers, context.secrets.without_password()),
        }),
    }
}

/// Reads the answer to a request for a token.
///
/// # Errors
/// [`UpstreamError::Refused`] if the answer is a [`refusal`], or holds no token.
pub fn read_issued(answer: &Answer, context: &Context<'_>) -> Result<Issued, UpstreamError> {
    let refusal = match refusal(answer, context) {
        Some(refusal) => refusal,
        None => match issued::read(&text::decode(&answer.body)) {
            Some(issued) => return Ok(issued),
            None => Refusal {
                basis: Basis::NoToken,
                upstream_request_id: request_id(&answer.headers, context.secrets),
                ..Refusal::of_status(answer.status.as_u16())
            },
        },
    };
    Err(UpstreamError::Refused(Box::new(refusal)))
}

/// The refusal that an answer to any call means, whatever its status; `None` for a success.
///
/// Any status but 2xx is a refusal. So is a 2xx whose body says that the call failed, that is a page, or that
/// cannot be read.
pub fn refusal(answer: &Answer, context: &Context<'_>) -> Option<Refusal> {
    let status = answer.status.as_u16();
    let decoded = text::decode(&answer.body);
    let text = decoded.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let envelope = if text.starts_with('<') {
        // What a page holds is for people.
        None
    } else {
        envelope::read(text, status)
    };
    let succeeded = answer.status.is_success() && envelope.is_none();
    let envelope = envelope.unwrap_or_default();
    let secrets = context.secrets;
    let code = envelope.code.as_deref();
    let known = code.and_then(|code| error_code::find(code, status));
    let basis = match known {
        Some(known) => Basis::Code(known),
        None if !succeeded => Basis::Status,
        None if is_page(answer, text) => Basis::Page,
        None if is_compressed(answer) || answer.extent == Extent::Lost => Basis::Unreadable,
        None if answer.extent == Extent::Unframed && text::is_unfinished(text) => Basis::Unreadable,
        None => return None,
    };
    let body_id = envelope.request_id.map(|id| tidy(&id, MAX_TEXT, secrets));
    Some(Refusal {
        status,
        basis,
        // How some gateways say that they close a connection that has lain idle.
        stale: answer.idle && status == 408 && known.is_none(),
        in_doubt: match known {
            Some(known) => known.outcome_of(context.settings) == Outcome::Unknown,
            None => {
                let by_status = error_code::by_status(status).outcome;
                by_status == Outcome::Unknown || may_hide_a_code(answer, text, code)
            }
        },
        error_code: match (known, code) {
            // A known code cannot be the token. Its prefix says which gateway answered.
            (Some(_), Some(code)) if code.contains('.') => Some(code.to_ascii_uppercase()),
            (Some(known), _) => Some(known.code.to_owned()),
            (None, code) => code.map(|code| tidy(code, MAX_CODE, secrets)),
        },
        error_msg: envelope
            .message
            .map(|message| tidy(&message, MAX_TEXT, secrets))
            .filter(|message| !message.trim().is_empty()),
        upstream_request_id: request_id(&answer.headers, secrets).or(body_id),
        retry_after: wait::asked_for(&answer.headers, context.now),
        obtained: None,
    })
}

/// The upstream's own id of a request, as its header says it, without the secrets.
pub fn request_id(headers: &HeaderMap, secrets: Secrets<'_>) -> Option<String> {
    let id = headers.get(&REQUEST_ID)?;
    let usable = call::is_request_id(id.as_bytes());
    usable.then(|| secrets.redact(id.to_str().unwrap_or_default()).into_owned())
}

/// Whether a 4xx without a known code may hold one all the same, or one of the API's that is too new. Some
/// leave it open whether the settings changed.
fn may_hide_a_code(answer: &Answer, text: &str, code: Option<&str>) -> bool {
    let is_broken = || text.starts_with(['{', '[']) && !text::is_json(text);
    answer.status.is_client_error()
        && !CLEAR.contains(&answer.status.as_u16())
        && (matches!(answer.extent, Extent::Cut | Extent::Lost)
            || is_compressed(answer)
            || is_broken()
            || code.is_some_and(error_code::is_of_the_api)
            || error_code::is_quoted(text))
}

/// Whether an answer is a page for people.
fn is_page(answer: &Answer, text: &str) -> bool {
    let kinds = answer.headers.get_all(CONTENT_TYPE);
    let is_html = |kind: &HeaderValue| {
        let kind = kind.to_str().unwrap_or_default();
        let (kind, _charset) = kind.split_once(';').unwrap_or((kind, ""));
        kind.trim().eq_ignore_ascii_case("text/html")
    };
    kinds.into_iter().any(is_html) || text.starts_with('<')
}

/// Whether a body is compressed, by its header or by how it begins. Nobody asked for that, so nobody can
/// read it.
fn is_compressed(answer: &Answer) -> bool {
    const GZIP: &[u8] = &[0x1F, 0x8B];
    // Some servers name the charset here.
    const PLAIN: [&str; 3] = ["", "identity", "utf-8"];
    let codings = answer.headers.get_all(CONTENT_ENCODING);
    let is_coded = |codings: &HeaderValue| {
        let codings = codings.to_str().unwrap_or("unknown");
        let is_plain = |coding: &str| PLAIN.iter().any(|plain| coding.eq_ignore_ascii_case(plain));
        !codings.split(',').all(|coding| is_plain(coding.trim()))
    };
    codings.into_iter().any(is_coded) || answer.body.starts_with(GZIP)
}

#[cfg(test)]
mod tests;
