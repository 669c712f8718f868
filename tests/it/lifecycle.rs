//! Connections end in two steps, the process in order, and no call is lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::kit::raw::{ACK, END_HEADERS, GOAWAY, HEADERS, PING, RST_STREAM, RawClient, frame};
use crate::kit::{Facade, MEETING, PATIENCE, Script, Settings, Step, eventually, lock};

fn last_stream(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[..4].try_into().unwrap())
}

#[tokio::test]
async fn an_old_connection_is_ended_by_two_goaways() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_connection_age = Duration::from_millis(100);
    let facade = Facade::with(&upstream.base, settings).await;
    let mut client = RawClient::connect(&facade).await;
    let conversation = async {
        let mut goaways = Vec::new();
        while let Some((kind, flags, body)) = client.receive().await {
            match kind {
                GOAWAY => goaways.push(last_stream(&body)),
                // The second waits for this answer: all that was sent before it has then arrived.
                PING if flags & ACK == 0 => {
                    assert_eq!(goaways.len(), 1, "the ping follows the first GOAWAY");
                    client.send(PING, ACK, 0, &body).await.unwrap();
                }
                _ => {}
            }
        }
        goaways
    };
    let goaways = timeout(PATIENCE, conversation).await.unwrap();
    assert_eq!(goaways, [(1 << 31) - 1, 0]);
}

#[tokio::test]
async fn a_client_that_ignores_goaway_is_cut_off_after_the_grace() {
    let upstream = Script::start([Step::Hang]).await;
    let mut settings = Settings::default();
    settings.server.max_connection_age = Duration::from_millis(50);
    settings.server.max_connection_age_grace = Duration::from_millis(100);
    let facade = Facade::with(&upstream.base, settings).await;
    // The call hangs, so the connection cannot end by itself.
    facade.lock(MEETING).await.unwrap_err();
    eventually("the call is cut off", || {
        handled(&facade, "Unavailable") == 1.0
    })
    .await;
}

#[tokio::test]
async fn connections_are_replaced_under_load_and_no_call_that_was_sent_is_lost() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_connection_age = Duration::from_millis(100);
    let facade = Facade::with(&upstream.base, settings).await;
    let (address, connections) = counting_forwarder(&facade).await;
    let channel = tonic::transport::Channel::from_shared(address).unwrap();
    let client = MeetingControlClient::new(channel.connect().await.unwrap());
    let calls = Arc::new(AtomicU32::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = client.clone();
        let (calls, connections) = (Arc::clone(&calls), Arc::clone(&connections));
        callers.spawn(async move {
            while calls.load(Ordering::Relaxed) < 100 || connections.load(Ordering::Relaxed) < 4 {
                match client.update_started_conf_config(lock(MEETING)).await {
                    Ok(_) => _ = calls.fetch_add(1, Ordering::Relaxed),
                    // It stood in the client's own queue, whose connection was going away.
                    Err(status) => assert_eq!(status.message(), "operation was canceled"),
                }
            }
        });
    }
    let called = timeout(PATIENCE, callers.join_all()).await;
    called.expect("connections are replaced, and calls answered");
    let calls = f64::from(calls.load(Ordering::Relaxed));
    assert_eq!(calls, handled(&facade, "OK"));
    assert_eq!(calls, started(&facade));
}

