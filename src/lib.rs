//! A gRPC façade over one REST call of Huawei Cloud Meeting: changing the settings of a meeting in
//! progress.
//!
//! # The way of a request
//!
//! The rooms, which are the modules, in the order in which a request meets them.
//!
//! 1. [`facade`] composes all that follows from settings; [`cli`] has the commands that run it.
//! 2. [`accept`] takes a connection in, [`workers`] hand it to a thread, and [`server`] serves it there.
//! 3. [`server::tls`] and [`server::admission`] find out who calls and whether it may;
//!    [`server::connection`] speaks HTTP/2, within bounds, until the connection is old or the process drains.
//! 4. [`server::layers`] says which service a request is for, and what lies around it: its
//!    [record](server::record), which is a [`call`] with a [`deadline`], its [rescue](server::rescue), and a
//!    [permit](server::permits), which the connection's [streams](server::streams) hold until the answer is taken.
//! 5. [`service`] is the RPC, a table of contents of the rest.
//! 6. [`command`] checks request and metadata, by the table in [`setting`], and leaves a change that can be
//!    sent, or every violation at once.
//! 7. [`upstream::wire`] writes it as a REST call, and [`upstream`] tells that call's story: given a
//!    [token](upstream::tokens) where the caller has a password, admitted by the
//!    [breaker](upstream::breaker), made in [attempts](upstream::attempt) over the
//!    [HTTP client](upstream::transport), whose [gate](upstream::gate) knows whether the request has left.
//! 8. [`upstream::answer`] reads what comes back, by the table in [`upstream::error_code`]; what did not work
//!    is an [`upstream::error`], and [`upstream::retry`] decides whether another attempt follows.
//! 9. [`status`] makes a verdict of every failure: a gRPC status for the caller and, when the record of the
//!    call is closed, a line for the operator.
//!
//! Beside the way: [`telemetry`] holds logs, metrics and traces, [`secret`] keeps tokens and passwords out of
//! everything else, [`health`] knows whether calls should come, [`admin`] is the port for probes and metrics,
//! [`client`] is what `update` and `health` do, [`codes`] explains error codes, and [`sandbox`] stands in for the
//! upstream. [`proto`] is the contract, [`names`] what it and the upstream call things.
//!
//! # Layers
//!
//! Users stand above what they use.
//!
//! - [`cli`]
//! - [`client`], [`codes`], [`sandbox`]
//! - [`facade`]
//! - [`server`], [`admin`]
//! - [`service`], [`health`], [`workers`], [`accept`]
//! - [`status`]
//! - [`upstream`]
//! - [`call`], [`command`]
//! - [`setting`], [`deadline`], [`telemetry`], [`secret`]
//! - [`causes`], [`duration`], [`mod@print`], [`proto`], [`names`]
//!
//! # Pure rooms
//!
//! They do no I/O, and no clock is read but tokio's, by [`deadline`].
//!
//! - [`command`], [`setting`], [`deadline`], [`duration`], [`names`]
//! - [`upstream::address`], [`upstream::egress`], [`upstream::pass`], [`upstream::wire`], [`upstream::answer`],
//!   [`upstream::envelope`], [`upstream::wait`], [`upstream::error`], [`upstream::refusal`],
//!   [`upstream::error_code`], [`upstream::retry`], [`upstream::breaker::state`]

pub mod accept;
pub mod admin;
pub mod call;
pub mod causes;
pub mod cli;
pub mod client;
pub mod codes;
pub mod command;
pub mod deadline;
pub mod duration;
pub mod facade;
pub mod health;
pub mod names;
pub mod print;
pub mod proto;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod service;
pub mod setting;
pub mod status;
pub mod telemetry;
pub mod upstream;
pub mod workers;
