use std::collections::VecDeque;
use std::future::pending;

use tower::service_fn;
use tower::util::ServiceFn;

use super::state::{PROBE_INTERVAL, SILENCE, THRESHOLD, TRIAL};
use super::*;
use crate::telemetry::metrics::Metrics;
use crate::upstream::error::Refusal;
use crate::upstream::fixtures;

type Answer = Result<Accepted, UpstreamError>;

fn put() -> Put {
    fixtures::put(Duration::from_secs(60))
}

fn accepted() -> Answer {
    Ok(Accepted {
        status: 200,
        upstream_request_id: None,
    })
}

fn dead() -> Answer {
    Err(UpstreamError::ConnectFailed("refused".into()))
}

fn refused() -> Answer {
    Err(UpstreamError::Refused(Box::new(Refusal {
        status: 503,
        known: None,
        several_settings: false,
        error_code: None,
        error_msg: None,
        upstream_request_id: None,
        retry_after: None,
    })))
}

fn stale() -> Answer {
    Err(UpstreamError::ConnectionLost {
        source: "closed".into(),
        progress: Progress::Sent,
        stale: true,
    })
}

fn hurried(progress: Progress) -> Answer {
    Err(UpstreamError::DeadlineExceeded {
        allowed: Duration::from_secs(1),
        progress,
    })
}

/// An upstream whose answers come in order, and the breaker around it.
struct Bench<S> {
    breaker: Breaker<S>,
    metrics: Metrics,
}

fn bench(
    answers: impl IntoIterator<Item = Answer>,
) -> Bench<ServiceFn<impl FnMut(Put) -> std::future::Ready<Answer>>> {
    let metrics = Metrics::new("service", "method");
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    let inner = service_fn(move |_| {
        std::future::ready(answers.pop_front().expect("no attempt beyond the script"))
    });
    Bench {
        breaker: BreakerLayer::new(Arc::clone(&metrics.upstream)).layer(inner),
        metrics,
    }
}

