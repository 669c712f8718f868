//! Tokens and passwords reach the upstream and nothing else.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;

use crate::kit::process::Process;
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

/// Every spelling of a secret that anybody might write.
fn spellings(secret: &str) -> Vec<String> {
    let encoded = BASE64_STANDARD.encode(secret);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let all = [secret.to_owned(), encoded, hex, percent];
    let bare = all
        .iter()
        .map(|text| text.trim_end_matches('=').to_lowercase());
    bare.collect()
}

fn holds(text: &str, secret: &str) -> Option<String> {
    let text = text.to_lowercase();
    spellings(secret)
        .into_iter()
        .find(|secret| text.contains(secret))
}

#[tokio::test]
async fn neither_password_nor_obtained_token_leaves_the_process_but_to_the_upstream() {
    const PASSWORD: &str = "Pass.word-4711?x";
    const ISSUED: &str = "stb7f3a9c0d1e2f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d0e1f2";
    let quoting = |secret: &str| {
        let quoted = spellings(secret).join(" , ");
        let body = format!(r#"{{"error_code":"XYZ.1","error_msg":"{secret} {quoted}"}}"#);
        Step::answer(400, &format!("x-request-id: {secret}\r\n"), &body)
    };
    let issued = format!(r#"{{"data":{{"token":"{ISSUED}","confTokenExpireTime":1800}}}}"#);
    let steps = [
        quoting(PASSWORD),
        Step::answer(200, "", &issued),
        Step::ok(),
        quoting(ISSUED),
        Step::answer(400, "", ""),
    ];
    let upstream = Script::start(steps).await;
    let filter = "trace,h2=trace,hyper=trace,rustls=trace";
    let process = Process::serve(&upstream.base, &["--log-filter", filter], &[]);
    let mut client = MeetingControlClient::connect(format!("http://{}", process.grpc))
        .await
        .unwrap();
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
    assert_eq!(upstream.requests().len(), 5, "all that was to be said");
    eventually("the last call is logged", || {
        let log = process.log();
        log.iter()
            .filter(|line| line.contains("\"grpc_code\""))
            .count()
            >= 2
    })
    .await;
    let log = process.log().join("\n");
    assert!(log.contains("\"level\":\"TRACE\""), "the log is complete");
    for secret in [PASSWORD, ISSUED] {
        for (place, text) in [("the log", &log), ("what callers are told", &told)] {
            let found = holds(text, secret);
            let line = found.as_ref().and_then(|found| {
                text.lines()
                    .find(|line| line.to_lowercase().contains(found.as_str()))
            });
            assert_eq!(line, None, "{place}");
        }
    }
}
