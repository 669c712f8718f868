use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Mutex;

use http_body_util::Empty;
use tokio::time::Instant;
use tonic_types::StatusExt as _;
use tower::{ServiceBuilder, service_fn};

use super::super::permits::{Kept, Permits};
use super::super::rescue::{BACKSTOP, MAX_ARRIVAL, Rescue};
use super::*;

type Inner = Result<Response<Body>, Box<Verdict>>;
type Answer = Result<Response<Body>, Infallible>;

fn request() -> Request<Empty<bytes::Bytes>> {
    Request::builder()
        .header("x-request-id", "order-66")
        .body(Empty::new())
        .unwrap()
}

/// A call through the record and the rescue, as the layers of our own service have them.
fn call_within<F>(
    limit: Duration,
    inner: impl FnMut(Request<Empty<bytes::Bytes>>) -> F,
) -> impl Future<Output = Answer>
where
    F: Future<Output = Inner>,
{
    let layers = ServiceBuilder::new()
        .layer_fn(|inner| Record {
            inner,
            limit,
            metrics: None,
            tracing: None,
        })
        .layer_fn(|inner| Rescue {
            inner,
            explain: true,
        });
    layers.service(service_fn(inner)).call(request())
}

fn observe<F>(inner: impl FnMut(Request<Empty<bytes::Bytes>>) -> F) -> impl Future<Output = Answer>
where
    F: Future<Output = Inner>,
{
    call_within(Duration::from_secs(1), inner)
}

/// A permit of a single one, and whether the answer still has it.
async fn keeps_permit<F>(limit: Duration, then: impl FnMut() -> F) -> bool
where
    F: Future<Output = Inner>,
{
    let permits = Permits::new(1, 0);
    let mut then = then;
    let answer = call_within(limit, |request| {
        let permit = permits.take(&Peer::anonymous(), Instant::now()).unwrap();
        request.extensions().get::<Kept>().unwrap().keep(permit);
        drop(request);
        then()
    });
    let answer = answer.await.unwrap();
    let is_kept = permits.take(&Peer::anonymous(), Instant::now()).is_err();
    drop(answer);
    let is_free = permits.take(&Peer::anonymous(), Instant::now()).is_ok();
    is_kept && is_free
}

#[tokio::test(start_paused = true)]
async fn whatever_answers_a_call_its_permit_is_kept_until_the_answer_is_gone() {
    const LIMIT: Duration = Duration::from_secs(1);
    let unreadable = || ready(Ok(Status::internal("the framework's words").into_http()));
    assert!(keeps_permit(LIMIT, unreadable).await, "unreadable");
    let panics = || std::future::poll_fn(|_| panic!("as a test"));
    assert!(keeps_permit(LIMIT, panics).await, "panicked");
    assert!(keeps_permit(LIMIT, pending).await, "late");
    let answered = || ready(Ok(Response::new(Body::empty())));
    assert!(keeps_permit(LIMIT, answered).await, "answered");
}

fn failure(answer: Answer) -> (Code, String, String) {
    let response = answer.unwrap();
    assert_eq!(response.headers()["x-request-id"], "order-66");
    let status = Status::from_header_map(response.headers()).unwrap();
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.metadata["attempts"], "0");
    let outcome = info.metadata["outcome"].clone();
    (status.code(), info.reason.clone(), outcome)
}

fn reason(answer: Answer) -> (Code, String) {
    let (code, reason, _) = failure(answer);
    (code, reason)
}

#[tokio::test]
async fn a_panic_costs_its_call_alone() {
    let answer = observe(|_| Box::pin(async { panic!("a bug") })).await;
    assert_eq!(
        failure(answer),
        (
            Code::Internal,
            "INTERNAL_FAULT".to_owned(),
            "unknown".to_owned()
        )
    );
}

#[tokio::test]
async fn a_call_that_is_not_let_in_is_told_why() {
    let answer = observe(|_| ready(Err(Box::new(Verdict::not_admitted())))).await;
    assert_eq!(
        reason(answer),
        (Code::PermissionDenied, "CLIENT_NOT_ALLOWED".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrives_is_answered_after_the_deadline() {
    let started = Instant::now();
    let answer = observe(|_| Box::pin(pending::<Inner>())).await;
    assert_eq!(
        reason(answer),
        (Code::DeadlineExceeded, "REQUEST_INCOMPLETE".to_owned())
    );
    assert_eq!(started.elapsed(), Duration::from_secs(1) + BACKSTOP);
}

#[tokio::test]
async fn a_refusal_by_the_framework_gets_details() {
    for (from, to, expected) in [
        (Code::Internal, Code::InvalidArgument, "REQUEST_UNREADABLE"),
        (
            Code::OutOfRange,
            Code::InvalidArgument,
            "REQUEST_UNREADABLE",
        ),
        (Code::Unimplemented, Code::Unimplemented, "NOT_SUPPORTED"),
    ] {
        let status = Status::new(from, "the framework's words");
        let answer = observe(|_| ready(Ok(status.clone().into_http()))).await;
        assert_eq!(reason(answer), (to, expected.to_owned()));
    }
}

#[tokio::test]
async fn each_call_has_one_record_and_the_rooms_below_find_it() {
    let found = Mutex::new(None);
    let answer = observe(|request| {
        *found.lock().unwrap() = request.extensions().get::<Arc<Call>>().cloned();
        ready(Ok(Response::default()))
    })
    .await;
    assert_eq!(answer.unwrap().headers()["x-request-id"], "order-66");
    let call = found.lock().unwrap().take().unwrap();
    assert_eq!(call.request_id(), "order-66");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_in_the_log() {
    let lines = crate::telemetry::tests::capture(|| {
        let abandoned = observe(|_| Box::pin(pending::<Inner>()));
        let mut abandoned = tokio_test::task::spawn(abandoned);
        assert!(abandoned.poll().is_pending());
        drop(abandoned);
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("CANCELLED") && lines[0].contains("CALLER_GONE"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_answered_call_is_not_taken_for_an_abandoned_one() {
    let lines = crate::telemetry::tests::capture(|| {
        let mut answered = tokio_test::task::spawn(observe(answer_at_once));
        assert!(answered.poll().is_ready());
        drop(answered);
    });
    assert!(lines.is_empty(), "{lines:?}");
}

fn answer_at_once(_: Request<Empty<bytes::Bytes>>) -> Ready<Inner> {
    ready(Ok(Response::default()))
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_for_long_only_by_a_call_whose_request_has_arrived() {
    const LIMIT: Duration = Duration::from_secs(10);
    for (arrives, held) in [(false, MAX_ARRIVAL), (true, LIMIT + BACKSTOP)] {
        let started = Instant::now();
        let answer = call_within(LIMIT, |request| {
            if arrives {
                request.extensions().get::<Arc<Call>>().unwrap().receive();
            }
            pending::<Inner>()
        });
        assert_eq!(reason(answer.await).0, Code::DeadlineExceeded);
        assert_eq!(started.elapsed(), held, "arrives: {arrives}");
    }
}
