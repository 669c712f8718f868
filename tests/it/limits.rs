//! Too many calls, and an upstream that is down, are answered at once; health is not touched.

use std::time::{Duration, SystemTime};

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, eventually, lock};

async fn is_healthy(facade: &Facade) -> bool {
    let mut client = HealthClient::new(facade.channel().await);
    let answer = client.check(HealthCheckRequest::default()).await.unwrap();
    answer.get_ref().status().as_str_name() == "SERVING"
}

#[tokio::test]
async fn the_excess_is_refused_at_once_and_a_place_that_is_freed_can_be_used() {
    let upstream = Script::start([Step::Hang, Step::Hang, Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_in_flight = 2;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        // Each on a connection of its own: the limit is one for all.
        let mut client = MeetingControlClient::new(facade.channel().await);
        waiting.push(tokio::spawn(async move {
            client.update_started_conf_config(lock(MEETING)).await
        }));
    }
    eventually("both are under way", || upstream.requests().len() == 2).await;

    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.code, "RESOURCE_EXHAUSTED");
    assert_eq!(failure.reason, "OVERLOADED");
    assert_eq!(failure.outcome(), "not_applied");
    assert_eq!(failure.attempts(), 0);
    assert_eq!(failure.retry_delay(), Some(Duration::from_secs(1)));
    assert!(is_healthy(&facade).await);
    assert_eq!(upstream.requests().len(), 2);

    waiting.pop().unwrap().abort();
    eventually("the place is freed", || upstream.abandoned() == 1).await;
    facade.lock(MEETING).await.unwrap();

    waiting.pop().unwrap().abort();
    eventually("every call has ended", || {
        let rpc = "{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"";
        let handled = |code| {
            facade.metric(&format!("grpc_server_handled_total{rpc},grpc_code=\"{code}\"}} "))
        };
        facade.metric(&format!("grpc_server_started_total{rpc}}} ")) == 4.0
            && facade.metric(&format!("grpc_server_in_flight{rpc}}} ")) == 0.0
            && facade.metric("meeting_control_shed_total{limit=\"all\"} ") == 1.0
            && (handled("OK"), handled("Canceled"), handled("ResourceExhausted"))
                == (1.0, 2.0, 1.0)
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_not_waited_for_and_is_noticed_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = Settings::default();
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&format!("http://{address}"), settings).await;

    let started = SystemTime::now();
    let failure = loop {
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        if failure.reason != "UPSTREAM_UNREACHABLE" {
            break failure;
        }
        assert!(started.elapsed().unwrap() < PATIENCE, "never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(failure.code, "UNAVAILABLE");
    assert_eq!(failure.reason, "UPSTREAM_DOWN");
    assert_eq!(failure.outcome(), "not_applied");
    assert_eq!(failure.attempts(), 0);
    let wait = failure.retry_delay().unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(facade.metric("meeting_control_breaker_state "), 1.0);
    assert!(
        is_healthy(&facade).await,
        "health does not depend on the upstream"
    );

    let upstream = Script::at(address, [Step::ok()]).await;
    let back = SystemTime::now();
    while facade.lock(MEETING).await.is_err() {
        assert!(back.elapsed().unwrap() < PATIENCE, "never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(facade.metric("meeting_control_breaker_state "), 0.0);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_retry_that_meets_an_open_breaker_ends_with_the_failure_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = Settings::default();
    settings.upstream.max_retries = 10;
    let facade = Facade::with(&format!("http://{address}"), settings).await;
    // Its own attempts open it.
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.reason, "UPSTREAM_UNREACHABLE");
    assert!(
        (5..11).contains(&failure.attempts()),
        "{}",
        failure.attempts()
    );
    assert_eq!(facade.metric("meeting_control_breaker_state "), 1.0);
}

#[tokio::test]
async fn a_caller_over_its_share_is_told_so_while_permits_are_short() {
    let upstream = Script::start([Step::Hang]).await;
    let mut settings = Settings::default();
    settings.server.max_in_flight = 8;
    settings.server.max_in_flight_per_caller = Some(4);
    let facade = Facade::with(&upstream.base, settings).await;
    let mut waiting = Vec::new();
    // Seven are let through: a quarter is free until then.
    for _ in 0..7 {
        let mut client = facade.client().await;
        waiting.push(tokio::spawn(async move {
            client.update_started_conf_config(lock(MEETING)).await
        }));
    }
    eventually("seven are under way", || upstream.requests().len() == 7).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(
        (failure.code, failure.reason.as_str()),
        ("RESOURCE_EXHAUSTED", "OVERLOADED")
    );
    assert!(
        failure.message.contains("of this caller"),
        "{}",
        failure.message
    );
    assert_eq!(
        facade.metric("meeting_control_shed_total{limit=\"caller\"} "),
        1.0
    );
    assert_eq!(
        facade.metric("meeting_control_shed_total{limit=\"all\"} "),
        0.0
    );
    for call in waiting {
        call.abort();
    }
}
