use super::*;
use crate::upstream::gate::Progress;
use crate::upstream::refusal::{Basis, Refusal};

const SECOND: Duration = Duration::from_secs(1);
const PLENTY: Duration = Duration::from_secs(60);

fn refused(status: u16, retry_after: Option<Duration>) -> UpstreamError {
    UpstreamError::Refused(Box::new(Refusal {
        retry_after,
        ..Refusal::of_status(status)
    }))
}

fn unreachable() -> UpstreamError {
    UpstreamError::ConnectFailed("refused".into())
}

fn lost(stale: bool) -> UpstreamError {
    UpstreamError::ConnectionLost {
        source: "closed".into(),
        progress: Progress::Sent,
        stale,
    }
}

fn not_taken(stale: bool) -> UpstreamError {
    UpstreamError::NotTaken {
        source: "going away".into(),
        stale,
    }
}

/// What follows `error`, the first failure of a call with up to two retries, found out at once.
fn after(error: &UpstreamError) -> Next {
    Retries::new(2, true).next(error, Duration::ZERO, PLENTY, &Budget::new(false))
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
        let pauses: Vec<_> = (0..200).map(|_| jitter(FIRST_PAUSE, done)).collect();
        assert!(pauses.iter().all(|pause| *pause <= bound), "{done}");
        assert!(pauses.iter().any(|pause| *pause < bound / 4), "{done}");
        assert!(pauses.iter().any(|pause| *pause > bound / 4 * 3), "{done}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_has_its_number_of_retries() {
    let refused_once = || {
        let mut refusal = refused(500, None);
        if let UpstreamError::Refused(refusal) = &mut refusal {
            let known = crate::upstream::error_code::find("MMC.111070003", 500);
            refusal.basis = Basis::Code(known.unwrap());
        }
        refusal
    };
    type Make = dyn Fn() -> UpstreamError;
    for (max, error, expected) in [
        (3, &unreachable as &Make, 3),
        (3, &|| refused(503, None), 3),
        (3, &|| refused(400, None), 0),
        (3, &refused_once, 1),
        (3, &|| UpstreamError::NotHttp("x".into()), 0),
        (3, &|| UpstreamError::TlsFailed("x".into()), 0),
        (3, &|| not_taken(false), 3),
        (3, &|| not_taken(true), 4),
        (3, &|| lost(false), 3),
        // One for nothing, and those of any lost connection.
        (3, &|| lost(true), 4),
        (0, &unreachable, 0),
        (0, &|| lost(true), 1),
    ] {
        let (mut retries, budget) = (Retries::new(max, true), Budget::new(false));
        let made = (0..10)
            .take_while(|_| {
                let next = retries.next(&error(), Duration::ZERO, PLENTY, &budget);
                matches!(next, Next::Again(..))
            })
            .count();
        assert_eq!(made, expected, "{max} {:?}", error());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_idempotent_is_sent_again_only_if_nothing_was_changed() {
    for (error, again) in [
        (unreachable(), true),
        (refused(429, None), true),
        (refused(503, None), false),
        (lost(false), false),
        (lost(true), false),
    ] {
        let next = Retries::new(2, false).next(&error, Duration::ZERO, PLENTY, &Budget::new(false));
        assert_eq!(matches!(next, Next::Again(..)), again, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_leaves_no_time_for_an_attempt_is_not_begun() {
    let error = refused(429, Some(SECOND));
    for (remaining, took, expected) in [
        (2 * SECOND, Duration::ZERO, true),
        (SECOND + MIN_ATTEMPT, Duration::ZERO, false),
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
        let next = Retries::new(2, true).next(&error, took, remaining, &Budget::new(false));
        let expected = if expected {
            Next::Again(SECOND, RetryReason::Refused)
        } else {
            Next::GiveUp
        };
        assert_eq!(next, expected, "{remaining:?} {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_wait_as_long_as_callers_are_told() {
    assert_eq!(
        after(&refused(429, None)),
        Next::Again(THROTTLED_PAUSE, RetryReason::Refused)
    );
    let asked = 7 * SECOND;
    assert_eq!(
        after(&refused(429, Some(asked))),
        Next::Again(asked, RetryReason::Refused)
    );
    let Next::Again(pause, _) = after(&refused(503, None)) else {
        panic!("a 503 passes");
    };
    assert!(pause <= FIRST_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_replaced_at_once_once_and_only_if_it_was_found_out_soon() {
    let budget = Budget::new(false);
    let mut soon = Retries::new(2, true);
    let next = soon.next(&lost(true), Duration::ZERO, PLENTY, &budget);
    assert_eq!(
        next,
        Next::Again(Duration::ZERO, RetryReason::StaleConnection)
    );
    assert_eq!((soon.done, soon.met_stale), (0, true));
    soon.next(&lost(true), Duration::ZERO, PLENTY, &budget);
    assert_eq!(soon.done, 1);

    let mut late = Retries::new(2, true);
    late.next(&lost(true), MAX_STALE, PLENTY, &budget);
    assert_eq!((late.done, late.met_stale), (1, false));
}

#[tokio::test(start_paused = true)]
async fn replacing_a_stale_connection_costs_no_budget_and_needs_no_retries() {
    let budget = Budget::new(false);
    let free = || {
        let mut of_call = Retries::new(0, true);
        of_call.next(&lost(true), Duration::ZERO, PLENTY, &budget);
        of_call.met_stale
    };
    assert_eq!((0..1_000).filter(|_| free()).count(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn retries_are_paid_by_a_floor_and_by_a_fifth_of_the_calls_of_late() {
    let budget = Budget::new(false);
    let spend = || {
        let spent = (0..1_000).take_while(|_| {
            let mut of_call = Retries::new(2, true);
            let next = of_call.next(&unreachable(), Duration::ZERO, PLENTY, &budget);
            assert_ne!(next, Next::GiveUp);
            next != Next::BudgetSpent
        });
        spent.count()
    };
    assert_eq!(spend(), 10, "the floor of ten seconds");
    for _ in 0..100 {
        budget.deposit();
    }
    assert_eq!(spend(), 20);
    for _ in 0..100 {
        budget.deposit();
    }
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(spend(), 10, "what was not spent is not kept");
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_retry_is_what_the_attempt_left_behind() {
    for (error, reason) in [
        (unreachable(), RetryReason::NotSent),
        (refused(429, None), RetryReason::Refused),
        (refused(503, None), RetryReason::Unknown),
        (lost(false), RetryReason::Unknown),
        (lost(true), RetryReason::StaleConnection),
    ] {
        assert_eq!(RetryReason::of(&error), reason, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unlimited_budget_pays_for_everything() {
    let budget = Budget::new(true);
    for _ in 0..1_000 {
        for (error, free) in [(unreachable(), false), (lost(true), true)] {
            let mut of_call = Retries::new(2, true);
            let next = of_call.next(&error, Duration::ZERO, PLENTY, &budget);
            assert!(matches!(next, Next::Again(..)));
            assert_eq!(of_call.met_stale, free);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_three_times_whatever_the_limits_of_retries() {
    for max in [0, 2] {
        let mut retries = Retries::new(max, true);
        for bound in [200, 400, 800] {
            let Next::Again(pause, reason) = retries.next_token(Duration::ZERO, PLENTY) else {
                panic!("not the last");
            };
            assert!(pause <= Duration::from_millis(bound), "{pause:?}");
            assert_eq!(reason, RetryReason::TokenRejected);
        }
        assert_eq!(retries.next_token(Duration::ZERO, PLENTY), Next::GiveUp);
    }
    let mut late = Retries::new(2, true);
    assert_eq!(late.next_token(SECOND, MAX_ATTEMPT), Next::GiveUp);
}
