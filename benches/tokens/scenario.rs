//! The scenarios: what is asked of the façade, and of the upstream on its behalf.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;
use crate::callers::{Caller, Credential, Ended, Facade, count, describe, paced};
use crate::issuer::{Issuer, Ledger, Manner, RIGHT};
use crate::report::Row;
use crate::runner::{Bench, Scenario};

pub const SCENARIOS: [Scenario; 11] = [
    ("first", 30, |bench| Box::pin(first(bench))),
    ("leaving", 30, |bench| Box::pin(leaving(bench))),
    ("short", 300, |bench| Box::pin(short(bench))),
    ("down", 240, |bench| Box::pin(down(bench))),
    ("hanging", 60, |bench| Box::pin(hanging(bench))),
    ("displaced", 120, |bench| Box::pin(displaced(bench))),
    ("guessing", 60, |bench| Box::pin(guessing(bench))),
    ("early", 120, |bench| Box::pin(early(bench))),
    ("other", 30, |bench| Box::pin(other(bench))),
    ("many", 300, |bench| Box::pin(many(bench))),
    ("cpu", 120, |bench| Box::pin(cpu(bench))),
];

const PATIENCE: Duration = Duration::from_secs(10);

fn right() -> Credential {
    Credential::password(RIGHT)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn start(bench: &Bench, manner: Manner, flags: &[&str]) -> Result<(Issuer, Facade), Failure> {
    let issuer = Issuer::start(manner).await?;
    let mut arguments = vec![issuer.flag()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let facade = Facade::start(bench, &arguments)?;
    Ok((issuer, facade))
}

fn asked(ledger: &Ledger) -> u64 {
    ledger.asked.load(Relaxed)
}

/// Adds that all calls were OK.
fn require_ok(row: Row, calls: &[Ended]) -> Row {
    let ok = count(calls, "OK");
    row.require(
        "all OK",
        format!("{ok} of {}", calls.len()),
        ok == calls.len(),
    )
}

fn require_asked(row: Row, ledger: &Ledger, most: u64) -> Row {
    let asked = asked(ledger);
    row.require(
        format!("at most {most} token requests"),
        asked.to_string(),
        asked <= most,
    )
}

/// Has each of `calls` made at once.
async fn at_once<F>(calls: impl Iterator<Item = F>) -> Vec<Ended>
where
    F: Future<Output = Ended> + Send + 'static,
{
    calls.collect::<JoinSet<_>>().join_all().await
}

fn one(caller: &Caller, id: String, credential: Credential) -> impl Future<Output = Ended> + use<> {
    let caller = caller.clone();
    async move { caller.call(&id, &credential, PATIENCE).await }
}

async fn first(bench: &Bench) -> Result<(), Failure> {
    let (issuer, facade) = start(bench, Manner::default(), &[]).await?;
    let mut callers = Vec::new();
    for _ in 0..8 {
        callers.push(facade.caller(1).await?);
    }
    let calls = callers.iter().cycle().take(1000);
    let calls = at_once(calls.map(|caller| one(caller, "1".to_owned(), right()))).await;
    let row = require_ok(Row::new("1,000 first calls, 8 connections"), &calls);
    bench.report.tell(&require_asked(row, &issuer.ledger, 1));
    Ok(())
}

async fn leaving(bench: &Bench) -> Result<(), Failure> {
    for hurried in [true, false] {
        let manner = Manner {
            issues_after: 500..501,
            ..Manner::default()
        };
        let (issuer, facade) = start(bench, manner, &[]).await?;
        let (caller, leader) = (facade.caller(1).await?, facade.caller(2).await?);
        let leading = tokio::spawn(async move {
            let deadline = if hurried {
                Duration::from_millis(50)
            } else {
                PATIENCE
            };
            let password = right();
            let call = leader.call("1", &password, deadline);
            let _ = timeout(Duration::from_millis(60), call).await;
        });
        sleep(Duration::from_millis(20)).await;
        let calls = (0..100).map(|_| one(&caller, "1".to_owned(), right()));
        let calls = at_once(calls).await;
        leading.await?;
        let name = if hurried {
            "the first has 50 ms"
        } else {
            "the first cancels"
        };
        let row = require_ok(Row::new(name), &calls);
        bench.report.tell(&require_asked(row, &issuer.ledger, 1));
    }
    Ok(())
}

async fn short(bench: &Bench) -> Result<(), Failure> {
    const LIFE: u64 = 3;
    const SPAN: u64 = 60;
    for (one_alone, meetings) in [(false, 1), (true, 1), (false, 1000)] {
        let manner = Manner {
            one: one_alone,
            life: seconds(LIFE),
            ..Manner::default()
        };
        let (issuer, facade) = start(bench, manner, &[]).await?;
        let caller = facade.caller(1).await?;
        let period = Duration::from_millis(5);
        let calls = paced(SPAN as u32 * 200, period, |number| {
            one(&caller, (number % meetings).to_string(), right())
        })
        .await;
        let name = format!(
            "life {LIFE} s, 200/s, {meetings} meetings, {}",
            if one_alone {
                "one token"
            } else {
                "many tokens"
            }
        );
        let row = require_ok(Row::new(name), &calls);
        let lives = SPAN / LIFE * u64::from(meetings);
        let row = require_asked(row, &issuer.ledger, lives * 3 / 2);
        let late = issuer.ledger.late.load(Relaxed);
        bench.report.tell(
            &row.require("none used past its end", late.to_string(), late == 0)
                .note("displaced when used", issuer.ledger.displaced.load(Relaxed)),
        );
    }
    Ok(())
}

async fn down(bench: &Bench) -> Result<(), Failure> {
    let manner = Manner {
        life: seconds(160),
        ..Manner::default()
    };
    let (issuer, facade) = start(bench, manner, &[]).await?;
    let caller = facade.caller(1).await?;
    one(&caller, "1".to_owned(), right()).await;
    sleep(seconds(127)).await;
    issuer.ledger.is_down.store(true, Relaxed);
    let before = asked(&issuer.ledger);
    let calls = paced(30 * 50, Duration::from_millis(20), |_| {
        one(&caller, "1".to_owned(), right())
    })
    .await;
    let renewals = asked(&issuer.ledger) - before;
    let row = require_ok(Row::new("issuer down for 30 s, token valid"), &calls);
    bench.report.tell(&row.require(
        "a renewal in 5 s at most, of one attempt",
        renewals.to_string(),
        (1..=7).contains(&renewals),
    ));
    Ok(())
}

async fn hanging(bench: &Bench) -> Result<(), Failure> {
    let (issuer, facade) = start(bench, Manner::default(), &[]).await?;
    let caller = facade.caller(1).await?;
    one(&caller, "kept".to_owned(), right()).await;
    issuer.ledger.hangs.store(true, Relaxed);
    let (hurried, other) = (caller.clone(), facade.caller(2).await?);
    let (stuck, kept, own) = tokio::join!(
        // Longer than a request for a token may take, so that some join one that is about to end.
        paced(120, Duration::from_millis(100), |number| {
            let caller = hurried.clone();
            let id = (number % 5).to_string();
            async move { caller.call(&id, &right(), seconds(1)).await }
        }),
        paced(1200, Duration::from_millis(10), |_| one(
            &caller,
            "kept".to_owned(),
            right()
        )),
        paced(1200, Duration::from_millis(10), |_| one(
            &other,
            "own".to_owned(),
            Credential::Token
        )),
    );
    let own_time = Duration::from_millis(900)..=seconds(1);
    let in_time = stuck.iter().filter(|call| own_time.contains(&call.took));
    let in_time = in_time.count();
    let not_applied = stuck.iter().filter(|call| call.outcome == "not_applied");
    let not_applied = not_applied.count();
    let row = Row::new("the issuer hangs")
        .require(
            "callers end near their own deadlines",
            format!("{in_time} of {}", stuck.len()),
            in_time == stuck.len(),
        )
        .require(
            "not_applied",
            format!("{not_applied} of {}", stuck.len()),
            not_applied == stuck.len(),
        );
    let row = require_ok(row.note("they are told", describe(&stuck)), &kept);
    bench.report.tell(&require_ok(row, &own));
    Ok(())
}

async fn displaced(bench: &Bench) -> Result<(), Failure> {
    for (name, meetings, period, span, required) in [
        ("each 5 s, 30 meetings side by side", 30, 5.0, 60, true),
        ("20/s each, one meeting", 1, 0.05, 20, false),
    ] {
        let manner = Manner {
            one: true,
            issues_after: 100..200,
            applies_after: 100..200,
            ..Manner::default()
        };
        let issuer = Issuer::start(manner).await?;
        let (mut facades, mut callers) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let facade = Facade::start(bench, &[issuer.flag()])?;
            callers.push(facade.caller(1).await?);
            facades.push(facade);
        }
        let mut loops = JoinSet::new();
        let end = Instant::now() + seconds(span);
        for caller in &callers {
            for meeting in 0..meetings {
                let caller = caller.clone();
                loops.spawn(async move {
                    // Not all at the same moment.
                    sleep(Duration::from_secs_f64(period * fastrand::f64())).await;
                    let mut calls = JoinSet::new();
                    while Instant::now() < end {
                        calls.spawn(one(&caller, meeting.to_string(), right()));
                        sleep(Duration::from_secs_f64(period)).await;
                    }
                    calls.join_all().await
                });
            }
        }
        let calls = loops.join_all().await.concat();
        let ok = count(&calls, "OK");
        let share = ok as f64 / calls.len() as f64;
        let measured = format!("{:.2} % of {}", 100.0 * share, calls.len());
        let row = Row::new(format!("three façades, one token, {name}"));
        let row = match required {
            true => row.require("at least 99 % OK", measured, share >= 0.99),
            false => row.require("reported", measured, true),
        };
        bench.report.tell(
            &row.note("calls", describe(&calls))
                .note("token requests", asked(&issuer.ledger)),
        );
    }
    Ok(())
}

async fn guessing(bench: &Bench) -> Result<(), Failure> {
    for (meetings, most) in [(1, 3), (100, 20)] {
        let (issuer, facade) = start(bench, Manner::default(), &[]).await?;
        let (guesser, honest) = (facade.caller(1).await?, facade.caller(2).await?);
        let guesses = (0..1000).map(|number| {
            let password = Credential::password(format!("wrong-{number}"));
            one(&guesser, (number % meetings).to_string(), password)
        });
        let (guesses, calls) = tokio::join!(
            at_once(guesses),
            paced(50, Duration::from_millis(20), |_| one(
                &honest,
                "0".to_owned(),
                right()
            ))
        );
        let wrong = asked(&issuer.ledger) - 1;
        let row = Row::new(format!("1,000 wrong passwords, {meetings} meetings"));
        let row = row.require(
            format!("at most {most} requests a minute"),
            wrong.to_string(),
            wrong <= most,
        );
        let row = row.note("the guesser is told", describe(&guesses));
        bench.report.tell(&require_ok(row, &calls));
    }
    Ok(())
}

async fn early(bench: &Bench) -> Result<(), Failure> {
    let begin = Instant::now() + seconds(30);
    let manner = Manner {
        begin: Some(begin),
        ..Manner::default()
    };
    let (issuer, facade) = start(bench, manner, &[]).await?;
    let caller = facade.caller(1).await?;
    let mut before = 0;
    loop {
        let call = one(&caller, "1".to_owned(), right()).await;
        if call.end == "OK" {
            break;
        }
        if Instant::now() < begin {
            before = asked(&issuer.ledger);
        }
        sleep(seconds(1)).await;
    }
    let after = begin.elapsed();
    bench.report.tell(
        &Row::new("polled each second from 30 s before")
            .require(
                "OK at most 31 s after the meeting begins",
                format!("{:.1} s", after.as_secs_f64()),
                after <= seconds(31),
            )
            .require(
                "at most 6 token requests before",
                before.to_string(),
                before <= 6,
            ),
    );
    Ok(())
}

async fn other(bench: &Bench) -> Result<(), Failure> {
    let (issuer, facade) = start(bench, Manner::default(), &[]).await?;
    let caller = facade.caller(1).await?;
    let good = one(&caller, "1".to_owned(), right()).await;
    let wrong = one(&caller, "1".to_owned(), Credential::password("wrong")).await;
    bench.report.tell(
        &Row::new("a wrong password after a right one")
            .require("the right one works", &good.end, good.end == "OK")
            .require("the wrong one is refused", &wrong.end, wrong.end != "OK")
            .require(
                "nothing was applied with it",
                issuer.ledger.applied.load(Relaxed).to_string(),
                issuer.ledger.applied.load(Relaxed) == 1,
            ),
    );
    Ok(())
}

async fn many(bench: &Bench) -> Result<(), Failure> {
    const MEMORY: &str = "process_resident_memory_bytes ";
    let manner = Manner {
        issues_after: 1..2,
        ..Manner::default()
    };
    let (issuer, facade) = start(bench, manner, &["--max-tokens=10000"]).await?;
    let caller = facade.caller(1).await?;
    // Buffers and pools are there before the count begins.
    let warm = (0..1000).map(|_| one(&caller, "warm".to_owned(), right()));
    at_once(warm).await;
    let before = facade.metric(MEMORY).await?;
    let meetings = workers(20_000, 64, {
        let caller = caller.clone();
        move |number| one(&caller, number.to_string(), right())
    })
    .await;
    sleep(seconds(11)).await;
    let kept = facade.metric("meeting_control_tokens ").await?;
    let full = facade.metric(MEMORY).await?;
    let row = require_ok(Row::new("20,000 meetings, --max-tokens 10000"), &meetings);
    bench.report.tell(
        &row.require("at most 10,000 kept", kept.to_string(), kept <= 10_000.0)
            .note(
                "memory",
                format!(
                    "{:.1} MB before, {:.1} MB after: {:.0} bytes a token",
                    before / 1e6,
                    full / 1e6,
                    (full - before) / 10_000.0
                ),
            ),
    );

    let asked_before = asked(&issuer.ledger);
    let mut wrong = Vec::new();
    for batch in 0..50 {
        let mut callers = Vec::new();
        for number in 0..100 {
            callers.push(facade.caller(1000 + batch * 100 + number).await?);
        }
        let callers = Arc::new(callers);
        wrong.extend(
            workers(2_000, 200, move |number| {
                let caller = &callers[number as usize % callers.len()];
                let password = Credential::password(format!("{batch}-{number}"));
                one(caller, (number / 100).to_string(), password)
            })
            .await,
        );
    }
    let right_ones = workers(1000, 64, {
        let caller = caller.clone();
        move |number| one(&caller, (19_000 + number).to_string(), right())
    })
    .await;
    let after = facade.metric(MEMORY).await?;
    let row = Row::new("100,000 wrong passwords, 5,000 addresses");
    let row = require_ok(row, &right_ones).require(
        "memory bounded: below 100 MB",
        format!("{:.1} MB", after / 1e6),
        after < 100e6,
    );
    bench.report.tell(
        &row.note("the guessers are told", describe(&wrong))
            .note("token requests", asked(&issuer.ledger) - asked_before),
    );
    Ok(())
}

/// Makes `count` calls, `at_once` at a time.
async fn workers<F>(
    count: u32,
    at_once: u32,
    make: impl Fn(u32) -> F + Send + Sync + 'static,
) -> Vec<Ended>
where
    F: Future<Output = Ended> + Send + 'static,
{
    let make = Arc::new(make);
    let mut tasks = JoinSet::new();
    for worker in 0..at_once {
        let make = Arc::clone(&make);
        tasks.spawn(async move {
            let mut calls = Vec::new();
            let mut number = worker;
            while number < count {
                calls.push(make(number).await);
                number += at_once;
            }
            calls
        });
    }
    tasks.join_all().await.concat()
}

async fn cpu(bench: &Bench) -> Result<(), Failure> {
    const CPU: &str = "process_cpu_seconds_total ";
    const CALLS: u32 = 20_000;
    let manner = Manner {
        applies_after: 0..1,
        ..Manner::default()
    };
    let (_issuer, facade) = start(bench, manner, &[]).await?;
    let caller = facade.caller(1).await?;
    let mut ratios = Vec::new();
    for round in 0..12 {
        let mut spent = [0.0; 2];
        // The order changes, so that neither is always first.
        for turn in [round % 2, 1 - round % 2] {
            let credential = if turn == 0 {
                Credential::Token
            } else {
                right()
            };
            let before = facade.metric(CPU).await?;
            let caller = caller.clone();
            workers(CALLS, 64, move |_| {
                one(&caller, "1".to_owned(), credential.clone())
            })
            .await;
            spent[turn] = facade.metric(CPU).await? - before;
        }
        ratios.push(spent[1] / spent[0]);
    }
    // The first is for warming up.
    let mut ratios = ratios.split_off(1);
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    bench.report.tell(
        &Row::new("a kept token beside one that is passed on")
            .require(
                "CPU per call at most 3 % more",
                format!("{:+.1} %", 100.0 * (median - 1.0)),
                median <= 1.03,
            )
            .note("ratios", format!("{ratios:.3?}")),
    );
    Ok(())
}
