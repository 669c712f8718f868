//! What a call costs, end to end: the real binary between a gRPC load and a stand-in for the REST API.
//!
//! `cargo bench --bench end_to_end` starts all three, each in a process of its own and on loopback, and
//! prints a table. Each round has fresh processes; the figures are medians over the rounds. A call whose
//! gRPC status is not OK is shown, and makes the exit status 1.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod call;
mod load;
mod measure;
#[path = "../kit/pin.rs"]
mod pin;
#[path = "../kit/pki.rs"]
mod pki;
#[path = "../kit/process.rs"]
mod process;
mod tally;
mod timer;
mod upstream;
mod watch;
mod workload;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::{Signal, set_parent_process_death_signal};

use measure::Measurement;
use pin::Cpus;
use workload::Workload;

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// Measures what a call costs, end to end
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo bench --bench end_to_end --",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,

    #[command(flatten)]
    workload: workload::Options,

    /// Seconds that are measured in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Rounds; the table shows the medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Processors for the façade; load and stand-in have the others, if there are any. 0 pins nothing
    #[arg(long, default_value_t = 1)]
    cpus: usize,

    /// TLS at the upstream, and mTLS at the caller's side
    #[arg(long)]
    tls: bool,

    /// The upstream offers HTTP/1.1 alone, even with TLS
    #[arg(long)]
    http1: bool,

    /// Most calls at once on one of the upstream's HTTP/2 connections [default: 128, with --direct any]
    #[arg(long)]
    streams: Option<u32>,

    /// Call the upstream without the façade between, over HTTP/2, to see what it adds; the last three
    /// columns are of the stand-in then
    #[arg(long, conflicts_with_all = ["tls", "http1"])]
    direct: bool,

    /// What `cargo bench` passes, and `cargo test --benches` does not
    #[arg(long, hide = true)]
    bench: bool,

    /// What `cargo bench NAME` passes to every benchmark: those of another name have nothing to do
    #[arg(hide = true)]
    name: Option<String>,
}

/// What this binary is in the processes that it starts.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum Role {
    /// Make gRPC calls, and print one line of JSON
    #[command(hide = true)]
    Load(load::Options),
    /// Stand in for the REST API; the first line printed is the address
    #[command(hide = true)]
    Upstream(upstream::Options),
    /// Make certificates for both sides
    #[command(hide = true)]
    Certificates {
        /// Where they go
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.role {
        None => cli.measure(),
        Some(Role::Certificates { folder }) => pki::make(&folder).map(|()| true),
        Some(role) => {
            // Whoever started this process may end without a word.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            // Ten thousand calls in flight over HTTP/1.1 are as many connections.
            process::raise_file_limit();
            run(role)
        }
    };
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
    /// Measures what the command line asks for. Returns whether every call was OK.
    fn measure(mut self) -> Result<bool, Failure> {
        if self.name.is_some_and(|name| !"end_to_end".contains(&name)) {
            return Ok(true);
        }
        let workloads = if self.bench || self.workload.is_given() {
            self.workload.list()
        } else {
            // A test that the benchmark works, no measurement.
            (self.seconds, self.rounds) = (0.2, 1);
            vec![Workload::smoke()]
        };
        let measurement = Measurement {
            rounds: self.rounds,
            measured: Duration::try_from_secs_f64(self.seconds)?,
            cpus: Cpus::split(self.cpus)?,
            tls: self.tls,
            http1: self.http1,
            // The load itself makes no more connections than it is told to.
            streams: self.streams.or(self.direct.then_some(u32::MAX >> 1)),
            direct: self.direct,
        };
        println!("{}", measurement.title());
        println!("{}", measure::Row::HEAD);
        let mut all_ok = true;
        for workload in &workloads {
            let row = measurement.of(workload)?;
            println!("{row}");
            for (failure, count) in &row.failures {
                println!("    {count} calls failed: {failure}");
                all_ok = false;
            }
        }
        Ok(all_ok)
    }
}

/// Runs one side of the measurement in this process, on one thread.
fn run(role: Role) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match role {
            Role::Load(options) => {
                let local = tokio::task::LocalSet::new();
                let report = local.run_until(load::run(options)).await?;
                println!("{report}");
            }
            Role::Upstream(options) => upstream::serve(options).await?,
            Role::Certificates { folder } => pki::make(&folder)?,
        }
        Ok(true)
    })
}
