//! Every way in which the upstream can say no, or say nothing, at the wire.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::kit::{Facade, Failure, MEETING, Script, Settings, Step, tls};

const VENDOR: &str = "meeting.huaweicloud.com";
const OURS: &str = "meeting-control";
const KEPT: &str = "nothing was changed";
const DOUBT: &str = "the settings may have changed";

async fn failure_over(base: &str, mut settings: Settings) -> Failure {
    // What is tried again is seen elsewhere; here, each failure is to be told as it comes.
    settings.upstream.max_retries = 0;
    let facade = Facade::with(base, settings).await;
    let status = facade.lock(MEETING).await.unwrap_err();
    let failure = Failure::of(&status);
    let id = &failure.details.request_info().unwrap().request_id;
    assert_eq!(status.metadata().get("x-request-id").unwrap(), id.as_str());
    if let Some(id) = failure.metadata.get("upstream_request_id") {
        let sent = status.metadata().get("x-upstream-request-id").unwrap();
        assert_eq!(sent, id.as_str());
    }
    failure
}

async fn failure_after(step: Step) -> Failure {
    let upstream = Script::start([step]).await;
    failure_over(&upstream.base, Settings::default()).await
}

#[tokio::test]
async fn each_http_status_without_a_code_has_its_grpc_code_outcome_and_message() {
    let rows: &[(&[u16], &str, &str, &str, bool)] = &[
        (
            &[400, 413, 414, 422, 494],
            "INVALID_ARGUMENT",
            "rejected the request as invalid",
            KEPT,
            false,
        ),
        (
            &[401],
            "UNAUTHENTICATED",
            "rejected the control token",
            KEPT,
            false,
        ),
        (
            &[403],
            "PERMISSION_DENIED",
            "does not allow this change",
            KEPT,
            false,
        ),
        (
            &[404, 410],
            "NOT_FOUND",
            "found nothing at this address or no such meeting",
            KEPT,
            false,
        ),
        (
            &[405, 501],
            "UNIMPLEMENTED",
            "does not know this operation",
            KEPT,
            false,
        ),
        (&[408, 504], "DEADLINE_EXCEEDED", "timed out", DOUBT, false),
        (
            &[409],
            "ABORTED",
            "found a conflict with another change",
            KEPT,
            false,
        ),
        (
            &[402, 412, 423, 418, 451],
            "FAILED_PRECONDITION",
            "refused the change",
            KEPT,
            false,
        ),
        (
            &[499],
            "UNAVAILABLE",
            "was cut off on the way",
            DOUBT,
            false,
        ),
        (
            &[429],
            "RESOURCE_EXHAUSTED",
            "is throttling calls",
            KEPT,
            true,
        ),
        (&[500, 505, 511, 599], "INTERNAL", "failed", DOUBT, false),
        (&[502, 503], "UNAVAILABLE", "is not available", DOUBT, true),
        (
            &[303],
            "INTERNAL",
            "answered with a redirect, which is not followed",
            DOUBT,
            false,
        ),
        (
            &[300, 301, 302, 304, 305, 307, 308, 399],
            "INTERNAL",
            "answered with a redirect, which is not followed",
            KEPT,
            false,
        ),
        (
            &[101],
            "INTERNAL",
            "answered with an unfinished response",
            DOUBT,
            false,
        ),
    ];
    for (statuses, code, said, fate, retry_info) in rows {
        for status in *statuses {
            let headers = "x-request-id: up-1\r\nlocation: http://127.0.0.1:1/\r\n";
            let failure = failure_after(Step::answer(*status, headers, "")).await;
            assert_eq!(failure.code, *code, "{status}");
            let message = format!("The REST API {said} (HTTP {status}); {fate}.");
            assert_eq!(failure.message, message);
            assert_eq!(failure.domain, VENDOR, "{status}");
            assert_eq!(failure.reason, format!("HTTP_{status}"));
            let outcome = if *fate == KEPT {
                "not_applied"
            } else {
                "unknown"
            };
            assert_eq!(failure.outcome(), outcome, "{status}");
            assert_eq!(failure.metadata["http_status"], status.to_string());
            assert_eq!(failure.metadata["upstream_request_id"], "up-1");
            assert_eq!(failure.attempts(), 1, "{status}");
            let delay = retry_info.then_some(Duration::from_secs(1));
            assert_eq!(failure.retry_delay(), delay, "{status}");
            assert!(failure.details.bad_request().is_none(), "{status}");
        }
    }
}

