//! The sandbox: what a newcomer and a caller's own tests see, over the façade and without it.
//! `SANDBOX_SEED` repeats an order in which test ids were tried.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the seed is no setting of the program, and told for whoever repeats a failure"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meeting_control::sandbox::{Sandbox, TokenSettings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Status;

use crate::kit::{Facade, Failure, MEETING, PASSWORD, PATIENCE, Settings, lock, lock_by_password};

mod rest;

use rest::{locked, method, observe, put};

type Changes = Arc<Mutex<Vec<String>>>;

async fn sandbox() -> (String, Changes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let changes = Changes::default();
    let told = Arc::clone(&changes);
    let sandbox = Sandbox::new(TokenSettings::default(), move |line| {
        told.lock().unwrap().push(line.to_owned());
    });
    tokio::spawn(async move { sandbox.serve(&listener).await });
    (address, changes)
}

async fn facade(address: &str) -> Facade {
    Facade::over(&format!("http://{address}")).await
}

/// A row of the documentation: what the stand-in and the façade do for an id.
#[derive(Clone, Copy, Debug)]
struct Documented {
    id: &'static str,
    answer: &'static str,
    code: &'static str,
    reason: &'static str,
    outcome: &'static str,
}

fn documented(table: &str) -> Vec<Documented> {
    let page = include_str!("../../docs/sandbox.md");
    let (_, after) = page.split_once(&format!("<!-- {table} -->\n")).unwrap();
    let (table, _) = after
        .split_once(&format!("<!-- end of {table} -->"))
        .unwrap();
    let rows = table.lines().skip(2).map(|line| {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim_matches([' ', '`']))
            .collect();
        let [_, id, answer, code, reason, outcome, _] = cells[..] else {
            panic!("not a row: {line}");
        };
        Documented {
            id,
            answer,
            code,
            reason,
            outcome,
        }
    });
    rows.collect()
}

#[tokio::test]
async fn a_change_is_kept_shown_and_told_once() {
    let (address, changes) = sandbox().await;
    let facade = facade(&address).await;
    assert_eq!(locked(&address, MEETING).await, 0);
    facade.lock(MEETING).await.unwrap();
    facade.lock(MEETING).await.unwrap();
    let shown = method("GET", &address, MEETING).await.json();
    assert_eq!(shown["lockSharing"], 1);
    assert_eq!(shown["callInRestriction"], 0);
    assert_eq!(shown["conferenceID"], MEETING);
    let told = changes.lock().unwrap().clone();
    assert_eq!(told, ["meeting 900244663: lockSharing 0 -> 1"]);
}

#[tokio::test]
async fn a_meeting_that_is_reset_is_as_new_and_the_others_stay() {
    let (address, changes) = sandbox().await;
    let other = "900244663-other";
    for id in [MEETING, other] {
        assert_eq!(put(&address, id, Some("1")).await.status, 200);
    }
    for _ in 0..2 {
        let reset = method("DELETE", &address, MEETING).await;
        assert_eq!((reset.status, reset.body.len()), (204, 0));
    }
    assert_eq!(locked(&address, MEETING).await, 0);
    assert_eq!(locked(&address, other).await, 1);
    let told = changes.lock().unwrap().clone();
    assert_eq!(told[2..], ["meeting 900244663: reset"]);
}

#[tokio::test]
async fn each_documented_id_gives_a_caller_the_documented_answer() {
    let (address, _) = sandbox().await;
    let with = async |timeout, max_retries| {
        let mut settings = Settings {
            timeout,
            ..Settings::default()
        };
        settings.upstream.max_retries = max_retries;
        Facade::with(&format!("http://{address}"), settings).await
    };
    let plain = with(PATIENCE, 0).await;
    let retrying = with(PATIENCE, 2).await;
    let hasty = with(Duration::from_secs(1), 0).await;
    for row in documented("answers") {
        let facade = match row.answer {
            "nothing" => &hasty,
            answer if answer.contains("then 200") => &retrying,
            _ => &plain,
        };
        assert_told(&facade.lock(row.id).await, row);
    }
}

