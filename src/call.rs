//! What is known of one call while it is under way.
//!
//! Made at the door, read by every room below, and told apart from the request itself: a dropped or
//! panicked call leaves this behind, so the log and the metrics still know how far it came and
//! whether the settings may have changed.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use uuid::{Builder, Uuid};

use crate::deadline::Deadline;
use crate::names::{AUTHORIZATION, PASSWORD, REQUEST_ID};
use crate::secret::Password;
use crate::telemetry::trace::{Span, Tracing};
use crate::telemetry::traceparent::Traceparent;

mod peer;

pub use peer::{Caller, Identity, Peer};

/// The longest request id that is taken over from a caller or from the upstream.
const MAX_REQUEST_ID: usize = 128;

/// One call: its identity, its time, and what its attempts may have done so far.
#[derive(Debug)]
pub struct Call {
    /// The caller's `x-request-id`, or a new UUID.
    pub request_id: HeaderValue,
    /// The caller's trace context, if it sent a valid one.
    pub traceparent: Option<Traceparent>,
    /// When the answer is due.
    pub deadline: Deadline,
    /// Who calls.
    pub peer: Peer,
    /// The call's span, where traces are exported.
    pub span: Option<Span>,
    received: AtomicBool,
    conference_id: OnceLock<String>,
    attempts: AtomicU32,
    in_doubt: AtomicBool,
}

/// Whether the settings may have changed, as far as a caller may conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was changed by this call.
    NotApplied,
    /// The change may or may not have taken effect.
    Unknown,
}

impl Call {
    /// Takes the identity of a call from the caller's metadata; `deadline` has just started. With `tracing`,
    /// the call has a span.
    pub fn arrive(
        metadata: &HeaderMap,
        deadline: Deadline,
        peer: Peer,
        tracing: Option<&Tracing>,
    ) -> Self {
        let traceparent = Traceparent::of_call(metadata);
        Self {
            span: tracing.map(|tracing| tracing.call(metadata, traceparent.as_ref())),
            request_id: metadata
                .get(&REQUEST_ID)
                .filter(|value| is_request_id(value.as_bytes()))
                // A token that got into the wrong place must not get into the log.
                .filter(|value| !shares_a_secret(value, metadata))
                .cloned()
                .unwrap_or_else(new_request_id),
            traceparent,
            deadline,
            peer,
            received: AtomicBool::new(false),
            conference_id: OnceLock::new(),
            attempts: AtomicU32::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// A call of ours on behalf of this one, with an identity of its own and `limit` to take; its attempts
    /// change nothing.
    #[must_use]
    pub fn token_call(&self, limit: Duration) -> Self {
        let request_id = new_request_id();
        let id = request_id.to_str().unwrap_or_default();
        Self {
            span: self.span.as_ref().map(|span| span.token_call(id)),
            request_id,
            traceparent: self.traceparent.clone(),
            deadline: Deadline::start(None, limit),
            peer: self.peer.clone(),
            received: AtomicBool::new(true),
            conference_id: self.conference_id.clone(),
            attempts: AtomicU32::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Notes that the request message has arrived whole.
    pub fn receive(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// Whether the request message has arrived whole.
    pub fn is_received(&self) -> bool {
        self.received.load(Ordering::Relaxed)
    }

    /// Notes which meeting the call is about, for the log.
    pub fn set_conference_id(&self, conference_id: &str) {
        self.conference_id.get_or_init(|| conference_id.to_owned());
    }

    /// The meeting the call is about, once its request has been read.
    pub fn conference_id(&self) -> Option<&str> {
        self.conference_id.get().map(String::as_str)
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        // Visible ASCII by construction, so there is always a text.
        self.request_id.to_str().unwrap_or_default()
    }

    /// The id of the trace that the call belongs to, 32 hex digits.
    pub fn trace_id(&self) -> Option<String> {
        match &self.span {
            Some(span) => Some(span.trace_id()),
            None => self
                .traceparent
                .as_ref()
                .map(|own| own.trace_id().to_owned()),
        }
    }

    /// Milliseconds since the call arrived, to the microsecond.
    pub fn elapsed_ms(&self) -> f64 {
        (self.deadline.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }

    /// Counts an attempt that is about to start. Returns its number, from 1.
    pub fn start_attempt(&self) -> u32 {
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Attempts started so far; 0 when nothing was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Notes that an attempt may have changed the settings; that stays with the call for good.
    pub fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// What the attempts that have ended without success leave behind.
    pub fn outcome(&self) -> Outcome {
        if self.in_doubt.load(Ordering::Relaxed) {
            Outcome::Unknown
        } else {
            Outcome::NotApplied
        }
    }
}

impl Outcome {
    /// The outcome as callers, logs and spans read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `id` can serve as a request id: 1 to 128 visible ASCII characters.
pub fn is_request_id(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Whether an id holds a token or a password that came with it, or is part of a token.
fn shares_a_secret(id: &HeaderValue, metadata: &HeaderMap) -> bool {
    /// What is shorter is no token.
    const MIN_SECRET: usize = 8;
    let holds = |text: &HeaderValue, part: &HeaderValue| {
        part.len() >= MIN_SECRET
            && text
                .as_bytes()
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    let is_password = |password: &HeaderValue| {
        let (Ok(password), Ok(id)) = (password.to_str(), id.to_str()) else {
            return false;
        };
        !password.is_empty() && Password::new(password).is_within(id)
    };
    let mut tokens = metadata.get_all(&AUTHORIZATION).iter();
    tokens.any(|token| holds(id, token) || holds(token, id))
        || metadata.get_all(&PASSWORD).iter().any(is_password)
}

fn new_request_id() -> HeaderValue {
    // It has to be unique, not secret, so no call of the system's is spent on it.
    let id = Builder::from_random_bytes(fastrand::u128(..).to_be_bytes());
    let mut text = Uuid::encode_buffer();
    let text = id.into_uuid().hyphenated().encode_lower(&mut text);
    // Hex digits and hyphens always make a header value.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
