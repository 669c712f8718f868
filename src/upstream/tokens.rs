//! Control tokens that are obtained for callers' passwords: kept, renewed in the background, and never asked for
//! twice at once.
//!
//! No password is kept, and a token is found only by whoever knows the password that it was obtained for. Time is
//! counted on a clock that nobody sets.

use std::sync::Arc;
use std::time::Duration;

use ring::error::Unspecified;
use tokio::time::{Instant, sleep, timeout};

use super::error::{UpstreamError, Withheld};
use super::error_code::PasswordDoubt;
use super::gate::Progress;
use super::metrics::{Metrics, TokenLookup};
use crate::call::Call;
use crate::secret::Password;

mod allowance;
mod flight;
mod kept;
mod key;
mod memory;
mod store;

pub(super) use flight::{Effort, Fetch};
pub(super) use kept::Kept;

use allowance::{Allowances, Full, Holder, Taken, Waiting};
use flight::{Flight, Flights, Task, has_room};
use key::{Key, Keys};
use store::Store;

/// How many tokens a call sees come that cannot be used any more, before it gives up.
const MAX_UNUSABLE: u32 = 3;
/// How often tokens that are over are dropped.
const SWEEP: Duration = Duration::from_secs(10);

/// The tokens of all threads.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Off, no passwords are taken.
    on: bool,
    keys: Keys,
    store: Arc<Store>,
    /// `None` where wrong passwords are not counted.
    allowances: Option<Arc<Allowances>>,
    flights: Arc<Flights>,
    metrics: Arc<Metrics>,
}

/// What a call needs a token for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want<'a> {
    pub(super) call: &'a Call,
    pub(super) conference_id: &'a str,
    pub(super) password: &'a Password,
}

/// What a call without a token finds.
enum Found {
    Token(Arc<Kept>),
    /// One that another call has set out for.
    Joined(Flight),
    Started(Flight),
    /// Its caller must wait until other passwords of its have been judged.
    Full(Waiting),
}

