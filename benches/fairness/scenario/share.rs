//! Callers that share the places: one that wants far too many, and two that want most of them together.

use std::time::Duration;

use tokio::time::sleep;

use super::Bench;
use crate::Failure;
use crate::caller::{Load, Patience, looping};
use crate::facade::{Facade, ONE, OTHER};
use crate::report::Row;
use crate::upstream::{Over, StandIn};

/// Calls under way at once that the façade allows.
const PLACES: u32 = 64;
const PATIENCE: Patience = Patience::Deadline(Duration::from_secs(5));
/// Connections of one caller.
const CONNECTIONS: u32 = 8;

/// One caller wants ten times all places; another makes 50 short calls each second.
pub(super) async fn greedy(bench: &Bench) -> Result<(), Failure> {
    let (stand_in, facade) = start(bench).await?;
    let greedy = facade.callers(CONNECTIONS, ONE).await?;
    let greedy: Vec<_> = greedy
        .iter()
        .cycle()
        .take(10 * PLACES as usize)
        .cloned()
        .collect();
    // Where it is refused, it asks again rather soon.
    let loops = looping(&greedy, "slow", PATIENCE, Duration::from_millis(250));
    let modest = facade.callers(1, OTHER).await?;
    // All places are to be wanted by then.
    sleep(Duration::from_millis(500)).await;
    let load = Load::new("ok", PATIENCE, Duration::from_millis(20));
    let modest = load.make(&modest, bench.span(6.0, 2.0)).await;
    let greedy = loops.stop().await;
    let refused = modest.only(|call| call.end.has_reason("OVERLOADED"));
    bench.report.tell(
        &Row::new("one caller wants ten times all places")
            .require(
                "no call of the other is refused",
                format!("{} of {} refused", refused.len(), modest.len()),
                refused.len() == 0,
            )
            .require("none fails", modest.failed_of_all(), modest.failed() == 0)
            .note("greedy", &greedy)
            .note("modest", &modest)
            .note("upstream", stand_in.counts.describe()),
    );
    Ok(())
}

/// Two callers come from one address, and take three quarters of the places between them.
pub(super) async fn proxy(bench: &Bench) -> Result<(), Failure> {
    let (_stand_in, facade) = start(bench).await?;
    let mut both = Vec::new();
    for _ in 0..2 {
        let caller = facade.callers(1, ONE).await?;
        let calls = caller.iter().cycle().take(PLACES as usize * 3 / 8);
        let calls: Vec<_> = calls.cloned().collect();
        // A place is free a moment after its answer has arrived.
        both.push(looping(
            &calls,
            "slow",
            PATIENCE,
            Duration::from_millis(1050),
        ));
    }
    sleep(bench.span(6.0, 2.5)).await;
    let mut row = Row::new("two callers of one address, 3/4 of the places");
    for (name, loops) in ["one", "other"].into_iter().zip(both) {
        let calls = loops.stop().await;
        row = row
            .require(
                format!("no call of the {name} fails"),
                calls.failed_of_all(),
                calls.failed() == 0 && calls.len() > 0,
            )
            .note(name, &calls);
    }
    bench.report.tell(&row);
    Ok(())
}

async fn start(bench: &Bench) -> Result<(StandIn, Facade), Failure> {
    let stand_in = StandIn::start(Over::Http1).await?;
    let mut flags = stand_in.flags();
    flags.push(format!("--max-in-flight={PLACES}"));
    flags.extend(bench.binary.flag("--max-in-flight-per-caller", PLACES / 2));
    let facade = bench.binary.start(&flags)?;
    Ok((stand_in, facade))
}
