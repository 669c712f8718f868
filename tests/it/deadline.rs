//! Every caller has its answer before it gives up, and the code is DEADLINE_EXCEEDED.

use std::time::{Duration, SystemTime};

use crate::kit::{Facade, Failure, MEETING, Script, Settings, Step, lock};

#[tokio::test]
async fn the_callers_deadline_is_answered_before_it_passes() {
    let upstream = Script::start([Step::Hang]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    let allowed = Duration::from_millis(400);
    request.set_timeout(allowed);
    let started = SystemTime::now();
    let status = facade.call(request).await.unwrap_err();
    let elapsed = started.elapsed().unwrap();

    // Our details prove that it is our answer, not the caller's own timer.
    let failure = Failure::of(&status);
    assert_eq!(failure.code, "DEADLINE_EXCEEDED");
    assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
    assert_eq!(
        failure.message,
        "The deadline of 400ms passed without an answer from the REST API; the settings may have changed."
    );
    assert_eq!(failure.outcome(), "unknown");
    assert!(elapsed >= Duration::from_millis(350), "{elapsed:?}");
}

#[tokio::test]
async fn our_own_limit_ends_a_call_whose_caller_would_wait_longer() {
    let upstream = Script::start([Step::Hang]).await;
    let settings = Settings {
        timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let facade = Facade::with(&upstream.base, settings).await;
    for patience in [None, Some(Duration::from_secs(60))] {
        let mut request = lock(MEETING);
        if let Some(patience) = patience {
            request.set_timeout(patience);
        }
        let failure = Failure::of(&facade.call(request).await.unwrap_err());
        assert_eq!(failure.code, "DEADLINE_EXCEEDED");
        assert!(failure.message.contains("200ms"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_sends_nothing() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    // Set by hand: the client library's own timer would not let the answer through.
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "0n".parse().unwrap());
    let status = facade.call(request).await.unwrap_err();
    assert!(upstream.requests().is_empty(), "{status:?}");
}

#[tokio::test]
async fn an_answer_within_the_limits_is_waited_for() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let upstream = Script::start([Step::Late(Duration::from_millis(300), answer)]).await;
    let mut settings = Settings::default();
    settings.upstream.attempt_timeout = Duration::from_secs(10);
    let facade = Facade::with(&upstream.base, settings).await;
    facade.lock(MEETING).await.unwrap();
}
