//! A caller that sends the host password needs no REST call: the façade obtains, keeps and renews the token.

use std::time::Duration;

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::sandbox::{Many, Sandbox, TokenSettings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use crate::kit::process::Process;
use crate::kit::{
    Facade, Failure, MEETING, PASSWORD, Script, Settings, Step, eventually, lock, lock_by_password,
};

const ISSUED: &str = r#"{"data":{"token":"cnr1","confTokenExpireTime":1800,"role":1}}"#;

fn issues(token: &str, life: u32, role: u8) -> Step {
    let body =
        format!(r#"{{"data":{{"token":"{token}","confTokenExpireTime":{life},"role":{role}}}}}"#);
    Step::answer(200, "", &body)
}

fn refuses(code: &str) -> Step {
    Step::answer(400, "", &format!(r#"{{"error_code":"{code}"}}"#))
}

async fn over(steps: impl IntoIterator<Item = Step>) -> (Facade, Script) {
    let upstream = Script::start(steps).await;
    (Facade::over(&upstream.base).await, upstream)
}

async fn sandbox(tokens: TokenSettings) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { Sandbox::new(tokens, |_| {}).serve(&listener).await });
    base
}

async fn call(facade: &Facade, id: &str, password: &str) -> Result<(), Status> {
    let called = facade.call(lock_by_password(id, password)).await;
    called.map(drop)
}

async fn failure(facade: &Facade, id: &str, password: &str) -> Failure {
    Failure::of(&call(facade, id, password).await.unwrap_err())
}

/// What was asked of the upstream, as `token` or `settings` with the token that it carried.
fn asked(upstream: &Script) -> Vec<String> {
    let requests = upstream.requests();
    let told = requests.iter().map(|request| {
        let header = |name| request.headers.iter().find(|(key, _)| key == name);
        match header("x-conference-authorization") {
            Some((_, token)) => format!("settings {token}"),
            None => "token".to_owned(),
        }
    });
    told.collect()
}

#[tokio::test]
async fn a_token_is_obtained_as_documented_and_kept() {
    let (facade, upstream) = over([Step::answer(200, "", ISSUED), Step::ok()]).await;
    call(&facade, "9/1", "100001").await.unwrap();
    call(&facade, "9/1", "100001").await.unwrap();
    assert_eq!(
        asked(&upstream),
        ["token", "settings cnr1", "settings cnr1"]
    );
    let request = &upstream.requests()[0];
    assert_eq!(
        request.line,
        "GET /v1/mmc/control/conferences/token?conferenceID=9%2F1 HTTP/1.1"
    );
    for (name, value) in [("x-password", "100001"), ("x-login-type", "1")] {
        let header = (name.to_owned(), value.to_owned());
        assert!(request.headers.contains(&header), "{request:?}");
    }
    assert!(request.body.is_empty());
    let id = |number: usize| {
        let requests = upstream.requests();
        let headers = &requests[number].headers;
        let id = headers.iter().find(|(key, _)| key == "x-request-id");
        id.unwrap().1.clone()
    };
    assert_ne!(id(0), id(1), "a request of its own");
    assert_eq!(facade.metric("meeting_control_tokens"), 1.0);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_and_only_puts_are_attempts() {
    for rejection in [Step::answer(401, "", ""), refuses("MMC.111072065")] {
        let steps = [
            issues("cnr1", 1800, 1),
            rejection,
            issues("cnr2", 1800, 1),
            refuses("MMC.111072005"),
        ];
        let (facade, upstream) = over(steps).await;
        let failure = failure(&facade, MEETING, PASSWORD).await;
        assert_eq!(
            (failure.code, failure.outcome(), failure.attempts()),
            ("FAILED_PRECONDITION", "not_applied", 2)
        );
        assert_eq!(failure.metadata["stage"], "settings");
        assert_eq!(
            asked(&upstream),
            ["token", "settings cnr1", "token", "settings cnr2"]
        );
    }
}

#[tokio::test]
async fn tokens_are_replaced_three_times_even_without_retries() {
    let mut steps = Vec::new();
    for _ in 0..8 {
        steps.extend([issues("cnr1", 1800, 1), refuses("MMC.111072065")]);
    }
    let upstream = Script::start(steps).await;
    let mut settings = Settings::default();
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    let failure = failure(&facade, MEETING, PASSWORD).await;
    assert_eq!((failure.code, failure.attempts()), ("UNAUTHENTICATED", 4));
    assert!(
        failure
            .message
            .contains("did not accept the token that it had issued"),
        "{}",
        failure.message
    );
    assert_eq!(upstream.requests().len(), 8);
}

#[tokio::test]
async fn a_token_that_the_caller_brought_is_never_replaced() {
    let (facade, upstream) = over([Step::answer(401, "", "")]).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!((failure.code, failure.attempts()), ("UNAUTHENTICATED", 1));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_doubt_stays_when_no_other_token_is_had() {
    let steps = [
        issues("cnr1", 1800, 1),
        Step::answer(502, "", ""),
        Step::answer(401, "", ""),
        refuses("MMC.111071091"),
    ];
    let (facade, _upstream) = over(steps).await;
    let failure = failure(&facade, MEETING, PASSWORD).await;
    assert_eq!(
        (failure.code, failure.outcome(), failure.attempts()),
        ("UNAUTHENTICATED", "unknown", 2)
    );
    assert_eq!(failure.reason, "CONF_PWD_AUTH_FAILED");
    assert_eq!(failure.metadata["stage"], "token");
}

#[tokio::test]
async fn a_token_that_cannot_be_replaced_is_told_as_that() {
    let steps = [
        issues("cnr1", 1800, 1),
        Step::answer(401, "", ""),
        Step::Hang,
    ];
    let (facade, _upstream) = over(steps).await;
    let mut request = lock_by_password(MEETING, PASSWORD);
    request.set_timeout(Duration::from_secs(2));
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(
        (failure.code, failure.outcome(), failure.attempts()),
        ("DEADLINE_EXCEEDED", "not_applied", 1)
    );
    assert_eq!(failure.metadata["stage"], "token");
}

#[tokio::test]
async fn each_way_not_to_get_a_token_is_told_as_such() {
    for (answer, code, reason, said) in [
        (
            refuses("MMC.111071091"),
            "UNAUTHENTICATED",
            "CONF_PWD_AUTH_FAILED",
            "No control token could be obtained: the host password is wrong (MMC.111071091); \
             nothing was changed.",
        ),
        (
            refuses("MMC.111072065"),
            "UNAUTHENTICATED",
            "CONF_NOT_FOUND_OR_AUTH_FAILED",
            "No control token could be obtained: the meeting is not in progress, or the host \
             password is wrong (MMC.111072065); nothing was changed.",
        ),
        (
            refuses("MMC.111072064"),
            "RESOURCE_EXHAUSTED",
            "CONF_CTR_LOGIN_LOCKED",
            "No control token could be obtained: meeting control is locked after too many failed \
             logins; wait before obtaining a new token (MMC.111072064); nothing was changed.",
        ),
        (
            Step::answer(401, "", ""),
            "UNAUTHENTICATED",
            "HTTP_401",
            "No control token could be obtained: the REST API rejected the host password (HTTP \
             401); nothing was changed.",
        ),
        (
            Step::answer(403, "", ""),
            "PERMISSION_DENIED",
            "HTTP_403",
            "No control token could be obtained: the REST API does not allow it (HTTP 403); nothing \
             was changed.",
        ),
        (
            Step::answer(404, "", ""),
            "NOT_FOUND",
            "HTTP_404",
            "No control token could be obtained: the REST API found nothing at this address or no \
             such meeting (HTTP 404); nothing was changed.",
        ),
        (
            Step::answer(409, "", ""),
            "ABORTED",
            "HTTP_409",
            "No control token could be obtained: the REST API found a conflict with another request \
             (HTTP 409); nothing was changed.",
        ),
        (
            Step::answer(423, "", ""),
            "FAILED_PRECONDITION",
            "HTTP_423",
            "No control token could be obtained: the REST API refused the request (HTTP 423); \
             nothing was changed.",
        ),
        (
            refuses("APIG.0307"),
            "UNAUTHENTICATED",
            "APIG_TOKEN_MUST_BE_RENEWED",
            "No control token could be obtained: the REST API answered as if it had been sent a \
             token (APIG.0307); nothing was changed.",
        ),
        (
            Step::answer(500, "", ""),
            "INTERNAL",
            "HTTP_500",
            "No control token could be obtained: the REST API failed (HTTP 500); nothing was \
             changed.",
        ),
        (
            Step::answer(200, "", "{}"),
            "INTERNAL",
            "UPSTREAM_NO_TOKEN",
            "No control token could be obtained: the REST API's answer holds no token that can be \
             used (HTTP 200); nothing was changed.",
        ),
        (
            Step::answer(200, "", "<html>"),
            "INTERNAL",
            "UPSTREAM_NOT_THE_API",
            "No control token could be obtained: what answered is not the REST API: it sent a \
             page, such as one for logging in (HTTP 200); nothing was changed.",
        ),
    ] {
        let (facade, upstream) = over([answer]).await;
        let failure = failure(&facade, MEETING, PASSWORD).await;
        assert_eq!((failure.code, failure.reason.as_str()), (code, reason));
        assert_eq!(failure.message, said);
        assert_eq!(
            (failure.outcome(), failure.attempts()),
            ("not_applied", 0),
            "{reason}"
        );
        assert_eq!(failure.metadata["stage"], "token");
        assert_eq!(asked(&upstream), ["token"], "{reason}");
    }
}

#[tokio::test]
async fn a_request_that_fails_is_logged_under_the_id_that_the_upstream_got() {
    let headers = "x-request-id: theirs\r\n";
    let refusal = Step::answer(400, headers, r#"{"error_code":"MMC.111072064"}"#);
    let upstream = Script::start([refusal]).await;
    let process = Process::serve(&upstream.base, &[], &[]);
    let channel = Channel::from_shared(format!("http://{}", process.grpc)).unwrap();
    let mut client = MeetingControlClient::new(channel.connect().await.unwrap());
    let request = lock_by_password(MEETING, PASSWORD);
    client
        .update_started_conf_config(request)
        .await
        .unwrap_err();
    let request = upstream.request();
    let mut headers = request.headers.iter();
    let (_, sent) = headers.find(|(key, _)| key == "x-request-id").unwrap();
    let mut told = None;
    eventually("it is logged", || {
        let log = process.log();
        told = log.into_iter().find(|line| line.contains(sent));
        told.is_some()
    })
    .await;
    let told: serde_json::Value = serde_json::from_str(&told.unwrap()).unwrap();
    for (field, value) in [
        ("level", "WARN"),
        ("message", "no control token was obtained"),
        ("conference_id", MEETING),
        ("error_code", "MMC.111072064"),
        ("upstream_request_id", "theirs"),
        ("cause", "the upstream refused: HTTP 400"),
    ] {
        assert_eq!(told[field], value, "{told}");
    }
    assert_eq!(told["renewal"], false, "{told}");
}

#[tokio::test]
async fn a_guests_password_is_told_when_the_change_is_refused() {
    let (facade, _upstream) = over([issues("cnr1", 1800, 0), refuses("MMC.111072070")]).await;
    let failure = failure(&facade, MEETING, PASSWORD).await;
    assert_eq!(failure.code, "PERMISSION_DENIED");
    assert!(
        failure.message.contains("the password is a guest's"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_once_and_others_are_limited() {
    let (facade, upstream) = over([refuses("MMC.111071091")]).await;
    for number in 0..10 {
        let failure = failure(&facade, MEETING, &format!("10000{number}")).await;
        let told = (failure.code, failure.reason.as_str());
        if number < 3 {
            assert_eq!(told, ("UNAUTHENTICATED", "CONF_PWD_AUTH_FAILED"));
        } else {
            assert_eq!(told, ("RESOURCE_EXHAUSTED", "TOO_MANY_PASSWORDS"));
            let wait = failure.retry_delay().unwrap();
            assert!((55..=60).contains(&wait.as_secs()), "{wait:?}");
            assert!(!failure.metadata.contains_key("stage"), "it was not asked");
        }
        assert_eq!((failure.outcome(), failure.attempts()), ("not_applied", 0));
    }
    let again = failure(&facade, MEETING, "100000").await;
    assert_eq!(again.code, "UNAUTHENTICATED");
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn passwords_can_be_turned_off() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.upstream.max_tokens = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    let failure = failure(&facade, MEETING, PASSWORD).await;
    assert_eq!(
        (failure.code, failure.reason.as_str(), failure.outcome()),
        ("UNAUTHENTICATED", "PASSWORD_NOT_ACCEPTED", "not_applied")
    );
    assert!(upstream.requests().is_empty());
    facade.lock(MEETING).await.unwrap();
}

#[tokio::test]
async fn one_credential_is_needed_and_no_more() {
    let (facade, upstream) = over([Step::ok()]).await;
    let mut neither = lock(MEETING);
    neither.metadata_mut().remove("x-conference-authorization");
    let neither = Failure::of(&facade.call(neither).await.unwrap_err());
    assert_eq!(
        (neither.code, neither.reason.as_str()),
        ("UNAUTHENTICATED", "TOKEN_MISSING")
    );
    for key in ["x-conference-authorization", "x-conference-password"] {
        assert!(neither.message.contains(key), "{}", neither.message);
    }
    let mut both = lock(MEETING);
    let metadata = both.metadata_mut();
    metadata.insert("x-conference-password", "1".parse().unwrap());
    let both = Failure::of(&facade.call(both).await.unwrap_err());
    assert_eq!(both.code, "INVALID_ARGUMENT");
    let violations = &both.details.bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "x-conference-password");
    assert!(upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_calls_make_one_request() {
    let base = sandbox(TokenSettings::default()).await;
    let facade = std::sync::Arc::new(Facade::over(&base).await);
    let mut calls = JoinSet::new();
    let clients = futures(8, || facade.client()).await;
    for number in 0..1000 {
        let mut client = clients[number % clients.len()].clone();
        calls.spawn(async move {
            let request = lock_by_password("900004001-thousand", PASSWORD);
            client.update_started_conf_config(request).await
        });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap();
    }
    let issued = facade.metric("meeting_control_token_requests_total{result=\"issued\"}");
    assert_eq!(issued, 1.0);
}

async fn futures<F: Future>(number: usize, make: impl Fn() -> F) -> Vec<F::Output> {
    let mut made = Vec::new();
    for _ in 0..number {
        made.push(make().await);
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facades_that_displace_each_others_tokens_get_their_calls_through() {
    let base = sandbox(TokenSettings {
        rest_tokens: Many::One,
        ..TokenSettings::default()
    })
    .await;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let base = base.clone();
        calls.spawn(async move {
            let facade = Facade::over(&base).await;
            for _ in 0..5 {
                call(&facade, MEETING, PASSWORD).await.unwrap();
                tokio::time::sleep(Duration::from_millis(fastrand::u64(50..150))).await;
            }
        });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap();
    }
}

#[tokio::test]
async fn short_tokens_are_renewed_without_a_call_that_fails() {
    let base = sandbox(TokenSettings::default()).await;
    let facade = Facade::over(&base).await;
    let issued = "meeting_control_token_requests_total{result=\"issued\"}";
    call(&facade, "900004004-short", PASSWORD).await.unwrap();
    for generation in 2..4 {
        while facade.metric(issued) < f64::from(generation) {
            call(&facade, "900004004-short", PASSWORD).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn tokens_that_are_over_leave_the_memory() {
    let (facade, _upstream) = over([issues("cnr1", 1, 1), Step::ok()]).await;
    call(&facade, MEETING, PASSWORD).await.unwrap();
    assert_eq!(facade.metric("meeting_control_tokens"), 1.0);
    eventually("the token is dropped", || {
        facade.metric("meeting_control_tokens") == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_request_for_a_token_that_is_not_answered_counts_as_sent() {
    let upstream = Script::start([Step::Hang]).await;
    let mut settings = Settings::default();
    settings.upstream.attempt_timeout = Duration::from_millis(200);
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    failure(&facade, MEETING, PASSWORD).await;
    let ended = |how| format!("meeting_control_upstream_attempts_total{{outcome=\"{how}\"}} ");
    assert_eq!(facade.metric(&ended("no_answer")), 1.0);
    assert_eq!(facade.metric(&ended("not_sent")), 0.0);
}
