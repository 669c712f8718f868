//! Checks a REST call as the vendor's page describes it. Where the page is silent, the codes are those
//! that the vendor's tables suggest.

use std::borrow::Cow;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::tokens::{PASSWORD, Tokens};
use crate::command;
use crate::names::{AUTHORIZATION, LOGIN_TYPE, UPSTREAM_PASSWORD};
use crate::setting::{SETTINGS, Values};

const UNKNOWN_INTERFACE: Refusal = refusal(
    StatusCode::NOT_FOUND,
    "APIG.0101",
    "The API does not exist or has not been published in the environment",
);
const NO_ID: Refusal = bad_request("MMC.112100029", "REQUEST_MISSING_HEADER_OR_PARAM");
const NO_TOKEN: Refusal = refusal(
    StatusCode::UNAUTHORIZED,
    "MMC.111070111",
    "REQUEST_TOKEN_IS_NULL",
);
const BAD_TOKEN: Refusal = bad_request("MMC.111072065", "CONF_NOT_FOUND_OR_AUTH_FAILED");
const NO_PASSWORD: Refusal = bad_request("MMC.111070009", "CONF_AUTHEN_NEED_PASSWORD");
const BAD_PASSWORD: Refusal = bad_request("MMC.111071091", "CONF_PWD_AUTH_FAILED");
const NO_BODY: Refusal = bad_request("MMC.111072057", "REQUEST_BODY_IS_NULL");
const NOT_JSON: Refusal = bad_request("MMC.111071062", "JSON_CONVERSION_FAILED");
const BAD_PARAMETER: Refusal = bad_request("MMC.111071061", "PARAMETER_VERIFIED_FAIL");
const OUT_OF_RANGE: Refusal = bad_request("MMC.111072045", "ON_OFF_NOT_IN_RANGE");

const fn bad_request(code: &'static str, message: &'static str) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, code, message)
}

const fn refusal(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal::new(status, Cow::Borrowed(code), message)
}

/// Any path and method that the API does not have.
pub(super) async fn unknown_interface() -> Refusal {
    UNKNOWN_INTERFACE
}

/// Reads a call that asks for a token: the conference id.
pub(super) fn issue(query: Option<&str>, headers: &HeaderMap) -> Result<String, Refusal> {
    let id = conference_id(query.unwrap_or_default())?;
    let login_type = headers.get(&LOGIN_TYPE).ok_or(NO_ID)?;
    if login_type != "1" {
        return Err(BAD_PARAMETER);
    }
    match headers.get(&UPSTREAM_PASSWORD) {
        None => Err(NO_PASSWORD),
        Some(password) if password.is_empty() => Err(NO_PASSWORD),
        Some(password) if password == PASSWORD => Ok(id),
        Some(_) => Err(BAD_PASSWORD),
    }
}

/// Reads a call that changes settings: the conference id and the settings to change.
pub(super) fn update(
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
    tokens: &Tokens,
) -> Result<(String, Values), Refusal> {
    let id = conference_id(query.unwrap_or_default())?;
    token(&id, headers, tokens)?;
    if !is_json(headers) {
        return Err(BAD_PARAMETER);
    }
    Ok((id, settings(body)?))
}

fn conference_id(query: &str) -> Result<String, Refusal> {
    let id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("conferenceID="))
        .filter(|id| !id.is_empty())
        .ok_or(NO_ID)?;
    let id = percent_decode_str(id)
        .decode_utf8()
        .map_err(|_| BAD_PARAMETER)?;
    if !command::is_conference_id(&id) {
        return Err(BAD_PARAMETER);
    }
    Ok(id.into_owned())
}

fn token(id: &str, headers: &HeaderMap, tokens: &Tokens) -> Result<(), Refusal> {
    let sent = headers.get(&AUTHORIZATION).ok_or(NO_TOKEN)?;
    let sent = sent.to_str().map_err(|_| BAD_TOKEN)?;
    let token = match sent.strip_prefix("Basic ") {
        None => sent.to_owned(),
        Some(encoded) => {
            let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| BAD_TOKEN)?;
            String::from_utf8(decoded).map_err(|_| BAD_TOKEN)?
        }
    };
    tokens.accept(id, &token).then_some(()).ok_or(BAD_TOKEN)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .is_some_and(|kind| kind.starts_with(b"application/json"))
}

