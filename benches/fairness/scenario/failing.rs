//! An upstream that answers everything with 503.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Bench, millis};
use crate::Failure;
use crate::caller::{Load, Patience};
use crate::calls::{Ended, p99};
use crate::facade::ONE;
use crate::report::Row;
use crate::upstream::{Over, StandIn};

const PERIOD: Duration = Duration::from_millis(10);
const PATIENCE: Patience = Patience::Deadline(Duration::from_secs(5));
/// Retries beyond the fifth of all calls: what the budget holds at the start, and one a second.
const FLOOR: f64 = 10.0;
/// What a call may take beyond the pauses before its own retries.
const MAX_WAIT: Duration = Duration::from_millis(50);

pub(super) async fn run(bench: &Bench) -> Result<(), Failure> {
    let stand_in = StandIn::start(Over::Http1).await?;
    let facade = bench.binary.start(&stand_in.flags())?;
    let callers = facade.callers(4, ONE).await?;
    let span = bench.span(6.0, 2.0);
    let load = Load::new("down", PATIENCE, PERIOD);
    let calls = load.make(&callers, span).await;

    let puts = stand_in.counts.puts.load(Relaxed);
    let floor = FLOOR + span.as_secs_f64();
    let most = 1.2 * calls.len() as f64 + floor;
    let waited = p99(calls.iter().map(waited).collect());
    bench.report.tell(
        &Row::new("503 for everything")
            .require(
                format!("at most 1.2 PUTs a call, and {floor:.0} more"),
                format!("{puts} PUTs for {} calls", calls.len()),
                puts as f64 <= most,
            )
            .require(
                format!("p99 beyond own pauses at most {}", millis(MAX_WAIT)),
                millis(waited),
                waited <= MAX_WAIT,
            )
            .note("calls", &calls)
            .note("upstream", stand_in.counts.describe()),
    );
    Ok(())
}

/// What a call took beyond the longest pauses before its own retries: 100 ms, then 200 ms.
fn waited(call: &Ended) -> Duration {
    let retries = call.end.attempts().saturating_sub(1);
    let pauses = Duration::from_millis(100) * (2_u32.pow(retries.min(8)) - 1);
    call.took.saturating_sub(pauses)
}
