use std::future::{pending, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tower::service_fn;
use tower::util::ServiceFn;

use super::*;
use crate::upstream::fixtures::put;

const SECOND: Duration = Duration::from_secs(1);

fn metrics() -> Arc<metrics::Upstream> {
    Arc::clone(&metrics::Metrics::new("service", "method").upstream)
}

fn answer(status: StatusCode) -> Result<Answer, UpstreamError> {
    Ok(Answer {
        status,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    })
}

fn attempt<F>(inner: impl FnMut(Put) -> F) -> Attempt<ServiceFn<impl FnMut(Put) -> F>>
where
    F: Future<Output = Result<Answer, UpstreamError>> + Send + 'static,
{
    AttemptLayer::new(5 * SECOND, metrics()).layer(service_fn(inner))
}

#[tokio::test(start_paused = true)]
async fn the_attempt_limit_and_the_deadline_are_told_apart() {
    for (limit, expected) in [
        (10 * SECOND, "no answer within the attempt limit of 5s"),
        (5 * SECOND, "no answer within the deadline of 5s"),
        (2 * SECOND, "no answer within the deadline of 2s"),
    ] {
        let error = attempt(|_| pending()).call(put(limit)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_deadline() {
    let put = put(SECOND);
    let call = Arc::clone(&put.call);
    tokio::time::advance(SECOND).await;
    let result = attempt(|_| async { panic!("sent") }).call(put).await;
    assert!(matches!(
        result,
        Err(UpstreamError::DeadlineExceeded { .. })
    ));
    assert_eq!((call.attempts(), call.outcome()), (0, Outcome::NotApplied));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_leaves_behind_follows_from_its_end_and_from_what_was_sent() {
    for (sent, status, expected) in [
        (true, Some(400), Outcome::NotApplied),
        (true, Some(503), Outcome::Unknown),
        (true, None, Outcome::Unknown),
        (false, None, Outcome::NotApplied),
    ] {
        let put = put(SECOND);
        let call = Arc::clone(&put.call);
        let result = attempt(|put: Put| async move {
            if sent {
                put.gate.pass();
            }
            match status {
                Some(status) => answer(StatusCode::from_u16(status).unwrap()),
                None => pending().await,
            }
        })
        .call(put)
        .await;
        assert!(result.is_err());
        assert_eq!(call.outcome(), expected, "sent: {sent}, status: {status:?}");
        assert_eq!(call.attempts(), 1);
    }
}

#[test]
fn an_attempt_that_is_dropped_midway_leaves_the_call_in_doubt() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let put = put(SECOND);
    let call = Arc::clone(&put.call);
    let mut service = attempt(|put: Put| async move {
        put.gate.pass();
        pending().await
    });
    let mut task = tokio_test::task::spawn(service.call(put));
    assert!(task.poll().is_pending());
    drop(task);
    assert_eq!(call.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_success_is_accepted() {
    let accepted = attempt(|_| ready(answer(StatusCode::OK)))
        .call(put(SECOND))
        .await;
    assert!(accepted.is_ok());
}
