//! A caller that goes away takes its upstream request with it.

use std::time::Duration;

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;

use tokio::time::Instant;

use crate::kit::{Facade, MEETING, Script, Step, eventually, lock};

#[tokio::test]
async fn the_upstream_sees_the_hang_up_of_a_cancelled_call() {
    let upstream = Script::start([Step::Hang]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut client = MeetingControlClient::new(facade.channel().await);
    let call = tokio::spawn(async move { client.update_started_conf_config(lock(MEETING)).await });
    eventually("the request arrives", || upstream.requests().len() == 1).await;
    assert_eq!(upstream.abandoned(), 0);
    call.abort();
    let gone = Instant::now();
    eventually("the request is abandoned", || upstream.abandoned() == 1).await;
    // It takes a few milliseconds; the bound leaves room for a busy machine.
    assert!(
        gone.elapsed() < Duration::from_secs(1),
        "{:?}",
        gone.elapsed()
    );
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
