//! The REST side: an [`UpdateCommand`] goes out as one `PUT`, and comes back accepted or as a typed
//! [`UpstreamError`].
//!
//! Makes no gRPC status, though its tables name the codes; only [`transport`] knows the HTTP client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use tower::retry::{Retry, RetryLayer};
use tower::{ServiceBuilder, ServiceExt as _};

use crate::call::Call;
use crate::command::UpdateCommand;
use crate::deadline::parse_limit;
use crate::telemetry::metrics;

mod attempt;
mod breaker;
mod budget;
mod connection;
mod envelope;
pub mod error;
pub mod error_code;
mod failure;
#[cfg(test)]
mod fixtures;
mod gate;
mod retry;
mod transport;
mod wait;
pub mod wire;

pub use error::UpstreamError;
pub use failure::causes;
pub use gate::Progress;
pub use transport::{SetupError, use_crypto};
pub use wire::{Accepted, BaseUrl};

use attempt::{Attempt, AttemptLayer};
use breaker::{Breaker, BreakerLayer};
use retry::RetryPolicy;
use transport::Transport;
use wire::{Endpoint, Put};

/// How the REST side is reached.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// PEM file with root certificates to trust beside the system's; read anew every five minutes
    #[arg(long, env = "MEETING_CONTROL_UPSTREAM_CA", value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// Allow an http:// upstream that is not on this machine; the control token then travels in clear
    #[arg(long, env = "MEETING_CONTROL_ALLOW_PLAINTEXT_UPSTREAM", value_parser = FalseyValueParser::new())]
    pub allow_plaintext_upstream: bool,

    /// Longest time for one attempt, from connecting to the last byte of the answer
    #[arg(long, env = "MEETING_CONTROL_ATTEMPT_TIMEOUT", value_name = "DURATION",
          default_value = "5s", value_parser = parse_limit)]
    pub attempt_timeout: Duration,

    /// Longest time for making a connection: name, TCP and TLS
    #[arg(long, env = "MEETING_CONTROL_CONNECT_TIMEOUT", value_name = "DURATION",
          default_value = "2s", value_parser = parse_limit)]
    pub connect_timeout: Duration,

    /// Most attempts after the first, for failures that can pass, up to 10; 0 turns retries off. A
    /// pooled connection that turns out to be closed is replaced once without counting
    #[arg(
        long,
        env = "MEETING_CONTROL_MAX_RETRIES",
        value_name = "NUMBER",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(..=10)
    )]
    pub max_retries: u32,
}

impl Settings {
    /// Finds out what can be wrong with the settings on their own.
    ///
    /// # Errors
    /// [`SetupError`] when the file with roots cannot be used.
    pub fn check(&self) -> Result<(), SetupError> {
        transport::check_roots(self)
    }
}

/// A client of the REST API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upstream {
    endpoint: Endpoint,
    stack: Stack,
}

type Stack = Retry<RetryPolicy, Breaker<Attempt<Transport>>>;

impl Upstream {
    /// Prepares a client of the API at `base` for calls from `threads` workers; nothing is sent yet.
    ///
    /// # Errors
    /// [`SetupError`] when the settings cannot work.
    pub fn new(
        base: &BaseUrl,
        settings: &Settings,
        metrics: &Arc<metrics::Upstream>,
        threads: usize,
    ) -> Result<Self, SetupError> {
        let stack = ServiceBuilder::new()
            // Outermost: all below happens once for each attempt.
            .layer(RetryLayer::new(RetryPolicy::new(
                settings.max_retries,
                Arc::clone(metrics),
            )))
            // Sees each attempt's end, its time limit included; when open, nothing is even counted.
            .layer(BreakerLayer::new(Arc::clone(metrics)))
            // Each attempt has a limit of its own, from connecting to the last byte of the answer.
            .layer(AttemptLayer::new(
                settings.attempt_timeout,
                Arc::clone(metrics),
            ))
            .service(Transport::new(base, settings, threads)?);
        Ok(Self {
            endpoint: base.endpoint(),
            stack,
        })
    }

    /// Changes the settings of a meeting on behalf of `call`, within the call's deadline.
    ///
    /// # Errors
    /// [`UpstreamError`]; what it means for the settings is then known to [`Call::outcome`].
    pub fn update(
        &self,
        call: &Arc<Call>,
        command: UpdateCommand,
    ) -> impl Future<Output = Result<Accepted, UpstreamError>> + use<> {
        let put = Put::new(&self.endpoint, call, command);
        self.stack.clone().oneshot(put)
    }
}
