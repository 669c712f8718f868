//! What can pass is tried again: within the deadline, the number of retries and the budget.

use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, lock};

fn retries(most: u32) -> Settings {
    let mut settings = Settings::default();
    settings.upstream.max_retries = most;
    settings
}

fn status(status: u16) -> Step {
    Step::answer(status, "", "")
}

fn code(status: u16, code: &str) -> Step {
    let body = format!(r#"{{"error_code":"{code}","error_msg":"x"}}"#);
    Step::answer(status, "", &body)
}

#[tokio::test]
async fn a_failure_that_passes_is_never_seen_by_the_caller() {
    for failing in [
        status(503),
        status(502),
        status(504),
        status(408),
        status(429),
        Step::Cut,
        code(400, "MMC.111072004"),
    ] {
        let upstream = Script::start([failing.clone(), failing, Step::ok()]).await;
        let facade = Facade::over(&upstream.base).await;
        facade.lock(MEETING).await.unwrap();
        assert_eq!(upstream.requests().len(), 3);
        let first = &upstream.requests()[0];
        for repeated in &upstream.requests()[1..] {
            assert_eq!(repeated.line, first.line);
            assert_eq!(repeated.body, first.body);
            assert_eq!(repeated.headers, first.headers, "the request id stays");
        }
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_told_with_its_attempts() {
    for (failing, most, attempts) in [
        (status(503), 2, 3),
        (status(503), 0, 1),
        (status(503), 4, 5),
        (code(500, "MMC.111070003"), 4, 2),
        (status(400), 2, 1),
        (status(409), 2, 1),
        (status(500), 2, 1),
        (status(302), 2, 1),
        (code(400, "MMC.111072005"), 2, 1),
        (Step::Raw(b"not http\r\n\r\n".to_vec()), 2, 1),
        (Step::Cut, 2, 3),
    ] {
        let upstream = Script::start([failing]).await;
        let facade = Facade::with(&upstream.base, retries(most)).await;
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        assert_eq!(failure.attempts(), attempts, "{}", failure.message);
        assert_eq!(upstream.requests().len(), attempts as usize);
    }
}

#[tokio::test]
async fn an_attempt_that_times_out_is_tried_again() {
    let upstream = Script::start([Step::Hang, Step::ok()]).await;
    let mut settings = Settings::default();
    settings.upstream.attempt_timeout = Duration::from_secs(1);
    let facade = Facade::with(&upstream.base, settings).await;
    facade.lock(MEETING).await.unwrap();
}

#[tokio::test]
async fn a_doubt_that_an_earlier_attempt_left_stays_with_the_call() {
    let upstream = Script::start([status(503), code(400, "MMC.111072005")]).await;
    let facade = Facade::over(&upstream.base).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.code, "FAILED_PRECONDITION");
    assert_eq!(failure.outcome(), "unknown");
    assert_eq!(failure.attempts(), 2);
}

#[tokio::test]
async fn a_wait_that_the_answer_asks_for_is_kept_if_it_fits_and_told_if_not() {
    let upstream = Script::start([Step::answer(429, "retry-after: 1\r\n", ""), Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let started = SystemTime::now();
    facade.lock(MEETING).await.unwrap();
    assert!(started.elapsed().unwrap() >= Duration::from_secs(1));

    for (header, told) in [
        ("retry-after: 30\r\n", 30),
        ("retry-after: 100000\r\n", 60),
        (
            "x-apig-ratelimit-api: remain:0,limit:100,time:1 minute\r\n",
            60,
        ),
    ] {
        let upstream = Script::start([Step::answer(429, header, "")]).await;
        let facade = Facade::over(&upstream.base).await;
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        assert_eq!(failure.code, "RESOURCE_EXHAUSTED");
        assert_eq!(failure.attempts(), 1, "{header}");
        assert_eq!(failure.retry_delay(), Some(Duration::from_secs(told)));
    }
}

#[tokio::test]
async fn flow_control_by_the_service_is_told_with_the_wait_it_asks_for() {
    let body = r#"{"error_code":"MMC.100000429","error_msg":"CONF_SERVER_FLOW_CONTROL"}"#;
    let upstream = Script::start([Step::answer(400, "retry-after: 20\r\n", body)]).await;
    let facade = Facade::over(&upstream.base).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.code, "RESOURCE_EXHAUSTED");
    assert_eq!(failure.reason, "CONF_SERVER_FLOW_CONTROL");
    assert_eq!(failure.retry_delay(), Some(Duration::from_secs(20)));
}

#[tokio::test]
async fn retries_end_before_the_deadline() {
    // The second answer comes when it is too late for a third.
    let upstream = Script::start([Step::answer(503, "retry-after: 2\r\n", "")]).await;
    let facade = Facade::with(&upstream.base, retries(10)).await;
    let mut request = lock(MEETING);
    request.set_timeout(Duration::from_millis(3_900));
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(failure.code, "UNAVAILABLE", "the last answer, not silence");
    assert_eq!(failure.attempts(), 2);
}

#[tokio::test]
async fn a_failing_upstream_gets_little_more_than_the_callers_own_calls() {
    let upstream = Script::start([status(503)]).await;
    let facade = std::sync::Arc::new(Facade::over(&upstream.base).await);
    let calls = 300;
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let facade = std::sync::Arc::clone(&facade);
        running.spawn(async move { facade.lock(MEETING).await.unwrap_err() });
    }
    running.join_all().await;
    // What is there from the start, and one a second.
    let floor = 10 + 5;
    let most = calls + calls / 5 + floor;
    let sent = upstream.requests().len();
    assert!((calls..=most).contains(&sent), "{sent} of at most {most}");
    let spent = facade.metric("meeting_control_upstream_retry_budget_exhausted_total ");
    assert!(spent > 0.0);
}

#[tokio::test]
async fn a_pooled_connection_that_the_peer_has_closed_never_costs_a_call() {
    // The second request meets a connection that has served before, and dies without a byte.
    let upstream = Script::start([Step::ok(), Step::Cut, Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut client = facade.client().await;
    for _ in 0..2 {
        let call = client.update_started_conf_config(lock(MEETING));
        timeout(PATIENCE, call).await.unwrap().unwrap();
    }
    let of = |reason| format!("meeting_control_upstream_retries_total{{reason=\"{reason}\"}} ");
    assert_eq!(facade.metric(&of("stale_connection")), 1.0);
    assert_eq!(facade.metric(&of("unknown")), 0.0);
}

#[tokio::test]
async fn retries_after_doubt_and_after_none_are_told_apart() {
    let of = |reason| format!("meeting_control_upstream_retries_total{{reason=\"{reason}\"}} ");
    for (step, reason) in [
        (Step::Cut, "unknown"),
        (code(400, "MMC.111072004"), "refused"),
    ] {
        let upstream = Script::start([step, Step::ok()]).await;
        let facade = Facade::over(&upstream.base).await;
        facade.lock(MEETING).await.unwrap();
        for label in ["unknown", "refused", "not_sent", "stale_connection"] {
            let expected = f64::from(u8::from(label == reason));
            assert_eq!(facade.metric(&of(label)), expected, "{label}");
        }
    }
}

#[tokio::test]
async fn with_retries_off_only_a_closed_connection_is_replaced_and_only_once() {
    let upstream = Script::start([Step::ok(), Step::Cut, Step::ok()]).await;
    let facade = Facade::with(&upstream.base, one_thread(retries(0))).await;
    facade.lock(MEETING).await.unwrap();
    facade.lock(MEETING).await.unwrap();
    assert_eq!(upstream.requests().len(), 3);

    let upstream = Script::start([Step::ok(), Step::Cut]).await;
    let facade = Facade::with(&upstream.base, one_thread(retries(0))).await;
    facade.lock(MEETING).await.unwrap();
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.reason, "UPSTREAM_CONNECTION_LOST");
    assert_eq!(failure.attempts(), 2);
}

fn one_thread(settings: Settings) -> Settings {
    Settings {
        threads: 1,
        ..settings
    }
}
