//! The REST call on the wire: a command becomes a `PUT`, an HTTP answer becomes success or refusal.
//!
//! Pure. What the vendor documents, and what it leaves open, is why an answer is read leniently: any
//! body of a success will do, and an error's code is looked for in every shape that was ever seen.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serializer as _;
use url::{Host, Url};

use super::envelope::{self, Envelope};
use super::error::{Refusal, UpstreamError};
use super::error_code;
use super::gate::Gate;
use super::wait;
use crate::call::{self, Call};
use crate::command::{ControlToken, UpdateCommand};
use crate::setting::{SETTINGS, Values};
use crate::telemetry::metrics::RetryReason;

/// Path of the REST call below the base URL.
pub const PATH: &str = "/v1/mmc/control/conferences/updateStartedConfConfig";

/// All that RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The longest text of the REST side's that is handed on.
const LONGEST_TEXT: usize = 256;
/// The longest error code that is handed on.
const LONGEST_CODE: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("meeting-control/", env!("CARGO_PKG_VERSION")));
const AUTHORIZATION: HeaderName = HeaderName::from_static(crate::command::TOKEN);
const REQUEST_ID: HeaderName = HeaderName::from_static(call::REQUEST_ID);
const TRACEPARENT: HeaderName = HeaderName::from_static(call::TRACEPARENT);

/// Base URL of the REST API: `http` or `https`, with a host, perhaps with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Where the REST call goes: the base URL with the call's path.
#[derive(Debug, Clone)]
pub struct Endpoint(Url);

/// One REST call, ready to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct Put {
    /// The gRPC call it serves.
    pub call: Arc<Call>,
    /// URL, token and body.
    pub content: Arc<Content>,
    /// In place of the caller's own, where the attempt has a span.
    pub traceparent: Option<HeaderValue>,
    /// Why it is sent again, if it is.
    pub retry_of: Option<RetryReason>,
    /// Between the attempt and its body; each attempt has its own.
    pub(super) gate: Arc<Gate>,
}

/// What a [`Put`] says.
#[derive(Debug)]
pub struct Content {
    /// Absolute, with the percent-encoded conference id.
    pub url: Url,
    /// The JSON object with the settings.
    pub body: Bytes,
    /// How many settings the body holds.
    pub settings: usize,
    /// The token, to be taken out of what comes back.
    pub token: ControlToken,
}

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

/// The REST side accepted the change.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// HTTP status, 2xx.
    pub status: u16,
    /// Its own id of the request.
    pub upstream_request_id: Option<String>,
}

// === impl BaseUrl ===

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme is {}, not https", url.scheme()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a base URL has no query and no fragment".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a base URL has no user name and no password".to_owned());
        }
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// Whether calls travel without TLS.
    pub fn is_plaintext(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether calls travel without TLS, and to another machine.
    pub fn is_exposed(&self) -> bool {
        self.is_plaintext() && !self.is_loopback()
    }

    /// Whether calls stay on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
    }

    /// The URL of the REST call.
    pub fn endpoint(&self) -> Endpoint {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{PATH}", self.0.path().trim_end_matches('/')));
        Endpoint(url)
    }
}

// === The way out ===

impl Put {
    /// Writes a command as a REST call to `endpoint`.
    pub fn new(endpoint: &Endpoint, call: &Arc<Call>, command: UpdateCommand) -> Self {
        Self {
            call: Arc::clone(call),
            content: Arc::new(Content {
                url: endpoint.for_conference(&command.conference_id),
                body: body(&command.settings),
                settings: command.settings.iter().flatten().count(),
                token: command.token,
            }),
            traceparent: None,
            retry_of: None,
            gate: Arc::default(),
        }
    }

    /// Every header that is sent, but for those of HTTP itself.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(AUTHORIZATION, self.content.token.to_header());
        headers.insert(REQUEST_ID, self.call.request_id.clone());
        let traceparent = self.traceparent.as_ref().or(self.call.traceparent.as_ref());
        if let Some(traceparent) = traceparent {
            headers.insert(TRACEPARENT, traceparent.clone());
        }
        headers
    }
}

impl Endpoint {
    fn for_conference(&self, id: &str) -> Url {
        let mut url = self.0.clone();
        let id = utf8_percent_encode(id, RESERVED);
        url.set_query(Some(&format!("conferenceID={id}")));
        url
    }
}

fn body(settings: &Values) -> Bytes {
    let given = SETTINGS
        .iter()
        .zip(settings)
        .filter_map(|(setting, value)| Some((setting.key, (*value)?)));
    let mut json = Vec::with_capacity(64);
    // A map of string keys and integers, written to memory, cannot fail.
    let _ = serde_json::Serializer::new(&mut json).collect_map(given);
    json.into()
}

// === The way back ===

impl Content {
    /// Reads the answer to this request: success, or the refusal that it means.
    ///
    /// # Errors
    /// [`UpstreamError::Refused`] for any status but 2xx, and for a 2xx whose JSON body holds an
    /// integer `returnCode` that is not 0.
    pub fn read(&self, answer: &Answer) -> Result<Accepted, UpstreamError> {
        let envelope = if answer.status.is_success() {
            match envelope::of_success(&answer.body) {
                Some(envelope) => envelope,
                None => {
                    return Ok(Accepted {
                        status: answer.status.as_u16(),
                        upstream_request_id: self.request_id(&answer.headers),
                    });
                }
            }
        } else {
            envelope::of_error(&answer.body).unwrap_or_default()
        };
        Err(UpstreamError::Refused(Box::new(
            self.refusal(answer, envelope),
        )))
    }

    fn refusal(&self, answer: &Answer, envelope: Envelope) -> Refusal {
        let status = answer.status.as_u16();
        let code = envelope.code.as_deref();
        let known = code.and_then(|code| error_code::find(code, status));
        let body_id = envelope.request_id.map(|id| self.tidy(&id, LONGEST_TEXT));
        Refusal {
            status,
            known,
            error_code: match (known, code) {
                // A known code cannot be the token. Its prefix says which gateway answered.
                (Some(_), Some(code)) if code.contains('.') => Some(code.to_ascii_uppercase()),
                (Some(known), _) => Some(known.code.to_owned()),
                (None, code) => code.map(|code| self.tidy(code, LONGEST_CODE)),
            },
            error_msg: envelope
                .message
                .map(|message| self.tidy(&message, LONGEST_TEXT))
                .filter(|message| !message.is_empty()),
            upstream_request_id: self.request_id(&answer.headers).or(body_id),
            retry_after: wait::asked_for(&answer.headers, SystemTime::now()),
            several_settings: self.settings > 1,
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        let id = headers.get(call::REQUEST_ID)?;
        let usable = call::is_request_id(id.as_bytes());
        usable.then(|| {
            self.token
                .redact(id.to_str().unwrap_or_default())
                .into_owned()
        })
    }

    /// A text of the REST side's on one line: first without the token, which an answer may quote, and
    /// only then cut, so that no part of it is left.
    fn tidy(&self, text: &str, longest: usize) -> String {
        let text = self.token.redact(text.trim());
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().take(longest).map(one_line).collect()
    }
}

#[cfg(test)]
mod tests;
