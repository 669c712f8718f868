//! A gRPC façade over one REST call of Huawei Cloud Meeting: changing the settings of a meeting in
//! progress.
//!
//! # The way of a request
//!
//! 1. [`server`] accepts it and gives it a record, its [`call`], which starts the [`deadline`].
//! 2. [`service`] is the RPC: it reads as a table of contents of all that follows.
//! 3. [`command`] checks request and metadata, with [`setting`] as the table of what can be changed.
//! 4. [`upstream`] sends it to the REST side as a `PUT` and understands the answer.
//! 5. [`status`] turns every failure into the gRPC status that a caller can act on.
//!
//! Around it: [`proto`] is the contract, [`cli`] the commands, [`accept`] takes connections in,
//! [`workers`] are the threads that serve them,
//! [`telemetry`] holds logs, metrics and traces, [`admin`] is the port for probes and metrics, [`client`]
//! what `update` and `health` do, [`codes`] the table of error codes, [`mod@print`] how they talk, and
//! [`sandbox`] a stand-in for the REST side.

pub mod accept;
pub mod admin;
pub mod call;
pub mod cli;
pub mod client;
pub mod codes;
pub mod command;
pub mod deadline;
pub mod print;
pub mod proto;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod setting;
pub mod status;
pub mod telemetry;
pub mod upstream;
pub mod workers;
