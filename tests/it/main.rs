//! The real server over real sockets, against the sandbox or an upstream that follows a script.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod kit;

mod abuse;
mod answers;
mod cancel;
mod client;
mod codes;
mod contract;
mod deadline;
mod errors;
mod fuzz;
mod happy;
mod layering;
mod lifecycle;
mod limits;
mod model;
mod mtls;
mod process;
mod retry;
mod sandbox;
mod secrets;
mod tokens;
mod tracing;
mod transport;
mod validation;
