//! A caller in a hurry and a patient one, over an upstream that takes a second.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::Bench;
use crate::Failure;
use crate::caller::{Load, Patience};
use crate::facade::{ONE, OTHER};
use crate::report::Row;
use crate::upstream::{Over, StandIn};

const HURRIES: [(&str, Patience); 2] = [
    (
        "deadline 0.3 s",
        Patience::Deadline(Duration::from_millis(300)),
    ),
    (
        "cancel after 0.1 s",
        Patience::Cancel(Duration::from_millis(100)),
    ),
];
const PATIENT: Patience = Patience::Deadline(Duration::from_secs(5));
/// The time between two calls of the patient caller; out of step with anything that happens each second.
const PATIENT_PERIOD: Duration = Duration::from_millis(1700);
/// How long the other has been calling before.
const AHEAD: Duration = Duration::from_secs(3);

pub(super) async fn run(bench: &Bench) -> Result<(), Failure> {
    for over in [Over::Http1, Over::StrictHttp2] {
        let rates: &[u32] = if bench.quick { &[500] } else { &[20, 500] };
        let variants = HURRIES
            .iter()
            .flat_map(|hurry| rates.iter().map(move |rate| (hurry, *rate)));
        // No time is measured, so they need not wait for each other.
        let rows = variants.map(|((name, hurry), rate)| {
            let name = format!("{rate}/s in a hurry, {name}, {over}");
            beside(bench, over, name, rate, *hurry)
        });
        for row in try_join_all(rows).await? {
            bench.report.tell(&row);
        }
    }
    Ok(())
}

async fn beside(
    bench: &Bench,
    over: Over,
    name: String,
    rate: u32,
    hurry: Patience,
) -> Result<Row, Failure> {
    let stand_in = StandIn::start(over).await?;
    let facade = bench.binary.start(&stand_in.flags())?;
    let (a, b) = (
        facade.callers(1, ONE).await?,
        facade.callers(1, OTHER).await?,
    );
    let span = bench.span(20.0, 4.0);
    let (hurried, patient) = tokio::join!(
        Load::new("slow", hurry, Duration::from_secs(1) / rate).make(&a, AHEAD + span),
        async {
            tokio::time::sleep(AHEAD).await;
            let load = Load::new("slow", PATIENT, PATIENT_PERIOD);
            load.make(&b, span).await
        }
    );
    Ok(Row::new(name)
        .require(
            "no call of the patient caller fails",
            patient.failed_of_all(),
            patient.failed() == 0,
        )
        .note("patient", &patient)
        .note("impatient", &hurried)
        .note("upstream", stand_in.counts.describe()))
}
