//! An answer that says no, and how it is written as HTTP.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::upstream::error_code;

/// A call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// With 200, the code goes into the envelope of a success.
    pub(super) status: StatusCode,
    /// Without one, the body is empty.
    pub(super) error: Option<Error>,
    /// Seconds for `Retry-After`.
    pub(super) retry_after: Option<u16>,
}

/// An error code such as `MMC.111072005`, and the text beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) code: Cow<'static, str>,
    pub(super) message: &'static str,
}

/// The text beside a code that the table does not know.
const UNKNOWN: &str = "SANDBOX_CODE";

impl Refusal {
    /// A status alone.
    pub(super) fn bare(status: StatusCode) -> Self {
        Self {
            status,
            error: None,
            retry_after: None,
        }
    }

    pub(super) const fn new(
        status: StatusCode,
        code: Cow<'static, str>,
        message: &'static str,
    ) -> Self {
        Self {
            status,
            error: Some(Error { code, message }),
            retry_after: None,
        }
    }

    /// Any code, with the text that the façade's table has for it.
    pub(super) fn with_code(status: StatusCode, code: String) -> Self {
        let known = error_code::find(&code, status.as_u16());
        let message = known.map_or(UNKNOWN, |row| row.symbol);
        Self::new(status, Cow::Owned(code), message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = match self.error {
            None => self.status.into_response(),
            Some(error) if self.status == StatusCode::OK => {
                Json(error.in_a_success()).into_response()
            }
            Some(Error { code, message }) => {
                let body = json!({"error_code": code, "error_msg": message});
                (self.status, Json(body)).into_response()
            }
        };
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl Error {
    /// That envelope has a number, so the prefix is lost.
    fn in_a_success(&self) -> Value {
        let number = self
            .code
            .split_once('.')
            .map(|(_, digits)| digits.parse::<u32>());
        let number = number.and_then(Result::ok);
        json!({"returnCode": number, "returnDesc": self.message})
    }
}