impl Tokens {
    /// Keeps at most `max` tokens; 0 takes no passwords. Without `limits`, wrong passwords are neither counted nor
    /// remembered.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new(max: u64, limits: bool, metrics: Arc<Metrics>) -> Result<Self, Unspecified> {
        Ok(Self {
            on: max > 0,
            keys: Keys::new()?,
            store: Arc::new(Store::new(max, limits, Arc::clone(&metrics))),
            allowances: limits.then(Arc::default),
            flights: Arc::default(),
            metrics,
        })
    }

    /// A token that can be sent: the one that is kept, else one that is obtained by `fetch`, once for all calls
    /// that want it. It is waited for until the deadline of the call.
    ///
    /// # Errors
    /// [`UpstreamError`] when there is none.
    pub(super) async fn get(
        &self,
        want: Want<'_>,
        fetch: impl Fn(Effort) -> Fetch + Send + Sync,
    ) -> Result<Arc<Kept>, UpstreamError> {
        if !self.on {
            return Err(UpstreamError::Withheld(Withheld::PasswordsOff));
        }
        let key = self.keys.key(want.conference_id, want.password);
        if let Some(kept) = self.store.usable(&key, Instant::now()) {
            if kept.begin_renewal(Instant::now()) {
                self.renew(key, want, Arc::clone(&kept), fetch);
            }
            self.metrics.token_lookup(TokenLookup::Kept);
            return Ok(kept);
        }
        let obtained = Box::pin(self.obtain(key, want, fetch)).await;
        self.metrics.token_lookup(match &obtained {
            Ok(_) => TokenLookup::Obtained,
            Err(UpstreamError::Withheld(_)) => TokenLookup::Withheld,
            Err(error) if error.password_doubt() != PasswordDoubt::None => TokenLookup::Refused,
            Err(_) => TokenLookup::Failed,
        });
        obtained
    }

    /// Works until it is dropped: tokens that are over are not left in memory.
    pub(super) async fn sweep(&self) {
        loop {
            sleep(SWEEP).await;
            self.store.sweep();
            if let Some(allowances) = &self.allowances {
                allowances.sweep(Instant::now());
            }
        }
    }

    async fn obtain(
        &self,
        key: Key,
        want: Want<'_>,
        fetch: impl Fn(Effort) -> Fetch + Send + Sync,
    ) -> Result<Arc<Kept>, UpstreamError> {
        let deadline = &want.call.deadline;
        let (allowed, progress) = (deadline.allowed(), Progress::NotSent);
        let late = |_| no_token(UpstreamError::DeadlineExceeded { allowed, progress });
        let (mut unusable, mut waited) = (0, None);
        while unusable < MAX_UNUSABLE {
            let found = self.find(key, want, &fetch);
            self.pass_on(waited.take());
            let (mut flight, joined) = match found? {
                Found::Token(kept) => return Ok(kept),
                Found::Joined(flight) => (flight, true),
                Found::Started(flight) => (flight, false),
                Found::Full(waiting) => {
                    let turn = waiting.wait(deadline.remaining()).await;
                    waited = Some(turn.ok_or(UpstreamError::Withheld(Withheld::NoPlace))?);
                    continue;
                }
            };
            let ended = flight.end.wait_for(Option::is_some);
            let ended = timeout(deadline.remaining(), ended).await.map_err(late)?;
            let lost = UpstreamError::Withheld(Withheld::TaskLost);
            match ended.ok().and_then(|end| (*end).clone()).ok_or(lost)? {
                Ok(kept) if kept.is_usable(Instant::now()) => return Ok(kept),
                Ok(_) => unusable += 1,
                // It had one attempt.
                Err(_) if flight.effort == Effort::Renewal => {}
                // Its own time was over.
                Err(error) if joined && error.is_deadline() && !deadline.remaining().is_zero() => {}
                Err(error) => return Err(UpstreamError::NoToken(error)),
            }
        }
        Err(no_token(UpstreamError::TokensUnusable))
    }

    /// What is there for a password that has no token; if nothing, a token is asked for.
    fn find(
        &self,
        key: Key,
        want: Want<'_>,
        fetch: impl Fn(Effort) -> Fetch,
    ) -> Result<Found, UpstreamError> {
        let flights = self.flights.lock();
        let now = Instant::now();
        if let Some(flight) = flights.get(&key) {
            flight.link(want.call);
            return Ok(Found::Joined(flight.clone()));
        }
        // It may have come since it was looked for.
        if let Some(kept) = self.store.usable(&key, now) {
            return Ok(Found::Token(kept));
        }
        if let Some(error) = self.store.refusal(&key, now) {
            return Err(UpstreamError::NoToken(error));
        }
        if !has_room(&flights, Effort::Full) {
            return Err(UpstreamError::Withheld(Withheld::Busy));
        }
        let place = match self.take_place(key, want, now) {
            Ok(place) => place,
            Err(Full::Wait(waiting)) => return Ok(Found::Full(waiting)),
            Err(Full::Refuse(wait)) => {
                return Err(UpstreamError::Withheld(Withheld::TooManyPasswords(wait)));
            }
        };
        let fetch = fetch(Effort::Full);
        let task = self.task(key, want).with_place(place);
        let flight = task.start(flights, want.call, fetch, Effort::Full);
        Ok(Found::Started(flight))
    }

    /// The caller's place for a password that is not known to be right.
    fn take_place(&self, key: Key, want: Want<'_>, now: Instant) -> Result<Option<Taken>, Full> {
        match &self.allowances {
            Some(allowances) if !self.store.is_proven(&key) => {
                let caller = want.call.peer.caller();
                let place = allowances.take(caller, want.conference_id, key, now);
                place.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// One that has waited for a place goes on.
    fn pass_on(&self, waited: Option<Holder>) {
        if let (Some(holder), Some(allowances)) = (waited, &self.allowances) {
            allowances.pass_on(&holder);
        }
    }

    /// Has a token replaced before its time.
    fn renew(&self, key: Key, want: Want<'_>, kept: Arc<Kept>, fetch: impl Fn(Effort) -> Fetch) {
        let flights = self.flights.lock();
        let now = Instant::now();
        let is_refused = self.store.refusal(&key, now).is_some();
        let has_room = has_room(&flights, Effort::Renewal);
        if is_refused || flights.contains_key(&key) || !has_room {
            return kept.fail_renewal(now);
        }
        let fetch = fetch(Effort::Renewal);
        let task = self.task(key, want).renewing(kept);
        task.start(flights, want.call, fetch, Effort::Renewal);
    }

    fn task(&self, key: Key, want: Want<'_>) -> Task {
        let (flights, store) = (Arc::clone(&self.flights), Arc::clone(&self.store));
        Task::new(flights, store, key, want.conference_id.to_owned())
    }
}

fn no_token(error: UpstreamError) -> UpstreamError {
    UpstreamError::NoToken(Arc::new(error))
}

#[cfg(test)]
mod tests;