/// Forwards connections to the façade, and counts them.
async fn counting_forwarder(facade: &Facade) -> (String, Arc<AtomicUsize>) {
    let target = facade.address.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            counting.fetch_add(1, Ordering::Relaxed);
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn draining_lowers_health_first_finishes_open_calls_and_then_ends() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let upstream = Script::start([Step::Late(Duration::from_secs(3), answer), Step::ok()]).await;
    let mut settings = Settings::default();
    // Enough for what must come before the door is shut, and over before the open call is.
    settings.server.drain_delay = Duration::from_secs(2);
    let mut facade = Facade::with(&upstream.base, settings).await;
    let channel = facade.channel().await;
    let mut client = MeetingControlClient::new(channel.clone());
    let open = tokio::spawn(async move { client.update_started_conf_config(lock(MEETING)).await });
    eventually("the call is under way", || upstream.requests().len() == 1).await;

    let ended = facade.stop();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "meeting.control.v1.MeetingControl"] {
        let waiting = async {
            loop {
                let request = HealthCheckRequest {
                    service: service.to_owned(),
                };
                let answer = health.check(request).await.unwrap();
                if answer.get_ref().status().as_str_name() == "NOT_SERVING" {
                    return;
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }
    assert!(!ended.is_finished());
    // The door is still open: not every load balancer has noticed yet.
    let mut late = MeetingControlClient::new(channel);
    late.update_started_conf_config(lock(MEETING))
        .await
        .unwrap();

    open.await.unwrap().expect("an open call gets its answer");
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    let address = facade.address.strip_prefix("http://").unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cut_off_and_recorded_so() {
    let upstream = Script::start([Step::Hang]).await;
    let mut settings = Settings::default();
    settings.server.drain_timeout = Duration::from_millis(200);
    let mut facade = Facade::with(&upstream.base, settings).await;
    let mut client = MeetingControlClient::new(facade.channel().await);
    let open = tokio::spawn(async move { client.update_started_conf_config(lock(MEETING)).await });
    eventually("the call is under way", || upstream.requests().len() == 1).await;
    timeout(PATIENCE, facade.stop()).await.unwrap().unwrap();
    open.await.unwrap().unwrap_err();
    eventually("it is recorded", || handled(&facade, "Unavailable") == 1.0).await;
    assert_eq!(handled(&facade, "Canceled"), 0.0);
    eventually("the upstream is let go", || upstream.abandoned() == 1).await;
}

#[tokio::test]
async fn a_client_that_resets_its_calls_as_fast_as_it_makes_them_is_shown_out() {
    let upstream = Script::start([Step::ok()]).await;
    // The real limit is more than a busy machine may reach in a test.
    let mut settings = Settings::default();
    settings.server.max_resets = 100;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut flood = RawClient::connect(&facade).await;
    // POST, http, / by HPACK's static table.
    let headers = [0x83, 0x86, 0x84];
    let mut streams = (1..).step_by(2);
    let flooding = async {
        loop {
            let calls = streams.by_ref().take(100).flat_map(|stream| {
                [
                    frame(HEADERS, END_HEADERS, stream, &headers),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ]
            });
            let calls = calls.collect::<Vec<_>>().concat();
            if flood.0.write_all(&calls).await.is_err() {
                return;
            }
        }
    };
    timeout(PATIENCE, flooding)
        .await
        .expect("the flood is stopped");
    facade.lock(MEETING).await.unwrap();
    let closed = "meeting_control_connections_closed_total{reason=\"resets\"} ";
    assert_eq!(facade.metric(closed), 1.0);
}

const RPC: &str = "{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"";

fn started(facade: &Facade) -> f64 {
    facade.metric(&format!("grpc_server_started_total{RPC}}} "))
}

fn handled(facade: &Facade, code: &str) -> f64 {
    facade.metric(&format!(
        "grpc_server_handled_total{RPC},grpc_code=\"{code}\"}} "
    ))
}

#[tokio::test]
async fn a_client_that_says_nothing_or_only_watches_health_does_not_hold_up_the_end() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.drain_timeout = 2 * PATIENCE;
    let mut facade = Facade::with(&upstream.base, settings).await;
    let address = facade.address.strip_prefix("http://").unwrap().to_owned();
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut health = HealthClient::new(facade.channel().await);
    let watching = health.watch(HealthCheckRequest::default()).await.unwrap();
    let ended = timeout(PATIENCE, facade.stop()).await;
    ended.expect("well before the drain time-out").unwrap();
    drop(watching);
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_not_counted_as_the_one_that_does() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    for path in [
        "/meeting.control.v1.MeetingControl/Nope",
        "/no.Such/Service",
    ] {
        let mut client = tonic::client::Grpc::new(facade.channel().await);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<
            _,
            meeting_control::proto::v1::UpdateStartedConfConfigResponse,
        >::default();
        let answer = client
            .unary(lock(MEETING), path.parse().unwrap(), codec)
            .await;
        let failure = crate::kit::Failure::of(&answer.unwrap_err());
        assert_eq!(
            (failure.code, failure.reason.as_str()),
            ("UNIMPLEMENTED", "NOT_SUPPORTED")
        );
    }
    assert_eq!(handled(&facade, "Unimplemented"), 0.0);
}
