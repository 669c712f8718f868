use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::call::{Call, Caller, Identity, Outcome, Peer};
use crate::command::{Credential, UpdateCommand};
use crate::deadline::Deadline;
use crate::secret::ControlToken;
use crate::setting::Values;
use crate::telemetry::metrics::Metrics as Page;
use crate::upstream::answer::Issued;
use crate::upstream::error_code;
use crate::upstream::pass::Pass;
use crate::upstream::refusal::{Basis, Refusal, Role};

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(1800);

/// What the upstream does when it is asked for a token.
#[derive(Clone, Copy)]
enum Issuer {
    Issues(Duration),
    SaysNoLife,
    Refuses(&'static str),
    Fails,
    /// Its own time is over.
    TimesOut,
    /// It is not asked.
    IsDown,
    /// By a bug.
    Panics,
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
                Issuer::Issues(_) | Issuer::SaysNoLife => {
                    let life = match issuer {
                        Issuer::Issues(life) => Some(life),
                        _ => None,
                    };
                    let issued = Issued {
                        token: format!("cnr{number}").into(),
                        life,
                        role: Role::Host,
                    };
                    Ok((issued, takes))
                }
                Issuer::Refuses(code) => Err(refused(code)),
                Issuer::Fails => Err(UpstreamError::Refused(Box::new(Refusal::of_status(503)))),
                Issuer::TimesOut => Err(UpstreamError::DeadlineExceeded {
                    allowed: takes,
                    progress: Progress::Sent,
                }),
                Issuer::IsDown => Err(UpstreamError::KnownDown(SECOND)),
                Issuer::Panics => panic!("a bug"),
                Issuer::Hangs => std::future::pending().await,
            }
        });
        let call = Arc::new(call().token_call(10 * SECOND));
        Fetch { call, answer }
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

