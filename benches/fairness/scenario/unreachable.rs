//! An upstream that cannot be reached, and is back later.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Bench, millis, require_health};
use crate::Failure;
use crate::caller::{Load, Patience};
use crate::calls::End;
use crate::facade::{ONE, Sample};
use crate::report::Row;
use crate::upstream::{Dead, StandIn};

/// The time between two calls: so short that the probes, one a second, are no hundredth of all.
const PERIOD: Duration = Duration::from_millis(5);
const PATIENCE: Patience = Patience::Deadline(Duration::from_secs(10));
/// When calls have to fail fast, …
const SETTLED: Duration = Duration::from_secs(5);
const MAX_P99: Duration = Duration::from_millis(50);
/// … how soon they have to succeed again, …
const MAX_RETURN: Duration = Duration::from_secs(3);
/// … and what memory, in bytes, may grow by after the first samples.
const MAX_GROWTH: u64 = 4_000_000;
const WARM: usize = 20;

pub(super) async fn refusing(bench: &Bench) -> Result<(), Failure> {
    outage(bench, "connections are refused", Dead::refusing().await?).await
}

pub(super) async fn unanswering(bench: &Bench) -> Result<(), Failure> {
    outage(bench, "SYNs are not answered", Dead::unanswering().await?).await
}

async fn outage(bench: &Bench, name: &str, dead: Dead) -> Result<(), Failure> {
    let facade = bench.binary.start(&dead.flags())?;
    let callers = facade.callers(4, ONE).await?;
    let outage = SETTLED + bench.span(5.0, 1.0);
    let span = outage + MAX_RETURN + Duration::from_millis(500);
    let start = Instant::now();
    let coming_back = async {
        sleep(outage).await;
        let address = dead.address;
        drop(dead);
        Ok::<_, Failure>((StandIn::at(address).await?, Instant::now()))
    };
    let calls = Load::new("ok", PATIENCE, PERIOD).make(&callers, span);
    let both = async { tokio::join!(calls, coming_back) };
    let ((calls, back), samples) = facade.watched(both).await?;
    let (_stand_in, back) = back?;

    let settled = calls.only(|call| (start + SETTLED..back).contains(&call.started));
    let after = calls.only(|call| call.started >= back);
    let failed = after.only(|call| call.end != End::Ok);
    let last = failed.iter().map(|call| call.started - back).max();
    let away = last.unwrap_or_default();
    let growth = growth(&samples);
    let row = Row::new(name)
        .require(
            format!("after {SETTLED:?}: p99 at most {}", millis(MAX_P99)),
            millis(settled.p99()),
            settled.len() > 0 && settled.p99() <= MAX_P99,
        )
        .require(
            format!("back within {MAX_RETURN:?}"),
            format!("last failure after {}", millis(away)),
            away <= MAX_RETURN && failed.len() < after.len(),
        )
        .require(
            format!("memory grows by at most {} MB", MAX_GROWTH / 1_000_000),
            growth.map_or("not told".to_owned(), |bytes| {
                format!("{:.1} MB", bytes as f64 / 1e6)
            }),
            growth.is_some_and(|bytes| bytes <= MAX_GROWTH),
        )
        .note("all calls", &calls)
        .note("settled", &settled)
        .note("after it was back", &after);
    bench.report.tell(&require_health(row, &samples));
    Ok(())
}

/// By how much memory grew at most, once the first calls had been made.
fn growth(samples: &[Sample]) -> Option<u64> {
    let later = samples.get(WARM..)?.iter().map(|sample| sample.memory);
    let first = later.clone().next().filter(|bytes| *bytes > 0)?;
    Some(later.max()?.saturating_sub(first))
}
