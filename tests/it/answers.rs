//! Answers that an upstream or the gateways before it really give, byte for byte, and what the caller
//! must be told of each.

use crate::kit::{Facade, Failure, MEETING, Script, Step};

mod case;
mod certificate;
mod http2;

use case::{Expected, MAX_PUTS, accepted, answer, check, on_one_thread, part, refused};

const JSON: &str = "Content-Type: application/json\r\n";
const PAGE: &str = "Content-Type: text/html\r\n";
const NOT_STARTED: &str = r#"{"error_code":"MMC.111072005","error_msg":"CONF_NOT_STARTED"}"#;

/// The beginning of what gzip makes of nothing.
const COMPRESSED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";

#[tokio::test]
async fn a_success_says_so_in_many_ways() {
    #[rustfmt::skip] // one row per line
    let bodies = [
        ("no content", "204 No Content", ""),
        ("an envelope with 0", "200 OK", r#"{"returnCode":0,"returnDesc":"Success"}"#),
        ("0 as text", "200 OK", r#"{"returnCode":"0","returnDesc":"Success"}"#),
        ("0 as a float", "200 OK", r#"{"returnCode":0.0}"#),
        ("no return code", "200 OK", r#"{"returnCode":null}"#),
        ("code 0", "200 OK", r#"{"code":0,"message":"ok"}"#),
        ("code 200", "200 OK", r#"{"code":200,"message":"ok"}"#),
        ("a code of nobody's", "200 OK", r#"{"code":1001,"message":"x"}"#),
        ("success", "200 OK", r#"{"success":true,"code":"0","msg":"ok"}"#),
        ("an error code of 0", "200 OK", r#"{"error_code":"0","error_msg":""}"#),
        ("no errors", "200 OK", r#"{"returnCode":0,"errors":[]}"#),
        ("a byte order mark", "200 OK", "\u{feff}{\"returnCode\":0}"),
        ("an empty list", "202 Accepted", "[]"),
        ("null", "200 OK", "null"),
    ];
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\nX-Sum: 1\r\n\r\n";
    #[rustfmt::skip]
    let forms = [
        ("an empty body", answer("200 OK", "", "")),
        ("text", answer("200 OK", "Content-Type: text/plain\r\n", "OK")),
        ("no encoding", answer("200 OK", "Content-Encoding: identity\r\n", "")),
        ("hints before", [hints.into(), answer("200 OK", "", "")].concat()),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n{\"returnCode\":0}".into()),
        ("a trailer", chunked.into()),
        ("a folded header", answer("200 OK", "X-Long: one\r\n two\r\n\tthree\r\n", "")),
        ("a blank before a colon", answer("200 OK", "X-Odd : 1\r\n", "")),
        ("a blank before the length's", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nOK".into()),
        ("200 headers", answer("200 OK", &many_headers(), "")),
    ];
    let bodies = bodies.map(|(name, status, body)| accepted(name, answer(status, JSON, body)));
    let forms = forms.map(|(name, answer)| accepted(name, answer));
    check(bodies.into_iter().chain(forms)).await;
}

fn many_headers() -> String {
    let header = |number| format!("X-H{number}: {}\r\n", "v".repeat(40));
    (0..200).map(header).collect()
}

#[tokio::test]
async fn a_refusal_that_comes_as_200_is_told() {
    #[rustfmt::skip]
    let numbers = [
        ("an integer as text", &br#"{"returnCode":"111072083","returnDesc":"LOCK_SHARE_FAILED"}"#[..]),
        ("an integral float", br#"{"returnCode":111072083.0,"returnDesc":"LOCK_SHARE_FAILED"}"#),
        ("an exponent", br#"{"returnCode":1.11072083e8}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"returnCode\":111072083,\"returnDesc\":\"LOCK_SHARE_FAILED\"}"),
        ("text in GBK", b"{\"returnCode\":111072083,\"returnDesc\":\"\xb2\xd9\xd7\xf7\xca\xa7\xb0\xdc\"}"),
    ];
    #[rustfmt::skip]
    let codes = [
        ("a pair", NOT_STARTED),
        ("no text", r#"{"error_code":"MMC.111072005"}"#),
        ("nested", r#"{"result":{"error_code":"MMC.111072005","error_msg":"x"}}"#),
        ("in a list", r#"{"errors":[{"errorCode":"MMC.111072005","errorMessage":"x"}]}"#),
        ("a list", r#"[{"error_code":"MMC.111072005","error_msg":"x"}]"#),
        ("a known code alone", r#"{"code":"MMC.111072005"}"#),
    ];
    #[rustfmt::skip]
    let riddles = [
        ("a code that nobody knows", r#"{"code":"MMC.111099998","msg":"x"}"#),
        ("a code of the users'", r#"{"code":"USG.201040999","message":"x"}"#),
        ("a negative code", r#"{"returnCode":-1,"returnDesc":"x"}"#),
        ("no success, with a code", r#"{"code":401,"msg":"login first","success":false}"#),
        ("no success", r#"{"success":false}"#),
    ];
    let numbers = numbers.map(|(name, body)| {
        let case = refused(name, answer("200 OK", JSON, body), "INTERNAL", "unknown");
        case.reason("LOCK_SHARE_FAILED")
    });
    let codes = codes.map(|(name, body)| {
        let answer = answer("200 OK", JSON, body);
        let case = refused(name, answer, "FAILED_PRECONDITION", "not_applied");
        case.error_code("MMC.111072005").once()
    });
    let riddles = riddles.map(|(name, body)| {
        refused(name, answer("200 OK", JSON, body), "INTERNAL", "unknown").once()
    });
    let of_gateway = answer("200 OK", JSON, r#"{"code":"APIG.0101","message":"x"}"#);
    let of_gateway = refused("APIG", of_gateway, "UNIMPLEMENTED", "not_applied");
    let of_gateway = of_gateway.reason("APIG_API_NOT_FOUND").once();
    let cases = numbers.into_iter().chain(codes).chain(riddles);
    check(cases.chain([of_gateway])).await;
}

#[tokio::test]
async fn a_success_of_something_else_than_the_api_is_none() {
    const UTF_8: &str = "Content-Type: text/html; charset=utf-8\r\n";
    let pages = [
        ("a page", UTF_8, "<html><body>Please log in</body></html>"),
        ("called JSON", JSON, "\n<!DOCTYPE html><html></html>"),
        ("marked", JSON, "\u{feff}<html></html>"),
        ("XML", JSON, "<?xml version=\"1.0\"?><login/>"),
    ];
    let pages = pages.map(|(name, kind, body)| {
        let case = refused(name, answer("200 OK", kind, body), "INTERNAL", "unknown");
        case.reason("UPSTREAM_NOT_THE_API").once()
    });
    let compressed = ["gzip", "br", "deflate"].map(|encoding| {
        let headers = format!("{JSON}Content-Encoding: {encoding}\r\n");
        let answer = answer("200 OK", &headers, COMPRESSED);
        refused(encoding, answer, "INTERNAL", "unknown").once()
    });
    let beginning = r#"{"returnCode":111072083,"returnDesc""#;
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ret\r\n";
    let lost = [
        ("cut off", part("200 OK", JSON, beginning, 20)),
        ("cut off between chunks", chunk.into()),
    ];
    let lost = lost.map(|(name, answer)| refused(name, answer, "UNAVAILABLE", "unknown"));
    check(pages.into_iter().chain(compressed).chain(lost)).await;
}

#[tokio::test]
async fn a_known_code_decides_however_poor_the_rest_is() {
    #[rustfmt::skip]
    let bodies = [
        ("no text", &br#"{"error_code":"MMC.111072083"}"#[..]),
        ("text in GBK", b"{\"error_code\":\"MMC.111072083\",\"error_msg\":\"\xb2\xd9\xd7\xf7\"}"),
        ("in a list", br#"{"errors":[{"error_code":"MMC.111072083","error_msg":"x"}]}"#),
        ("a list", br#"[{"error_code":"MMC.111072083"}]"#),
        ("error_message", br#"{"error_code":"MMC.111072083","error_message":"x"}"#),
        ("errorMessage", br#"{"errorCode":"MMC.111072083","errorMessage":"x"}"#),
        ("code and msg", br#"{"code":"MMC.111072083","msg":"x"}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"error_code\":\"MMC.111072083\"}"),
    ];
    let long = format!("{JSON}X-Long: {}\r\n", "v".repeat(32_000));
    let folded = format!("{JSON}X-Long: one\r\n two\r\n");
    let text = r#"{"returnCode":"111072005","returnDesc":"x"}"#;
    let pair = r#"{"error_code":"MMC.111072005","error_msg":"x"}"#;
    let forms = [
        ("returnCode", JSON, text),
        ("a header of 32 KiB", &long, pair),
        ("200 headers", &many_headers(), NOT_STARTED),
        ("a folded header", &folded, NOT_STARTED),
    ];
    let bodies = bodies.map(|(name, body)| {
        let case = refused(
            name,
            answer("400 Bad Request", JSON, body),
            "INTERNAL",
            "unknown",
        );
        case.reason("LOCK_SHARE_FAILED").error_code("MMC.111072083")
    });
    let forms = forms.map(|(name, headers, body)| {
        let answer = answer("400 Bad Request", headers, body);
        let case = refused(name, answer, "FAILED_PRECONDITION", "not_applied");
        case.reason("CONF_NOT_STARTED").once()
    });
    check(bodies.into_iter().chain(forms)).await;
}

#[tokio::test]
async fn a_status_says_what_it_can_about_the_settings() {
    const LOGIN: &str = "Location: https://login.example/\r\n";
    #[rustfmt::skip]
    let rows = [
        ("302 Found", LOGIN, "INTERNAL", "not_applied", 1),
        ("303 See Other", "Location: /elsewhere\r\n", "INTERNAL", "unknown", 1),
        ("307 Temporary Redirect", LOGIN, "INTERNAL", "not_applied", 1),
        ("408 Request Timeout", "", "DEADLINE_EXCEEDED", "unknown", MAX_PUTS),
        ("499 Client Closed Request", "", "UNAVAILABLE", "unknown", MAX_PUTS),
        ("501 Not Implemented", "", "UNIMPLEMENTED", "not_applied", 1),
    ];
    let cases = rows.map(|(status, headers, code, outcome, puts)| {
        let answer = answer(status, headers, "");
        refused(status, answer, code, outcome).puts(puts)
    });
    check(cases).await;
}

/// Sixteen of the known codes that come as 400 leave it open whether the settings changed: so does a 400
/// that cannot be read.
#[tokio::test]
async fn a_refusal_that_cannot_be_read_leaves_it_open_unless_its_status_decides() {
    let half = r#"{"error_code":"MMC.1110"#;
    let page = "<html><head><title>400 Bad Request</title></head></html>";
    let foreign = r#"{"error":"invalid_request","error_description":"x"}"#;
    let new = r#"{"error_code":"MMC.111099998","error_msg":"x"}"#;
    let of_gateway = r#"{"error_code":"APIG.0999","error_msg":"x"}"#;
    let guest = r#"{"error_code":"MMC.111072070","error_msg":"GUEST"#;
    let throttled = r#"{"error_code":"APIG.0308","error_msg":"x"}"#;
    let gzip = format!("{JSON}Content-Encoding: gzip\r\n");
    let later = format!("{JSON}Retry-After: 30\r\n");
    #[rustfmt::skip]
    let rows = [
        ("cut off", part("400 Bad Request", JSON, half, 37), "INVALID_ARGUMENT", "unknown"),
        ("no JSON after all", answer("400 Bad Request", JSON, half), "INVALID_ARGUMENT", "unknown"),
        ("compressed", answer("400 Bad Request", &gzip, COMPRESSED), "INVALID_ARGUMENT", "unknown"),
        ("409, a new code", answer("409 Conflict", JSON, new), "ABORTED", "unknown"),
        ("410, cut off", part("410 Gone", JSON, half, 37), "NOT_FOUND", "unknown"),
        ("a page", answer("400 Bad Request", PAGE, page), "INVALID_ARGUMENT", "not_applied"),
        ("text", answer("400 Bad Request", "", "bad"), "INVALID_ARGUMENT", "not_applied"),
        ("empty", answer("400 Bad Request", "", ""), "INVALID_ARGUMENT", "not_applied"),
        ("no code", answer("400 Bad Request", JSON, foreign), "INVALID_ARGUMENT", "not_applied"),
        ("a new code of the gateway's", answer("400 Bad Request", JSON, of_gateway), "INVALID_ARGUMENT", "not_applied"),
        ("404, cut off", part("404 Not Found", PAGE, "<", 5), "NOT_FOUND", "not_applied"),
        ("405, compressed", answer("405 Method Not Allowed", &gzip, COMPRESSED), "UNIMPLEMENTED", "not_applied"),
        ("413, cut off", part("413 Content Too Large", PAGE, "<", 5), "INVALID_ARGUMENT", "not_applied"),
    ];
    // The connection stays open, and no more comes.
    #[rustfmt::skip]
    let held = [
        ("half of 400", part("400 Bad Request", JSON, half, 37), "INVALID_ARGUMENT", "unknown", 1),
        ("half of 401", part("401 Unauthorized", JSON, half, 37), "UNAUTHENTICATED", "not_applied", 1),
        ("half of 403", part("403 Forbidden", JSON, guest, 152), "PERMISSION_DENIED", "not_applied", 1),
        ("half of 412", part("412 Precondition Failed", "", "", 5), "FAILED_PRECONDITION", "unknown", 1),
        ("half of 429", part("429 Too Many Requests", &later, throttled, 58), "RESOURCE_EXHAUSTED", "not_applied", 1),
        ("half of 494", part("494 Request Header Too Large", PAGE, "<", 5), "INVALID_ARGUMENT", "not_applied", 1),
        ("half of 500", part("500 Internal Server Error", PAGE, "<", 5), "INTERNAL", "unknown", 1),
        ("half of 503", part("503 Service Unavailable", PAGE, "<", 5), "UNAVAILABLE", "unknown", MAX_PUTS),
    ];
    let rows =
        rows.map(|(name, answer, code, outcome)| refused(name, answer, code, outcome).once());
    let held = held.map(|(name, answer, code, outcome, puts)| {
        refused(name, answer, code, outcome).puts(puts).held()
    });
    let new = answer("400 Bad Request", JSON, new);
    let new = refused("a new code", new, "INVALID_ARGUMENT", "unknown").once();
    let new = new.error_code("MMC.111099998");
    check(rows.into_iter().chain(held).chain([new])).await;
}

#[tokio::test]
async fn a_date_to_retry_after_is_read_against_the_answers_own() {
    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    #[rustfmt::skip]
    let rows = [
        ("in half a minute", NOW, "Sun, 06 Nov 1994 08:50:07 GMT", 30, 1),
        ("in two minutes", NOW, "Sun, 06 Nov 1994 08:51:37 GMT", 60, 1),
        ("in the old spelling", NOW, "Sunday, 06-Nov-94 08:50:07 GMT", 30, 1),
        ("over by then", NOW, "Sun, 06 Nov 1994 08:49:07 GMT", 0, MAX_PUTS),
        ("in a year to come", "Sat, 06 Nov 2094 08:49:37 GMT", "Sat, 06 Nov 2094 08:50:07 GMT", 30, 1),
        ("over by our clock", "yesterday", "Sun, 06 Nov 1994 08:50:07 GMT", 0, MAX_PUTS),
    ];
    let cases = rows.map(|(name, date, after, delay, puts)| {
        let headers = format!("Date: {date}\r\nRetry-After: {after}\r\n");
        let answer = answer("429 Too Many Requests", &headers, "");
        let case = refused(name, answer, "RESOURCE_EXHAUSTED", "not_applied");
        case.retry_delay(delay).puts(puts)
    });
    check(cases).await;
}

/// A gateway that closes a connection that it thinks idle says 408, and the request that crosses it has
/// not been read.
#[tokio::test]
async fn a_connection_given_up_with_408_is_replaced_once() {
    let given_up = || Step::Then(answer("408 Request Time-out", "Connection: close\r\n", ""));
    for (then, code) in [
        (Step::ok(), "OK"),
        // A new connection cannot have been thought idle.
        (given_up(), "DEADLINE_EXCEEDED"),
    ] {
        let upstream = Script::start([Step::ok(), given_up(), then]).await;
        let mut settings = on_one_thread();
        settings.upstream.max_retries = 0;
        let facade = Facade::with(&upstream.base, settings).await;
        facade.lock(MEETING).await.unwrap();
        let told = facade.lock(MEETING).await.map(drop);
        let expected = Expected::new(code, Some("unknown"), 3);
        assert_eq!(expected.fault(&told, upstream.requests().len()), None);
        assert_eq!(upstream.requests().len(), 3, "{code}");
    }
}

#[tokio::test]
async fn a_text_of_the_upstream_cannot_turn_the_line_around_it() {
    const TURNS: &str = "\u{202e}\u{2028}\u{2029}\u{2066}";
    let body = format!(r#"{{"error_code":"XYZ.1","error_msg":"a{TURNS}b"}}"#);
    let upstream = Script::start([Step::Raw(answer("403 Forbidden", JSON, body))]).await;
    let facade = Facade::over(&upstream.base).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    let told = &failure.metadata["error_msg"];
    assert!(!told.contains(|c| TURNS.contains(c)), "{told:?}");
    assert!(told.starts_with('a') && told.ends_with('b'), "{told:?}");
}