/// Why no token was obtained.
fn cause(error: &UpstreamError) -> String {
    match error {
        UpstreamError::NoToken(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
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
async fn a_call_that_joins_late_has_its_own_time() {
    let bench = Bench {
        takes: 10 * SECOND,
        ..Bench::new()
    };
    bench.set(Issuer::TimesOut);
    let first = call();
    let joins = async {
        sleep(9 * SECOND).await;
        let late = call_of(2, 10 * SECOND);
        let started = Instant::now();
        let failed = bench.get(&late, "1", "pw").await.unwrap_err();
        (failed, started.elapsed())
    };
    let (told, (failed, took)) = tokio::join!(bench.get(&first, "1", "pw"), joins);
    assert!(cause(&told.unwrap_err()).contains("deadline"));
    assert!(cause(&failed).contains("deadline"), "{failed:?}");
    assert!((9 * SECOND..=10 * SECOND).contains(&took), "{took:?}");
    assert_eq!(bench.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_over_on_arrival_are_not_asked_for_for_ever() {
    let bench = Bench {
        takes: 2 * SECOND,
        ..Bench::new()
    };
    bench.set(Issuer::Issues(SECOND));
    let failed = bench.get(&call(), "1", "pw").await.unwrap_err();
    assert_eq!(cause(&failed), "no token could be used", "{failed:?}");
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
async fn a_locked_login_counts_against_its_meeting_and_not_against_its_caller() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111072064"));
    for number in 0..30 {
        let refused = bench.get(&call(), &number.to_string(), "pw").await;
        assert!(refused.unwrap_err().is_refused_token());
    }
    assert_eq!(bench.asked(), 30);
    for guess in 0..12 {
        let told = bench.get(&call(), "locked", &guess.to_string()).await;
        assert_eq!(withheld(told).is_some(), guess >= 3, "{guess}");
    }
    assert_eq!(bench.asked(), 33);
    bench.set(Issuer::Issues(LIFE));
    let other = call_of(2, 10 * SECOND);
    bench.get(&other, "locked", "right").await.unwrap();
    bench.get(&call(), "another", "right").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_over_is_taken_by_one_that_waits() {
    let bench = Bench::new();
    bench.set(Issuer::Refuses("MMC.111071091"));
    for number in 0..19 {
        let refused = bench.get(&call(), &number.to_string(), "pw").await;
        assert!(refused.unwrap_err().is_refused_token());
    }
    bench.set(Issuer::Hangs);
    let hangs = call_of(1, 60 * SECOND);
    let waits = async {
        sleep(45 * SECOND).await;
        bench.set(Issuer::Issues(LIFE));
        bench.get(&call_of(1, 10 * SECOND), "other", "pw").await
    };
    let (_, waited) = tokio::join!(bench.get(&hangs, "hung", "pw"), waits);
    waited.unwrap();
}

#[tokio::test(start_paused = true)]
async fn renewals_leave_room_for_first_requests() {
    const MEETINGS: usize = 3000;
    let bench = Bench::with(10_000, false);
    let calls: Vec<_> = (0..MEETINGS).map(|_| call()).collect();
    let get_all = || {
        let calls = calls.iter().enumerate();
        join_all(calls.map(|(number, call)| {
            let bench = &bench;
            async move { bench.get(call, &number.to_string(), "pw").await }
        }))
    };
    assert!(get_all().await.iter().all(Result::is_ok));
    bench.set(Issuer::Hangs);
    sleep(LIFE - 30 * SECOND).await;
    assert!(get_all().await.iter().all(Result::is_ok));
    assert_eq!(bench.asked(), MEETINGS + 2048, "half of all that may be");
    bench.set(Issuer::Issues(LIFE));
    bench.get(&call(), "new", "pw").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_never_asked_for_is_no_request() {
    let bench = Bench::new();
    for (issuer, failed) in [(Issuer::IsDown, 0), (Issuer::Fails, 1)] {
        bench.set(issuer);
        bench.get(&call(), "1", "pw").await.unwrap_err();
        let page = bench.page.page();
        let line = format!("token_requests_total{{result=\"failed\"}} {failed}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_that_was_used_least_recently_goes_first() {
    let bench = Bench::with(3, true);
    for id in ["1", "2", "3", "1", "3", "4"] {
        bench.get(&call(), id, "pw").await.unwrap();
        bench.tokens.store.sweep();
    }
    for (id, asked) in [("1", 4), ("3", 4), ("4", 4), ("2", 5)] {
        bench.get(&call(), id, "pw").await.unwrap();
        assert_eq!(bench.asked(), asked, "{id}");
    }
}

/// Runs `story`, and returns the log.
fn told_of<F: Future<Output = ()>>(story: impl FnOnce() -> F) -> Vec<String> {
    crate::telemetry::tests::capture(|| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().start_paused(true).build();
        runtime.unwrap().block_on(story());
    })
}

#[test]
fn a_request_that_fails_is_told_once_however_many_wait_and_if_nobody_does() {
    for (issuer, level, cause) in [
        (Issuer::Fails, "WARN", "the upstream refused: HTTP 503"),
        (
            Issuer::Refuses("MMC.111071091"),
            "INFO",
            "the upstream refused: HTTP 400",
        ),
        (
            Issuer::Refuses("MMC.111072064"),
            "WARN",
            "the upstream refused: HTTP 400",
        ),
    ] {
        let lines = told_of(async || {
            let bench = Bench::new();
            bench.set(issuer);
            let calls: Vec<_> = (0..10).map(|_| call_of(1, SECOND / 10)).collect();
            join_all(calls.iter().map(|call| bench.get(call, "9", "pw"))).await;
            sleep(SECOND).await;
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}");
        };
        for part in [
            format!("\"level\":\"{level}\""),
            "\"conference_id\":\"9\"".to_owned(),
            "\"renewal\":false".to_owned(),
            "\"request_id\":".to_owned(),
            format!("\"cause\":\"{cause}\""),
        ] {
            assert!(line.contains(&part), "{part}: {line}");
        }
    }
}

#[test]
fn a_renewal_that_fails_is_told_as_one() {
    let lines = told_of(async || {
        let bench = Bench::new();
        bench.get(&call(), "9", "pw").await.unwrap();
        bench.set(Issuer::Fails);
        sleep(LIFE - 30 * SECOND).await;
        bench.get(&call(), "9", "pw").await.unwrap();
        sleep(SECOND).await;
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"renewal\":true"), "{lines:?}");
}

#[test]
fn a_life_that_is_assumed_is_told_once() {
    let lines = told_of(async || {
        let bench = Bench::new();
        bench.set(Issuer::SaysNoLife);
        for id in ["1", "2", "3"] {
            bench.get(&call(), id, "pw").await.unwrap();
        }
        sleep(LIFE - 63 * SECOND).await;
        bench.get(&call(), "1", "pw").await.unwrap();
        assert_eq!(bench.asked(), 3, "it is half an hour");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("half an hour"), "{lines:?}");
}

#[test]
fn displaced_tokens_are_told_but_not_those_that_a_renewal_displaces() {
    let run = |own: bool| {
        told_of(async || {
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
        })
    };
    let told = |lines: Vec<String>| {
        let told = lines.iter().filter(|line| line.contains("displaced"));
        told.count()
    };
    assert_eq!(told(run(false)), 2, "the fourth and the eighth");
    assert_eq!(told(run(true)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_is_lost_to_all_that_wait_and_the_next_is_made() {
    let bench = Bench::new();
    bench.set(Issuer::Panics);
    let calls: Vec<_> = (0..10).map(|_| call()).collect();
    for told in join_all(calls.iter().map(|call| bench.get(call, "1", "4711:x"))).await {
        assert!(!Password::new("4711:x").is_within(&format!("{told:?}")));
        assert_eq!(withheld(told), Some(Withheld::TaskLost));
    }
    bench.set(Issuer::Issues(LIFE));
    assert_eq!(bench.get(&call(), "1", "4711:x").await.unwrap(), "cnr1");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_holds_a_secret_prints_it() {
    const TOKEN: &str = "stb7f3a9c0d1e2f4a5b6";
    let (password, token) = (
        Password::new("Pass.word-4711?x"),
        ControlToken::new(HeaderValue::from_static(TOKEN)),
    );
    let issued = || Issued {
        token: TOKEN.into(),
        life: None,
        role: Role::Host,
    };
    let (call, page) = (call(), &mut Page::default());
    let want = Want {
        call: &call,
        conference_id: "1",
        password: &password,
    };
    let tokens = Tokens::new(1, true, Arc::new(Metrics::register(page.registry()))).unwrap();
    let fetch = |_| Fetch {
        call: Arc::new(want.call.token_call(SECOND)),
        answer: Box::pin(async move { Ok((issued(), SECOND)) }),
    };
    let kept = tokens.get(want, fetch).await.unwrap();
    let credentials = [
        Credential::Token(token.clone()),
        Credential::Password(password.clone()),
    ];
    let commands = credentials.map(|credential| UpdateCommand {
        conference_id: "1".to_owned(),
        settings: Values::default(),
        credential,
    });
    for printed in [
        format!("{password:?} {password:#?}"),
        format!("{token:?}"),
        format!("{:?}", Pass::Token(token.clone())),
        format!("{:?}", Pass::Obtained(token.clone(), password.clone())),
        format!("{:?}", Pass::Password(password.clone())),
        format!("{:?}", Pass::Password(password.clone()).secrets()),
        format!("{:?}", issued()),
        format!("{kept:?}"),
        format!("{tokens:?}"),
        format!("{want:?}"),
        format!("{commands:?}"),
    ] {
        assert!(!password.is_within(&printed), "{printed}");
        assert!(!token.is_within(&printed), "{printed}");
    }
}
