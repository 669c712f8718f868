//! The JSON envelopes in which the REST side and the gateways before it wrap a code and a text.
//!
//! Lenient by design: a code may be text or a number, and the pair may sit in a nested object.

use serde_json::{Map, Value};

use crate::call;

/// The names under which a code and its text are found, in the order in which they are tried.
const PAIRS: [(&str, &str); 4] = [
    ("error_code", "error_msg"),
    ("errorCode", "errorMsg"),
    ("code", "message"),
    ("returnCode", "returnDesc"),
];

/// What a body says, as it stands there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The error code; never empty.
    pub(super) code: Option<String>,
    /// The text beside it.
    pub(super) message: Option<String>,
    /// The id that the gateway gave the request.
    pub(super) request_id: Option<String>,
}

/// Reads the body of a failure; `None` when there is no code in it.
pub(super) fn of_error(body: &[u8]) -> Option<Envelope> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return None;
    };
    outermost(&object)
}

/// Reads the body of a success; `None` unless it is an object whose integer `returnCode` is not 0.
pub(super) fn of_success(body: &[u8]) -> Option<Envelope> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return None;
    };
    let code = object.get("returnCode")?;
    let refused = code.as_i64().is_some_and(|code| code != 0) || code.as_u64() > Some(0);
    refused.then(|| Envelope {
        code: code_text(code),
        message: object.get("returnDesc").and_then(message_text),
        request_id: None,
    })
}

/// Tries all pairs here, then in each nested object. The depth is bounded by the JSON parser, the width
/// by the size of the body.
fn outermost(object: &Map<String, Value>) -> Option<Envelope> {
    PAIRS
        .iter()
        .find_map(|(code, message)| pair(object, code, message))
        .or_else(|| {
            let nested = object.values().filter_map(Value::as_object);
            nested.into_iter().find_map(outermost)
        })
}

/// Both halves must be there for a pair to count.
fn pair(object: &Map<String, Value>, code: &str, message: &str) -> Option<Envelope> {
    let (code, message) = (object.get(code)?, object.get(message)?);
    Some(Envelope {
        code: Some(code_text(code)?),
        message: message_text(message),
        request_id: object.get("request_id").and_then(id_text),
    })
}

fn code_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then_some(text)
}

fn message_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn id_text(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    call::is_request_id(id.as_bytes()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str, message: &str) -> Option<Envelope> {
        Some(Envelope {
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            request_id: None,
        })
    }

    #[test]
    fn a_code_is_found_in_every_shape() {
        for body in [
            r#"{"error_code":"MMC.1","error_msg":"SYMBOL"}"#,
            r#"{"errorCode":"MMC.1","errorMsg":"SYMBOL"}"#,
            r#"{"code":"MMC.1","message":"SYMBOL"}"#,
            r#"{"returnCode":"MMC.1","returnDesc":"SYMBOL"}"#,
            r#"{"error":{"code":"MMC.1","message":"SYMBOL"}}"#,
            r#"{"data":{"inner":{"error_code":"MMC.1","error_msg":"SYMBOL"}},"message":"x"}"#,
            r#"{"code":"other","message":"other","error_code":"MMC.1","error_msg":"SYMBOL"}"#,
            r#"{"error_code":" MMC.1 ","error_msg":"SYMBOL","encoded_authorization_message":"x"}"#,
            r#"{"code":"MMC.1","message":"SYMBOL","data":{"error_code":"X.1","error_msg":"inner"}}"#,
        ] {
            assert_eq!(
                of_error(body.as_bytes()),
                found("MMC.1", "SYMBOL"),
                "{body}"
            );
        }
        let numeric = br#"{"code":111072005,"message":"SYMBOL"}"#;
        assert_eq!(of_error(numeric), found("111072005", "SYMBOL"));
    }

    #[test]
    fn a_body_without_a_usable_pair_is_no_envelope() {
        for body in [
            "",
            "<html>502 Bad Gateway</html>",
            "null",
            "[]",
            r#"{"error_code":"MMC.1""#,
            r#"{"error_code":"MMC.1"}"#,
            r#"{"error_msg":"SYMBOL"}"#,
            r#"{"error_code":"MMC.1","message":"not its partner"}"#,
            r#"{"error_code":true,"error_msg":"SYMBOL"}"#,
            r#"{"error_code":["MMC.1"],"error_msg":"SYMBOL"}"#,
            r#"{"error_code":"","error_msg":"SYMBOL"}"#,
            r#"{"error_code":"zwölf","error_msg":"SYMBOL"}"#,
            r#"[{"error_code":"MMC.1","error_msg":"SYMBOL"}]"#,
        ] {
            assert_eq!(of_error(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_gateways_request_id_is_kept() {
        let body = br#"{"error_code":"APIG.0101","error_msg":"x","request_id":"acbc548a"}"#;
        assert_eq!(
            of_error(body).unwrap().request_id.as_deref(),
            Some("acbc548a")
        );
    }

    #[test]
    fn a_success_is_a_refusal_only_with_an_integer_return_code_other_than_zero() {
        for body in [
            "",
            "OK",
            "null",
            "7",
            r#"{"returnCode":0,"returnDesc":"Success"}"#,
            r#"{"returnCode":"7","returnDesc":"text"}"#,
            r#"{"returnCode":7.5}"#,
            r#"{"returnCode":null}"#,
            r#"{"error_code":"MMC.1","error_msg":"SYMBOL"}"#,
            r#"{"data":{"returnCode":7}}"#,
            r#"[{"returnCode":7}]"#,
        ] {
            assert_eq!(of_success(body.as_bytes()), None, "{body}");
        }
        for (body, code) in [
            (
                r#"{"returnCode":111072083,"returnDesc":"LOCK_SHARE_FAILED"}"#,
                "111072083",
            ),
            (r#"{"returnCode":-1}"#, "-1"),
            (
                r#"{"returnCode":18446744073709551615}"#,
                "18446744073709551615",
            ),
        ] {
            assert_eq!(
                of_success(body.as_bytes()).unwrap().code.as_deref(),
                Some(code)
            );
        }
    }

    #[test]
    fn deeply_nested_json_is_no_envelope_and_no_crash() {
        let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        assert_eq!(of_error(deep.as_bytes()), None);
        assert_eq!(of_success(deep.as_bytes()), None);
    }
}
