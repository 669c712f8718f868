use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use http::HeaderMap;

use super::*;
use crate::call::{Call, Caller, Identity, Outcome, Peer};
use crate::deadline::Deadline;
use crate::telemetry::metrics::Metrics as Page;
use crate::upstream::answer::Issued;
use crate::upstream::error_code;
use crate::upstream::refusal::Role;

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(1800);

/// What the upstream does when it is asked for a token.
#[derive(Clone, Copy)]
enum Issuer {
    Issues(Duration),
    Refuses(&'static str),
    Fails,
    Hangs,
}

struct Bench {
    tokens: Tokens,
    page: Page,
    issuer: Mutex<Issuer>,
    /// How often the upstream was asked.
    asked: AtomicUsize,
    /// How long it takes.
    takes: Duration,
}

impl Bench {
    fn with(max: u64, limits: bool) -> Self {
        let mut page = Page::default();
        let metrics = Arc::new(Metrics::register(page.registry()));
        Self {
            tokens: Tokens::new(max, limits, metrics).unwrap(),
            page,
            issuer: Mutex::new(Issuer::Issues(LIFE)),
            asked: AtomicUsize::new(0),
            takes: SECOND / 2,
        }
    }

    fn new() -> Self {
        Self::with(100, true)
    }

    fn set(&self, issuer: Issuer) {
        *self.issuer.lock().unwrap() = issuer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn fetch(&self) -> Fetch {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (issuer, takes) = (*self.issuer.lock().unwrap(), self.takes);
        let answer = Box::pin(async move {
            sleep(takes).await;
            match issuer {
                Issuer::Issues(life) => {
                    let issued = Issued {
                        token: format!("cnr{number}").into(),
                        life: Some(life),
                        role: Role::Host,
                    };
                    Ok((issued, takes))
                }
                Issuer::Refuses(code) => Err(refused(code)),
                Issuer::Fails => Err(UpstreamError::Refused(Box::new(Refusal::of_status(503)))),
                Issuer::Hangs => std::future::pending().await,
            }
        });
        Fetch { span: None, answer }
    }

    /// The token that the call gets.
    async fn get(&self, call: &Call, id: &str, password: &str) -> Result<String, UpstreamError> {
        let want = Want {
            call,
            conference_id: id,
            password: &Password::new(password),
        };
        let kept = self.tokens.get(want, |_| self.fetch()).await?;
        Ok(kept.token().to_header().to_str().unwrap().to_owned())
    }
}

fn refused(code: &str) -> UpstreamError {
    let known = error_code::find(code, 400).unwrap();
    UpstreamError::Refused(Box::new(Refusal {
        basis: Basis::Code(known),
        ..Refusal::of_status(400)
    }))
}

fn call_of(last: u8, limit: Duration) -> Call {
    let caller = Caller::Address([10, 0, 0, last].into());
    let peer = Peer::new(Identity::default(), caller, Arc::default());
    Call::arrive(&HeaderMap::new(), Deadline::start(None, limit), peer, None)
}

fn call() -> Call {
    call_of(1, 10 * SECOND)
}

/// What was told, if it was a refusal of the façade's own.
fn withheld(result: Result<String, UpstreamError>) -> Option<Withheld> {
    match result {
        Err(UpstreamError::Withheld(withheld)) => Some(withheld),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_want_one_token_at_once_make_one_request() {
    let bench = Bench::new();
    let calls: Vec<_> = (0..1000).map(|_| call()).collect();
    let all = join_all(calls.iter().map(|call| bench.get(call, "1", "pw"))).await;
    assert!(all.into_iter().all(|token| token.unwrap() == "cnr0"));
    assert_eq!(bench.asked(), 1);
    let page = bench.page.page();
    for line in [
        "meeting_control_tokens 1\n",
        "token_requests_total{result=\"issued\"} 1\n",
        "token_lookups_total{result=\"obtained\"} 1000\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_takes_nothing_from_the_others() {
    let bench = Bench::new();
    let (hurried, cancelled, patient) = (call_of(1, SECOND / 20), call(), call());
    let (hurried, cancelled, patient) = tokio::join!(
        bench.get(&hurried, "1", "pw"),
        timeout(SECOND / 10, bench.get(&cancelled, "1", "pw")),
        bench.get(&patient, "1", "pw"),
    );
    let Err(UpstreamError::NoToken(error)) = hurried else {
        panic!("{hurried:?}");
    };
    assert!(matches!(*error, UpstreamError::DeadlineExceeded { .. }));
    assert!(cancelled.is_err());
    assert_eq!(patient.unwrap(), "cnr0");
    assert_eq!(bench.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_the_background_before_it_ends() {
    let bench = Bench::new();
    bench.get(&call(), "1", "pw").await.unwrap();
    sleep(LIFE - 70 * SECOND).await;
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
    assert_eq!(bench.asked(), 1);
    sleep(20 * SECOND).await;
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
    assert_eq!(bench.asked(), 2, "by the first of them");
    sleep(SECOND).await;
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr1");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_cannot_issue_costs_nobody_who_has_a_token() {
    let bench = Bench::new();
    bench.get(&call(), "1", "pw").await.unwrap();
    bench.set(Issuer::Fails);
    sleep(LIFE - 55 * SECOND).await;
    for _ in 0..300 {
        sleep(SECOND / 10).await;
        assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
    }
    assert!((5..=7).contains(&bench.asked()), "{}", bench.asked());
    sleep(25 * SECOND).await;
    let failed = bench.get(&call(), "1", "pw").await.unwrap_err();
    assert!(matches!(failed, UpstreamError::NoToken(_)), "{failed:?}");
    bench.set(Issuer::Issues(LIFE));
    bench.get(&call(), "1", "pw").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_after_the_end_is_followed_by_a_full_effort() {
    let bench = Bench::new();
    bench.get(&call(), "1", "pw").await.unwrap();
    bench.set(Issuer::Fails);
    // It was asked for half a second ago.
    sleep(LIFE - SECOND - SECOND * 3 / 4).await;
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
    sleep(SECOND * 4 / 10).await;
    bench.set(Issuer::Issues(LIFE));
    // The renewal has a moment to go, and the old token is over.
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr2");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_once_for_all() {
    let bench = Bench::new();
    let password = &Password::new("pw");
    let want = Want {
        call: &call(),
        conference_id: "1",
        password,
    };
    let first = bench.tokens.get(want, |_| bench.fetch()).await.unwrap();
    first.reject();
    let calls: Vec<_> = (0..10).map(|_| call()).collect();
    let all = join_all(calls.iter().map(|call| bench.get(call, "1", "pw"))).await;
    assert!(all.into_iter().all(|token| token.unwrap() == "cnr1"));
    first.reject();
    assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr1");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused_from_memory_and_never_served_by_another() {
    let bench = Bench::new();
    bench.get(&call(), "1", "right").await.unwrap();
    bench.set(Issuer::Refuses("MMC.111071091"));
    for _ in 0..50 {
        let refused = bench.get(&call(), "1", "wrong").await.unwrap_err();
        assert!(refused.is_refused_token(), "{refused:?}");
        assert_eq!(refused.outcome(), Outcome::NotApplied);
        sleep(SECOND).await;
    }
    assert_eq!(bench.asked(), 2);
    assert_eq!(bench.get(&call(), "1", "right").await.unwrap(), "cnr0");
    sleep(11 * SECOND).await;
    bench.get(&call(), "1", "wrong").await.unwrap_err();
    assert_eq!(bench.asked(), 3, "after a minute");
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_are_limited_for_each_caller_alone() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111071091"));
    let calls: Vec<_> = (0..1000).map(|_| call()).collect();
    let guesses = calls.iter().enumerate().map(|(number, call)| {
        let bench = &bench;
        async move { bench.get(call, "1", &number.to_string()).await }
    });
    let all = join_all(guesses).await;
    assert_eq!(bench.asked(), 3);
    let limited = all.into_iter().filter_map(withheld);
    assert_eq!(limited.count(), 997);
    bench.set(Issuer::Issues(LIFE));
    let other = call_of(2, 10 * SECOND);
    bench.get(&other, "1", "right").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn right_passwords_wait_for_a_place_and_all_get_one() {
    let bench = Bench::new();
    let calls: Vec<_> = (0..200).map(|_| call()).collect();
    let asking = calls.iter().enumerate().map(|(number, call)| {
        let bench = &bench;
        async move { bench.get(call, &number.to_string(), "pw").await }
    });
    let all = join_all(asking).await;
    // Twenty at once, half a second each, are there in time.
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(bench.asked(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_was_right_counts_towards_no_limit() {
    let bench = Bench::new();
    bench.get(&call(), "1", "right").await.unwrap();
    bench.set(Issuer::Refuses("MMC.111071091"));
    for number in 0..3 {
        let wrong = number.to_string();
        bench.get(&call(), "1", &wrong).await.unwrap_err();
    }
    assert!(withheld(bench.get(&call(), "1", "4").await).is_some());
    bench.set(Issuer::Issues(LIFE));
    sleep(LIFE).await;
    for number in 0..3 {
        bench.set(Issuer::Refuses("MMC.111071091"));
        let wrong = format!("w{number}");
        bench.get(&call(), "1", &wrong).await.unwrap_err();
    }
    bench.set(Issuer::Issues(LIFE));
    bench.get(&call(), "1", "right").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_right_password_works_soon_after_its_meeting_has_begun() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111072065"));
    for _ in 0..30 {
        bench.get(&call(), "1", "pw").await.unwrap_err();
        sleep(SECOND).await;
    }
    assert!(bench.asked() <= 6, "{}", bench.asked());
    bench.set(Issuer::Issues(LIFE));
    let begun = Instant::now();
    while bench.get(&call(), "1", "pw").await.is_err() {
        sleep(SECOND).await;
    }
    assert!(begun.elapsed() <= 31 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_its_deadline() {
    let bench = Bench::new();
    bench.set(Issuer::Hangs);
    for limit in [SECOND / 5, 2 * SECOND] {
        let started = Instant::now();
        let failed = bench.get(&call_of(1, limit), "1", "pw").await.unwrap_err();
        assert!(started.elapsed() <= limit);
        assert_eq!(failed.outcome(), Outcome::NotApplied);
    }
    assert_eq!(bench.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_over_on_arrival_are_not_asked_for_for_ever() {
    let bench = Bench {
        takes: 2 * SECOND,
        ..Bench::new()
    };
    bench.set(Issuer::Issues(SECOND));
    let failed = bench.get(&call(), "1", "pw").await.unwrap_err();
    assert!(failed.is_refused_token(), "{failed:?}");
    assert_eq!(bench.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_password_is_taken_where_no_token_is_kept() {
    let bench = Bench::with(0, true);
    let result = bench.get(&call(), "1", "pw").await;
    assert_eq!(withheld(result), Some(Withheld::PasswordsOff));
    assert_eq!(bench.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_limits_no_password_is_touched_by_another() {
    let bench = Bench::with(100, false);
    bench.set(Issuer::Refuses("MMC.111071091"));
    for number in 0..50 {
        let wrong = (number / 2).to_string();
        let refused = bench.get(&call(), "1", &wrong).await.unwrap_err();
        assert!(refused.is_refused_token(), "{refused:?}");
    }
    assert_eq!(bench.asked(), 50);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_kept_within_a_bound() {
    let bench = Bench::with(10, true);
    for number in 0..100 {
        let id = number.to_string();
        bench.get(&call(), &id, "pw").await.unwrap();
    }
    bench.tokens.store.sweep();
    let page = bench.page.page();
    assert!(page.contains("meeting_control_tokens 10\n"), "{page}");
    bench.get(&call(), "99", "pw").await.unwrap();
    assert_eq!(bench.asked(), 100, "the newest stay");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_asks_no_more_often_about_a_refused_password_than_any_call() {
    for (code, most) in [("MMC.111071091", 2), ("MMC.111072064", 6)] {
        let bench = Bench::new();
        bench.get(&call(), "1", "pw").await.unwrap();
        bench.set(Issuer::Refuses(code));
        sleep(LIFE - 58 * SECOND).await;
        for _ in 0..500 {
            sleep(SECOND / 10).await;
            assert_eq!(bench.get(&call(), "1", "pw").await.unwrap(), "cnr0");
        }
        assert!(bench.asked() <= most, "{code}: {}", bench.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_wait_for_a_place_for_one_meeting_get_its_token() {
    let bench = Bench::new();
    bench.set(Issuer::Hangs);
    let hanging: Vec<_> = (0..19).map(|_| call()).collect();
    let healthy: Vec<_> = (0..30).map(|_| call()).collect();
    let last = call_of(1, SECOND);
    let hang = join_all(hanging.iter().enumerate().map(|(number, call)| {
        let bench = &bench;
        async move { bench.get(call, &format!("hung-{number}"), "pw").await }
    }));
    let get = async {
        sleep(SECOND / 10).await;
        // It takes the last place, and gives it back.
        bench.set(Issuer::Fails);
        let failing = bench.get(&last, "failing", "pw");
        let waiting = async {
            sleep(SECOND / 10).await;
            bench.set(Issuer::Issues(LIFE));
            join_all(healthy.iter().map(|call| bench.get(call, "healthy", "pw"))).await
        };
        tokio::join!(failing, waiting).1
    };
    let (_, all) = tokio::join!(hang, get);
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_waits_in_vain_is_told_so() {
    let bench = Bench::new();
    bench.set(Issuer::Hangs);
    let hanging: Vec<_> = (0..20).map(|_| call()).collect();
    let hang = join_all(hanging.iter().enumerate().map(|(number, call)| {
        let bench = &bench;
        async move { bench.get(call, &number.to_string(), "pw").await }
    }));
    let late = call_of(1, SECOND);
    let waits = async {
        sleep(SECOND / 10).await;
        bench.get(&late, "other", "pw").await
    };
    let (_, waited) = tokio::join!(hang, waits);
    assert_eq!(withheld(waited), Some(Withheld::NoPlace));
}

#[tokio::test(start_paused = true)]
async fn meetings_that_begin_free_the_places_of_their_passwords() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111072065"));
    for number in 0..20 {
        let id = number.to_string();
        bench.get(&call(), &id, "pw").await.unwrap_err();
    }
    sleep(5 * SECOND).await;
    bench.set(Issuer::Issues(LIFE));
    for number in 0..20 {
        bench.get(&call(), &number.to_string(), "pw").await.unwrap();
    }
    bench.get(&call(), "another", "pw").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_locked_login_takes_no_place() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111072064"));
    for number in 0..30 {
        let refused = bench.get(&call(), &number.to_string(), "pw").await;
        assert!(refused.unwrap_err().is_refused_token());
    }
}

#[test]
fn displaced_tokens_are_told_but_not_those_that_a_renewal_displaces() {
    let run = |own: bool| {
        crate::telemetry::tests::capture(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().start_paused(true).build();
            runtime.unwrap().block_on(async {
                let bench = Bench::new();
                for _ in 0..10 {
                    let password = &Password::new("pw");
                    let call = &call();
                    let want = Want {
                        call,
                        conference_id: "1",
                        password,
                    };
                    let kept = bench.tokens.get(want, |_| bench.fetch()).await.unwrap();
                    if own {
                        // Its renewal is on the way when it is refused.
                        sleep(LIFE - 30 * SECOND).await;
                        bench.get(call, "1", "pw").await.unwrap();
                    }
                    kept.reject();
                    sleep(SECOND).await;
                }
            });
        })
    };
    let told = |lines: Vec<String>| {
        let told = lines.iter().filter(|line| line.contains("displaced"));
        told.count()
    };
    assert_eq!(told(run(false)), 2, "the fourth and the eighth");
    assert_eq!(told(run(true)), 0);
}
