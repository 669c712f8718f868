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
use crate::telemetry::trace::Span;

mod peer;

pub use peer::Peer;

/// Carries the meeting control token.
pub const TOKEN: &str = "x-conference-authorization";
/// Carries a caller's own id of the call in, and the id that was used out.
pub const REQUEST_ID: &str = "x-request-id";
/// Carries the REST side's own id of the request to the caller.
pub const UPSTREAM_REQUEST_ID: &str = "x-upstream-request-id";
/// Carries the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The longest request id that is taken over from a caller or from the REST side.
const LONGEST_REQUEST_ID: usize = 128;

/// One call: its identity, its time, and what its attempts may have done so far.
#[derive(Debug)]
pub struct Call {
    /// The caller's `x-request-id`, or a new UUID.
    pub request_id: HeaderValue,
    /// The caller's `traceparent`, if it sent a valid one.
    pub traceparent: Option<HeaderValue>,
    /// When the answer is due.
    pub deadline: Deadline,
    /// Who calls.
    pub peer: Peer,
    /// The call's span, where traces are exported.
    pub span: Option<Span>,
    arrived: AtomicBool,
    conference_id: OnceLock<String>,
    attempts: AtomicU32,
    last_attempt_ms: AtomicU32,
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
    /// Takes the identity of a call from the caller's metadata; `deadline` has just started.
    pub fn arrive(metadata: &HeaderMap, deadline: Deadline, peer: Peer) -> Self {
        Self {
            request_id: metadata
                .get(REQUEST_ID)
                .filter(|value| is_request_id(value.as_bytes()))
                // A token that got into the wrong place must not get into the log.
                .filter(|value| !shares_a_secret(value, metadata))
                .cloned()
                .unwrap_or_else(new_request_id),
            traceparent: metadata
                .get(TRACEPARENT)
                .filter(|value| is_traceparent(value.as_bytes()))
                .cloned(),
            deadline,
            peer,
            span: None,
            arrived: AtomicBool::new(false),
            conference_id: OnceLock::new(),
            attempts: AtomicU32::new(0),
            last_attempt_ms: AtomicU32::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Notes that the request message has arrived whole.
    pub fn arrived(&self) {
        self.arrived.store(true, Ordering::Relaxed);
    }

    /// Whether the request message has arrived whole.
    pub fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Remembers which meeting the call is about, for the log.
    pub fn concerns(&self, conference_id: &str) {
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

    /// Gives the call a span.
    #[must_use]
    pub fn with_span(self, span: Option<Span>) -> Self {
        Self { span, ..self }
    }

    /// The id of the trace that the call belongs to, 32 hex digits.
    pub fn trace_id(&self) -> Option<String> {
        if let Some(span) = &self.span {
            return Some(span.trace_id());
        }
        let traceparent = self.traceparent.as_ref()?.to_str().ok()?;
        traceparent.get(3..35).map(str::to_owned)
    }

    /// Milliseconds since the call arrived, to the microsecond.
    pub fn elapsed_ms(&self) -> f64 {
        (self.deadline.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }

    /// Counts an attempt that is about to start.
    pub fn start_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts started so far; 0 when nothing was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Settles an attempt that took `elapsed`; an unknown outcome stays with the call for good.
    pub fn end_attempt(&self, outcome: Outcome, elapsed: Duration) {
        if outcome == Outcome::Unknown {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        let millis = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX);
        self.last_attempt_ms.store(millis, Ordering::Relaxed);
    }

    /// How long the last attempt took, to the millisecond.
    pub fn last_attempt(&self) -> Duration {
        Duration::from_millis(self.last_attempt_ms.load(Ordering::Relaxed).into())
    }

    /// What the attempts that have ended leave behind.
    pub fn outcome(&self) -> Outcome {
        if self.in_doubt.load(Ordering::Relaxed) {
            Outcome::Unknown
        } else {
            Outcome::NotApplied
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        })
    }
}

/// Whether `id` can serve as a request id: 1 to 128 visible ASCII characters.
pub fn is_request_id(id: &[u8]) -> bool {
    (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Whether an id holds a token that came with it, or is part of one.
fn shares_a_secret(id: &HeaderValue, metadata: &HeaderMap) -> bool {
    /// What is shorter is no token.
    const SHORTEST_SECRET: usize = 8;
    let holds = |text: &HeaderValue, part: &HeaderValue| {
        part.len() >= SHORTEST_SECRET
            && text
                .as_bytes()
                .windows(part.len())
                .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    let mut tokens = metadata.get_all(TOKEN).iter();
    tokens.any(|token| holds(id, token) || holds(token, id))
}

fn new_request_id() -> HeaderValue {
    // It has to be unique, not secret, so no call of the system's is spent on it.
    let id = Builder::from_random_bytes(fastrand::u128(..).to_be_bytes());
    let mut text = Uuid::encode_buffer();
    let text = id.into_uuid().hyphenated().encode_lower(&mut text);
    // Hex digits and hyphens always make a header value.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Whether `value` is a `traceparent` of W3C Trace Context, version 00 or a longer later one.
fn is_traceparent(value: &[u8]) -> bool {
    let lower_hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    if value.len() < 55 || [2, 35, 52].iter().any(|at| value[*at] != b'-') {
        return false;
    }
    let (version, trace, parent, flags) =
        (&value[..2], &value[3..35], &value[36..52], &value[53..55]);
    [version, trace, parent, flags].into_iter().all(lower_hex)
        && !zero(trace)
        && !zero(parent)
        && match version {
            b"ff" => false,
            b"00" => value.len() == 55,
            _ => {
                value.len() <= 256
                    && value.iter().all(u8::is_ascii_graphic)
                    && value.get(55).is_none_or(|byte| *byte == b'-')
            }
        }
}

#[cfg(test)]
mod tests;
