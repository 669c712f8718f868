//! The JSON envelopes in which the REST side and the gateways before it wrap a code and a text.
//!
//! Lenient by design: a code may be text or a number, and the pair may sit in a nested object.

use serde_json::{Map, Value};

use crate::call;

const LONGEST_CODE: usize = 64;
const LONGEST_MESSAGE: usize = 256;

/// The names under which a code and its text are found, in the order in which they are tried.
const PAIRS: [(&str, &str); 4] = [
    ("error_code", "error_msg"),
    ("errorCode", "errorMsg"),
    ("code", "message"),
    ("returnCode", "returnDesc"),
];

/// What an error body says, within bounds and on one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// At most 64 visible ASCII characters.
    pub(super) code: Option<String>,
    /// At most 256 characters without control characters.
    pub(super) message: Option<String>,
    /// The id that the gateway gave the request.
    pub(super) request_id: Option<String>,
}

/// Reads the body of a failure; `None` when there is no code in it.
pub(super) fn of_error(body: &[u8]) -> Option<Envelope> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return None;
    };
    PAIRS
        .iter()
        .find_map(|(code, message)| pair(&object, code, message))
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

/// Looks for both halves of a pair here, then in each nested object. The depth is bounded by the
/// JSON parser, the width by the size of the body.
fn pair(object: &Map<String, Value>, code_key: &str, message_key: &str) -> Option<Envelope> {
    if let (Some(code), Some(message)) = (object.get(code_key), object.get(message_key))
        && let Some(code) = code_text(code)
    {
        return Some(Envelope {
            code: Some(code),
            message: message_text(message),
            request_id: object.get("request_id").and_then(id_text),
        });
    }
    object
        .values()
        .filter_map(Value::as_object)
        .find_map(|inner| pair(inner, code_key, message_key))
}

fn code_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let usable =
        (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    usable.then_some(text)
}

fn message_text(value: &Value) -> Option<String> {
    let text: String = value
        .as_str()?
        .trim()
        .chars()
        .take(LONGEST_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (!text.is_empty()).then_some(text)
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
            r#"{"error_code":" MMC.1 ","error_msg":" SYMBOL\n","encoded_authorization_message":"x"}"#,
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
        let long_code = format!(r#"{{"code":"{}","message":"x"}}"#, "9".repeat(65));
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
            &long_code,
        ] {
            assert_eq!(of_error(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn texts_are_cut_to_one_short_line() {
        let body = format!(
            r#"{{"code":"1","message":"a\r\n{}","request_id":"two words"}}"#,
            "é".repeat(400)
        );
        let envelope = of_error(body.as_bytes()).unwrap();
        let message = envelope.message.unwrap();
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
        assert!(message.starts_with("a  é"));
        assert_eq!(envelope.request_id, None);
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
