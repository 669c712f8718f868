//! Spans reach a collector, with the caller's span as parent; the upstream sees the attempt's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use crate::kit::process::Process;
use crate::kit::secrets::holds;
use crate::kit::{MEETING, Script, Step, eventually, lock, lock_by_password};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter();
        let spans = spans.flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?} in {span:?}"),
    }
}

async fn client(process: &Process) -> MeetingControlClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", process.grpc)).unwrap();
    MeetingControlClient::new(channel.connect().await.unwrap())
}

#[tokio::test]
async fn a_call_and_its_attempts_are_told_with_their_family() {
    let (collector, endpoint) = Collector::start().await;
    let upstream = Script::start([Step::answer(503, "", ""), Step::ok()]).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut process = Process::serve(&upstream.base, &["--log-filter", "debug"], &environment);
    let mut request = lock(MEETING);
    let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    client(&process)
        .await
        .update_started_conf_config(request)
        .await
        .unwrap();
    // The end flushes what has not been exported yet.
    process.signal("TERM");
    assert!(process.ended().await.success());

    let spans = collector.spans();
    assert!(
        spans.iter().all(|span| hex(&span.trace_id) == TRACE),
        "{spans:?}"
    );
    let (of_call, attempts): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.kind == 2);
    let [call] = of_call.as_slice() else {
        panic!("one server span: {spans:?}");
    };
    assert_eq!(
        call.name,
        "meeting.control.v1.MeetingControl/UpdateStartedConfConfig"
    );
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(attribute(call, "rpc.system"), "grpc");
    assert_eq!(attribute(call, "rpc.method"), "UpdateStartedConfConfig");
    assert_eq!(attribute(call, "rpc.grpc.status_code"), "0");

    assert_eq!(attempts.len(), 2, "{spans:?}");
    let sent = upstream.requests();
    for (number, status, attempt) in [(0, "503", attempts[0]), (1, "200", attempts[1])] {
        assert_eq!(attempt.parent_span_id, call.span_id);
        assert_eq!(attempt.kind, 3);
        assert_eq!(attribute(attempt, "http.request.method"), "PUT");
        assert_eq!(attribute(attempt, "http.response.status_code"), status);
        assert_eq!(attribute(attempt, "server.address"), "127.0.0.1");
        let expected = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
        assert!(
            sent[number]
                .headers
                .contains(&("traceparent".to_owned(), expected))
        );
    }
    assert_eq!(attribute(attempts[1], "http.request.resend_count"), "1");
    eventually("the log has the trace", || {
        process.log().iter().any(|line| line.contains(TRACE))
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_neither_calls_nor_the_end() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://{free}");
    let upstream = Script::start([Step::ok()]).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut process = Process::serve(&upstream.base, &[], &environment);
    let mut client = client(&process).await;
    for _ in 0..50 {
        client
            .update_started_conf_config(lock(MEETING))
            .await
            .unwrap();
    }
    drop(client);
    process.signal("TERM");
    let (status, elapsed) = process.time_to_end().await;
    assert!(status.success());
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

#[tokio::test]
async fn a_second_signal_waits_for_no_collector() {
    // Takes the connection, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let upstream = Script::start([Step::ok(), Step::Hang]).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut process = Process::serve(&upstream.base, &["--drain-timeout", "60s"], &environment);
    let mut client = client(&process).await;
    let ended = client.update_started_conf_config(lock(MEETING)).await;
    ended.unwrap();
    tokio::spawn(async move { client.update_started_conf_config(lock(MEETING)).await });
    eventually("a call is under way", || upstream.requests().len() == 2).await;
    process.signal("TERM");
    eventually("it drains", || {
        let draining = |line: &String| line.contains("draining: no new calls");
        process.log().iter().any(draining)
    })
    .await;
    process.signal("TERM");
    let (status, elapsed) = process.time_to_end().await;
    assert_eq!(status.code(), Some(1));
    // The exporter would be given five seconds.
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
}

#[tokio::test]
async fn without_a_collector_the_callers_own_context_travels_on() {
    let upstream = Script::start([Step::answer(400, "", "")]).await;
    let process = Process::serve(&upstream.base, &[], &[("OTEL_SERVICE_NAME", "other")]);
    let mut request = lock(MEETING);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    request
        .metadata_mut()
        .insert("traceparent", parent.parse().unwrap());
    client(&process)
        .await
        .update_started_conf_config(request)
        .await
        .unwrap_err();
    let headers = upstream.request().headers;
    assert!(
        headers.contains(&("traceparent".to_owned(), parent)),
        "{headers:?}"
    );
    eventually("the log line has the trace id", || {
        process
            .log()
            .iter()
            .any(|line| line.contains(&format!("\"trace_id\":\"{TRACE}\"")))
    })
    .await;
}

#[tokio::test]
async fn obtaining_a_token_has_a_trace_of_its_own_that_names_all_that_wait_for_it() {
    const SECRET: &str = "Pass.word-4711";
    const ISSUED: &str = "stb7f3a9c0d1e2f4a5b6";
    let (collector, endpoint) = Collector::start().await;
    let issued = format!(r#"{{"data":{{"token":"{ISSUED}","confTokenExpireTime":1800}}}}"#);
    let late = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{issued}",
        issued.len()
    );
    let late = Step::Late(Duration::from_millis(500), late.into_bytes());
    let upstream = Script::start([late, Step::ok()]).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut process = Process::serve(&upstream.base, &[], &environment);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut client = client(&process).await;
        calls.spawn(async move {
            let request = lock_by_password(MEETING, SECRET);
            client.update_started_conf_config(request).await
        });
    }
    for called in calls.join_all().await {
        called.unwrap();
    }
    process.signal("TERM");
    assert!(process.ended().await.success());
    let spans = collector.spans();
    let named = |name: &str| -> Vec<Span> {
        let of_name = |span: &&Span| span.name.ends_with(name);
        spans.iter().filter(of_name).cloned().collect()
    };
    let tokens = named("obtain token");
    let [token] = &tokens[..] else {
        panic!("{tokens:?}");
    };
    let mut linked: Vec<_> = token.links.iter().map(|link| hex(&link.span_id)).collect();
    let mut waiting: Vec<_> = named("UpdateStartedConfConfig")
        .iter()
        .map(|span| hex(&span.span_id))
        .collect();
    linked.sort();
    waiting.sort();
    assert_eq!((waiting.len(), linked), (3, waiting));
    assert!(token.parent_span_id.is_empty());
    let told = format!("{spans:?}");
    for secret in [SECRET, ISSUED] {
        assert_eq!(holds(&told, secret), None, "{told}");
    }
    let get = named("GET");
    assert_eq!(get.len(), 1);
    assert_eq!(get[0].parent_span_id, token.span_id);
    let id = attribute(token, "meeting_control.request_id");
    let sent = ("x-request-id".to_owned(), id);
    assert!(upstream.requests()[0].headers.contains(&sent), "{sent:?}");
    for request in upstream.requests() {
        assert!(request.headers.iter().any(|(key, _)| key == "traceparent"));
    }
}
