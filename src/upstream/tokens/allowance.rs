//! How many different wrong passwords each caller may have the upstream judge: it locks the login of a meeting
//! after too many.
//!
//! A place is taken before a password is sent, and given back unless the password turns out to be wrong; then
//! it is taken for a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::key::Key;
use crate::call::Caller;

/// Wrong passwords of one caller for one meeting within [`AGE`].
const MAX_PER_MEETING: usize = 3;
/// Wrong passwords of one caller within [`AGE`].
const MAX_PER_CALLER: usize = 20;
/// How long a wrong password counts.
const AGE: Duration = Duration::from_secs(60);
/// The most callers that are told apart; the others count as one.
const MAX_CALLERS: usize = 16_384;

/// The places of all callers.
#[derive(Debug, Default)]
pub(super) struct Allowances(Mutex<HashMap<Option<Caller>, Allowance>>);

/// The places of one caller.
#[derive(Debug, Default)]
struct Allowance {
    taken: Vec<Place>,
    /// One of those that wait may have a place.
    freed: Arc<Notify>,
    /// What those wait for whose own meeting has none.
    settled: Arc<Notify>,
}

#[derive(Debug)]
struct Place {
    key: Key,
    conference_id: String,
    /// Whether the upstream is being asked.
    pending: bool,
    /// When it was found to be wrong.
    wrong: Option<Instant>,
}

/// A place that is taken while the upstream is asked; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    allowances: Arc<Allowances>,
    caller: Option<Caller>,
    key: Key,
}

/// There is no place.
#[derive(Debug)]
pub(super) enum Full {
    /// But one may be given back.
    Wait(OwnedNotified),
    /// And none will be for so long.
    Refuse(Duration),
}

impl Allowances {
    /// Takes a place for a password of `conference_id`.
    ///
    /// # Errors
    /// [`Full`] when the caller has none.
    pub(super) fn take(
        self: &Arc<Self>,
        caller: &Caller,
        conference_id: &str,
        key: Key,
        now: Instant,
    ) -> Result<Taken, Full> {
        let mut all = self.lock();
        let caller = Some(caller.clone());
        if all.len() >= MAX_CALLERS {
            all.retain(|_, allowance| !allowance.is_empty(now));
        }
        let caller = match all.len() >= MAX_CALLERS && !all.contains_key(&caller) {
            true => None,
            false => caller,
        };
        let allowance = all.entry(caller.clone()).or_default();
        allowance.take(conference_id, key, now)?;
        Ok(Taken {
            allowances: Arc::clone(self),
            caller,
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Caller>, Allowance>> {
        // No change is ever half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance {
    fn take(&mut self, conference_id: &str, key: Key, now: Instant) -> Result<(), Full> {
        self.expire(now);
        if let Some(known) = self.taken.iter_mut().find(|place| place.key == key) {
            // It has its place already.
            known.pending = true;
            return Ok(());
        }
        let of_meeting = || {
            let places = self.taken.iter();
            places.filter(|place| place.conference_id == conference_id)
        };
        if of_meeting().count() >= MAX_PER_MEETING {
            // Whoever is in the queue for any place can have the one that was left here.
            self.freed.notify_one();
            return Err(full(of_meeting(), &self.settled, now));
        }
        if self.taken.len() >= MAX_PER_CALLER {
            return Err(full(self.taken.iter(), &self.freed, now));
        }
        self.taken.push(Place {
            key,
            conference_id: conference_id.to_owned(),
            pending: true,
            wrong: None,
        });
        Ok(())
    }

    fn settle(&mut self, key: Key, wrong: Option<Instant>) {
        if let Some(place) = self.taken.iter_mut().find(|place| place.key == key) {
            place.pending = false;
            place.wrong = wrong.or(place.wrong);
        }
        self.taken
            .retain(|place| place.pending || place.wrong.is_some());
        self.settled.notify_waiters();
        if self.taken.iter().any(|place| place.pending) {
            self.freed.notify_one();
        } else {
            // None will be given back any more.
            self.freed.notify_waiters();
        }
    }

    fn expire(&mut self, now: Instant) {
        self.taken
            .retain(|place| place.pending || place.wrong.is_some_and(|wrong| now < wrong + AGE));
    }

    fn is_empty(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.taken.is_empty()
    }
}

/// What to do where all of some places are taken: wait for one that is pending, if any is.
fn full<'a>(
    mut places: impl Iterator<Item = &'a Place> + Clone,
    freed: &Arc<Notify>,
    now: Instant,
) -> Full {
    if places.clone().any(|place| place.pending) {
        return Full::Wait(Arc::clone(freed).notified_owned());
    }
    let first = places.by_ref().filter_map(|place| place.wrong).min();
    let ends = first.map_or(now, |first| first + AGE);
    Full::Refuse(ends.saturating_duration_since(now))
}

impl Taken {
    /// The password is wrong, or may be: its place stays taken for a while.
    pub(super) fn keep(self, now: Instant) {
        self.settle(Some(now));
    }

    fn settle(&self, wrong: Option<Instant>) {
        let mut all = self.allowances.lock();
        if let Some(allowance) = all.get_mut(&self.caller) {
            allowance.settle(self.key, wrong);
            if allowance.taken.is_empty() {
                all.remove(&self.caller);
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.settle(None);
    }
}

#[cfg(test)]
mod tests;
