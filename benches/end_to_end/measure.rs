//! Measures a workload: rounds of fresh processes, and the median of each figure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::pin::Cpus;
use crate::process::{Process, START};
use crate::workload::{Pace, Workload};
use crate::{Failure, load, pki};

/// With fewer calls in flight, what each takes is lost in what the process takes anyway.
const ENOUGH_FOR_MEMORY: u64 = 300;

/// How everything is measured.
#[derive(Debug)]
pub struct Measurement {
    pub rounds: u32,
    /// Of each round, the time that counts.
    pub measured: Duration,
    pub cpus: Cpus,
    pub tls: bool,
    pub http1: bool,
    /// On one of the upstream's connections; none is its default.
    pub streams: Option<u32>,
    /// Without the façade.
    pub direct: bool,
}

/// What the table shows of one workload.
#[derive(Debug)]
pub struct Row {
    name: String,
    calls_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us_per_call: f64,
    /// Bytes.
    memory_peak: f64,
    /// Bytes, beyond what the façade held before the first call.
    memory_per_call: Option<f64>,
    /// What went wrong, and how often.
    pub failures: BTreeMap<String, u64>,
}

impl Measurement {
    /// What the table shows, in one line.
    pub fn title(&self) -> String {
        format!(
            "{}{}; medians of {} × {:?}",
            if self.direct {
                "no façade, load and upstream together".to_owned()
            } else {
                self.cpus.describe()
            },
            if self.tls { "; TLS on both sides" } else { "" },
            self.rounds,
            self.measured
        )
    }

    /// Measures one workload.
    pub fn of(&self, workload: &Workload) -> Result<Row, Failure> {
        let mut reports = Vec::new();
        for round in 1..=self.rounds {
            let report = self.round(workload)?;
            if self.rounds > 1 {
                let name = format!("  round {round} of {}", self.rounds);
                eprintln!("{}", Row::of(name, std::slice::from_ref(&report)));
            }
            reports.push(report);
        }
        Ok(Row::of(workload.to_string(), &reports))
    }

    /// One round, in processes of its own. Returns what the load reports.
    fn round(&self, workload: &Workload) -> Result<Value, Failure> {
        let folder = TempDir::new()?;
        let folder = folder.path();
        if self.tls {
            pki::make(folder)?;
        }
        let (upstream, address) = self.start_upstream(workload, folder)?;
        if self.direct {
            return self.load(workload, &upstream, &address, folder);
        }
        let (facade, target) = self.start_facade(workload, &address, folder)?;
        self.load(workload, &facade, &target, folder)
    }

    fn start_upstream(
        &self,
        workload: &Workload,
        folder: &Path,
    ) -> Result<(Process, String), Failure> {
        let mut arguments = vec!["upstream".to_owned(), duration("--delay", workload.delay)];
        if self.tls {
            arguments.push(path("--tls", folder));
        }
        if self.http1 {
            arguments.push("--http1".to_owned());
        }
        arguments.extend(self.streams.map(|most| format!("--streams={most}")));
        let upstream = self.start_role(&arguments)?;
        let address = upstream.line(START)?;
        Ok((upstream, address))
    }

    fn start_facade(
        &self,
        workload: &Workload,
        upstream: &str,
        folder: &Path,
    ) -> Result<(Process, String), Failure> {
        let scheme = if self.tls { "https" } else { "http" };
        let mut arguments = vec![format!("--upstream={scheme}://{upstream}")];
        // Otherwise the defaults hold.
        if workload.most_in_flight() > 1024 {
            // A call's place is free a moment after its answer has arrived.
            arguments.push(format!("--max-in-flight={}", 2 * workload.most_in_flight()));
        }
        if self.tls {
            arguments.extend([
                path("--upstream-ca", &folder.join(pki::ROOT)),
                path("--tls-cert", &folder.join(pki::SERVER)),
                path("--tls-key", &folder.join(pki::SERVER_KEY)),
                path("--tls-client-ca", &folder.join(pki::ROOT)),
            ]);
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_meeting-control"));
        let (facade, said) = Process::facade(binary, &arguments, &self.cpus)?;
        let address = said["listen"].as_str().unwrap_or_default();
        Ok((facade, address.to_owned()))
    }

    /// Starts another role of this binary, and reads what it prints.
    fn start_role(&self, arguments: &[String]) -> Result<Process, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdout(Stdio::piped());
        Process::start(&mut command, &self.cpus.others, &self.cpus)
    }

    fn load(
        &self,
        workload: &Workload,
        called: &Process,
        target: &str,
        folder: &Path,
    ) -> Result<Value, Failure> {
        let mut arguments = vec![
            "load".to_owned(),
            format!("--target={target}"),
            format!("--watch={}", called.child.id()),
            match workload.pace {
                Pace::InFlight(calls) => format!("--in-flight={calls}"),
                Pace::PerSecond(rate) => format!("--rate={rate}"),
            },
            format!("--connections={}", workload.connections),
            format!("--hot={}", workload.hot),
            duration("--warm-up", workload.warm_up()),
            duration("--measured", self.measured),
        ];
        if self.tls {
            arguments.push(path("--tls", folder));
        }
        if self.direct {
            arguments.push("--direct".to_owned());
        }
        let load = self.start_role(&arguments)?;
        let limit = START + workload.warm_up() + self.measured + load::PATIENCE;
        Ok(serde_json::from_str(&load.line(limit)?)?)
    }
}

impl Row {
    pub const HEAD: &str = "\
workload                                    calls/s    p50 ms    p99 ms  CPU µs/call  peak MB  kB/call in flight
----------------------------------------  ---------  --------  --------  -----------  -------  -----------------";

    fn of(name: String, reports: &[Value]) -> Self {
        let figure = |report: &Value, key| report[key].as_f64().unwrap_or_default();
        let all = |key| median(reports.iter().map(|report| figure(report, key)).collect());
        let per_call = |report: &Value| {
            let beyond = figure(report, "memory_peak") - figure(report, "memory_before");
            beyond / figure(report, "most_in_flight")
        };
        let enough = all("most_in_flight") >= ENOUGH_FOR_MEMORY as f64;
        let mut failures = BTreeMap::new();
        for (why, count) in reports
            .iter()
            .filter_map(|report| report["failures"].as_object())
            .flatten()
        {
            *failures.entry(why.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        Self {
            name,
            calls_per_second: all("calls_per_second"),
            p50_us: all("p50_us"),
            p99_us: all("p99_us"),
            cpu_us_per_call: all("cpu_us_per_call"),
            memory_peak: all("memory_peak"),
            memory_per_call: enough.then(|| median(reports.iter().map(per_call).collect())),
            failures,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:40}  {:9.0}  {:8.2}  {:8.2}  {:11.1}  {:7.1}  {:>17}",
            self.name,
            self.calls_per_second,
            self.p50_us / 1e3,
            self.p99_us / 1e3,
            self.cpu_us_per_call,
            self.memory_peak / 1e6,
            self.memory_per_call
                .map_or("–".to_owned(), |bytes| format!("{:.1}", bytes / 1e3)),
        )
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    if figures.len().is_multiple_of(2) {
        f64::midpoint(figures[half - 1], figures[half])
    } else {
        figures[half]
    }
}

fn path(flag: &str, path: &Path) -> String {
    format!("{flag}={}", path.display())
}

fn duration(flag: &str, length: Duration) -> String {
    format!("{flag}={}", humantime::format_duration(length))
}
