use http::HeaderMap;

use super::*;
use crate::call::{Call, Outcome, Peer};
use crate::telemetry::metrics::Metrics;
use crate::upstream::error::Refusal;
use crate::upstream::fixtures;
use crate::upstream::gate::Progress;

const SECOND: Duration = Duration::from_secs(1);

/// A request that has been attempted.
fn put(limit: Duration) -> Put {
    let put = fixtures::put(limit);
    put.call.start_attempt();
    put
}

fn policy(most: u32) -> RetryPolicy {
    RetryPolicy::new(
        most,
        Arc::clone(&Metrics::new("service", "method").upstream),
    )
}

fn refused(status: u16, retry_after: Option<Duration>) -> UpstreamError {
    UpstreamError::Refused(Box::new(Refusal {
        status,
        known: None,
        error_code: None,
        error_msg: None,
        upstream_request_id: None,
        retry_after,
        several_settings: false,
    }))
}

fn unreachable() -> UpstreamError {
    UpstreamError::ConnectFailed("refused".into())
}

fn stale() -> UpstreamError {
    UpstreamError::ConnectionLost {
        source: "closed".into(),
        progress: Progress::Sent,
        stale: true,
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_are_random_within_bounds_that_double() {
    for (done, bound) in [
        (0, 100),
        (1, 200),
        (2, 400),
        (3, 800),
        (4, 1000),
        (40, 1000),
    ] {
        let bound = Duration::from_millis(bound);
        let pauses: Vec<_> = (0..200).map(|_| jitter(done)).collect();
        assert!(pauses.iter().all(|pause| *pause <= bound), "{done}");
        assert!(pauses.iter().any(|pause| *pause < bound / 4), "{done}");
        assert!(pauses.iter().any(|pause| *pause > bound / 4 * 3), "{done}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_has_its_number_of_retries() {
    let retries = |error: fn() -> UpstreamError| {
        let mut policy = policy(3);
        let put = put(60 * SECOND);
        (0..10)
            .take_while(|_| policy.pause(&put, &error()).is_some())
            .count()
    };
    assert_eq!(retries(unreachable), 3);
    assert_eq!(retries(|| refused(503, None)), 3);
    assert_eq!(retries(|| refused(400, None)), 0);
    assert_eq!(retries(|| UpstreamError::NotHttp("x".into())), 0);
    assert_eq!(retries(|| UpstreamError::TlsFailed("x".into())), 0);
    assert_eq!(retries(|| UpstreamError::NotTaken("x".into())), 3);
    assert_eq!(
        retries(stale),
        4,
        "one for nothing, and those of any lost connection"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_leaves_no_time_for_an_attempt_is_not_begun() {
    let error = refused(429, Some(SECOND));
    for (limit, last, expected) in [
        (2 * SECOND, Duration::ZERO, true),
        (SECOND + SHORTEST_ATTEMPT, Duration::ZERO, false),
        (
            SECOND + Duration::from_millis(300),
            Duration::from_millis(300),
            false,
        ),
        (
            SECOND + Duration::from_millis(301),
            Duration::from_millis(300),
            true,
        ),
        (SECOND + Duration::from_millis(501), 5 * SECOND, true),
    ] {
        let put = put(limit);
        put.call.end_attempt(Outcome::NotApplied, last);
        let pause = policy(2).pause(&put, &error);
        assert_eq!(pause, expected.then_some(SECOND), "{limit:?} {last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_wait_as_long_as_callers_are_told() {
    let put = put(60 * SECOND);
    assert_eq!(
        policy(2).pause(&put, &refused(429, None)),
        Some(THROTTLED_PAUSE)
    );
    let asked = Some(7 * SECOND);
    assert_eq!(policy(2).pause(&put, &refused(429, asked)), asked);
    assert!(policy(2).pause(&put, &refused(503, None)).unwrap() <= FIRST_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_replaced_at_once_once_and_only_if_it_was_found_out_soon() {
    let put_soon = put(60 * SECOND);
    let mut policy_soon = policy(2);
    assert_eq!(policy_soon.pause(&put_soon, &stale()), Some(Duration::ZERO));
    assert_eq!((policy_soon.done, policy_soon.met_stale), (0, true));
    policy_soon.pause(&put_soon, &stale()).unwrap();
    assert_eq!(policy_soon.done, 1);

    let put_late = put(60 * SECOND);
    put_late.call.end_attempt(Outcome::Unknown, STALE_LIMIT);
    let mut policy_late = policy(2);
    policy_late.pause(&put_late, &stale()).unwrap();
    assert_eq!(policy_late.done, 1);
}

#[tokio::test(start_paused = true)]
async fn replacing_stale_connections_has_a_budget_too() {
    let policy = policy(2);
    let free = (0..1_000)
        .filter(|_| {
            let mut of_call = policy.clone();
            of_call.pause(&put(60 * SECOND), &stale());
            of_call.met_stale
        })
        .count();
    assert_eq!(free, 10);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_meets_an_open_breaker_ends_with_the_failure_before() {
    let mut policy = policy(2);
    let mut put = put(60 * SECOND);
    let mut result = Err(unreachable());
    assert!(policy.retry(&mut put, &mut result).is_some());
    assert_eq!(put.retry_of, Some(RetryReason::NotSent));
    result = Err(UpstreamError::KnownDown(SECOND));
    assert!(policy.retry(&mut put, &mut result).is_none());
    assert!(
        matches!(result, Err(UpstreamError::ConnectFailed(_))),
        "{result:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_attempted_pays_nothing_into_the_budget() {
    let policy = policy(2);
    while policy.shared.budget.withdraw() {}
    for _ in 0..100 {
        let mut put = put(60 * SECOND);
        let deadline = put.call.deadline;
        put.call = Arc::new(Call::arrive(&HeaderMap::new(), deadline, Peer::anonymous()));
        let mut result = Err(UpstreamError::KnownDown(SECOND));
        policy.clone().retry(&mut put, &mut result);
    }
    assert!(!policy.shared.budget.withdraw());
    for _ in 0..10 {
        policy
            .clone()
            .retry(&mut put(60 * SECOND), &mut Err(refused(400, None)));
    }
    assert!(
        policy.shared.budget.withdraw(),
        "calls that were attempted do pay"
    );
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_retry_is_what_the_attempt_left_behind() {
    for (error, reason) in [
        (unreachable(), RetryReason::NotSent),
        (refused(429, None), RetryReason::Refused),
        (refused(503, None), RetryReason::Unknown),
        (stale(), RetryReason::StaleConnection),
    ] {
        assert_eq!(RetryReason::of(&error), reason, "{error:?}");
    }
}