fn settings(body: &[u8]) -> Result<Values, Refusal> {
    if body.is_empty() {
        return Err(NO_BODY);
    }
    let object: Map<String, Value> = serde_json::from_slice(body).map_err(|_| NOT_JSON)?;
    if object.is_empty() {
        return Err(NO_BODY);
    }
    let mut values = Values::default();
    for (key, value) in object {
        let (setting, slot) = SETTINGS
            .iter()
            .zip(&mut values)
            .find(|(setting, _)| setting.key == key)
            .ok_or(BAD_PARAMETER)?;
        let value = value.as_u64().and_then(|value| u8::try_from(value).ok());
        let allowed = value.filter(|value| setting.values.iter().any(|(_, rest)| rest == value));
        let out_of_range = if setting.values.len() == 2 {
            OUT_OF_RANGE
        } else {
            BAD_PARAMETER
        };
        *slot = Some(allowed.ok_or(out_of_range)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::tokens::TOKEN;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in entries {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn a_good_call_passes_with_either_spelling_of_the_token() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(TOKEN));
        for token in [TOKEN, &basic] {
            let headers = headers(&[
                (AUTHORIZATION.as_str(), token),
                ("content-type", "application/json;charset=UTF-8"),
            ]);
            let (id, values) = update(
                Some("conferenceID=9%2F1"),
                &headers,
                br#"{"lockSharing":1}"#,
                &Tokens::default(),
            )
            .unwrap();
            assert_eq!((id.as_str(), values[0], values[1]), ("9/1", Some(1), None));
        }
    }

    #[test]
    fn each_mistake_has_its_code() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        let good: (&str, &str) = (AUTHORIZATION.as_str(), TOKEN);
        const ID: Option<&str> = Some("conferenceID=1");
        const BODY: &[u8] = br#"{"lockSharing":1}"#;
        type Entries<'a> = &'a [(&'static str, &'a str)];
        let basic_without_base64 = format!("Basic {TOKEN}");
        let cases: &[(Option<&str>, Entries<'_>, &[u8], Refusal)] = &[
            (None, &[good, JSON], BODY, NO_ID),
            (Some("conferenceID="), &[good, JSON], BODY, NO_ID),
            (Some("conferenceID=%ff"), &[good, JSON], BODY, BAD_PARAMETER),
            (Some("conferenceID=%0a"), &[good, JSON], BODY, BAD_PARAMETER),
            (ID, &[JSON], BODY, NO_TOKEN),
            (
                ID,
                &[(AUTHORIZATION.as_str(), "cnr1"), JSON],
                BODY,
                BAD_TOKEN,
            ),
            (
                ID,
                &[(AUTHORIZATION.as_str(), &basic_without_base64), JSON],
                BODY,
                BAD_TOKEN,
            ),
            (ID, &[good], BODY, BAD_PARAMETER),
            (
                ID,
                &[good, ("content-type", "text/plain")],
                BODY,
                BAD_PARAMETER,
            ),
            (ID, &[good, JSON], b"", NO_BODY),
            (ID, &[good, JSON], b"{}", NO_BODY),
            (ID, &[good, JSON], b"[]", NOT_JSON),
            (ID, &[good, JSON], b"{", NOT_JSON),
            (ID, &[good, JSON], br#"{"unknown":1}"#, BAD_PARAMETER),
            (ID, &[good, JSON], br#"{"lockSharing":2}"#, OUT_OF_RANGE),
            (ID, &[good, JSON], br#"{"lockSharing":"1"}"#, OUT_OF_RANGE),
            (
                ID,
                &[good, JSON],
                br#"{"callInRestriction":1}"#,
                BAD_PARAMETER,
            ),
        ];
        for (query, entries, body, expected) in cases {
            let refusal = update(*query, &headers(entries), body, &Tokens::default()).unwrap_err();
            assert_eq!(refusal, *expected, "{query:?} {entries:?}");
        }
    }

    #[test]
    fn a_request_for_a_token_is_checked_and_each_mistake_has_its_code() {
        const LOGIN: (&str, &str) = ("x-login-type", "1");
        const GOOD: (&str, &str) = ("x-password", PASSWORD);
        const ID: Option<&str> = Some("conferenceID=9%2F1");
        type Entries<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(Option<&str>, Entries<'_>, Result<&str, Refusal>)] = &[
            (ID, &[LOGIN, GOOD], Ok("9/1")),
            (None, &[LOGIN, GOOD], Err(NO_ID)),
            (ID, &[GOOD], Err(NO_ID)),
            (ID, &[("x-login-type", "2"), GOOD], Err(BAD_PARAMETER)),
            (ID, &[LOGIN], Err(NO_PASSWORD)),
            (ID, &[LOGIN, ("x-password", "")], Err(NO_PASSWORD)),
            (ID, &[LOGIN, ("x-password", "1")], Err(BAD_PASSWORD)),
        ];
        for (query, entries, expected) in cases {
            let id = issue(*query, &headers(entries));
            assert_eq!(id, expected.clone().map(str::to_owned), "{entries:?}");
        }
    }
}
