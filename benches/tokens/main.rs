//! What obtaining tokens for passwords costs the callers and the upstream: the real binary between callers with
//! right and wrong passwords, and a stand-in that keeps a ledger of every token.
//!
//! `cargo bench --bench tokens` runs all scenarios on loopback and prints what is required beside what was
//! measured; `-- NAME…` runs some of them. A requirement that is missed makes the exit status 1.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark"
)]

#[expect(dead_code, reason = "no façade here is told to end")]
mod callers;
mod issuer;
#[path = "../kit/pin.rs"]
mod pin;
#[path = "../kit/process.rs"]
mod process;
#[path = "../fairness/report.rs"]
mod report;
mod scenario;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::timeout;

use pin::Cpus;
use report::Report;
use scenario::{Bench, SCENARIOS};

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// Shows what obtaining tokens for passwords costs
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench --bench tokens --", after_help = scenario::list())]
struct Cli {
    /// Scenarios to run, in place of all
    #[arg(value_name = "SCENARIO")]
    names: Vec<String>,

    /// The release binary to measure, in place of the one that was built with this program
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_meeting-control"))]
    binary: PathBuf,

    /// Processors for the façade; 0 pins nothing
    #[arg(long, default_value_t = 0)]
    cpus: usize,

    /// What `cargo bench` passes, and `cargo test --benches` does not
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match Cli::parse().run() {
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
            self.names = vec!["first".to_owned()];
        }
        let wanted = |name: &str| {
            let meant = |given: &String| given == name || "tokens".contains(given.as_str());
            self.names.is_empty() || self.names.iter().any(meant)
        };
        process::raise_file_limit();
        let cpus = Cpus::split(self.cpus)?;
        let bench = Bench {
            report: Report::start(&cpus.describe()),
            binary: self.binary.clone(),
            cpus,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        for (name, limit, run) in SCENARIOS.iter().filter(|(name, ..)| wanted(name)) {
            let limit = Duration::from_secs(*limit);
            let ended = runtime.block_on(async { timeout(limit, run(&bench)).await });
            if let Err(error) =
                ended.unwrap_or_else(|_| Err(format!("not over in {limit:?}").into()))
            {
                bench.report.broke(&format!("{name}: {error}"));
            }
        }
        // Calls that were left under way must not keep us.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(bench.report.end())
    }
}
