//! Runs the scenarios of one benchmark, each within its time, and says whether what they require was met.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::timeout;

use crate::Failure;
use crate::pin::Cpus;
use crate::process;
use crate::report::Report;

/// What every scenario needs.
#[derive(Debug)]
pub struct Bench {
    pub report: Report,
    pub binary: PathBuf,
    pub cpus: Cpus,
}

/// A scenario: its name, the seconds that it may take, and what it does.
pub type Scenario = (&'static str, u64, Run);

type Run = for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// Runs scenarios over the release binary; a name that there is not has them listed
#[derive(Debug, Parser)]
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

/// Runs what the command line asks for; as a test of the program, the `trial` alone. The exit status is 1 when a
/// requirement was missed.
pub fn main(bench: &str, scenarios: &[Scenario], trial: &str) -> ExitCode {
    match run(Cli::parse(), bench, scenarios, trial) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut cli: Cli, own: &str, scenarios: &[Scenario], trial: &str) -> Result<bool, Failure> {
    if !cli.bench && cli.names.is_empty() {
        cli.names = vec![trial.to_owned()];
    }
    // `cargo bench NAME` passes the name of the benchmark, too.
    let wanted = |name: &str| {
        let meant = |given: &String| given == name || own.contains(given.as_str());
        cli.names.is_empty() || cli.names.iter().any(meant)
    };
    if !scenarios.iter().any(|(name, ..)| wanted(name)) {
        let names: Vec<_> = scenarios.iter().map(|(name, ..)| *name).collect();
        return Err(format!("the scenarios are {}", names.join(", ")).into());
    }
    process::raise_file_limit();
    let cpus = Cpus::split(cli.cpus)?;
    let bench = Bench {
        report: Report::start(&cpus.describe()),
        binary: cli.binary.clone(),
        cpus,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    for (name, limit, run) in scenarios.iter().filter(|(name, ..)| wanted(name)) {
        let limit = Duration::from_secs(*limit);
        let ended = runtime.block_on(async { timeout(limit, run(&bench)).await });
        if let Err(error) = ended.unwrap_or_else(|_| Err(format!("not over in {limit:?}").into())) {
            bench.report.broke(&format!("{name}: {error}"));
        }
    }
    // Calls that were left under way must not keep us.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(bench.report.end())
}
