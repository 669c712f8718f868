//! What became of calls: by gRPC code and reason, and how long they took.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Display};
use std::time::Duration;

use meeting_control::names;
use tokio::time::Instant;
use tonic::Status;
use tonic_types::StatusExt as _;

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub started: Instant,
    pub took: Duration,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Ok,
    /// With a status of the façade's: the name of its code, the reason, and how often the change was sent.
    Failed {
        code: &'static str,
        reason: String,
        attempts: u32,
    },
    /// With a status of the client library's own, and what is behind it.
    Broken {
        code: &'static str,
        cause: String,
    },
    /// The caller cancelled it.
    Cancelled,
    /// The caller stopped waiting, well after its deadline.
    Unanswered,
}

/// Calls that have ended.
#[derive(Debug, Clone, Default)]
pub struct Calls(Vec<Ended>);

impl End {
    pub fn of(status: &Status) -> Self {
        let code = names::code(status.code());
        let Some(info) = status.get_details_error_info() else {
            let mut cause: &dyn Error = status;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            let cause = cause.to_string();
            return Self::Broken { code, cause };
        };
        let attempts = info.metadata.get("attempts");
        Self::Failed {
            code,
            reason: info.reason,
            attempts: attempts
                .and_then(|number| number.parse().ok())
                .unwrap_or_default(),
        }
    }

    /// Whether the façade answered.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Ok | Self::Failed { .. })
    }

    pub fn has_reason(&self, wanted: &str) -> bool {
        matches!(self, Self::Failed { reason, .. } if reason == wanted)
    }

    /// How often the change was sent, where the answer tells.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Failed { attempts, .. } => *attempts,
            _ => 0,
        }
    }
}

impl Calls {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.0.iter()
    }

    pub fn push(&mut self, ended: Ended) {
        self.0.push(ended);
    }

    /// Those that `wanted` holds for.
    pub fn only(&self, wanted: impl Fn(&Ended) -> bool) -> Self {
        self.iter().filter(|ended| wanted(ended)).cloned().collect()
    }

    /// How many were not OK.
    pub fn failed(&self) -> usize {
        self.only(|ended| ended.end != End::Ok).len()
    }

    /// "12 of 1000 failed".
    pub fn failed_of_all(&self) -> String {
        format!("{} of {} failed", self.failed(), self.len())
    }

    /// See [`p99`].
    pub fn p99(&self) -> Duration {
        p99(self.iter().map(|ended| ended.took).collect())
    }
}

impl FromIterator<Ended> for Calls {
    fn from_iter<T: IntoIterator<Item = Ended>>(ended: T) -> Self {
        Self(ended.into_iter().collect())
    }
}

/// The time that 99 of 100 stay below, in all but one of five parts: a single hiccup of the machine does not
/// decide. Nothing, if there are no times.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    let part = times.len().div_ceil(5).max(1);
    let mut parts: Vec<Duration> = times
        .chunks_mut(part)
        .map(|part| quantile(part, 99))
        .collect();
    quantile(&mut parts, 80)
}

/// The time that so many of 100 stay below.
fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// How many ended in which way.
impl Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ends = BTreeMap::<String, usize>::new();
        for ended in self.iter() {
            *ends.entry(ended.end.to_string()).or_default() += 1;
        }
        let ends = ends.iter().map(|(end, count)| format!("{count} {end}"));
        f.write_str(&ends.collect::<Vec<_>>().join(", "))
    }
}

impl Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Failed { code, reason, .. } => write!(f, "{code} {reason}"),
            Self::Broken { code, cause } => write!(f, "{code} by the client ({cause})"),
            Self::Cancelled => f.write_str("cancelled by the caller"),
            Self::Unanswered => f.write_str("without an answer"),
        }
    }
}
