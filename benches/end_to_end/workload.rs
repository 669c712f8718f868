//! What is asked of the façade: how many calls at once or each second, over what.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use meeting_control::duration::parse_pause;

/// Client connections, where nothing else is asked for; and calls on each, if that makes more of them. The façade
/// takes 256 at once.
const CONNECTIONS: u32 = 8;
const CALLS: u32 = 250;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub pace: Pace,
    /// Client connections.
    pub connections: u32,
    /// More calls at once on one more connection, whose latency does not count.
    pub hot: u32,
    /// How long the stand-in takes to answer.
    pub delay: Duration,
}

/// When calls start.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many are always under way: each is followed by the next.
    InFlight(u32),
    /// So many start each second, whatever becomes of those before.
    PerSecond(u32),
}

/// Which workloads are measured; three typical ones if none is described.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Calls under way at once: each is followed by the next
    #[arg(long, value_name = "NUMBER", conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: Option<u32>,

    /// Calls that start each second; latency then counts from when a call should have started
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Client connections [default: 8, or one for each 250 calls in flight]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,

    /// More calls at once, all on one more connection; latency is that of the others
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    hot: u32,

    /// How long the upstream takes to answer, such as 200ms [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_pause)]
    upstream_delay: Option<Duration>,

    /// Vary one of the above
    #[arg(long, conflicts_with = "rate")]
    sweep: Option<Sweep>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sweep {
    /// 1 to 10000 calls in flight: at once up to 512, over an upstream that takes 1 s beyond
    InFlight,
    /// 4 to 1000 connections that share 1000 calls in flight, over an upstream that takes 200 ms
    Connections,
}

impl Workload {
    /// Enough to see that everything works.
    pub fn smoke() -> Self {
        Self {
            pace: Pace::InFlight(8),
            connections: 2,
            hot: 0,
            delay: Duration::ZERO,
        }
    }

    /// Time before anything is measured: connections open, pools fill, and as many calls are under way
    /// as there will be.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(1) + 2 * self.delay + Duration::from_micros(300) * self.most_in_flight()
    }

    /// The most calls under way at once that can be foreseen.
    pub fn most_in_flight(&self) -> u32 {
        let steady = match self.pace {
            Pace::InFlight(calls) => calls,
            Pace::PerSecond(rate) => (f64::from(rate) * self.delay.as_secs_f64()) as u32,
        };
        steady + self.hot
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pace {
            Pace::InFlight(calls) => write!(f, "{calls} in flight")?,
            Pace::PerSecond(rate) => write!(f, "{rate}/s")?,
        }
        if !self.delay.is_zero() {
            write!(f, " over {}", humantime::format_duration(self.delay))?;
        }
        let s = if self.connections == 1 { "" } else { "s" };
        write!(f, ", {} connection{s}", self.connections)?;
        if self.hot > 0 {
            write!(f, ", {} on one more", self.hot)?;
        }
        Ok(())
    }
}

impl Options {
    /// Whether the command line describes a workload.
    pub fn is_given(&self) -> bool {
        self.in_flight.is_some() || self.rate.is_some() || self.sweep.is_some()
    }

    /// The workloads to measure, in order.
    pub fn list(&self) -> Vec<Workload> {
        match (self.sweep, self.in_flight, self.rate) {
            (Some(Sweep::InFlight), ..) => [1, 8, 64, 128, 512]
                .map(|calls| self.workload(Pace::InFlight(calls), Duration::ZERO))
                .into_iter()
                .chain(
                    [512, 2048, 10_000]
                        .map(|calls| self.workload(Pace::InFlight(calls), Duration::from_secs(1))),
                )
                .collect(),
            (Some(Sweep::Connections), calls, _) => [4, 10, 100, 1000]
                .map(|connections| Workload {
                    connections,
                    ..self.workload(
                        Pace::InFlight(calls.unwrap_or(1000)),
                        Duration::from_millis(200),
                    )
                })
                .into(),
            (None, Some(calls), _) => {
                vec![self.workload(Pace::InFlight(calls), Duration::ZERO)]
            }
            (None, None, Some(rate)) => {
                vec![self.workload(Pace::PerSecond(rate), Duration::ZERO)]
            }
            (None, None, None) => vec![
                self.workload(Pace::InFlight(128), Duration::ZERO),
                self.workload(Pace::PerSecond(2000), Duration::from_millis(200)),
                self.workload(Pace::InFlight(5000), Duration::from_secs(1)),
            ],
        }
    }

    /// A workload with what the command line says, and `delay` if it does not.
    fn workload(&self, pace: Pace, delay: Duration) -> Workload {
        let workload = Workload {
            pace,
            connections: CONNECTIONS,
            hot: self.hot,
            delay: self.upstream_delay.unwrap_or(delay),
        };
        let needed = (workload.most_in_flight() - self.hot).div_ceil(CALLS);
        Workload {
            connections: self.connections.unwrap_or(CONNECTIONS.max(needed)),
            ..workload
        }
    }
}
