//! One peer, careless or hostile, takes neither memory nor connections nor a clean end from the others.

use std::time::Duration;

use meeting_control::names::METHOD_PATH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::kit::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, MESSAGE, RST_STREAM, RawClient, frame,
    request,
};
use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, eventually};

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// A message without a byte.
const EMPTY: &[u8] = &[0; 5];

/// The count of connections that were ended for that reason.
fn closed(reason: &str) -> String {
    format!("meeting_control_connections_closed_total{{reason=\"{reason}\"}} ")
}

async fn facade() -> (Facade, Script) {
    let upstream = Script::start([Step::ok()]).await;
    (Facade::over(&upstream.base).await, upstream)
}

#[tokio::test]
async fn as_many_calls_as_a_connection_may_carry_can_come_at_once() {
    const CALLS: u32 = 256;
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request(METHOD_PATH, &[]);
    let mut burst = Vec::new();
    for number in 0..CALLS {
        let stream = 2 * number + 1;
        let (prefix, message) = MESSAGE.split_at(5);
        for (kind, flags, body) in [
            (HEADERS, END_HEADERS, &headers[..]),
            // As some clients do, the message in parts.
            (DATA, 0, prefix),
            (DATA, 0, message),
            (DATA, END_STREAM, &[]),
        ] {
            burst.extend(frame(kind, flags, stream, body));
        }
    }
    client.0.write_all(&burst).await.unwrap();
    // They end in any order, and each but one before the last look.
    let handled = "grpc_server_handled_total{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\",grpc_code=\"OK\"} ";
    eventually("all are answered", || {
        facade.metric(handled) == f64::from(CALLS)
    })
    .await;
    client.call(2 * CALLS + 1, &[]).await;
    client.ended(2 * CALLS + 1).await;
}

#[tokio::test]
async fn a_permit_is_held_until_the_answer_is_taken_and_then_the_connection_is_closed() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_in_flight = 2;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut greedy = RawClient::with_window(&facade, 0).await;
    for stream in [1, 3] {
        greedy.call(stream, &[("grpc-timeout", "300m")]).await;
    }
    eventually("both have been carried out", || upstream.answers() == 2).await;
    let refused = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(refused.reason, "OVERLOADED");
    let started = Instant::now();
    greedy.closed().await;
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(facade.metric(&closed("untaken")), 1.0);
    eventually("nothing is held", || {
        facade.metric("meeting_control_untaken_answers ") == 0.0
    })
    .await;
    facade.lock(MEETING).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_given_up_free_nobody_elses_permit() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_in_flight = 1;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut greedy = RawClient::with_window(&facade, 1).await;
    greedy.call(1, &[]).await;
    eventually("it has been carried out", || upstream.answers() == 1).await;
    let headers = request(METHOD_PATH, &[]);
    let mut burst = Vec::new();
    for number in 1..20 {
        let stream = 2 * number + 1;
        burst.extend(frame(HEADERS, END_HEADERS, stream, &headers));
        burst.extend(frame(DATA, END_STREAM, stream, MESSAGE));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    greedy.0.write_all(&burst).await.unwrap();
    // Refused, so all of the burst has been seen.
    greedy.call(101, &[]).await;
    greedy.ended(101).await;
    let refused = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(refused.reason, "OVERLOADED");
}

#[tokio::test]
async fn an_answer_that_is_taken_frees_its_permit_at_once() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.max_in_flight = 1;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut client = RawClient::connect(&facade).await;
    for number in 0..20 {
        client.call(2 * number + 1, &[]).await;
        client.ended(2 * number + 1).await;
    }
    assert_eq!(upstream.answers(), 20);
}

#[tokio::test]
async fn a_reflection_message_that_never_ends_is_refused_by_its_length() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request(REFLECTION, &[]);
    client
        .send(HEADERS, END_HEADERS, 1, &headers)
        .await
        .unwrap();
    // Four MiB are announced, and not sent.
    client.send(DATA, 0, 1, &[0, 0, 64, 0, 0]).await.unwrap();
    client.ended(1).await;
}

