//! The upstream: a command goes out as one REST call, and comes back as a success or a typed
//! [`UpstreamError`].
//!
//! [`Upstream::make`] is the story of any such call. Makes no gRPC status, though its tables name the codes.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::sleep;

use crate::call::Call;
use crate::command::UpdateCommand;

pub mod answer;
pub(crate) mod attempt;
pub(crate) mod breaker;
pub(crate) mod envelope;
pub mod error;
pub mod error_code;
pub(crate) mod gate;
mod metrics;
pub(crate) mod retry;
mod settings;
pub(crate) mod transport;
pub(crate) mod wait;
pub mod wire;

pub use answer::Accepted;
pub use error::UpstreamError;
pub use gate::Progress;
pub use settings::UpstreamSettings;
pub use transport::{Renewal, SetupError, check_roots};
pub use wire::BaseUrl;

use attempt::{Attempt, Limit};
use breaker::Breaker;
use metrics::Metrics;
use retry::{Budget, Next, Retries, RetryReason};
use transport::Transport;
use wire::{Endpoint, Read, RestCall, UPDATE_PATH};

/// A client of the REST API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upstream {
    transport: Transport,
    shared: Arc<Shared>,
}

/// What all clients of one upstream share, whichever thread they are on.
#[derive(Debug)]
struct Shared {
    update: Endpoint,
    attempt_timeout: Duration,
    max_retries: u32,
    breaker: Arc<Breaker>,
    budget: Budget,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// Prepares a client of the API at `base`; nothing is sent yet. [`Renewal::run`] keeps it fresh.
    ///
    /// # Errors
    /// [`SetupError`] when the settings cannot work.
    pub fn new(
        base: &BaseUrl,
        settings: &UpstreamSettings,
        registry: &mut Registry,
    ) -> Result<(Self, Renewal), SetupError> {
        let metrics = Arc::new(Metrics::register(registry));
        let breaker = Arc::new(Breaker::new(!settings.unguarded, Arc::clone(&metrics)));
        let (transport, renewal) = Transport::new(base, settings, Arc::clone(&breaker))?;
        let upstream = Self {
            transport,
            shared: Arc::new(Shared {
                update: base.endpoint(UPDATE_PATH),
                attempt_timeout: settings.attempt_timeout,
                max_retries: settings.max_retries,
                breaker,
                budget: Budget::new(settings.unguarded),
                metrics,
            }),
        };
        Ok((upstream, renewal))
    }

    /// A client for another thread: with connections of its own, as each serves its own thread best, and
    /// one judgement of the upstream for all.
    ///
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub fn for_thread(&self) -> Result<Self, SetupError> {
        Ok(Self {
            transport: self.transport.for_thread()?,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Changes the settings of a meeting on behalf of `call`, within the call's deadline.
    ///
    /// # Errors
    /// [`UpstreamError`]; what it means for the settings is then known to [`Call::outcome`].
    pub fn update(
        &self,
        call: &Call,
        command: UpdateCommand,
    ) -> impl Future<Output = Result<Accepted, UpstreamError>> {
        // Made here, so that no command is kept in memory while the upstream is waited for.
        let put = RestCall::update(&self.shared.update, command);
        async move { self.make(call, &put).await }
    }

    /// A REST call, from its first attempt to its end: admitted by the breaker, attempted within its limit,
    /// settled, paused, and made again for as long as that can help.
    async fn make<R: Read>(
        &self,
        call: &Call,
        rest: &RestCall<R>,
    ) -> Result<R::Success, UpstreamError> {
        let Shared {
            breaker,
            budget,
            metrics,
            ..
        } = &*self.shared;
        let mut retries = Retries::new(self.shared.max_retries, rest.idempotent);
        let mut previous = None;
        loop {
            let limit = Limit::new(self.shared.attempt_timeout, &call.deadline);
            let admitted = limit.and_then(|limit| match breaker.admit() {
                Ok(()) => Ok(limit),
                Err(wait) => Err(UpstreamError::KnownDown(wait)),
            });
            let limit = match admitted {
                Ok(limit) => limit,
                // The failure before says more than that no other attempt was made.
                Err(error) => return Err(previous.unwrap_or(error)),
            };
            match &previous {
                // A call that never reaches the upstream must not pay for others to do so.
                None => budget.deposit(),
                Some(failure) => metrics.retry(RetryReason::of(failure)),
            }
            let attempt = Attempt::start(call, rest, metrics);
            let (result, took) = attempt.run(rest, &self.transport, limit).await;
            let failure = match result {
                Ok(success) => return Ok(success),
                Err(failure) => failure,
            };
            match retries.next(&failure, took, call.deadline.remaining(), budget) {
                Next::Again(pause) if pause.is_zero() => {}
                Next::Again(pause) => sleep(pause).await,
                Next::GiveUp => return Err(failure),
                Next::BudgetSpent => {
                    metrics.budget_spent.inc();
                    return Err(failure);
                }
            }
            previous = Some(failure);
        }
    }
}
