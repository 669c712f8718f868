//! Whether one peer, careless or hostile, takes memory, connections or a clean end from the others: the real binary
//! between raw HTTP/2 clients that do what no library would, and honest callers.
//!
//! `cargo bench --bench abuse` runs all scenarios on loopback and prints what is required beside what was
//! measured; `-- NAME…` runs some of them. A requirement that is missed makes the exit status 1.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark"
)]

#[path = "../tokens/callers.rs"]
#[expect(dead_code, reason = "no caller here has a password")]
mod callers;
#[path = "../tokens/issuer.rs"]
#[expect(dead_code, reason = "nobody here asks for the ledger")]
mod issuer;
#[path = "../kit/pin.rs"]
mod pin;
#[path = "../kit/process.rs"]
mod process;
mod raw;
#[path = "../fairness/report.rs"]
mod report;
#[path = "../kit/runner.rs"]
mod runner;
mod scenario;

use std::error::Error;
use std::process::ExitCode;

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    runner::main("abuse", &scenario::SCENARIOS, "connections")
}
