//! The upstream: a command goes out as one REST call, and comes back as a success or a typed
//! [`UpstreamError`]. Where the caller has a password, another call obtains the token for it.
//!
//! [`Upstream::make`] is the story of any such call. Makes no gRPC status, though its tables name the codes.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::sleep;

use crate::call::Call;
use crate::command::UpdateCommand;
use crate::secret::Password;

pub mod address;
pub mod answer;
pub(crate) mod attempt;
pub(crate) mod breaker;
pub mod egress;
pub(crate) mod envelope;
pub mod error;
pub mod error_code;
pub(crate) mod gate;
mod metrics;
pub mod pass;
pub mod refusal;
pub(crate) mod retry;
mod settings;
pub(crate) mod tokens;
pub(crate) mod transport;
pub(crate) mod wait;
pub mod wire;

pub use address::BaseUrl;
pub use answer::Accepted;
pub use error::UpstreamError;
pub use gate::Progress;
pub use settings::UpstreamSettings;
pub use transport::{Renewal, SetupError, check_roots};

use address::Endpoint;
use attempt::{Attempt, Limit};
use breaker::Breaker;
use metrics::Metrics;
use pass::{Authority, Pass};
use retry::{Budget, Next, Retries};
use tokens::{Effort, Fetch, Kept, Tokens, Want};
use transport::Transport;
use wire::{Read, RestCall, TOKEN_PATH, UPDATE_PATH};

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
    issue: Endpoint,
    token_timeout: Duration,
    tokens: Tokens,
    attempt_timeout: Duration,
    max_retries: u32,
    breaker: Arc<Breaker>,
    budget: Budget,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// Prepares a client of the API at `base`, whose calls take no longer than `timeout`; nothing is sent yet.
    /// [`Renewal::run`] and [`Upstream::sweep`] keep it fresh.
    ///
    /// # Errors
    /// [`SetupError`] when the settings cannot work.
    pub fn new(
        base: &BaseUrl,
        settings: &UpstreamSettings,
        timeout: Duration,
        registry: &mut Registry,
    ) -> Result<(Self, Renewal), SetupError> {
        let metrics = Arc::new(Metrics::register(registry));
        let breaker = Arc::new(Breaker::new(!settings.unguarded, Arc::clone(&metrics)));
        let (transport, renewal) = Transport::new(base, settings, Arc::clone(&breaker))?;
        let max = settings.max_tokens.into();
        let tokens = Tokens::new(max, !settings.unguarded, Arc::clone(&metrics));
        let upstream = Self {
            transport,
            shared: Arc::new(Shared {
                update: base.endpoint(UPDATE_PATH),
                issue: base.endpoint(TOKEN_PATH),
                token_timeout: timeout,
                tokens: tokens.map_err(|_| SetupError::NoRandomNumbers)?,
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
        let UpdateCommand {
            conference_id,
            settings,
            credential,
        } = command;
        let put = RestCall::update(&self.shared.update, &conference_id, &settings);
        let authority = Authority::of(credential, conference_id);
        let retries = self.shared.max_retries;
        async move {
            let (accepted, _took) = self.make(call, &put, &authority, retries).await?;
            Ok(accepted)
        }
    }

    /// Works until it is dropped: tokens that are over are not left in memory.
    pub async fn sweep(&self) {
        self.shared.tokens.sweep().await;
    }

    /// A REST call, from its first attempt to its end: given its token, admitted by the breaker, attempted
    /// within its limit, settled, paused, and made again for as long as that can help. Returns what a success
    /// says, and how long its attempt took.
    async fn make<R: Read>(
        &self,
        call: &Call,
        rest: &RestCall<R>,
        authority: &Authority,
        max_retries: u32,
    ) -> Result<(R::Success, Duration), UpstreamError> {
        let shared = &*self.shared;
        let (breaker, budget, metrics) = (&shared.breaker, &shared.budget, &shared.metrics);
        let mut retries = Retries::new(max_retries, rest.idempotent);
        let (mut previous, mut retried) = (None, None);
        loop {
            let (pass, kept) = match authority {
                Authority::Pass(pass) => (pass.clone(), None),
                Authority::TokenFor(password, id) => match self.token(call, id, password).await {
                    Ok(kept) => (Pass::Obtained(kept.token(), password.clone()), Some(kept)),
                    Err(error) => return Err(error.after(previous)),
                },
            };
            let limit = Limit::new(self.shared.attempt_timeout, &call.deadline);
            let admitted = limit.and_then(|limit| match breaker.admit() {
                Ok(()) => Ok(limit),
                Err(wait) => Err(UpstreamError::KnownDown(wait)),
            });
            let limit = match admitted {
                Ok(limit) => limit,
                Err(error) => return Err(error.after(previous)),
            };
            match retried {
                // A call that never reaches the upstream must not pay for others to do so.
                None => budget.deposit(),
                Some(reason) => metrics.retry(reason),
            }
            let attempt = Attempt::start(call, rest, metrics);
            let (result, took) = attempt.run(rest, pass, &self.transport, limit).await;
            let failure = match result {
                Ok(success) => return Ok((success, took)),
                Err(failure) => failure.after_token(kept.as_ref().map(|kept| kept.role())),
            };
            let remaining = call.deadline.remaining();
            let next = match kept {
                Some(kept) if failure.rejects_token() => {
                    kept.reject();
                    retries.next_token(took, remaining)
                }
                _ => retries.next(&failure, took, remaining, budget),
            };
            match next {
                Next::Again(pause, reason) => {
                    if !pause.is_zero() {
                        sleep(pause).await;
                    }
                    (previous, retried) = (Some(failure), Some(reason));
                }
                Next::GiveUp => return Err(failure),
                Next::BudgetSpent => {
                    metrics.budget_spent.inc();
                    return Err(failure);
                }
            }
        }
    }

    /// A token for the next attempt of `call`.
    async fn token(
        &self,
        call: &Call,
        conference_id: &str,
        password: &Password,
    ) -> Result<Arc<Kept>, UpstreamError> {
        let want = Want {
            call,
            conference_id,
            password,
        };
        let fetch = |effort| self.fetch(want, effort);
        self.shared.tokens.get(want, fetch).await
    }

    /// The REST call that obtains a token, for whichever calls wait for it.
    fn fetch(&self, want: Want<'_>, effort: Effort) -> Fetch {
        let upstream = self.clone();
        let call = Arc::new(want.call.token_call(self.shared.token_timeout));
        let of_task = Arc::clone(&call);
        let get = RestCall::issue(&self.shared.issue, want.conference_id);
        let authority = Authority::Pass(Pass::Password(want.password.clone()));
        let retries = match effort {
            Effort::Renewal => 0,
            Effort::Full => self.shared.max_retries,
        };
        let answer =
            Box::pin(async move { upstream.make(&of_task, &get, &authority, retries).await });
        Fetch { call, answer }
    }
}
