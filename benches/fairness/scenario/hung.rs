//! Callers that loop on a meeting that hangs, beside healthy calls on other meetings.

use std::time::Duration;

use super::{Bench, millis};
use crate::Failure;
use crate::caller::{Load, Patience, looping};
use crate::calls::{Calls, End};
use crate::facade::{Facade, ONE, OTHER};
use crate::report::Row;
use crate::upstream::{Over, StandIn};

/// Where they are refused at once, all loopers together ask again 2,000 times a second.
const LOOPER_PERIOD: Duration = Duration::from_micros(500);
const PATIENCE: Patience = Patience::Deadline(Duration::from_secs(5));
/// Healthy calls come in bursts: where they never ceased, one of them would always be about to prove that
/// the upstream is up.
const BURSTS: u32 = 40;
const BURST: u32 = 25;
/// Connections of the healthy callers.
const CONNECTIONS: u32 = 4;

/// How loopers give up, and how many seconds it takes until that has its effect.
const PATIENCES: [(&str, Patience, f64); 4] = [
    ("deadline 10 s", deadline(10_000), 10.0),
    ("deadline 3 s", deadline(3_000), 7.0),
    ("deadline 0.3 s", deadline(300), 4.0),
    (
        "cancel after 0.1 s",
        Patience::Cancel(Duration::from_millis(100)),
        4.0,
    ),
];

const fn deadline(millis: u64) -> Patience {
    Patience::Deadline(Duration::from_millis(millis))
}

pub(super) async fn run(bench: &Bench) -> Result<(), Failure> {
    for over in [Over::Http1, Over::Http2] {
        for (name, patience, seconds) in PATIENCES {
            for count in [5, 20, 200] {
                if is_wanted(bench, over, name, count) {
                    let name = format!("{count} on a hung meeting, {name}, {over}");
                    let span = bench.span(seconds, 0.7 * seconds);
                    let row = beside(bench, over, name, count, patience, span).await?;
                    bench.report.tell(&row);
                }
            }
        }
    }
    Ok(())
}

/// Over HTTP/2 few rows suffice, as the breaker is the same; quickly, two of all.
fn is_wanted(bench: &Bench, over: Over, name: &str, count: u32) -> bool {
    match (over, name, count) {
        (Over::Http1, "deadline 3 s", 20) | (Over::Http2, "cancel after 0.1 s", 200) => true,
        (Over::Http1, ..) | (Over::Http2, "deadline 3 s", 200) => !bench.quick,
        _ => false,
    }
}

async fn start(bench: &Bench, over: Over) -> Result<(StandIn, Facade), Failure> {
    let stand_in = StandIn::start(over).await?;
    let facade = bench.binary.start(&stand_in.flags())?;
    Ok((stand_in, facade))
}

/// Healthy calls through two façades, of which one has loopers.
async fn beside(
    bench: &Bench,
    over: Over,
    name: String,
    count: u32,
    patience: Patience,
    span: Duration,
) -> Result<Row, Failure> {
    let load = Load {
        at_once: BURST,
        ..Load::new("ok", PATIENCE, span / BURSTS)
    };
    let healthy = async |facade: &Facade| {
        let callers = facade.callers(CONNECTIONS, OTHER).await?;
        Ok::<_, Failure>(load.make(&callers, span).await)
    };
    // At the same time, or what else the machine does would make the difference.
    let (_quiet, alone) = start(bench, over).await?;
    let (stand_in, facade) = start(bench, over).await?;
    let hung = facade.callers(count, ONE).await?;
    let loops = looping(&hung, "hang", patience, LOOPER_PERIOD * count);
    let (alone, healthy) = tokio::try_join!(healthy(&alone), healthy(&facade))?;
    let loops = loops.stop().await;
    // A refusal is no fast answer.
    let p99 = |calls: &Calls| calls.only(|call| call.end == End::Ok).p99();
    let (p99_alone, p99) = (p99(&alone), p99(&healthy));
    Ok(Row::new(name)
        .require(
            "no healthy call fails",
            healthy.failed_of_all(),
            healthy.failed() == 0,
        )
        .require(
            format!("p99 at most 1.5 × {} of alone", millis(p99_alone)),
            millis(p99),
            p99 <= p99_alone.mul_f64(1.5),
        )
        .note("healthy", &healthy)
        .note("loopers", &loops)
        .note("upstream", stand_in.counts.describe()))
}
