//! How the upstream is reached: how many connections a burst makes, what a dead address costs, and what becomes of
//! calls whose connections have no room or have been closed. The real binary over a stand-in with TLS.
//!
//! `cargo bench --bench reach` runs all scenarios on loopback and prints what is required beside what was
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
#[path = "../kit/pin.rs"]
mod pin;
#[path = "../kit/pki.rs"]
#[expect(dead_code, reason = "callers come without TLS")]
mod pki;
#[path = "../kit/process.rs"]
mod process;
#[path = "../fairness/report.rs"]
mod report;
#[path = "../kit/runner.rs"]
mod runner;
mod scenario;
mod stand_in;

use std::error::Error;
use std::process::ExitCode;

/// Whatever goes wrong, as a sentence for the person who runs the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    runner::main("reach", &scenario::SCENARIOS, "dead")
}
