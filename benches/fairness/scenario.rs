//! The scenarios: who is in trouble, and what that may cost the others.

use std::fmt::{self, Display};
use std::time::Duration;

use crate::Failure;
use crate::facade::{Binary, Sample};
use crate::report::{Report, Row};

mod failing;
mod hung;
mod impatient;
mod share;
mod silent;
mod unreachable;

/// What every scenario needs.
#[derive(Debug)]
pub struct Bench {
    pub binary: Binary,
    pub quick: bool,
    pub report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Hung,
    Impatient,
    Refusing,
    Unanswering,
    Silent,
    Failing,
    Greedy,
    Proxy,
}

impl Scenario {
    const ALL: [(Self, &str); 8] = [
        (Self::Hung, "hung"),
        (Self::Impatient, "impatient"),
        (Self::Refusing, "refusing"),
        (Self::Unanswering, "unanswering"),
        (Self::Silent, "silent"),
        (Self::Failing, "failing"),
        (Self::Greedy, "greedy"),
        (Self::Proxy, "proxy"),
    ];

    /// Those of `names`; all, if there is none, or the benchmark itself is named.
    pub fn of(names: &[String]) -> Vec<Self> {
        let meant = |own: &str| {
            let meant = |name: &String| name == own || "fairness".contains(name.as_str());
            names.is_empty() || names.iter().any(meant)
        };
        let named = Self::ALL.iter().filter(|(_, name)| meant(name));
        named.map(|(scenario, _)| *scenario).collect()
    }

    /// How long it may take.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hung => 120,
            Self::Impatient => 80,
            _ => 30,
        })
    }

    /// Runs it, and tells each row as it comes.
    pub async fn run(self, bench: &Bench) -> Result<(), Failure> {
        match self {
            Self::Hung => hung::run(bench).await,
            Self::Impatient => impatient::run(bench).await,
            Self::Refusing => unreachable::refusing(bench).await,
            Self::Unanswering => unreachable::unanswering(bench).await,
            Self::Silent => silent::run(bench).await,
            Self::Failing => failing::run(bench).await,
            Self::Greedy => share::greedy(bench).await,
            Self::Proxy => share::proxy(bench).await,
        }
    }
}

impl Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = Self::ALL.iter().find(|(scenario, _)| scenario == self);
        f.write_str(own.map_or("", |(_, name)| name))
    }
}

/// "Scenarios: hung, …".
pub fn list() -> String {
    format!(
        "Scenarios: {}",
        Scenario::ALL.map(|(_, name)| name).join(", ")
    )
}

impl Bench {
    /// Seconds in full, or quickly.
    pub fn span(&self, full: f64, quick: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { quick } else { full })
    }
}

/// Adds that the façade was healthy, whatever the upstream was.
fn require_health(row: Row, samples: &[Sample]) -> Row {
    let serving = samples.iter().filter(|sample| sample.serving).count();
    row.require(
        "health SERVING throughout",
        format!("{serving} of {} times", samples.len()),
        serving == samples.len(),
    )
}

/// A time as the table shows it.
fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