#[tokio::test]
async fn reflection_that_nobody_takes_is_limited_over_all_connections() {
    let (facade, _upstream) = facade().await;
    let headers = request(REFLECTION, &[]);
    let mut burst = Vec::new();
    for stream in [1, 3, 5, 7] {
        burst.extend(frame(HEADERS, END_HEADERS, stream, &headers));
        // The names of all services are asked for.
        burst.extend(frame(DATA, 0, stream, b"\0\0\0\0\x02\x3a\0"));
    }
    let mut open = Vec::new();
    for _ in 0..49 {
        let mut client = RawClient::with_window(&facade, 0).await;
        client.0.write_all(&burst).await.unwrap();
        // Whatever came before has been seen.
        client.call(9, &[("grpc-timeout", "1u")]).await;
        client.ended(9).await;
        open.push(client);
    }
    let mut client = RawClient::with_window(&facade, 0).await;
    client.0.write_all(&burst).await.unwrap();
    for stream in [1, 3, 5, 7] {
        client.ended(stream).await;
    }
    // Nor do they keep a health check out.
    let mut health = HealthClient::new(facade.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_refused_before_they_have_arrived_do_not_wear_out_their_connection() {
    const AT_ONCE: u32 = 200;
    const ROUNDS: u32 = 42;
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request("/unknown.Service/Method", &[]);
    // Half of what the library would bear, were they not read.
    for round in 0..ROUNDS {
        let streams = (0..AT_ONCE).map(|number| 2 * (round * AT_ONCE + number) + 1);
        let opening = streams.clone();
        let opening = opening.flat_map(|stream| frame(HEADERS, END_HEADERS, stream, &headers));
        client
            .0
            .write_all(&opening.collect::<Vec<_>>())
            .await
            .unwrap();
        client.all_ended(streams.clone()).await;
        let late = streams.flat_map(|stream| {
            [
                frame(DATA, 0, stream, b"x"),
                frame(DATA, END_STREAM, stream, b""),
            ]
            .concat()
        });
        client.0.write_all(&late.collect::<Vec<_>>()).await.unwrap();
    }
    let last = 2 * ROUNDS * AT_ONCE + 1;
    client.call(last, &[]).await;
    client.ended(last).await;
    assert_eq!(facade.metric(&closed("worn")), 0.0);
}

#[tokio::test]
async fn a_connection_on_which_empty_frames_pile_up_is_replaced_before_it_breaks() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request(METHOD_PATH, &[]);
    let mut burst = frame(HEADERS, END_HEADERS, 1, &headers);
    for _ in 0..60 {
        burst.extend(frame(DATA, 0, 1, b""));
    }
    client.0.write_all(&burst).await.unwrap();
    let (last, reason) = client.told_to_leave().await;
    assert_eq!((last, reason), (u32::MAX >> 1, 0));
    client.send(DATA, END_STREAM, 1, MESSAGE).await.unwrap();
    client.ended(1).await;
    let ok = "grpc_server_handled_total{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\",grpc_code=\"OK\"} ";
    assert_eq!(facade.metric(ok), 1.0);
    assert_eq!(facade.metric(&closed("worn")), 1.0);
}

#[tokio::test]
async fn a_connection_on_which_late_frames_pile_up_is_replaced_before_it_breaks() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    // The library bears a thousand such frames then.
    settings.server.max_connection_age = Duration::from_secs(20);
    settings.server.max_connection_age_grace = Duration::ZERO;
    let facade = Facade::with(&upstream.base, settings).await;
    let mut client = RawClient::connect(&facade).await;
    let streams = (0..600).map(|number| 2 * number + 1);
    let headers = request("/unknown.Service/Method", &[]);
    for stream in streams.clone() {
        let flags = END_HEADERS | END_STREAM;
        client.send(HEADERS, flags, stream, &headers).await.unwrap();
        client.ended(stream).await;
    }
    let late = streams.flat_map(|stream| frame(DATA, 0, stream, b"x"));
    let late: Vec<_> = late.collect();
    client.0.write_all(&late).await.unwrap();
    let (last, reason) = client.told_to_leave().await;
    assert_eq!((last, reason), (u32::MAX >> 1, 0));
    assert_eq!(facade.metric(&closed("worn")), 1.0);
}

#[tokio::test]
async fn a_connection_has_two_watches_and_four_reflection_streams_and_is_told_of_more() {
    let (facade, _upstream) = facade().await;
    for (path, max) in [(WATCH, 2), (REFLECTION, 4)] {
        let mut client = RawClient::connect(&facade).await;
        let headers = request(path, &[]);
        let mut stream = 1;
        for _ in 0..max {
            client
                .send(HEADERS, END_HEADERS, stream, &headers)
                .await
                .unwrap();
            client.send(DATA, 0, stream, EMPTY).await.unwrap();
            stream += 2;
        }
        client
            .send(HEADERS, END_HEADERS, stream, &headers)
            .await
            .unwrap();
        client.send(DATA, 0, stream, EMPTY).await.unwrap();
        client.ended(stream).await;
        // Calls are not touched by any of them.
        client.call(stream + 2, &[]).await;
        client.ended(stream + 2).await;
    }
}

#[tokio::test]
async fn a_shared_connection_outlives_requests_that_break_the_rules() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let malformed = request(METHOD_PATH, &[(":authority", "10.0.0.1:1,10.0.0.2:1")]);
    for number in 0..1_000 {
        let stream = 4 * number + 1;
        client
            .send(HEADERS, END_HEADERS, stream, &malformed)
            .await
            .unwrap();
        assert_eq!(client.ended(stream).await, RST_STREAM);
        if number % 100 == 0 {
            client.call(stream + 2, &[]).await;
            client.ended(stream + 2).await;
        }
    }
    eventually("all are counted", || {
        facade.metric("meeting_control_malformed_requests_total ") == 1_000.0
    })
    .await;
}

