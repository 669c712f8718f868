//! How the upstream is reached: HTTP/1.1 and HTTP/2, and what only the latter can do wrong.

use futures_util::future::join_all;
use http::Version;
use tokio::time::timeout;

use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, lock, tls};

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
