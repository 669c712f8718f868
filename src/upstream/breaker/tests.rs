use super::state::{PROBE_INTERVAL, THRESHOLD, TRIAL};
use super::*;

impl Breaker {
    pub(in crate::upstream) fn for_tests() -> Arc<Self> {
        let mut page = crate::telemetry::metrics::Metrics::default();
        Arc::new(Self::new(
            true,
            Arc::new(Metrics::register(page.registry())),
        ))
    }

    fn is_closed(&self) -> bool {
        matches!(self.change(|state| state), (State::Closed { .. }, _))
    }

    /// A connection that is begun now and fails at once.
    fn miss(&self) {
        self.missed(Instant::now(), || "refused".to_owned());
    }

    /// Connections fail, spread over the time after which the upstream counts as unreachable.
    async fn miss_until_open(&self) {
        for _ in 0..THRESHOLD {
            assert!(self.is_closed());
            tokio::time::advance(TRIAL / (THRESHOLD - 1)).await;
            self.admit().unwrap();
            self.miss();
        }
        assert!(!self.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_the_answer_says_when_to_come_back() {
    let breaker = Breaker::for_tests();
    breaker.miss_until_open().await;
    tokio::time::advance(Duration::from_millis(400)).await;
    assert_eq!(breaker.admit(), Err(Duration::from_millis(600)));
}

#[tokio::test(start_paused = true)]
async fn whoever_reaches_the_upstream_starts_the_count_anew() {
    let breaker = Breaker::for_tests();
    for _ in 0..5 {
        for _ in 1..THRESHOLD {
            tokio::time::advance(TRIAL).await;
            breaker.miss();
        }
        breaker.reached();
    }
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_faults_that_come_back_before_the_first_connection_does_not_open_it() {
    let breaker = Breaker::for_tests();
    for _ in 0..20 {
        breaker.miss();
    }
    breaker.reached();
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_say_nothing() {
    let breaker = Breaker::for_tests();
    for _ in 0..1_000 {
        tokio::time::advance(TRIAL).await;
        breaker.admit().unwrap();
    }
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn one_call_a_second_probes_whatever_becomes_of_it() {
    let breaker = Breaker::for_tests();
    breaker.miss_until_open().await;
    for _ in 0..3 {
        tokio::time::advance(PROBE_INTERVAL).await;
        breaker.admit().unwrap();
        assert_eq!(breaker.admit(), Err(PROBE_INTERVAL));
        breaker.miss();
        assert_eq!(breaker.admit(), Err(PROBE_INTERVAL), "a probe that fails");
    }
    breaker.reached();
    assert!(breaker.is_closed());
    breaker.admit().unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_from_before_the_return_do_not_count_after_it() {
    let breaker = Breaker::for_tests();
    let long_ago = Instant::now();
    breaker.miss_until_open().await;
    breaker.reached();
    for _ in 0..THRESHOLD {
        tokio::time::advance(TRIAL).await;
        breaker.missed(long_ago, || "late".to_owned());
    }
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_armed_stays_closed() {
    let mut page = crate::telemetry::metrics::Metrics::default();
    let breaker = Breaker::new(false, Arc::new(Metrics::register(page.registry())));
    for _ in 0..20 {
        tokio::time::advance(TRIAL).await;
        breaker.miss();
    }
    breaker.admit().unwrap();
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
            let breaker = Breaker::for_tests();
            breaker.miss_until_open().await;
            breaker.admit().unwrap_err();
            breaker.miss();
            breaker.reached();
            breaker.reached();
        });
    });
    let [down, back] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    for part in [
        "the upstream is down",
        "\"missed\":5",
        "\"cause\":\"refused\"",
    ] {
        assert!(down.contains(part), "{down}");
    }
    assert!(back.contains("the upstream is back"), "{back}");
}