#[tokio::test]
async fn a_known_code_decides_before_the_status_in_every_spelling() {
    let not_started =
        "The meeting has not started or is already over (MMC.111072005); nothing was changed.";
    for body in [
        r#"{"error_code":"MMC.111072005","error_msg":"CONF_NOT_STARTED"}"#,
        r#"{"error_code":"mmc.111072005","error_msg":"CONF_NOT_STARTED"}"#,
        r#"{"errorCode":"111072005","errorMsg":"CONF_NOT_STARTED"}"#,
        r#"{"code":111072005,"message":"CONF_NOT_STARTED"}"#,
        r#"{"error":{"code":"MMC.111072005","message":"CONF_NOT_STARTED"}}"#,
    ] {
        for status in [400, 403, 500] {
            let failure = failure_after(Step::answer(status, "", body)).await;
            assert_eq!(failure.code, "FAILED_PRECONDITION", "{status} {body}");
            assert_eq!(failure.message, not_started);
            assert_eq!(failure.reason, "CONF_NOT_STARTED");
            assert_eq!(failure.domain, VENDOR);
            assert_eq!(failure.outcome(), "not_applied");
            assert_eq!(failure.metadata["error_code"], "MMC.111072005");
            assert_eq!(failure.metadata["error_msg"], "CONF_NOT_STARTED");
            assert_eq!(failure.metadata["http_status"], status.to_string());
        }
    }
}

