//! A REST call as it goes out: method, URL, headers, body, and who reads its answer. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serializer as _;
use url::{Host, Url};

use super::answer::{self, Accepted, Answer, Context, Issued};
use super::error::UpstreamError;
use crate::names::{AUTHORIZATION, LOGIN_TYPE, REQUEST_ID, TRACEPARENT, UPSTREAM_PASSWORD};
use crate::secret::{ControlToken, Password, Secrets};
use crate::setting::{SETTINGS, Values};

/// Path of the REST call that changes settings, below the base URL.
pub const UPDATE_PATH: &str = "/v1/mmc/control/conferences/updateStartedConfConfig";
/// Path of the REST call that obtains a control token, below the base URL.
pub const TOKEN_PATH: &str = "/v1/mmc/control/conferences/token";

/// All that RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("meeting-control/", env!("CARGO_PKG_VERSION")));

/// Base URL of the REST API: `http` or `https`, with a host, perhaps with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Where one kind of REST call goes: the base URL with the path of that kind.
#[derive(Debug, Clone)]
pub struct Endpoint(Url);

/// One REST call, ready to be sent as often as needed; `R` reads its answer.
#[derive(Debug)]
pub struct RestCall<R> {
    /// HTTP method.
    pub method: Method,
    /// Absolute, with the percent-encoded conference id.
    pub url: Url,
    /// What this kind of call sends beside the headers of every call.
    pub own_header: (HeaderName, HeaderValue),
    /// The JSON body; empty where there is none.
    pub body: Bytes,
    /// Whether it may be sent again although it may have taken effect.
    pub idempotent: bool,
    /// Reads the answer.
    pub reader: R,
}

/// What one attempt shows the upstream as its right.
#[derive(Debug, Clone)]
pub enum Pass {
    /// The control token.
    Token(ControlToken),
    /// The host password, to obtain a token for it.
    Password(Password),
}

/// Reads the answers to one kind of REST call.
pub trait Read {
    /// What a success says.
    type Success;

    /// Reads an answer that came at `now` to a call that carried those secrets.
    ///
    /// # Errors
    /// [`UpstreamError`] when the upstream says no.
    fn read(
        &self,
        answer: &Answer,
        secrets: Secrets<'_>,
        now: SystemTime,
    ) -> Result<Self::Success, UpstreamError>;
}

/// Reads the answer to a change of settings.
#[derive(Debug)]
pub struct Update {
    /// How many settings it holds.
    settings: usize,
}

/// Reads the answer to a request for a token.
#[derive(Debug)]
pub struct Issue;

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

    /// Where the REST calls with this path go.
    pub fn endpoint(&self, path: &str) -> Endpoint {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        Endpoint(url)
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

// === impl RestCall ===

impl RestCall<Update> {
    /// Writes a change of settings as the `PUT` that carries it out.
    pub fn update(endpoint: &Endpoint, conference_id: &str, settings: &Values) -> Self {
        Self {
            method: Method::PUT,
            url: endpoint.for_conference(conference_id),
            own_header: (CONTENT_TYPE, JSON),
            body: body(settings),
            // It sets absolute values.
            idempotent: true,
            reader: Update {
                settings: settings.iter().flatten().count(),
            },
        }
    }
}

impl RestCall<Issue> {
    /// Writes the `GET` that obtains a token for a meeting.
    pub fn issue(endpoint: &Endpoint, conference_id: &str) -> Self {
        Self {
            method: Method::GET,
            url: endpoint.for_conference(conference_id),
            own_header: (LOGIN_TYPE.clone(), HeaderValue::from_static("1")),
            body: Bytes::new(),
            idempotent: true,
            reader: Issue,
        }
    }
}

impl Read for Update {
    type Success = Accepted;

    fn read(
        &self,
        answer: &Answer,
        secrets: Secrets<'_>,
        now: SystemTime,
    ) -> Result<Accepted, UpstreamError> {
        let settings = self.settings;
        answer::read(
            answer,
            &Context {
                secrets,
                settings,
                now,
            },
        )
    }
}

impl Read for Issue {
    type Success = Issued;

    fn read(
        &self,
        answer: &Answer,
        secrets: Secrets<'_>,
        now: SystemTime,
    ) -> Result<Issued, UpstreamError> {
        let settings = 0;
        answer::read_issued(
            answer,
            &Context {
                secrets,
                settings,
                now,
            },
        )
    }
}

impl Pass {
    /// Where it stands in a request; marked sensitive.
    fn header(&self) -> (HeaderName, HeaderValue) {
        match self {
            Self::Token(token) => (AUTHORIZATION.clone(), token.to_header()),
            Self::Password(password) => (UPSTREAM_PASSWORD.clone(), password.to_header()),
        }
    }

    /// What the answer must not hand on.
    pub fn secrets(&self) -> Secrets<'_> {
        match self {
            Self::Token(token) => Secrets {
                token: Some(token),
                password: None,
            },
            Self::Password(password) => Secrets {
                token: None,
                password: Some(password),
            },
        }
    }
}

impl<R: Read> RestCall<R> {
    /// Every header that is sent, but for those of HTTP itself.
    pub fn headers(
        &self,
        pass: &Pass,
        request_id: &HeaderValue,
        traceparent: Option<HeaderValue>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(&REQUEST_ID, request_id.clone());
        if let Some(traceparent) = traceparent {
            headers.insert(&TRACEPARENT, traceparent);
        }
        headers.extend([self.own_header.clone(), pass.header()]);
        headers
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

#[cfg(test)]
mod tests;
