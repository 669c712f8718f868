//! Every caller has its answer before it gives up, and the code is DEADLINE_EXCEEDED.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use meeting_control::call::{Call, Peer};
use meeting_control::command::UpdateCommand;
use meeting_control::deadline::Deadline;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::telemetry::metrics::Metrics;
use meeting_control::upstream::Upstream;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, lock};

#[tokio::test]
async fn the_callers_deadline_is_answered_by_the_facade() {
    let upstream = Script::start([Step::Hang]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    request.set_timeout(Duration::from_millis(400));
    let started = Instant::now();
    let status = facade.call(request).await.unwrap_err();
    let elapsed = started.elapsed();

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

/// On a clock that stands still until all wait for it, so that a busy machine makes nothing late.
#[tokio::test(start_paused = true)]
async fn a_call_is_over_before_the_callers_deadline_passes() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let settings = Settings::default().upstream;
    let mut metrics = Metrics::default();
    let base = base.parse().unwrap();
    let (upstream, _renewal) =
        Upstream::new(&base, &settings, PATIENCE, metrics.registry()).unwrap();
    for allowed in [10, 400, 3_000].map(Duration::from_millis) {
        let mut request = lock(MEETING);
        request.set_timeout(allowed);
        let (metadata, _, request) = request.into_parts();
        let metadata = metadata.into_headers();
        let command = UpdateCommand::read(&metadata, request).unwrap();
        let deadline = Deadline::of_call(&metadata, PATIENCE);
        let call = Call::arrive(&metadata, deadline, Peer::anonymous(), None);
        upstream.update(&call, command).await.unwrap_err();
        assert_eq!(call.deadline.elapsed(), call.deadline.limit());
        assert!(call.deadline.limit() < allowed);
    }
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
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "0n".parse().unwrap());
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(failure.code, "DEADLINE_EXCEEDED");
    assert_eq!((failure.outcome(), failure.attempts()), ("not_applied", 0));
    assert!(upstream.requests().is_empty());
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

/// The request leaves on another thread than the one on which time runs out: harder than in the product,
/// where a call has one thread, so that no chance is missed to get it wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_changed_is_never_told_of_a_request_that_has_left() {
    let upstream = Script::start([Step::ok()]).await;
    let mut told = Vec::new();
    for limit in [300, 600, 1_000, 1_500, 2_500] {
        let settings = Settings {
            threads: 1,
            timeout: Duration::from_micros(limit),
            ..Settings::default()
        };
        let facade = Arc::new(Facade::with(&upstream.base, settings).await);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let facade = Arc::clone(&facade);
            callers.spawn(async move {
                let mut client = MeetingControlClient::new(facade.channel().await);
                let mut told = Vec::new();
                for call in 0..60 {
                    let id = format!("{limit}-{caller}-{call}");
                    let mut request = lock(MEETING);
                    request
                        .metadata_mut()
                        .insert("x-request-id", id.parse().unwrap());
                    if let Err(status) = client.update_started_conf_config(request).await
                        && Failure::of(&status).outcome() == "not_applied"
                    {
                        told.push(id);
                    }
                }
                told
            });
        }
        told.extend(callers.join_all().await.into_iter().flatten());
    }
    assert!(
        !told.is_empty(),
        "time ran out before anything was sent, at least once"
    );
    let sent: HashSet<_> = upstream
        .requests()
        .into_iter()
        .flat_map(|request| request.headers)
        .filter_map(|(name, value)| (name == "x-request-id").then_some(value))
        .collect();
    let lies: Vec<_> = told.iter().filter(|id| sent.contains(*id)).collect();
    assert!(lies.is_empty(), "{lies:?}");
}