#[tokio::test]
async fn the_codes_seen_in_rest_answers_and_those_of_the_gateway_are_understood() {
    for (status, error_code, code, reason, outcome) in [
        (
            400,
            "MMC.111070005",
            "NOT_FOUND",
            "CONF_DATA_NOT_FOUND",
            "not_applied",
        ),
        (
            400,
            "MMC.111072005",
            "FAILED_PRECONDITION",
            "CONF_NOT_STARTED",
            "not_applied",
        ),
        (
            400,
            "MMC.111072065",
            "UNAUTHENTICATED",
            "CONF_NOT_FOUND_OR_AUTH_FAILED",
            "not_applied",
        ),
        (
            404,
            "APIG.0101",
            "UNIMPLEMENTED",
            "APIG_API_NOT_FOUND",
            "not_applied",
        ),
        (
            404,
            "APIGW.0101",
            "UNIMPLEMENTED",
            "APIG_API_NOT_FOUND",
            "not_applied",
        ),
        (
            413,
            "APIG.0201",
            "INVALID_ARGUMENT",
            "APIG_BODY_TOO_LARGE",
            "not_applied",
        ),
        (
            502,
            "APIG.0201",
            "UNAVAILABLE",
            "APIG_REQUEST_BACKEND_UNAVAILABLE",
            "unknown",
        ),
        (
            504,
            "APIG.0203",
            "DEADLINE_EXCEEDED",
            "APIG_BACKEND_TIMEOUT",
            "unknown",
        ),
        (
            405,
            "APIG.0501",
            "RESOURCE_EXHAUSTED",
            "APIG_APP_QUOTA_USED_UP",
            "not_applied",
        ),
        (
            500,
            "APIG.0601",
            "INTERNAL",
            "APIG_INTERNAL_ERROR",
            "unknown",
        ),
        (
            429,
            "APIG.0308",
            "RESOURCE_EXHAUSTED",
            "APIG_THROTTLED",
            "not_applied",
        ),
    ] {
        let body =
            format!(r#"{{"error_code":"{error_code}","error_msg":"x","request_id":"up-2"}}"#);
        let failure = failure_after(Step::answer(status, "", &body)).await;
        assert_eq!(
            (failure.code, failure.reason.as_str()),
            (code, reason),
            "{error_code}"
        );
        assert_eq!(failure.outcome(), outcome, "{error_code}");
        assert_eq!(failure.metadata["upstream_request_id"], "up-2");
        let told = format!(" ({error_code}); ");
        assert!(failure.message.contains(&told), "{}", failure.message);
        assert_eq!(failure.metadata["error_code"], error_code);
    }
}

#[tokio::test]
async fn an_unknown_code_falls_back_to_the_status_and_is_handed_on() {
    let body = r#"{"error_code":"MMC.999999999","error_msg":"BRAND_NEW_REFUSAL"}"#;
    let failure = failure_after(Step::answer(403, "", body)).await;
    assert_eq!(failure.code, "PERMISSION_DENIED");
    assert_eq!(failure.reason, "BRAND_NEW_REFUSAL");
    assert_eq!(
        failure.message,
        "The REST API does not allow this change (HTTP 403, MMC.999999999); nothing was changed."
    );
    let body = r#"{"error_code":"XYZ.1","error_msg":"a sentence is no reason"}"#;
    let failure = failure_after(Step::answer(403, "", body)).await;
    assert_eq!(failure.reason, "HTTP_403");
    assert_eq!(failure.metadata["error_msg"], "a sentence is no reason");
}

#[tokio::test]
async fn an_envelope_in_a_success_can_refuse() {
    let body = r#"{"returnCode":111072083,"returnDesc":"LOCK_SHARE_FAILED"}"#;
    let failure = failure_after(Step::answer(200, "", body)).await;
    assert_eq!(failure.code, "INTERNAL");
    assert_eq!(failure.reason, "LOCK_SHARE_FAILED");
    assert_eq!(failure.metadata["error_code"], "MMC.111072083");
    assert_eq!(failure.outcome(), "unknown");
}

#[tokio::test]
async fn a_success_that_the_api_cannot_have_written_is_none() {
    for (headers, body, reason, said) in [
        (
            "content-type: text/html\r\n",
            "<html>secret page</html>",
            "UPSTREAM_NOT_THE_API",
            "What answered is not the REST API: it sent a page, such as one for logging in (HTTP 200)",
        ),
        (
            "content-encoding: gzip\r\n",
            "\u{1f}secret",
            "UPSTREAM_UNREADABLE",
            "The REST API's answer cannot be read (HTTP 200)",
        ),
    ] {
        let headers = format!("{headers}x-request-id: up-1\r\n");
        let failure = failure_after(Step::answer(200, &headers, body)).await;
        assert_eq!(
            (failure.code, failure.reason.as_str()),
            ("INTERNAL", reason)
        );
        assert_eq!(failure.message, format!("{said}; {DOUBT}."));
        assert_eq!(failure.domain, OURS);
        assert_eq!(failure.outcome(), "unknown");
        assert_eq!(failure.attempts(), 1);
        assert_eq!(failure.metadata["http_status"], "200");
        assert_eq!(failure.metadata["upstream_request_id"], "up-1");
        assert!(!format!("{:?}", failure.metadata).contains("secret"));
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_never_handed_on() {
    let failure = failure_after(Step::answer(502, "", "<html>secret page</html>")).await;
    assert_eq!(failure.code, "UNAVAILABLE");
    assert!(!failure.message.contains("secret"));
    assert!(!format!("{:?}", failure.metadata).contains("secret"));
}

#[tokio::test]
async fn a_refusal_whose_body_breaks_off_is_still_that_refusal() {
    let broken = |status: u16| {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\nx");
        Script::start([Step::Then(head.into_bytes())])
    };
    let failure = failure_over(&broken(403).await.base, Settings::default()).await;
    assert_eq!(
        (failure.code, failure.outcome()),
        ("PERMISSION_DENIED", "not_applied")
    );
    // Its body could have held a code that says more.
    let failure = failure_over(&broken(400).await.base, Settings::default()).await;
    assert_eq!(
        (failure.code, failure.outcome()),
        ("INVALID_ARGUMENT", "unknown")
    );
    // A success, however, could have turned out to be none.
    let failure = failure_over(&broken(200).await.base, Settings::default()).await;
    assert_eq!(
        (failure.code, failure.outcome()),
        ("UNAVAILABLE", "unknown")
    );
}

#[tokio::test]
async fn a_refusal_longer_than_what_is_read_of_it_leaves_doubt() {
    for (length, outcome) in [(64 * 1024, "not_applied"), (64 * 1024 + 1, "unknown")] {
        let failure = failure_after(Step::answer(400, "", &"x".repeat(length))).await;
        assert_eq!(failure.code, "INVALID_ARGUMENT");
        assert_eq!(failure.outcome(), outcome, "{length}");
    }
}

#[tokio::test]
async fn four_digits_alone_are_not_the_gateways_code() {
    let body = r#"{"code":1001,"message":"worker crashed"}"#;
    let failure = failure_after(Step::answer(500, "", body)).await;
    assert_eq!((failure.code, failure.outcome()), ("INTERNAL", "unknown"));
    assert_eq!(failure.metadata["error_code"], "1001");
}

#[tokio::test]
async fn a_retry_after_header_becomes_retry_info() {
    let failure = failure_after(Step::answer(429, "retry-after: 7\r\n", "")).await;
    assert_eq!(failure.retry_delay(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn no_answer_is_told_apart_by_what_went_wrong() {
    for (step, code, reason, message) in [
        (
            Step::Cut,
            "UNAVAILABLE",
            "UPSTREAM_CONNECTION_LOST",
            "The connection to the REST API broke before its answer was complete; the settings may have changed.",
        ),
        (
            Step::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
            "INTERNAL",
            "UPSTREAM_NOT_HTTP",
            "The REST API's answer is not HTTP; the settings may have changed.",
        ),
        (
            Step::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec()),
            "DEADLINE_EXCEEDED",
            "UPSTREAM_TIMEOUT",
            "The REST API did not answer within 1s; the settings may have changed.",
        ),
        (
            Step::Hang,
            "DEADLINE_EXCEEDED",
            "UPSTREAM_TIMEOUT",
            "The REST API did not answer within 1s; the settings may have changed.",
        ),
    ] {
        let upstream = Script::start([step]).await;
        let mut settings = Settings::default();
        settings.upstream.attempt_timeout = Duration::from_secs(1);
        let failure = failure_over(&upstream.base, settings).await;
        assert_eq!((failure.code, failure.reason.as_str()), (code, reason));
        assert_eq!(failure.message, message);
        assert_eq!(failure.domain, OURS);
        assert_eq!(failure.outcome(), "unknown");
        assert_eq!(failure.attempts(), 1);
        assert_eq!(failure.retry_delay(), None);
    }
}

#[tokio::test]
async fn a_refused_connection_changes_nothing() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let failure = failure_over(&format!("http://{free}"), Settings::default()).await;
    assert_eq!(failure.code, "UNAVAILABLE");
    assert_eq!(failure.reason, "UPSTREAM_UNREACHABLE");
    assert_eq!(
        failure.message,
        "The REST API could not be reached; nothing was changed."
    );
    assert_eq!(failure.outcome(), "not_applied");
}

#[tokio::test]
async fn a_connection_that_is_never_accepted_changes_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // The backlog is full now: further connections are neither accepted nor refused.
    let _filling = [
        TcpStream::connect(address).await,
        TcpStream::connect(address).await,
    ];

    let mut settings = Settings::default();
    settings.upstream.connect_timeout = Duration::from_millis(300);
    let failure = failure_over(&format!("http://{address}"), settings).await;
    assert_eq!(failure.code, "UNAVAILABLE");
    assert_eq!(failure.reason, "UPSTREAM_CONNECT_TIMEOUT");
    assert_eq!(
        failure.message,
        "The REST API could not be reached in time; nothing was changed."
    );
    assert_eq!(failure.outcome(), "not_applied");

    // The caller's deadline may pass first; still nothing can have been sent.
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    let failure = failure_over(&format!("http://{address}"), settings).await;
    assert_eq!(failure.code, "DEADLINE_EXCEEDED");
    assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
    assert_eq!(failure.outcome(), "not_applied");
}

#[tokio::test]
async fn a_name_that_does_not_exist_changes_nothing() {
    // A label of 64 characters is refused by the resolver itself, without asking the network.
    let mut settings = Settings::default();
    settings.upstream.allow_plaintext_upstream = true;
    let failure = failure_over(&format!("http://{}.test", "x".repeat(64)), settings).await;
    assert_eq!(failure.code, "UNAVAILABLE");
    assert_eq!(failure.reason, "UPSTREAM_NAME_NOT_FOUND");
    assert_eq!(
        failure.message,
        "The REST API's host name was not found; nothing was changed."
    );
    assert_eq!(failure.outcome(), "not_applied");
}

#[tokio::test]
async fn an_upstream_without_tls_or_with_a_stranger_s_certificate_is_refused() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_base = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 X\r\n\r\n").await.unwrap();
        // Kept open, so that the client can write as much as it likes.
        std::future::pending::<()>().await;
    });
    let stranger = tls::Upstream::start().await;
    for base in [plain_base, stranger.base.clone()] {
        let failure = failure_over(&base, Settings::default()).await;
        assert_eq!(failure.code, "UNAVAILABLE");
        assert_eq!(failure.reason, "UPSTREAM_TLS_FAILED");
        assert_eq!(
            failure.message,
            "No secure connection to the REST API could be made; nothing was changed."
        );
        assert_eq!(failure.outcome(), "not_applied");
    }
    assert_eq!(stranger.requests(), 0);
}

#[tokio::test]
async fn a_certificate_of_a_root_given_by_hand_is_trusted() {
    let upstream = tls::Upstream::start().await;
    let mut settings = Settings::default();
    settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
    let facade = Facade::with(&upstream.base, settings).await;
    facade.lock(MEETING).await.unwrap();
    assert_eq!(upstream.requests(), 1);
}
