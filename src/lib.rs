//! A gRPC façade over one REST call of Huawei Cloud Meeting: changing the settings of a meeting in
//! progress.
//!
//! # The way of a request
//!
//! To be written.

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
pub mod server;
pub mod service;
pub mod setting;
pub mod status;
pub mod telemetry;
pub mod upstream;
pub mod workers;
