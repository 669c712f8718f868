//! Whether anybody pays for somebody else: the real binary between healthy callers, callers in trouble,
//! and stand-ins for the REST API that misbehave.
//!
//! `cargo bench --bench fairness` runs all scenarios on loopback and prints what is required beside what
//! was measured; `-- NAME…` runs some of them. A requirement that is missed makes the exit status 1.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod caller;
mod calls;
mod facade;
#[path = "../kit/pin.rs"]
mod pin;
#[path = "../kit/pki.rs"]
#[expect(dead_code, reason = "no caller here has a certificate")]
mod pki;
#[path = "../kit/process.rs"]
mod process;
mod report;
mod scenario;
mod upstream;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::timeout;

use facade::Binary;
use pin::Cpus;
use report::Report;
use scenario::{Bench, Scenario};

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// Shows that nobody pays for somebody else
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench fairness --", after_help = scenario::list())]
struct Cli {
    /// Scenarios to run, in place of all
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,

    /// The release binary to measure, in place of the one that was built with this program
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_meeting-control"))]
    binary: PathBuf,

    /// Fewer variants and less time for each: under a minute in all
    #[arg(long)]
    quick: bool,

    /// Processors for the façade; 0 pins nothing
    #[arg(long, default_value_t = 0)]
    cpus: usize,

    /// What `cargo bench` passes, and `cargo test --benches` does not
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let result = Cli::parse().run();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Runs what the command line asks for. Returns whether every requirement was met.
    fn run(mut self) -> Result<bool, Failure> {
        if !self.bench && self.names.is_empty() {
            // A test that the program works, no measurement.
            (self.quick, self.names) = (true, vec![Scenario::Proxy.to_string()]);
        }
        let scenarios = Scenario::of(&self.names);
        if scenarios.is_empty() {
            // `cargo bench NAME` passes the name to every benchmark, so it may be another's.
            eprintln!(
                "fairness has no scenario of that name; {}",
                scenario::list()
            );
            return Ok(true);
        }
        process::raise_file_limit();
        let cpus = Cpus::split(self.cpus)?;
        let bench = Bench {
            quick: self.quick,
            report: Report::start(&cpus.describe()),
            binary: Binary::new(self.binary, cpus)?,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        for scenario in scenarios {
            let limit = bench.span(scenario.limit().as_secs_f64(), 25.0);
            let run = runtime.block_on(async { timeout(limit, scenario.run(&bench)).await });
            if let Err(error) = run.unwrap_or_else(|_| Err(format!("not over in {limit:?}").into()))
            {
                bench.report.broke(&format!("{scenario}: {error}"));
            }
        }
        // Calls that were left under way must not keep us.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(bench.report.end())
    }
}
