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
#[path = "../kit/runner.rs"]
mod runner;
mod scenario;

use std::error::Error;
use std::process::ExitCode;

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    runner::main("tokens", &scenario::SCENARIOS, "first")
}
