//! The control token reaches the upstream and nothing else.

use crate::kit::{Facade, Failure, MEETING, Script, Step, TOKEN};

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
