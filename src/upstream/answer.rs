//! What an HTTP answer means: a refusal, or a success that each call reads in its own way.
//!
//! Pure: takes all that it needs as arguments, and reads no clock. What the vendor documents, and what
//! it leaves open, is why an answer is read leniently: any body of a success will do, and an error's code
//! is looked for in every shape that was ever seen.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::envelope;
use super::error::{Refusal, UpstreamError};
use super::error_code;
use super::wait;
use crate::call;
use crate::command::ControlToken;
use crate::names::REQUEST_ID;

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
}

/// What must be known of a request to read the answer to it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The token that it carried; an answer may quote it, and nobody else is to see it.
    pub token: &'a ControlToken,
    /// How many settings it was to change.
    pub settings: usize,
    /// When the answer came.
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
            upstream_request_id: request_id(&answer.headers, context.token),
        }),
    }
}

/// The refusal that an answer to any call means, whatever its status; `None` for a success.
///
/// Any status but 2xx is a refusal, and so is a 2xx whose JSON body holds an integer `returnCode` that is
/// not 0.
pub fn refusal(answer: &Answer, context: &Context<'_>) -> Option<Refusal> {
    let envelope = if answer.status.is_success() {
        envelope::of_success(&answer.body)?
    } else {
        envelope::of_error(&answer.body).unwrap_or_default()
    };
    let token = context.token;
    let status = answer.status.as_u16();
    let code = envelope.code.as_deref();
    let known = code.and_then(|code| error_code::find(code, status));
    let body_id = envelope.request_id.map(|id| tidy(&id, MAX_TEXT, token));
    Some(Refusal {
        status,
        known,
        error_code: match (known, code) {
            // A known code cannot be the token. Its prefix says which gateway answered.
            (Some(_), Some(code)) if code.contains('.') => Some(code.to_ascii_uppercase()),
            (Some(known), _) => Some(known.code.to_owned()),
            (None, code) => code.map(|code| tidy(code, MAX_CODE, token)),
        },
        error_msg: envelope
            .message
            .map(|message| tidy(&message, MAX_TEXT, token))
            .filter(|message| !message.is_empty()),
        upstream_request_id: request_id(&answer.headers, token).or(body_id),
        retry_after: wait::asked_for(&answer.headers, context.now),
        several_settings: context.settings > 1,
    })
}

/// The upstream's own id of a request, as its header says it, without `token`.
pub fn request_id(headers: &HeaderMap, token: &ControlToken) -> Option<String> {
    let id = headers.get(&REQUEST_ID)?;
    let usable = call::is_request_id(id.as_bytes());
    usable.then(|| token.redact(id.to_str().unwrap_or_default()).into_owned())
}

/// A text of the upstream's on one line: first without the token, which an answer may quote, and only
/// then cut, so that no part of it is left.
fn tidy(text: &str, max: usize, token: &ControlToken) -> String {
    let text = token.redact(text.trim());
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(max).map(one_line).collect()
}

#[cfg(test)]
mod tests;