#[tokio::test]
async fn headers_that_are_too_many_cost_their_own_stream_alone() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    for (number, size) in [20_000, 40_000, 70_000, 100_000].into_iter().enumerate() {
        let stream = 4 * u32::try_from(number).unwrap() + 1;
        let value = "x".repeat(1_000);
        let many = vec![("x-many", value.as_str()); size / 1_000];
        let headers = request(METHOD_PATH, &many);
        let mut parts = headers.chunks(16_384).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            client.send(kind, flags, stream, part).await.unwrap();
            kind = CONTINUATION;
        }
        client
            .send(DATA, END_STREAM, stream, MESSAGE)
            .await
            .unwrap();
        client.ended(stream).await;
        client.call(stream + 2, &[]).await;
        client.ended(stream + 2).await;
    }
}

#[tokio::test]
async fn more_header_fields_than_anybody_needs_are_refused_before_anything_is_held() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let handled = |code| {
        let code = format!("grpc_code=\"{code}\"}} ");
        facade.metric(&format!("grpc_server_handled_total{{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\",{code}"))
    };
    // Two are there already.
    client.call(1, &[("a", "b"); 62]).await;
    client.ended(1).await;
    assert_eq!(handled("OK"), 1.0);
    let headers = request(METHOD_PATH, &[("a", "b"); 63]);
    client
        .send(HEADERS, END_HEADERS, 3, &headers)
        .await
        .unwrap();
    client.ended(3).await;
    assert_eq!(handled("InvalidArgument"), 1.0);
}

#[tokio::test]
async fn a_connection_whose_headers_do_not_end_is_closed() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request(METHOD_PATH, &[]);
    client.send(HEADERS, 0, 1, &headers).await.unwrap();
    client.closed().await;
    assert_eq!(facade.metric(&closed("headers")), 1.0);
}

#[tokio::test]
async fn callers_that_give_up_are_no_flood() {
    let (facade, _upstream) = facade().await;
    let mut client = RawClient::connect(&facade).await;
    let headers = request(METHOD_PATH, &[]);
    let mut burst = Vec::new();
    for number in 0..5_000 {
        let stream = 2 * number + 1;
        burst.extend(frame(HEADERS, END_HEADERS, stream, &headers));
        burst.extend(frame(DATA, END_STREAM, stream, MESSAGE));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    client.0.write_all(&burst).await.unwrap();
    client.call(10_001, &[]).await;
    client.ended(10_001).await;
}

#[tokio::test]
async fn silent_sockets_on_the_admin_port_keep_no_probe_out() {
    let (facade, _upstream) = facade().await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(&facade.admin).await.unwrap());
    }
    for _ in 0..20 {
        let probe = async {
            let mut stream = TcpStream::connect(&facade.admin).await.unwrap();
            stream
                .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(PATIENCE, probe).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        silent.push(TcpStream::connect(&facade.admin).await.unwrap());
    }
}

#[tokio::test]
async fn only_calls_of_ours_hold_up_the_end() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.drain_timeout = PATIENCE;
    let mut facade = Facade::with(&upstream.base, settings).await;
    // Nothing is answered here: no ping either.
    let mut silent = RawClient::connect(&facade).await;
    for (stream, path) in [(1, WATCH), (3, REFLECTION)] {
        let headers = request(path, &[]);
        silent
            .send(HEADERS, END_HEADERS, stream, &headers)
            .await
            .unwrap();
        silent.send(DATA, 0, stream, EMPTY).await.unwrap();
    }
    let mut health = HealthClient::new(facade.channel().await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    watch.get_mut().message().await.unwrap();
    let started = Instant::now();
    timeout(PATIENCE, facade.stop()).await.unwrap().unwrap();
    assert!(started.elapsed() < PATIENCE / 4, "{:?}", started.elapsed());
}

#[tokio::test]
async fn calls_after_the_last_that_is_served_do_not_hold_up_the_end() {
    let upstream = Script::start([Step::ok()]).await;
    let mut settings = Settings::default();
    settings.server.drain_timeout = PATIENCE;
    let mut facade = Facade::with(&upstream.base, settings).await;
    let mut client = RawClient::connect(&facade).await;
    for (stream, path) in [(1, REFLECTION), (3, METHOD_PATH)] {
        let headers = request(path, &[]);
        client
            .send(HEADERS, END_HEADERS, stream, &headers)
            .await
            .unwrap();
    }
    let started = "grpc_server_started_total{grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"} ";
    eventually("the call has come", || facade.metric(started) == 1.0).await;
    let asked = Instant::now();
    let ended = facade.stop();
    while client.told_to_leave().await.0 > 3 {}
    client.call(5, &[]).await;
    client.send(DATA, END_STREAM, 3, MESSAGE).await.unwrap();
    client.ended(3).await;
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert!(asked.elapsed() < PATIENCE / 2, "{:?}", asked.elapsed());
}
