//! A request that breaks a rule is refused with every fault at once, and nothing is sent.

use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use tonic::Request;

use crate::kit::{Facade, Failure, MEETING, Script, Step, TOKEN, lock, with_token};

type Case = (
    &'static str,
    Request<UpdateStartedConfConfigRequest>,
    &'static str,
    &'static [&'static str],
);

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

fn with_tokens(tokens: &[&[u8]]) -> Request<UpdateStartedConfConfigRequest> {
    let mut headers = http::HeaderMap::new();
    for token in tokens {
        let token = http::HeaderValue::from_bytes(token).unwrap();
        headers.append("x-conference-authorization", token);
    }
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    Request::from_parts(
        metadata,
        http::Extensions::default(),
        request(MEETING, 2, 0),
    )
}

fn cases() -> Vec<Case> {
    const INVALID: &str = "INVALID_ARGUMENT";
    const MISSING: &str = "UNAUTHENTICATED";
    const TOKEN_KEY: &str = "x-conference-authorization";
    let long = "9".repeat(129);
    let big_token = vec![b'x'; 4097];
    vec![
        (
            "no id",
            with_token(request("", 2, 0)),
            INVALID,
            &["conference_id"],
        ),
        (
            "a long id",
            with_token(request(&long, 2, 0)),
            INVALID,
            &["conference_id"],
        ),
        (
            "a control character",
            with_token(request("9\u{7}", 2, 0)),
            INVALID,
            &["conference_id"],
        ),
        (
            "an unknown number",
            with_token(request(MEETING, 3, 0)),
            INVALID,
            &["lock_sharing"],
        ),
        (
            "a negative number",
            with_token(request(MEETING, 0, -1)),
            INVALID,
            &["call_in_restriction"],
        ),
        (
            "no setting",
            with_token(request(MEETING, 0, 0)),
            INVALID,
            &["*"],
        ),
        (
            "everything wrong",
            with_token(request("", 9, 9)),
            INVALID,
            &["conference_id", "lock_sharing", "call_in_restriction"],
        ),
        (
            "no token",
            Request::new(request(MEETING, 2, 0)),
            MISSING,
            &[],
        ),
        ("an empty token", with_tokens(&[b""]), INVALID, &[TOKEN_KEY]),
        (
            "no token and no id",
            Request::new(request("", 2, 0)),
            MISSING,
            &["conference_id"],
        ),
        (
            "two tokens",
            with_tokens(&[TOKEN.as_bytes(), TOKEN.as_bytes()]),
            INVALID,
            &[TOKEN_KEY],
        ),
        (
            "a token outside ASCII",
            with_tokens(&[b"cnr\xff"]),
            INVALID,
            &[TOKEN_KEY],
        ),
        (
            "a token that is too long",
            with_tokens(&[&big_token]),
            INVALID,
            &[TOKEN_KEY],
        ),
    ]
}

#[tokio::test]
async fn every_violation_is_named_and_nothing_is_sent() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    for (case, request, code, fields) in cases() {
        let status = facade.call(request).await.unwrap_err();
        let failure = Failure::of(&status);
        assert_eq!(failure.code, code, "{case}");
        assert_eq!(failure.domain, "meeting-control", "{case}");
        let reason = if code == "UNAUTHENTICATED" {
            "TOKEN_MISSING"
        } else {
            "INVALID_REQUEST"
        };
        assert_eq!(failure.reason, reason, "{case}");
        let named: Vec<_> = failure
            .details
            .bad_request()
            .map(|bad| {
                bad.field_violations
                    .iter()
                    .map(|v| v.field.as_str())
                    .collect()
            })
            .unwrap_or_default();
        assert_eq!(named, fields, "{case}");
        for field in fields.iter().filter(|field| **field != "*") {
            assert!(
                failure.message.contains(field),
                "{case}: {}",
                failure.message
            );
        }
        assert_eq!(failure.outcome(), "not_applied", "{case}");
        assert_eq!(failure.attempts(), 0, "{case}");
        let id = &failure.details.request_info().unwrap().request_id;
        assert_eq!(status.metadata().get("x-request-id").unwrap(), id.as_str());
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_malformed_grpc_timeout_is_a_violation() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "5 seconds".parse().unwrap());
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(failure.code, "INVALID_ARGUMENT");
    assert!(failure.message.contains("grpc-timeout"));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_the_callers_fault_with_details() {
    use tonic::client::Grpc;
    use tonic::codegen::http::uri::PathAndQuery;

    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let path = |method: &str| -> PathAndQuery {
        format!("/meeting.control.v1.MeetingControl/{method}")
            .parse()
            .unwrap()
    };
    let too_large = meeting_control::proto::v1::UpdateStartedConfConfigRequest {
        conference_id: "9".repeat(20_000),
        ..Default::default()
    };
    for (case, method, code, reason) in [
        (
            "too large",
            "UpdateStartedConfConfig",
            "INVALID_ARGUMENT",
            "REQUEST_UNREADABLE",
        ),
        (
            "no such method",
            "Unknown",
            "UNIMPLEMENTED",
            "NOT_SUPPORTED",
        ),
    ] {
        let mut client = Grpc::new(facade.channel().await);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<
            _,
            meeting_control::proto::v1::UpdateStartedConfConfigResponse,
        >::default();
        let request = with_token(too_large.clone());
        let status = client
            .unary(request, path(method), codec)
            .await
            .unwrap_err();
        let failure = Failure::of(&status);
        assert_eq!(
            (failure.code, failure.reason.as_str()),
            (code, reason),
            "{case}"
        );
        assert_eq!(failure.outcome(), "not_applied", "{case}");
    }
    assert!(upstream.requests().is_empty());
}
