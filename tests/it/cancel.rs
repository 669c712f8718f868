//! What becomes of the upstream request of a caller that goes away: it has a moment to end by itself, so that
//! nothing that others share is broken, and then it is gone.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kit::{Facade, MEETING, PATIENCE, Script, Settings, Step, eventually, lock};

/// The longest time that a request goes on by itself.
const LINGER: Duration = Duration::from_secs(1);

/// Calls in a task of its own, and goes away once the upstream has the request.
async fn cancel(facade: &Facade, upstream: &Script) {
    let mut client = facade.client().await;
    let before = upstream.requests().len();
    let call: JoinHandle<_> =
        tokio::spawn(async move { client.update_started_conf_config(lock(MEETING)).await });
    eventually("the request arrives", || upstream.requests().len() > before).await;
    call.abort();
}

#[tokio::test]
async fn a_request_that_ends_soon_breaks_no_connection() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let upstream = Script::start([Step::Late(Duration::from_millis(200), answer)]).await;
    let settings = Settings {
        threads: 1,
        ..Settings::default()
    };
    let facade = Facade::with(&upstream.base, settings).await;
    for calls in 1..=3 {
        cancel(&facade, &upstream).await;
        // The answer is there, and the connection free for the next.
        eventually("the answer is written", || upstream.answers() == calls).await;
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.abandoned(), 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_given_up_after_a_moment() {
    let upstream = Script::start([Step::Hang]).await;
    let facade = Facade::over(&upstream.base).await;
    cancel(&facade, &upstream).await;
    let gone = Instant::now();
    assert_eq!(upstream.abandoned(), 0);
    eventually("the request is abandoned", || upstream.abandoned() == 1).await;
    let took = gone.elapsed();
    assert!(took >= LINGER / 2, "{took:?}");
}

#[tokio::test]
async fn a_deadline_drops_the_upstream_request_as_well() {
    let upstream = Script::start([Step::Hang]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    request.set_timeout(Duration::from_millis(200));
    facade.call(request).await.unwrap_err();
    eventually("the request is abandoned", || upstream.abandoned() == 1).await;
}

#[tokio::test]
async fn requests_that_go_on_hold_up_no_drain() {
    let upstream = Script::start([Step::Hang]).await;
    let mut facade = Facade::over(&upstream.base).await;
    cancel(&facade, &upstream).await;
    let ended = tokio::time::timeout(PATIENCE, facade.stop()).await;
    ended.unwrap().unwrap();
    assert_eq!(upstream.abandoned(), 0, "the drain did not wait for it");
}
