//! A REST call as it goes out: method, URL, headers, body, and who reads its answer. Pure.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serializer as _;
use url::Url;

use super::address::Endpoint;
use super::answer::{self, Accepted, Answer, Context, Issued};
use super::error::UpstreamError;
use super::pass::Pass;
use crate::names::{LOGIN_TYPE, REQUEST_ID, TRACEPARENT};
use crate::secret::Secrets;
use crate::setting::{SETTINGS, Values};

/// Path of the REST call that changes settings, below the base URL.
pub const UPDATE_PATH: &str = "/v1/mmc/control/conferences/updateStartedConfConfig";
/// Path of the REST call that obtains a control token, below the base URL.
pub const TOKEN_PATH: &str = "/v1/mmc/control/conferences/token";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("meeting-control/", env!("CARGO_PKG_VERSION")));

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
