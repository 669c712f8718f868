use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::*;
use crate::call::Outcome;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// What an answer to a request with one setting means.
fn read_one(answer: &Answer) -> Result<Accepted, UpstreamError> {
    read_of(1, answer)
}

fn read_of(settings: usize, answer: &Answer) -> Result<Accepted, UpstreamError> {
    let context = Context {
        token: &ControlToken::for_tests(),
        settings,
        now: SystemTime::UNIX_EPOCH,
    };
    read(answer, &context)
}

#[test]
fn any_body_of_a_success_will_do_but_a_refusing_envelope() {
    for body in ["", "{}", "<html>", "{\"returnCode\":0}", "{\"returnCode\":"] {
        let accepted = read_one(&answer(200, &[("x-request-id", "up-1")], body)).unwrap();
        assert_eq!(accepted.upstream_request_id.as_deref(), Some("up-1"));
    }
    let refused = read_one(&answer(
        200,
        &[],
        r#"{"returnCode":111072083,"returnDesc":"X"}"#,
    ));
    let refusal = refused.unwrap_err().refusal().cloned().unwrap();
    assert_eq!(refusal.error_code.as_deref(), Some("MMC.111072083"));
    assert_eq!(refusal.status, 200);
}

#[test]
fn a_refusal_carries_what_the_answer_said() {
    let body = r#"{"error_code":"APIG.0308","error_msg":"slow down","request_id":"body-id"}"#;
    let error = read_one(&answer(429, &[("retry-after", "7")], body)).unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.known.unwrap().symbol, "APIG_THROTTLED");
    assert_eq!(refusal.error_code.as_deref(), Some("APIG.0308"));
    assert_eq!(refusal.error_msg.as_deref(), Some("slow down"));
    assert_eq!(refusal.upstream_request_id.as_deref(), Some("body-id"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    let error = read_one(&answer(502, &[("x-request-id", "header-id")], body)).unwrap_err();
    let id = error.refusal().unwrap().upstream_request_id.clone();
    assert_eq!(id.as_deref(), Some("header-id"));
}

#[test]
fn texts_are_redacted_whole_and_then_cut_to_one_short_line() {
    // The token stands where a cut would leave its first half.
    let token = "cnr0123456789abcdef";
    let text = format!("a\\r\\n{}{token} tail", "é".repeat(MAX_TEXT - 12));
    let body = format!(r#"{{"code":"{}","message":"{text}"}}"#, "9".repeat(300));
    let error = read_one(&answer(400, &[], &body)).unwrap_err();
    let refusal = error.refusal().unwrap();
    let message = refusal.error_msg.as_deref().unwrap();
    assert!(message.starts_with("a  é"), "{message}");
    assert_eq!(message.chars().count(), MAX_TEXT);
    assert!(!message.contains(&token[..6]), "{message}");
    assert_eq!(refusal.error_code.as_ref().unwrap().len(), MAX_CODE);
}

#[test]
fn a_code_that_refuses_one_of_several_settings_leaves_doubt_about_the_others() {
    let body = r#"{"error_code":"MMC.111072205","error_msg":"x"}"#;
    for (settings, expected) in [(1, Outcome::NotApplied), (2, Outcome::Unknown)] {
        let error = read_of(settings, &answer(400, &[], body)).unwrap_err();
        assert_eq!(error.refusal().unwrap().outcome(), expected);
    }
}
