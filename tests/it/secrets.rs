//! Tokens and passwords reach the upstream and nothing else.

use http::Response;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::kit::pki::Root;
use crate::kit::process::Process;
use crate::kit::secrets::{holds, spellings};
use crate::kit::tls::Upstream;
use crate::kit::{Facade, Failure, MEETING, Script, Step, TOKEN, eventually, lock_by_password};

#[tokio::test]
async fn an_answer_that_quotes_the_token_is_redacted() {
    let body = format!(r#"{{"error_code":"XYZ.1","error_msg":"no such token: {TOKEN}"}}"#);
    let headers = format!("x-request-id: {TOKEN}\r\n");
    let upstream = Script::start([Step::answer(400, &headers, &body)]).await;
    let facade = Facade::over(&upstream.base).await;
    let status = facade.lock(MEETING).await.unwrap_err();
    let failure = Failure::of(&status);
    assert_eq!(failure.metadata["error_msg"], "no such token: [redacted]");
    assert_eq!(failure.metadata["upstream_request_id"], "[redacted]");
    let everything = format!("{status:?} {:?} {}", failure.details, failure.message);
    assert!(!everything.contains(TOKEN), "{everything}");
}

#[tokio::test]
async fn a_success_that_quotes_the_token_is_redacted() {
    let headers = format!("x-request-id: {TOKEN}\r\n");
    let upstream = Script::start([Step::answer(200, &headers, "")]).await;
    let facade = Facade::over(&upstream.base).await;
    let response = facade.lock(MEETING).await.unwrap();
    let id = response.metadata().get("x-upstream-request-id").unwrap();
    assert_eq!(id, "[redacted]");
}

const PASSWORD: &str = "Pass.word-4711?x";
const ISSUED: &str = "stb7f3a9c0d1e2f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d0e1f2";

/// What an upstream says that quotes what it was sent: it refuses a token, issues one, takes a change, refuses the
/// next, and refuses a token.
fn quoting_answers() -> Vec<Response<String>> {
    let quoting = |secret: &str| {
        let quoted = spellings(secret).join(" , ");
        let body = format!(r#"{{"error_code":"XYZ.1","error_msg":"{secret} {quoted}"}}"#);
        let answer = Response::builder().status(400);
        answer.header("x-request-id", secret).body(body).unwrap()
    };
    let issued = format!(r#"{{"data":{{"token":"{ISSUED}","confTokenExpireTime":1800}}}}"#);
    vec![
        quoting(PASSWORD),
        Response::new(issued),
        Response::new(String::new()),
        quoting(ISSUED),
        quoting(PASSWORD),
    ]
}

/// Makes the calls for which those are the answers, and returns all that is told: to callers, in the log and on the
/// page of metrics.
async fn all_that_is_told(process: &Process, channel: Channel) -> Vec<(&'static str, String)> {
    let mut client = MeetingControlClient::new(channel);
    let mut told = String::new();
    for id in ["0", "1", "1", "2"] {
        let mut request = lock_by_password(id, PASSWORD);
        if id == "2" {
            // A caller may confuse its arguments.
            let metadata = request.metadata_mut();
            metadata.insert("x-request-id", format!("a-{PASSWORD}").parse().unwrap());
        }
        match client.update_started_conf_config(request).await {
            Ok(response) => told += &format!("{:?}", response.metadata()),
            Err(status) => {
                let failure = Failure::of(&status);
                told += &format!("{status:?} {:?} {}", failure.details, failure.message);
            }
        }
    }
    eventually("the last call is logged", || {
        let log = process.log();
        let calls = log.iter().filter(|line| line.contains("\"grpc_code\""));
        calls.count() >= 3
    })
    .await;
    let mut admin = TcpStream::connect(&process.admin).await.unwrap();
    admin
        .write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    admin.read_to_string(&mut page).await.unwrap();
    assert!(
        page.contains("meeting_control_token_requests_total"),
        "{page}"
    );
    vec![
        ("the log", process.log().join("\n")),
        ("what callers are told", told),
        ("the metrics", page),
    ]
}

fn assert_no_secret(told: &[(&str, String)]) {
    assert!(told[0].1.contains("\"level\":\"TRACE\""), "it is complete");
    for secret in [PASSWORD, ISSUED] {
        for (place, text) in told {
            let found = holds(text, secret);
            let line = found.as_ref().and_then(|found| {
                text.lines()
                    .find(|line| line.to_lowercase().contains(found.as_str()))
            });
            assert_eq!(line, None, "{place}");
        }
    }
}

const FINEST: [&str; 2] = ["--log-filter", "trace,h2=trace,hyper=trace,rustls=trace"];

#[tokio::test]
async fn neither_password_nor_obtained_token_leaves_the_process_but_to_the_upstream() {
    let steps = quoting_answers().into_iter().map(|answer| {
        let headers = answer.headers().iter().map(|(name, value)| {
            let value = value.to_str().unwrap();
            format!("{name}: {value}\r\n")
        });
        let headers: String = headers.collect();
        Step::answer(answer.status().as_u16(), &headers, answer.body())
    });
    let upstream = Script::start(steps).await;
    let process = Process::serve(&upstream.base, &FINEST, &[]);
    let channel = Channel::from_shared(format!("http://{}", process.grpc)).unwrap();
    let told = all_that_is_told(&process, channel.connect().await.unwrap()).await;
    assert_eq!(upstream.requests().len(), 5, "all that was to be said");
    assert_no_secret(&told);
}

#[tokio::test]
async fn nor_with_tls_and_http2_on_both_sides() {
    let upstream = Upstream::telling(quoting_answers()).await;
    let root = Root::new();
    let server = root.issue("localhost");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let files = [
        path(upstream.root.path()),
        path(&server.cert),
        path(&server.key),
    ];
    let [upstream_ca, cert, key] = &files;
    let flags = [
        "--upstream-ca",
        upstream_ca,
        "--tls-cert",
        cert,
        "--tls-key",
        key,
    ];
    let process = Process::serve(&upstream.base, &[&FINEST[..], &flags].concat(), &[]);
    let pem = std::fs::read(root.pem()).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(pem))
        .domain_name("localhost");
    let channel = Channel::from_shared(format!("https://{}", process.grpc)).unwrap();
    let channel = channel.tls_config(tls).unwrap().connect().await.unwrap();
    let told = all_that_is_told(&process, channel).await;
    assert_eq!(upstream.requests(), 5, "all that was to be said");
    for library in ["rustls", "h2"] {
        assert!(told[0].1.contains(library), "{library} logs as well");
    }
    assert_no_secret(&told);
}