#[tokio::test]
async fn each_documented_id_gives_a_caller_with_a_password_the_documented_answer() {
    let (address, _) = sandbox().await;
    let facade = facade(&address).await;
    let rows = documented("token answers");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let id = format!("{}-fresh", row.id);
        let answered = facade.call(lock_by_password(&id, PASSWORD)).await;
        assert_told(&answered, row);
        let stage = answered.map_err(|status| Failure::of(&status).metadata["stage"].clone());
        assert!(!stage.is_err_and(|stage| stage != "token"), "{id}");
    }
}

/// A caller is told what the documentation says.
fn assert_told<T>(answered: &Result<T, Status>, row: Documented) {
    let told = match answered {
        Ok(_) => ("OK", String::new(), String::new()),
        Err(status) => {
            let failure = Failure::of(status);
            let outcome = failure.outcome().to_owned();
            (failure.code, failure.reason, outcome)
        }
    };
    let expected = (row.code, row.reason.to_owned(), row.outcome.to_owned());
    assert_eq!(told, expected, "{}", row.id);
}

/// Every id, so many times in random order by sixteen callers at once, through a façade as the command
/// `sandbox` has it.
async fn call_in_random_order(seed: u64, times: usize) {
    println!("SANDBOX_SEED={seed}");
    let (address, _) = sandbox().await;
    let mut settings = Settings::default();
    settings.upstream.unguarded = true;
    settings.server.max_in_flight_per_caller = Some(0);
    let facade = Facade::with(&format!("http://{address}"), settings).await;
    let facade = Arc::new(facade);
    let rows = documented("answers");
    let mut tries: Vec<_> = (0..times).flat_map(|_| rows.iter().copied()).collect();
    // Those with a password need a fresh name each time, as tokens are kept.
    for (number, row) in (0..times)
        .flat_map(|_| documented("token answers"))
        .enumerate()
    {
        tries.push(Documented {
            id: format!("{}-{number}", row.id).leak(),
            ..row
        });
    }
    fastrand::Rng::with_seed(seed).shuffle(&mut tries);
    let tries = Arc::new(Mutex::new(tries));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (facade, tries) = (Arc::clone(&facade), Arc::clone(&tries));
        callers.spawn(async move {
            loop {
                let next = tries.lock().unwrap().pop();
                let Some(row) = next else { return };
                let mut request = match row.id.starts_with("900004") {
                    true => lock_by_password(row.id, PASSWORD),
                    false => lock(row.id),
                };
                if row.answer == "nothing" {
                    // The façade answers before this, and nobody wants to wait longer.
                    request.set_timeout(Duration::from_secs(3));
                }
                assert_told(&facade.call(request).await, row);
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_id_touches_another_through_a_facade() {
    call_in_random_order(fastrand::u64(..), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes"]
async fn no_id_touches_another_through_a_facade_in_twenty_orders() {
    for seed in 1..=20 {
        call_in_random_order(seed, 10).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn each_documented_id_answers_the_same_every_time_on_any_thread_in_any_order() {
    const TASKS: usize = 16;
    const TIMES: usize = 10;
    let seed = std::env::var("SANDBOX_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SANDBOX_SEED={seed}");
    let rows = documented("answers");
    assert!(rows.len() >= 30, "{}", rows.len());
    let mut tries: Vec<(usize, Documented)> = (0..TIMES)
        .flat_map(|time| rows.iter().map(move |row| (time, *row)))
        .collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut tries);
    let (address, _) = sandbox().await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let mine: Vec<_> = tries.iter().skip(task).step_by(TASKS).copied().collect();
        let address = address.clone();
        tasks.spawn(async move {
            for (time, row) in mine {
                let request_id = format!("{}/{time}", row.id);
                let answers = observe(&address, row.id, &request_id, row.answer).await;
                assert_eq!(answers, row.answer, "{}", row.id);
                // A meeting of its own is untouched by the others.
                let own = format!("{MEETING}-{time}.{}", row.id.replace(['@', '+'], "_"));
                assert_eq!(locked(&address, &own).await, 0, "{own}");
                assert_eq!(put(&address, &own, Some("1")).await.status, 200, "{own}");
                assert_eq!(locked(&address, &own).await, 1, "{own}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_request_is_refused_twice_by_its_own_id_whoever_comes_between() {
    let (address, _) = sandbox().await;
    let id = "900001503";
    let named = "900001503-mine";
    let too_long = "r".repeat(129);
    for status in [503, 503, 200, 503, 503, 200] {
        for (id, request_id) in [(id, "a"), (id, "b"), (named, "a")] {
            let answer = put(&address, id, Some(request_id)).await;
            assert_eq!(answer.status, status, "{id} {request_id}");
        }
        for unusable in [None, Some(too_long.as_str())] {
            let answer = put(&address, id, unusable).await;
            assert_eq!(answer.status, 503, "without an id, each request is new");
        }
    }
    assert_eq!(locked(&address, named).await, 1);
    for _ in 0..2 {
        assert_eq!(put(&address, id, Some("a")).await.status, 503);
        method("DELETE", &address, id).await;
    }
    assert_eq!(
        put(&address, id, Some("a")).await.status,
        503,
        "a reset forgets"
    );
}

#[tokio::test]
async fn a_caller_that_keeps_its_request_id_succeeds_at_the_third_call() {
    let (address, _) = sandbox().await;
    let facade = facade(&address).await;
    for expected in ["INVALID_ARGUMENT", "INVALID_ARGUMENT", "OK"].repeat(2) {
        let mut request = lock("900001400");
        let metadata = request.metadata_mut();
        metadata.insert("x-request-id", "one-of-my-own".parse().unwrap());
        let answer = facade.call(request).await;
        let code = answer.map_or_else(|status| Failure::of(&status).code, |_| "OK");
        assert_eq!(code, expected);
    }
}

#[tokio::test]
async fn a_meeting_that_hangs_sends_nothing_and_takes_nothing_from_others() {
    let (address, _) = sandbox().await;
    let mut hanging = JoinSet::new();
    for _ in 0..50 {
        let address = address.clone();
        hanging.spawn(async move { put(&address, "900002001", None).await });
    }
    for _ in 0..20 {
        assert_eq!(put(&address, MEETING, None).await.status, 200);
    }
    assert!(hanging.try_join_next().is_none(), "none was answered");
}

#[tokio::test]
async fn a_refusal_inside_a_success_is_the_documented_envelope() {
    let (address, _) = sandbox().await;
    for (id, body) in [
        (MEETING, r#"{"returnCode":0,"returnDesc":"Success"}"#),
        (
            "MMC.111072083@200",
            r#"{"returnCode":111072083,"returnDesc":"LOCK_SHARE_FAILED"}"#,
        ),
        (
            "APIG.0308@200",
            r#"{"returnCode":308,"returnDesc":"APIG_THROTTLED"}"#,
        ),
        (
            "MMC.1@403",
            r#"{"error_code":"MMC.1","error_msg":"SANDBOX_CODE"}"#,
        ),
        ("900000503", ""),
    ] {
        let answer = put(&address, id, None).await;
        assert_eq!(String::from_utf8_lossy(&answer.body), body, "{id}");
    }
    let huge = put(&address, "900002004", None).await;
    assert_eq!(
        (huge.body.len(), &huge.json()["returnCode"]),
        (1 << 20, &0.into())
    );
    assert_eq!(locked(&address, "900002004").await, 1);
}

#[tokio::test]
async fn another_token_is_refused_as_the_real_service_does() {
    let (address, changes) = sandbox().await;
    let facade = facade(&address).await;
    let mut request = lock(MEETING);
    let metadata = request.metadata_mut();
    metadata.insert("x-conference-authorization", "cnr1".parse().unwrap());
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(failure.code, "UNAUTHENTICATED");
    assert_eq!(failure.metadata["error_code"], "MMC.111072065");
    assert!(changes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_path_or_method_answers_as_the_gateway_does() {
    let (address, _) = sandbox().await;
    for path in ["/", "/v1/mmc/control/conferences/updateStartedConfConfig"] {
        let answer = rest::send(&address, &format!("GET {path}"), "", "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error_code"], "APIG.0101", "{path}");
        let id = answer.header("x-request-id").unwrap_or_default();
        assert_eq!(id.len(), 32, "{path}");
    }
    let facade = Facade::over(&format!("http://{address}/wrong")).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.code, "UNIMPLEMENTED");
}
