use super::state::{PROBE_INTERVAL, SILENCE, THRESHOLD, TRIAL};
use super::*;
use crate::upstream::error::Refusal;

type End = Result<(), UpstreamError>;

fn dead() -> End {
    Err(UpstreamError::ConnectFailed("refused".into()))
}

fn refused() -> End {
    Err(UpstreamError::Refused(Box::new(Refusal::of_status(503))))
}

fn stale() -> End {
    Err(UpstreamError::ConnectionLost {
        source: "closed".into(),
        progress: Progress::Sent,
        stale: true,
    })
}

fn hurried(progress: Progress) -> End {
    Err(UpstreamError::DeadlineExceeded {
        allowed: Duration::from_secs(1),
        progress,
    })
}

fn breaker() -> Breaker {
    let mut page = crate::telemetry::metrics::Metrics::default();
    Breaker::new(Arc::new(Metrics::register(page.registry())))
}

impl Breaker {
    fn is_closed(&self) -> bool {
        self.change(|state| (state, matches!(state, State::Closed(_))))
    }

    /// An attempt that ends so. Returns whether it was let through.
    fn attempt(&self, end: End) -> bool {
        match self.admit() {
            Ok(permit) => {
                permit.settle(&end);
                true
            }
            Err(_) => false,
        }
    }

    /// Makes attempts that fail, spread over the time after which the upstream counts as down.
    async fn fail_until_open(&self) {
        for _ in 0..THRESHOLD {
            tokio::time::advance(TRIAL / (THRESHOLD - 1)).await;
            assert!(self.attempt(dead()));
        }
        assert!(!self.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_the_answer_says_when_to_come_back() {
    let breaker = breaker();
    assert!(breaker.is_closed());
    breaker.fail_until_open().await;
    tokio::time::advance(Duration::from_millis(400)).await;
    let wait = breaker.admit().unwrap_err();
    assert_eq!(wait, Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_any_kind_starts_the_count_anew() {
    for sign_of_life in [|| Ok(()), refused] {
        let breaker = breaker();
        let ends = (0..4).map(|_| dead());
        let ends = ends.chain([sign_of_life()]).chain((0..4).map(|_| dead()));
        for end in ends {
            tokio::time::advance(TRIAL).await;
            assert!(breaker.attempt(end));
        }
        assert!(breaker.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_says_nothing_and_a_broken_answer_says_that_somebody_is_there() {
    for sign in [stale, || hurried(Progress::Answered)] {
        let breaker = breaker();
        for _ in 0..20 {
            tokio::time::advance(TRIAL).await;
            assert!(breaker.attempt(sign()));
        }
        assert!(breaker.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_are_counted_only_after_a_long_silence() {
    for progress in [Progress::NotSent, Progress::Sent] {
        let breaker = breaker();
        let started = Instant::now();
        while breaker.is_closed() {
            tokio::time::advance(Duration::from_millis(150)).await;
            assert!(breaker.attempt(hurried(progress)));
        }
        let silence = started.elapsed();
        assert!(silence >= SILENCE, "{silence:?}");
        assert!(silence < SILENCE + TRIAL, "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_with_some_patient_callers_stays_open_for_all() {
    let breaker = breaker();
    for n in 0..200 {
        // Nine of ten callers are in too much of a hurry.
        let end = if n % 10 == 9 {
            Ok(())
        } else {
            hurried(Progress::Sent)
        };
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(breaker.attempt(end));
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_faults_that_come_back_before_the_first_answer_does_not_open_it() {
    let breaker = breaker();
    for end in (0..20).map(|_| dead()).chain([Ok(())]) {
        assert!(breaker.attempt(end));
    }
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides() {
    let breaker = breaker();
    breaker.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(breaker.attempt(dead()), "the first probe, which fails");
    assert!(!breaker.attempt(Ok(())));
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(breaker.attempt(Ok(())), "the second probe");
    assert!(breaker.is_closed());
    assert!(breaker.attempt(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_keeps_others_out_until_the_next_is_due() {
    let breaker = breaker();
    breaker.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    let hanging = breaker.admit().unwrap();
    assert!(!breaker.attempt(Ok(())));
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(breaker.attempt(Ok(())), "the next call is a probe as well");
    assert!(breaker.is_closed());
    drop(hanging);
    assert!(
        breaker.is_closed(),
        "an old probe has nothing to say any more"
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_is_under_way_an_old_attempt_that_fails_decides_nothing() {
    let breaker = breaker();
    let old = breaker.admit().unwrap();
    breaker.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    let probe = breaker.admit().unwrap();
    old.settle(&dead());
    tokio::time::advance(PROBE_INTERVAL / 2).await;
    let wait = breaker.admit().unwrap_err();
    assert_eq!(wait, PROBE_INTERVAL / 2, "counted from the probe's start");
    probe.settle(&stale());
    assert!(breaker.attempt(Ok(())), "a stale probe gives way at once");
}

#[tokio::test(start_paused = true)]
async fn failures_from_before_the_return_do_not_count_after_it() {
    let breaker = breaker();
    let old: Vec<_> = (0..5).map(|_| breaker.admit().unwrap()).collect();
    breaker.fail_until_open().await;
    tokio::time::advance(PROBE_INTERVAL).await;
    assert!(breaker.attempt(Ok(())));
    for attempt in old {
        attempt.settle(&dead());
    }
    assert!(breaker.is_closed());
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
            let breaker = breaker();
            breaker.fail_until_open().await;
            assert!(!breaker.attempt(Ok(())));
            for end in [dead(), Ok(())] {
                tokio::time::advance(PROBE_INTERVAL).await;
                assert!(breaker.attempt(end));
            }
        });
    });
    let [down, back] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    for part in [
        "the upstream is down",
        "\"unanswered\":5",
        "no connection to the upstream: refused",
    ] {
        assert!(down.contains(part), "{down}");
    }
    assert!(back.contains("the upstream is back"), "{back}");
}
