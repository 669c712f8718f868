use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::*;
use crate::names;
use crate::secret::ControlToken;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: impl AsRef<[u8]>) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect(),
        body: Bytes::copy_from_slice(body.as_ref()),
        extent: Extent::Whole,
        idle: false,
    }
}

fn secrets(token: &ControlToken) -> Secrets<'_> {
    Secrets {
        token: Some(token),
        password: None,
    }
}

/// What an answer to a request with one setting means.
fn read_one(answer: &Answer) -> Result<Accepted, UpstreamError> {
    read_of(1, answer)
}

fn read_of(settings: usize, answer: &Answer) -> Result<Accepted, UpstreamError> {
    let token = ControlToken::for_tests();
    let context = Context {
        secrets: secrets(&token),
        settings,
        now: SystemTime::UNIX_EPOCH,
    };
    read(answer, &context)
}

/// What is made of an answer: gRPC code, outcome, and what it is understood by.
fn told(answer: &Answer) -> String {
    match read_one(answer) {
        Ok(_) => "accepted".to_owned(),
        Err(UpstreamError::Refused(refusal)) => {
            let basis = match refusal.basis {
                Basis::Code(known) => known.code,
                Basis::Status => "status",
                Basis::Page => "page",
                Basis::NoToken => "no token",
                Basis::Unreadable => "unreadable",
            };
            let code = names::code_labels()[refusal.grpc_code() as usize];
            format!("{code} {} {basis}", refusal.outcome())
        }
        Err(other) => panic!("{other}"),
    }
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const JSON: (&str, &str) = ("content-type", "application/json;charset=UTF-8");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

#[test]
fn any_2xx_is_a_success_but_one_that_says_no_or_that_the_api_did_not_write() {
    let page = "Internal unknown page";
    let unreadable = "Internal unknown unreadable";
    let lock_share_failed = "Internal unknown MMC.111072083";
    for (status, headers, body, expected) in [
        (200, &[][..], &b""[..], "accepted"),
        (204, &[], b"", "accepted"),
        (206, &[JSON], b"{}", "accepted"),
        (299, &[], br#"{"code":200}"#, "accepted"),
        (
            200,
            &[JSON],
            br#"{"returnCode":0,"returnDesc":"Success"}"#,
            "accepted",
        ),
        (200, &[JSON], br#"{"returnCode":"#, "accepted"),
        (200, &[("content-type", "text/plain")], b"OK", "accepted"),
        (200, &[("content-type", "text/htmlx")], b"OK", "accepted"),
        (200, &[], b"a < b", "accepted"),
        (200, &[], b"\xb2\xd9\xd7\xf7", "accepted"),
        // It says no.
        (
            200,
            &[JSON],
            br#"{"returnCode":"111072083"}"#,
            lock_share_failed,
        ),
        (
            202,
            &[JSON],
            br#"{"returnCode":111072083.0}"#,
            lock_share_failed,
        ),
        (
            200,
            &[JSON],
            b"\xef\xbb\xbf{\"returnCode\":111072083}",
            lock_share_failed,
        ),
        (
            200,
            &[JSON],
            b"\xff\xfe{\0\"\0c\0o\0d\0e\0\"\0:\0\"\0M\0M\0C\0.\0X\0\"\0}\0",
            "Internal unknown status",
        ),
        (
            200,
            &[JSON],
            b"{\"returnDesc\":\"\xb2\xd9\x95\x5c\",\"returnCode\":111072083}",
            lock_share_failed,
        ),
        (
            200,
            &[],
            br#"{"error_code":"MMC.111072005","error_msg":"x"}"#,
            "FailedPrecondition not_applied MMC.111072005",
        ),
        (
            200,
            &[],
            br#"{"code":"APIG.0308","message":"x"}"#,
            "ResourceExhausted not_applied APIG.0308",
        ),
        (
            200,
            &[],
            br#"{"code":401,"msg":"login first","success":false}"#,
            "Internal unknown status",
        ),
        (
            200,
            &[],
            br#"{"error_code":"MMC.111099998"}"#,
            "Internal unknown status",
        ),
        // A page, whatever it is called; what it holds is for people.
        (
            200,
            &[HTML],
            b"<html><body>Please log in</body></html>",
            page,
        ),
        (200, &[JSON], b"\n<!DOCTYPE html><html></html>", page),
        (200, &[], b"\xef\xbb\xbf \r\n\xef\xbb\xbf<HTML>", page),
        (200, &[], b"\xff\xfe<\0p\0", page),
        (
            200,
            &[("content-type", "application/xml")],
            b"<?xml version=\"1.0\"?><Error/>",
            page,
        ),
        (
            200,
            &[],
            br#"<script>{"error_code":"MMC.111072005"}</script>"#,
            page,
        ),
        (
            200,
            &[("content-type", "TEXT/HTML")],
            b"Please log in",
            page,
        ),
        (200, &[("content-type", " text/html ;x")], b"", page),
        (200, &[HTML], br#"{"returnCode":0}"#, page),
        (200, &[HTML, GZIP], b"\x1f\x8b\x08", page),
        // A refusal, though it is called a page.
        (
            200,
            &[HTML],
            br#"{"returnCode":111072083}"#,
            lock_share_failed,
        ),
        // Compressed, as its header says or as its first bytes show.
        (
            200,
            &[JSON, GZIP],
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            unreadable,
        ),
        (200, &[JSON], b"\x1f\x8b\x08\0\0\0\0\0\0\x03", unreadable),
        (
            200,
            &[("content-encoding", "BR")],
            b"\x0b\x02\x80{}\x03",
            unreadable,
        ),
        (
            200,
            &[("content-encoding", "identity, deflate")],
            b"x",
            unreadable,
        ),
        (
            200,
            &[("content-encoding", "something-new")],
            b"{}",
            unreadable,
        ),
        (
            200,
            &[("content-encoding", "identity"), GZIP],
            b"x",
            unreadable,
        ),
        (200, &[("content-encoding", "Identity")], b"{}", "accepted"),
        (200, &[("content-encoding", "UTF-8, ")], b"{}", "accepted"),
        // What can be read of it decides all the same.
        (
            200,
            &[GZIP],
            br#"{"returnCode":111072083}"#,
            lock_share_failed,
        ),
    ] {
        let answer = answer(status, headers, body);
        assert_eq!(told(&answer), expected, "{answer:?}");
    }
}

const INVALID: &str = "InvalidArgument not_applied status";
const INVALID_IN_DOUBT: &str = "InvalidArgument unknown status";

#[test]
fn a_refusal_that_may_hide_a_code_leaves_doubt() {
    let not_started = "FailedPrecondition not_applied MMC.111072005";
    let lock_share_failed = "Internal unknown MMC.111072083";
    for (headers, body, expected) in [
        (&[][..], &b""[..], INVALID),
        (&[JSON], b"{}", INVALID),
        (&[JSON], b"null", INVALID),
        (&[], b"Bad Request", INVALID),
        (
            &[HTML],
            b"<html><head><title>400 Bad Request</title></head></html>",
            INVALID,
        ),
        (
            &[JSON],
            br#"{"error_code":"APIG.9999","error_msg":"x"}"#,
            INVALID,
        ),
        (&[JSON], br#"{"error_code":"USG.299999999"}"#, INVALID),
        (&[JSON], br#"{"code":400,"message":"Bad Request"}"#, INVALID),
        (&[JSON], br#"{"success":false}"#, INVALID),
        (
            &[JSON],
            b"{\"error_code\":\"X.1\",\"error_msg\":\"\xb2\xd9\"}",
            INVALID,
        ),
        (&[("content-encoding", "identity")], b"{}", INVALID),
        // A known code that is whole decides, however poor the rest is.
        (&[], br#"{"error_code":"MMC.111072083"}"#, lock_share_failed),
        (
            &[],
            b"{\"error_code\":\"MMC.111072083\",\"error_msg\":\"\xb2\xd9\xd7\xf7\"}",
            lock_share_failed,
        ),
        (
            &[],
            br#"{"errors":[{"error_code":"MMC.111072083","error_msg":"x"}]}"#,
            lock_share_failed,
        ),
        (
            &[],
            br#"{"error_code":"MMC.111072083","error_message":"x"}"#,
            lock_share_failed,
        ),
        (
            &[],
            br#"{"errorCode":"MMC.111072083","errorMessage":"x"}"#,
            lock_share_failed,
        ),
        (
            &[],
            br#"{"code":"MMC.111072083","msg":"x"}"#,
            lock_share_failed,
        ),
        (
            &[],
            br#"{"error_code":"MMC.111072083","error_msg":"cut o"#,
            lock_share_failed,
        ),
        (
            &[],
            br#"{"error_code":"MMC.111072005","error_msg":"cut o"#,
            not_started,
        ),
        (
            &[],
            br#"{"error_code":"MMC.111072005"} <!-- gateway -->"#,
            not_started,
        ),
        (
            &[],
            b"{\"error_msg\":\"one\ntwo\",\"error_code\":\"MMC.111072005\"}",
            not_started,
        ),
        (&[HTML], br#"{"error_code":"MMC.111072005"}"#, not_started),
        (&[GZIP], br#"{"error_code":"MMC.111072005"}"#, not_started),
        (
            &[],
            br#"{"code":400,"error":{"code":111072005}}"#,
            not_started,
        ),
        // It begins as JSON and is none.
        (&[], br#"{"error_code":"MMC.1110"#, INVALID_IN_DOUBT),
        (&[], br#"{"errorCode":111072005"#, INVALID_IN_DOUBT),
        (&[HTML], br#"[{"#, INVALID_IN_DOUBT),
        (&[], b"\xef\xbb\xbf {\"a\":1,}", INVALID_IN_DOUBT),
        (&[], br#"{"error_msg":"x"}}"#, INVALID_IN_DOUBT),
        // A code of the API that is not known, or stands where none belongs.
        (
            &[],
            br#"{"error_code":"MMC.111099998","error_msg":"x"}"#,
            INVALID_IN_DOUBT,
        ),
        (&[], br#"{"error_code":"mmc.111099998"}"#, INVALID_IN_DOUBT),
        (&[], br#"{"error_code":111099998}"#, INVALID_IN_DOUBT),
        (
            &[],
            br#"{"code":"111099998","message":"x"}"#,
            INVALID_IN_DOUBT,
        ),
        (&[], br#"{"code":"MMC\u002e111099998"}"#, INVALID_IN_DOUBT),
        (&[], br#"{"reason":"MMC.111072083"}"#, INVALID_IN_DOUBT),
        (
            &[],
            br#"{"error_code":"X.1","error_msg":"from MMC.111072083"}"#,
            INVALID_IN_DOUBT,
        ),
        (
            &[],
            b"<error_code>MMC.111072083</error_code>",
            INVALID_IN_DOUBT,
        ),
        (&[HTML], b"<p>mmc.111072005", INVALID_IN_DOUBT),
        // Nobody can read it.
        (&[GZIP], b"\x1f\x8b\x08", INVALID_IN_DOUBT),
        (&[], b"\x1f\x8b\x08", INVALID_IN_DOUBT),
        (&[("content-encoding", "br")], b"<html>", INVALID_IN_DOUBT),
        (&[("content-encoding", "\u{e9}")], b"", INVALID_IN_DOUBT),
    ] {
        let answer = answer(400, headers, body);
        assert_eq!(told(&answer), expected, "{answer:?}");
    }
}

#[test]
fn a_body_that_is_not_all_there_leaves_doubt_unless_its_code_is() {
    for (body, expected) in [
        ("", INVALID_IN_DOUBT),
        ("<html>", INVALID_IN_DOUBT),
        (r#"{"error_code":"MMC.1110"#, INVALID_IN_DOUBT),
        (r#"{"error_code":"X.1"}"#, INVALID_IN_DOUBT),
        (
            r#"{"error_code":"MMC.111072005","#,
            "FailedPrecondition not_applied MMC.111072005",
        ),
        (
            r#"{"error_code":"MMC.111072005"}"#,
            "FailedPrecondition not_applied MMC.111072005",
        ),
        (r#"{"code":111072083,"#, "Internal unknown MMC.111072083"),
    ] {
        for extent in [Extent::Cut, Extent::Lost] {
            let answer = Answer {
                extent,
                idle: false,
                ..answer(400, &[], body)
            };
            assert_eq!(told(&answer), expected, "{answer:?}");
        }
    }
}

#[test]
fn a_success_that_is_not_all_there_may_be_long_but_not_lost() {
    for (body, cut, lost) in [
        ("", "accepted", "Internal unknown unreadable"),
        (
            r#"{"returnCode":0,"#,
            "accepted",
            "Internal unknown unreadable",
        ),
        (
            r#"{"returnCode":7,"#,
            "Internal unknown status",
            "Internal unknown status",
        ),
        ("<html>", "Internal unknown page", "Internal unknown page"),
    ] {
        for (extent, expected) in [(Extent::Cut, cut), (Extent::Lost, lost)] {
            let answer = Answer {
                extent,
                idle: false,
                ..answer(200, &[], body)
            };
            assert_eq!(told(&answer), expected, "{answer:?}");
        }
    }
}

#[test]
fn which_statuses_are_clear_without_their_body() {
    let lost = |status| Answer {
        extent: Extent::Lost,
        idle: false,
        ..answer(status, &[], "")
    };
    for status in [401, 403, 404, 405, 413, 414, 429, 494, 300, 302, 399, 501] {
        let told = told(&lost(status));
        assert!(told.contains(" not_applied "), "{status}: {told}");
    }
    for status in [
        400, 402, 406, 409, 410, 412, 422, 423, 451, 408, 499, 303, 500, 101,
    ] {
        let told = told(&lost(status));
        assert!(told.contains(" unknown "), "{status}: {told}");
    }
    for (status, expected) in [
        (499, "Unavailable unknown status"),
        (408, "DeadlineExceeded unknown status"),
        (303, "Internal unknown status"),
    ] {
        assert_eq!(told(&answer(status, &[], "")), expected, "{status}");
    }
    for status in [402, 406, 409, 410, 412, 422, 423, 451] {
        let told = told(&answer(status, &[], ""));
        assert!(told.contains(" not_applied "), "{status}: {told}");
    }
}

#[test]
fn the_gateways_code_for_a_wrong_address_is_no_missing_meeting() {
    for code in ["APIG.0101", "APIGW.0101", "apigw.0101"] {
        for body in [
            format!(r#"{{"error_code":"{code}","error_msg":"x","request_id":"1"}}"#),
            format!(r#"{{"error_code":"{code}"}}"#),
            format!(r#"{{"error":{{"code":"{code}"}}}}"#),
        ] {
            let expected = "Unimplemented not_applied APIG.0101";
            assert_eq!(told(&answer(404, &[], &body)), expected, "{body}");
        }
    }
    for (status, body) in [
        (404, ""),
        (404, r#"{"error_code":"XYZ.0101"}"#),
        (410, "<html>"),
    ] {
        let expected = "NotFound not_applied status";
        assert_eq!(told(&answer(status, &[], body)), expected, "{body}");
    }
}

#[test]
fn sixteen_codes_that_come_as_400_leave_it_open_whether_the_settings_changed() {
    let in_doubt = |row: &&error_code::Known| {
        let body = format!(r#"{{"error_code":"{}"}}"#, row.code);
        row.code.starts_with("MMC.") && told(&answer(400, &[], body)).contains(" unknown ")
    };
    assert_eq!(error_code::TABLE.iter().filter(in_doubt).count(), 16);
}

#[test]
fn a_success_carries_the_upstreams_id() {
    let accepted = read_one(&answer(200, &[("x-request-id", "up-1")], b"")).unwrap();
    assert_eq!(accepted.upstream_request_id.as_deref(), Some("up-1"));
    assert_eq!(accepted.status, 200);
}

#[test]
fn a_refusal_carries_what_the_answer_said() {
    let body = r#"{"error_code":"APIG.0308","error_msg":"slow down","request_id":"body-id"}"#;
    let error = read_one(&answer(429, &[("retry-after", "7")], body)).unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.known().unwrap().symbol, "APIG_THROTTLED");
    assert_eq!(refusal.error_code.as_deref(), Some("APIG.0308"));
    assert_eq!(refusal.error_msg.as_deref(), Some("slow down"));
    assert_eq!(refusal.upstream_request_id.as_deref(), Some("body-id"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    let body = r#"{"error_code":"apigw.0308","error_msg":" \u200b"}"#;
    let error = read_one(&answer(502, &[("x-request-id", "header-id")], body)).unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.error_code.as_deref(), Some("APIGW.0308"));
    assert_eq!(refusal.error_msg, None);
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
    let not_started = r#"{"error_code":"MMC.111072005"}"#;
    let error = read_of(2, &answer(400, &[], not_started)).unwrap_err();
    assert_eq!(error.refusal().unwrap().outcome(), Outcome::NotApplied);
    let body = r#"{"error_code":"MMC.111072205","error_msg":"x"}"#;
    for (settings, expected) in [(1, Outcome::NotApplied), (2, Outcome::Unknown)] {
        let error = read_of(settings, &answer(400, &[], body)).unwrap_err();
        assert_eq!(error.refusal().unwrap().outcome(), expected);
    }
}

#[test]
fn a_success_without_a_length_that_ends_too_soon_cannot_be_read() {
    for (body, extent, expected) in [
        (r#"{"returnCode":111072083"#, Extent::Unframed, true),
        (r#"{"returnCode":0,"returnDe"#, Extent::Unframed, true),
        (r#"{"returnCode":0}"#, Extent::Unframed, false),
        ("OK", Extent::Unframed, false),
        ("", Extent::Unframed, false),
        (r#"{"returnCode":"#, Extent::Whole, false),
    ] {
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            extent,
            idle: false,
        };
        let token = ControlToken::for_tests();
        let context = Context {
            secrets: secrets(&token),
            settings: 1,
            now: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(refusal(&answer, &context).is_some(), expected, "{body}");
    }
}

#[test]
fn a_body_that_was_encoded_twice_is_read_all_the_same() {
    let token = ControlToken::for_tests();
    let context = Context {
        secrets: secrets(&token),
        settings: 1,
        now: SystemTime::UNIX_EPOCH,
    };
    for (body, refused) in [
        (r#""{\"returnCode\":111072083}""#, true),
        (r#""{\"returnCode\":0}""#, false),
        (r#""OK""#, false),
    ] {
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            extent: Extent::Whole,
            idle: false,
        };
        assert_eq!(refusal(&answer, &context).is_some(), refused, "{body}");
    }
}