impl<S> Bench<S>
where
    S: Service<Put, Response = Accepted, Error = UpstreamError>,
    S::Future: Send + 'static,
{
    async fn attempt(&mut self) -> Answer {
        self.breaker.call(put()).await
    }

    /// Makes attempts that fail, spread over the time after which the upstream counts as down.
    async fn fail_until_open(&mut self) {
        for _ in 0..THRESHOLD {
            tokio::time::advance(TRIAL / (THRESHOLD - 1)).await;
            assert!(!self.refuses().await);
        }
        assert_eq!(self.state(), '1');
    }

    /// Whether an attempt is refused without asking the upstream.
    async fn refuses(&mut self) -> bool {
        matches!(self.attempt().await, Err(UpstreamError::KnownDown(_)))
    }

    fn state(&self) -> char {
        let page = self.metrics.encode();
        let series = "\nmeeting_control_breaker_state ";
        let at = page.find(series).unwrap() + series.len();
        page[at..].chars().next().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_the_answer_says_when_to_come_back() {
    let mut bench = bench((0..5).map(|_| dead()));
    assert_eq!(bench.state(), '0');
    bench.fail_until_open().await;
    tokio::time::advance(Duration::from_millis(400)).await;
    let Err(UpstreamError::KnownDown(wait)) = bench.attempt().await else {
        panic!("asked an upstream that is down");
    };
    assert_eq!(wait, Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_kind_starts_the_count_anew() {
    for sign_of_life in [accepted, refused] {
        let answers = (0..4).map(|_| dead());
        let answers = answers
            .chain([sign_of_life()])
            .chain((0..4).map(|_| dead()));
        let mut bench = bench(answers);
        for _ in 0..9 {
            tokio::time::advance(TRIAL).await;
            assert!(!bench.refuses().await);
        }
        assert_eq!(bench.state(), '0');
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_says_nothing_and_a_broken_answer_says_that_somebody_is_there() {
    for sign in [stale, || hurried(Progress::Answered)] {
        let mut bench = bench((0..20).map(|_| sign()));
        for _ in 0..20 {
            tokio::time::advance(TRIAL).await;
            assert!(!bench.refuses().await);
        }
        assert_eq!(bench.state(), '0');
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_are_counted_only_after_a_long_silence() {
    for progress in [Progress::NotSent, Progress::Sent] {
        let mut bench = bench((0..20).map(|_| hurried(progress)));
        let started = Instant::now();
        while bench.state() == '0' {
            tokio::time::advance(Duration::from_millis(150)).await;
            assert!(!bench.refuses().await);
        }
        let silence = started.elapsed();
        assert!(silence >= SILENCE, "{silence:?}");
        assert!(silence < SILENCE + TRIAL, "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_with_some_patient_callers_stays_open_for_all() {
    // Nine of ten callers are in too much of a hurry.
    let answers = (0..200).map(|n| {
        if n % 10 == 9 {
            accepted()
        } else {
            hurried(Progress::Sent)
        }
    });
    let mut bench = bench(answers);
    for _ in 0..200 {
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(!bench.refuses().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_faults_that_come_back_before_the_first_answer_does_not_open_it() {
    let mut bench = bench((0..20).map(|_| dead()).chain([accepted()]));
    for _ in 0..21 {
        assert!(!bench.refuses().await);
    }
    assert_eq!(bench.state(), '0');
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides() {
    let answers = (0..5)
        .map(|_| dead())
        .chain([dead(), accepted(), accepted()]);
    let mut bench = bench(answers);
    bench.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(!bench.refuses().await, "the first probe, which fails");
    assert_eq!(bench.state(), '1');
    assert!(bench.refuses().await);
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(bench.attempt().await.is_ok(), "the second probe");
    assert_eq!(bench.state(), '0');
    assert!(bench.attempt().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_keeps_others_out_until_the_next_is_due() {
    let metrics = Metrics::new("service", "method");
    let mut asked = 0;
    let inner = service_fn(move |_| {
        asked += 1;
        let now = asked;
        async move {
            match now {
                ..=5 => dead(),
                6 => pending().await,
                _ => accepted(),
            }
        }
    });
    let breaker = BreakerLayer::new(Arc::clone(&metrics.upstream)).layer(inner);
    let mut bench = Bench { breaker, metrics };
    bench.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    let mut hanging = tokio_test::task::spawn(bench.breaker.call(put()));
    assert!(hanging.poll().is_pending());
    assert_eq!(bench.state(), '2');
    assert!(bench.refuses().await);
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(
        bench.attempt().await.is_ok(),
        "the next call is a probe as well"
    );
    assert_eq!(bench.state(), '0');
    drop(hanging);
    assert_eq!(
        bench.state(),
        '0',
        "an old probe has nothing to say any more"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_from_before_the_return_do_not_count_after_it() {
    let metrics = Metrics::new("service", "method");
    let layer = BreakerLayer::new(Arc::clone(&metrics.upstream));
    let admit = || Shared::admit(&layer.0).unwrap();
    let old: Vec<_> = (0..5).map(|_| admit()).collect();
    for _ in 0..5 {
        tokio::time::advance(TRIAL / 4).await;
        admit().ended(&dead());
    }
    assert!(Shared::admit(&layer.0).is_err(), "open");
    tokio::time::advance(PROBE_INTERVAL).await;
    admit().ended(&accepted());
    for attempt in old {
        attempt.ended(&dead());
    }
    assert!(Shared::admit(&layer.0).is_ok(), "still closed");
}

#[test]
fn its_changes_are_logged_once_each() {
    let lines = crate::telemetry::tests::capture(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let answers = (0..5).map(|_| dead()).chain([dead(), accepted()]);
            let mut bench = bench(answers);
            bench.fail_until_open().await;
            assert!(bench.refuses().await);
            for _ in 0..2 {
                tokio::time::advance(PROBE_INTERVAL).await;
                let _ = bench.attempt().await;
            }
        });
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("the upstream is down"), "{lines:?}");
    assert!(lines[1].contains("the upstream is back"), "{lines:?}");
}
