//! A token that is being obtained: a task of its own, for all calls that wait for it, which none of them can end.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Level;

use super::allowance::Taken;
use super::kept::Kept;
use super::key::Key;
use super::store::{End, Store};
use crate::call::Call;
use crate::causes::causes;
use crate::telemetry::trace::Span;
use crate::upstream::answer::Issued;
use crate::upstream::error::UpstreamError;
use crate::upstream::error_code::PasswordDoubt;

/// The most tokens that are being obtained at once.
const MAX_FLIGHTS: usize = 4096;
/// The most of these that replace one before its time: nobody waits for them, as a rule.
const MAX_RENEWALS: usize = MAX_FLIGHTS / 2;

/// The call to the upstream that obtains a token.
pub(in crate::upstream) struct Fetch {
    /// Its own identity, apart from those of the calls that wait for it.
    pub(in crate::upstream) call: Arc<Call>,
    /// Resolves with the token, and how long ago it was asked for.
    pub(in crate::upstream) answer: Fetched,
}

type Fetched = Pin<Box<dyn Future<Output = Result<(Issued, Duration), UpstreamError>> + Send>>;

/// How hard a token is tried to be obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Effort {
    /// In one attempt: the one that is kept is still good.
    Renewal,
    /// As hard as any call.
    Full,
}

/// The tokens that are being obtained.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Flight>>);

/// A token that is being obtained, as those see it that wait for it.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    /// `Some` once it has ended; closed without, its task was lost.
    pub(super) end: watch::Receiver<Option<End>>,
    pub(super) effort: Effort,
    span: Option<Span>,
}

/// Obtains one token. Dropped, it is no longer under way.
pub(super) struct Task {
    flights: Arc<Flights>,
    store: Arc<Store>,
    key: Key,
    conference_id: String,
    /// The caller's place, if one is needed.
    place: Option<Taken>,
    /// The token that is to be replaced before its time.
    renewed: Option<Arc<Kept>>,
}

/// The one log line of a token that was not obtained.
macro_rules! line {
    ($level:expr, $task:expr, $call:expr, $error:expr) => {{
        let (task, call, error) = ($task, $call, $error);
        let refusal = error.refusal();
        tracing::event!(
            $level,
            request_id = call.request_id(),
            trace_id = call.trace_id(),
            conference_id = task.conference_id,
            renewal = task.renewed.is_some(),
            attempts = call.attempts(),
            elapsed_ms = call.elapsed_ms(),
            error_code = refusal.and_then(|refusal| refusal.error_code.as_deref()),
            error_msg = refusal.and_then(|refusal| refusal.error_msg.as_deref()),
            upstream_request_id =
                refusal.and_then(|refusal| refusal.upstream_request_id.as_deref()),
            cause = causes(error),
            "no control token was obtained",
        )
    }};
}

impl Flights {
    /// All that are under way, and nobody else changes them meanwhile.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        // No change is ever half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is room for one more beside those under way.
pub(super) fn has_room(flights: &HashMap<Key, Flight>, effort: Effort) -> bool {
    let is_renewal = |flight: &&Flight| flight.effort == Effort::Renewal;
    let renewals = || flights.values().filter(is_renewal).count();
    // As long as there are few, none is counted.
    let has_renewals = flights.len() < MAX_RENEWALS || renewals() < MAX_RENEWALS;
    flights.len() < MAX_FLIGHTS && (effort == Effort::Full || has_renewals)
}

impl Flight {
    /// Notes, for those who read traces, that a call waits for it.
    pub(super) fn link(&self, call: &Call) {
        if let (Some(span), Some(waiting)) = (&self.span, &call.span) {
            span.link(waiting);
        }
    }
}

impl Task {
    /// A task that is not under way yet, and whose end `store` learns.
    pub(super) fn new(
        flights: Arc<Flights>,
        store: Arc<Store>,
        key: Key,
        conference_id: String,
    ) -> Self {
        Self {
            flights,
            store,
            key,
            conference_id,
            place: None,
            renewed: None,
        }
    }

    /// Takes the place of the caller that sets out.
    pub(super) fn with_place(mut self, place: Option<Taken>) -> Self {
        self.place = place;
        self
    }

    /// Is to replace a token before its time.
    pub(super) fn renewing(mut self, kept: Arc<Kept>) -> Self {
        self.renewed = Some(kept);
        self
    }

    /// Sets out, for `call` and all that will join it; `flights` are those that are under way.
    pub(super) fn start(
        mut self,
        mut flights: MutexGuard<'_, HashMap<Key, Flight>>,
        call: &Call,
        fetch: Fetch,
        effort: Effort,
    ) -> Flight {
        let (tell, end) = watch::channel(None);
        let flight = Flight {
            end,
            effort,
            span: fetch.call.span.clone(),
        };
        flight.link(call);
        flights.insert(self.key, flight.clone());
        // A runtime that has ended drops the task at once, and that locks it.
        drop(flights);
        tokio::spawn(async move {
            let result = fetch.answer.await;
            let end = self.settle(&fetch.call, result);
            // Whoever looks from now on finds what came of it, so it is no longer under way.
            drop(self);
            let _ = tell.send(Some(end));
        });
        flight
    }

    fn settle(&mut self, call: &Call, result: Result<(Issued, Duration), UpstreamError>) -> End {
        let now = Instant::now();
        if let Some(span) = &call.span {
            span.end_with(result.is_err().then_some("no_token"));
        }
        let doubt = match &result {
            Ok(_) => None,
            Err(error) => {
                self.report(call, error);
                Some(error.password_doubt())
            }
        };
        let replaces = self.renewed.is_none();
        let id = &self.conference_id;
        let end = self.store.settle(self.key, id, result, replaces, now);
        match (doubt, self.place.take()) {
            (None, place) => {
                self.renewed = None;
                if let Some(place) = place {
                    place.prove();
                }
            }
            (Some(PasswordDoubt::None), _) | (Some(_), None) => {}
            (Some(doubt), Some(place)) => place.keep(doubt, now),
        }
        end
    }

    /// Tells the operator, once for all that wait for it. Their own lines say what it meant to each.
    fn report(&self, call: &Call, error: &UpstreamError) {
        match error.password_doubt() {
            // The caller's own affair.
            PasswordDoubt::Wrong | PasswordDoubt::Perhaps => line!(Level::INFO, self, call, error),
            PasswordDoubt::Locked | PasswordDoubt::None => line!(Level::WARN, self, call, error),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(kept) = &self.renewed {
            kept.fail_renewal(Instant::now());
        }
        // First, or one that sets out in between would lose its own.
        drop(self.place.take());
        self.flights.lock().remove(&self.key);
    }
}
