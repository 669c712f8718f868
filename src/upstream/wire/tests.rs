use std::time::Duration;

use super::*;
use crate::call::Outcome;
use crate::deadline::Deadline;
use crate::proto::v1::UpdateStartedConfConfigRequest;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn put(base: &str, request: UpdateStartedConfConfigRequest) -> Put {
    let metadata: HeaderMap = [
        (call::REQUEST_ID, "id-1"),
        (call::TRACEPARENT, PARENT),
        (crate::command::TOKEN, "Basic Y25y"),
        ("cookie", "never=travels"),
    ]
    .into_iter()
    .map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    })
    .collect();
    let deadline = Deadline::start(None, Duration::from_secs(1));
    let call = Arc::new(Call::arrive(&metadata, deadline, call::Peer::anonymous()));
    let command = UpdateCommand::read(&metadata, request).unwrap();
    let endpoint = base.parse::<BaseUrl>().unwrap().endpoint();
    Put::new(&endpoint, &call, command)
}

fn request(
    id: &str,
    lock_sharing: i32,
    call_in_restriction: i32,
) -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: id.to_owned(),
        lock_sharing,
        call_in_restriction,
        ..Default::default()
    }
}

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

fn content() -> Content {
    Arc::into_inner(put("https://h", request("1", 2, 0)).content).unwrap()
}

#[test]
fn the_url_joins_base_and_path_and_encodes_the_conference_id() {
    for (base, id, expected) in [
        (
            "https://h",
            "900244663",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=900244663",
        ),
        (
            "https://h/",
            "1",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=1",
        ),
        (
            "https://h:8443/a/b/",
            "1",
            "https://h:8443/a/b/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=1",
        ),
        (
            "http://[::1]:80",
            "a b",
            "http://[::1]/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=a%20b",
        ),
        (
            "https://h",
            "a&b=c#d?e/f%+;é",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=a%26b%3Dc%23d%3Fe%2Ff%25%2B%3B%C3%A9",
        ),
        (
            "https://h",
            "A-z.0_9~",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=A-z.0_9~",
        ),
    ] {
        assert_eq!(put(base, request(id, 1, 0)).content.url.as_str(), expected);
    }
}

#[test]
fn the_body_holds_just_the_settings_that_are_given() {
    for (lock, restriction, expected) in [
        (1, 0, r#"{"lockSharing":0}"#),
        (2, 0, r#"{"lockSharing":1}"#),
        (0, 1, r#"{"callInRestriction":0}"#),
        (0, 2, r#"{"callInRestriction":2}"#),
        (0, 3, r#"{"callInRestriction":3}"#),
        (2, 3, r#"{"lockSharing":1,"callInRestriction":3}"#),
    ] {
        assert_eq!(
            put("https://h", request("1", lock, restriction))
                .content
                .body,
            expected
        );
    }
}

#[test]
fn only_the_documented_headers_are_sent() {
    let headers = put("https://h", request("1", 1, 0)).headers();
    let mut sent: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    sent.sort();
    assert_eq!(
        sent,
        [
            "accept: application/json",
            "content-type: application/json",
            &format!("traceparent: {PARENT}"),
            &format!("user-agent: meeting-control/{}", env!("CARGO_PKG_VERSION")),
            "x-conference-authorization: Basic Y25y",
            "x-request-id: id-1",
        ]
    );
    assert!(headers[crate::command::TOKEN].is_sensitive());
}

#[test]
fn a_base_url_is_http_with_a_host_and_nothing_after_the_path() {
    for (text, good) in [
        ("https://api.meeting.huaweicloud.com", true),
        ("http://127.0.0.1:8080/prefix", true),
        ("ftp://x", false),
        ("api.meeting.huaweicloud.com", false),
        ("https://", false),
        ("https://h?x=1", false),
        ("https://h#x", false),
        ("https://user:password@h", false),
        ("", false),
    ] {
        assert_eq!(text.parse::<BaseUrl>().is_ok(), good, "{text}");
    }
}

#[test]
fn plain_http_is_exposed_unless_it_stays_on_this_machine() {
    for (text, exposed) in [
        ("https://example.com", false),
        ("http://127.0.0.1:1", false),
        ("http://127.9.9.9", false),
        ("http://[::1]", false),
        ("http://[::ffff:127.0.0.1]", false),
        ("http://localhost:80", false),
        ("http://example.com", true),
        ("http://10.0.0.1", true),
        ("http://localhost.example.com", true),
    ] {
        assert_eq!(
            text.parse::<BaseUrl>().unwrap().is_exposed(),
            exposed,
            "{text}"
        );
    }
}

#[test]
fn any_body_of_a_success_will_do_but_a_refusing_envelope() {
    for body in ["", "{}", "<html>", "{\"returnCode\":0}", "{\"returnCode\":"] {
        let accepted = content()
            .read(&answer(200, &[("x-request-id", "up-1")], body))
            .unwrap();
        assert_eq!(accepted.upstream_request_id.as_deref(), Some("up-1"));
    }
    let refused = content().read(&answer(
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
    let error = content()
        .read(&answer(429, &[("retry-after", "7")], body))
        .unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.known.unwrap().symbol, "APIG_THROTTLED");
    assert_eq!(refusal.error_code.as_deref(), Some("APIG.0308"));
    assert_eq!(refusal.error_msg.as_deref(), Some("slow down"));
    assert_eq!(refusal.upstream_request_id.as_deref(), Some("body-id"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    let error = content()
        .read(&answer(502, &[("x-request-id", "header-id")], body))
        .unwrap_err();
    let id = error.refusal().unwrap().upstream_request_id.clone();
    assert_eq!(id.as_deref(), Some("header-id"));
}

#[test]
fn texts_are_redacted_whole_and_then_cut_to_one_short_line() {
    // The token stands where a cut would leave its first half.
    let content = content();
    let token = "Y25yMDEyMzQ1Njc4OQ";
    let metadata = HeaderMap::from_iter([(
        HeaderName::from_static(crate::command::TOKEN),
        HeaderValue::from_static(token),
    )]);
    let command = UpdateCommand::read(&metadata, request("1", 2, 0)).unwrap();
    let content = Content {
        token: command.token,
        ..content
    };
    let text = format!("a\\r\\n{}{token} tail", "é".repeat(LONGEST_TEXT - 12));
    let body = format!(r#"{{"code":"{}","message":"{text}"}}"#, "9".repeat(300));
    let error = content.read(&answer(400, &[], &body)).unwrap_err();
    let refusal = error.refusal().unwrap();
    let message = refusal.error_msg.as_deref().unwrap();
    assert!(message.starts_with("a  é"), "{message}");
    assert_eq!(message.chars().count(), LONGEST_TEXT);
    assert!(!message.contains(&token[..6]), "{message}");
    assert_eq!(refusal.error_code.as_ref().unwrap().len(), LONGEST_CODE);
}

#[test]
fn a_code_that_refuses_one_of_several_settings_leaves_doubt_about_the_others() {
    let body = r#"{"error_code":"MMC.111072205","error_msg":"x"}"#;
    for (request, expected) in [
        (request("1", 2, 0), Outcome::NotApplied),
        (request("1", 2, 3), Outcome::Unknown),
    ] {
        let error = put("https://h", request)
            .content
            .read(&answer(400, &[], body))
            .unwrap_err();
        assert_eq!(error.refusal().unwrap().outcome(), expected);
    }
}
