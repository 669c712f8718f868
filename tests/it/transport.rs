//! How the upstream is reached: HTTP/1.1 and HTTP/2, and what only the latter can do wrong.

use std::iter;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::Version;
use tokio::time::{interval, timeout};

use crate::kit::{
    Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, eventually, lock, tls,
};

#[tokio::test]
async fn a_connection_upstream_serves_the_callers_of_its_own_thread() {
    let upstream = Script::start([Step::ok()]).await;
    let settings = Settings {
        threads: 3,
        ..Settings::default()
    };
    let facade = Facade::with(&upstream.base, settings).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(facade.client().await);
    }
    for _ in 0..2 {
        for client in &mut clients {
            let call = client.update_started_conf_config(lock(MEETING));
            timeout(PATIENCE, call).await.unwrap().unwrap();
        }
    }
    assert_eq!(upstream.connections(), 3);
}

#[tokio::test]
async fn http_2_is_spoken_where_tls_offers_it_and_http_1_otherwise() {
    for (offered, spoken) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"][..], Version::HTTP_11),
        (&[][..], Version::HTTP_11),
    ] {
        let upstream = tls::Upstream::offering(offered).await;
        let mut settings = Settings::default();
        settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
        let facade = Facade::with(&upstream.base, settings).await;
        for _ in 0..2 {
            facade.lock(MEETING).await.unwrap();
        }
        assert_eq!(upstream.versions(), [spoken; 2], "{offered:?}");
    }
}

#[tokio::test]
async fn calls_beyond_what_an_http_2_connection_takes_have_another() {
    const CALLS: usize = 250;
    let upstream = tls::Upstream::gathering(CALLS, 100).await;
    let mut settings = Settings {
        threads: 1,
        ..Settings::default()
    };
    settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
    let facade = Facade::with(&upstream.base, settings).await;
    let client = facade.client().await;
    let calls = (0..CALLS).map(|_| {
        let mut client = client.clone();
        async move { client.update_started_conf_config(lock(MEETING)).await }
    });
    // None is answered before all are there.
    let answers = timeout(PATIENCE, join_all(calls)).await.unwrap();
    for answer in answers {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_or_reset_leaves_it_open_what_changed() {
    // Gateways refuse the streams of requests that they have passed on, too.
    for reason in [h2::Reason::REFUSED_STREAM, h2::Reason::INTERNAL_ERROR] {
        let upstream = tls::Upstream::resetting(reason).await;
        let mut settings = Settings::default();
        settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
        let facade = Facade::with(&upstream.base, settings).await;
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        assert_eq!(failure.code, "UNAVAILABLE", "{reason:?}");
        assert_eq!(failure.reason, "UPSTREAM_CONNECTION_LOST");
        assert_eq!(failure.outcome(), "unknown");
        assert_eq!((failure.attempts(), upstream.requests()), (3, 3));
        // The connection is the same all the time, and not to blame.
        let stale = "meeting_control_upstream_retries_total{reason=\"stale_connection\"} ";
        assert_eq!(facade.metric(stale), 0.0);
    }
}

const OK: &[u8] = b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n";

/// A façade of one thread over an upstream with TLS.
async fn over(upstream: &tls::Upstream) -> Facade {
    let mut settings = Settings {
        threads: 1,
        ..Settings::default()
    };
    settings.upstream.upstream_ca = Some(upstream.root.path().to_owned());
    settings.upstream.max_retries = 0;
    Facade::with(&upstream.base, settings).await
}

/// Makes so many calls at once, each of which succeeds.
async fn burst(facade: &Facade, calls: usize) {
    let client = facade.client().await;
    let calls = (0..calls).map(|_| {
        let mut client = client.clone();
        async move { client.update_started_conf_config(lock(MEETING)).await }
    });
    for answer in timeout(PATIENCE, join_all(calls)).await.unwrap() {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_cold_burst_makes_one_connection_where_one_serves_all() {
    let upstream = tls::Upstream::offering(&["h2", "http/1.1"]).await;
    burst(&over(&upstream).await, 100).await;
    assert_eq!(upstream.connections(), 1);

    let upstream = tls::Upstream::offering(&["http/1.1"]).await;
    burst(&over(&upstream).await, 100).await;
    assert_eq!(upstream.requests(), 100);
}

#[tokio::test]
async fn where_few_streams_are_allowed_calls_have_further_connections() {
    const STREAMS: u32 = 8;
    // None is answered, so all streams stay taken.
    let upstream = tls::Upstream::gathering(1_000, STREAMS).await;
    let facade = over(&upstream).await;
    let client = facade.client().await;
    let mut calls = FuturesUnordered::new();
    let mut pace = interval(Duration::from_millis(10));
    let others_get_through = async {
        while upstream.requests() < 2 * STREAMS as usize {
            let mut client = client.clone();
            calls.push(async move { client.update_started_conf_config(lock(MEETING)).await });
            tokio::select! {
                _ = pace.tick() => {}
                answer = calls.next() => panic!("{answer:?}"),
            }
        }
    };
    timeout(PATIENCE, others_get_through).await.unwrap();
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_its_call_has_left_is_made_to_its_end_and_serves_the_next() {
    let upstream = tls::Upstream::shaking(Duration::from_millis(200)).await;
    let facade = over(&upstream).await;
    let mut client = facade.client().await;
    let mut hurried = lock(MEETING);
    hurried.set_timeout(Duration::from_millis(100));
    let failure = Failure::of(
        &client
            .update_started_conf_config(hurried)
            .await
            .unwrap_err(),
    );
    assert_eq!(failure.outcome(), "not_applied");
    eventually("the connection is there", || upstream.handshakes() == 1).await;
    facade.lock(MEETING).await.unwrap();
    assert_eq!((upstream.connections(), upstream.requests()), (1, 1));
}

#[tokio::test]
async fn pooled_connections_that_were_closed_are_all_replaced_without_retries() {
    const BURST: usize = 30;
    let steps = iter::repeat_n(Step::Late(Duration::from_millis(200), OK.to_vec()), BURST)
        .chain(iter::repeat_n(Step::Cut, BURST))
        .chain([Step::ok()]);
    let upstream = Script::start(steps).await;
    let mut settings = Settings {
        threads: 1,
        ..Settings::default()
    };
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    for _ in 0..2 {
        burst(&facade, BURST).await;
    }
    assert_eq!(upstream.requests().len(), 3 * BURST);
    let stale = "meeting_control_upstream_retries_total{reason=\"stale_connection\"} ";
    assert_eq!(facade.metric(stale), BURST as f64);
}
