//! An upstream that accepts connections, and completes TLS, but never answers.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Bench, require_health};
use crate::Failure;
use crate::caller::{Load, Patience};
use crate::calls::{Calls, End};
use crate::facade::ONE;
use crate::report::Row;
use crate::upstream::Dead;

/// The time between two calls of the same deadline.
const PERIOD: Duration = Duration::from_millis(200);

pub(super) async fn run(bench: &Bench) -> Result<(), Failure> {
    let plain = silence(bench, "connections are accepted, no more", false);
    let tls = silence(bench, "TLS is completed, no more", true);
    let (plain, tls) = tokio::try_join!(plain, tls)?;
    bench.report.tell(&plain);
    bench.report.tell(&tls);
    Ok(())
}

async fn silence(bench: &Bench, name: &str, tls: bool) -> Result<Row, Failure> {
    let dead = Dead::silent(tls).await?;
    let facade = bench.binary.start(&dead.flags())?;
    let callers = facade.callers(4, ONE).await?;
    let deadlines: &[f64] = if bench.quick {
        &[0.3, 1.0, 2.0]
    } else {
        &[0.3, 1.0, 3.0, 6.0]
    };
    let deadlines = deadlines.iter().copied().map(Duration::from_secs_f64);
    let span = bench.span(6.0, 3.0);
    let loads = deadlines.map(|deadline| {
        let (callers, patience) = (&callers, Patience::Deadline(deadline));
        async move {
            let load = Load::new("ok", patience, PERIOD);
            (deadline, load.make(callers, span).await)
        }
    });
    let (loads, samples) = facade.watched(join_all(loads)).await?;

    let all: Calls = loads
        .iter()
        .flat_map(|(_, calls)| calls.iter().cloned())
        .collect();
    let late = all.only(|call| !call.end.is_answer());
    let refused = all.only(|call| is_refused(&call.end));
    let row = Row::new(name)
        .require(
            "99 of 100 are answered by their deadline",
            format!("{} of {} not", late.len(), all.len()),
            late.len() * 100 <= all.len(),
        )
        .require(
            "none is refused but for permits",
            format!("{} of {} refused", refused.len(), all.len()),
            refused.len() == 0,
        );
    let mut row = require_health(row, &samples);
    for (deadline, calls) in &loads {
        row = row.note(&format!("deadline {deadline:?}"), calls);
    }
    Ok(row)
}

/// Whether the façade did not even try, although it had a place for the call.
fn is_refused(end: &End) -> bool {
    match end {
        End::Failed {
            code,
            reason,
            attempts,
        } => *attempts == 0 && *code != "DEADLINE_EXCEEDED" && reason != "OVERLOADED",
        _ => false,
    }
}
