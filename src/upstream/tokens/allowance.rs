//! How many different wrong passwords each caller may have the upstream judge: it locks the login of a meeting
//! after too many.
//!
//! A place is taken before a password is sent, and given back unless the password turns out to be wrong; then
//! it is taken for a minute.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::key::Key;
use crate::call::Caller;
use crate::upstream::error_code::PasswordDoubt;

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
pub(super) struct Allowances {
    callers: Mutex<HashMap<Option<Caller>, Allowance>>,
    /// Makes the number that stands for a meeting.
    meetings: RandomState,
}

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
    meeting: u64,
    /// Whether the upstream is being asked.
    pending: bool,
    /// What the upstream made of the password, and when.
    judged: Option<(PasswordDoubt, Instant)>,
}

/// A place that is taken while the upstream is asked. Dropped, it is given back, unless the password was refused
/// before.
#[derive(Debug)]
pub(super) struct Taken {
    allowances: Arc<Allowances>,
    caller: Option<Caller>,
    key: Key,
    end: End,
}

/// What came of asking the upstream.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The password is right.
    Right,
    /// It is wrong, or may be.
    Doubted(PasswordDoubt, Instant),
    /// Nothing was learnt.
    Silent,
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
    /// [`Full`] when the caller has none, or the password is known to be wrong.
    pub(super) fn take(
        self: &Arc<Self>,
        caller: &Caller,
        conference_id: &str,
        key: Key,
        now: Instant,
    ) -> Result<Taken, Full> {
        let meeting = self.meetings.hash_one(conference_id);
        let mut callers = self.lock();
        let caller = known(&callers, caller);
        let allowance = callers.entry(caller.clone()).or_default();
        allowance.take(meeting, key, now)?;
        drop(callers);
        Ok(Taken {
            allowances: Arc::clone(self),
            caller,
            key,
            end: End::Silent,
        })
    }

    /// A call that has waited for a place goes on, with it or without: others may have what is left.
    pub(super) fn pass_on(&self, caller: &Caller) {
        let callers = self.lock();
        if let Some(allowance) = callers.get(&known(&callers, caller))
            && allowance.taken.len() < MAX_PER_CALLER
        {
            allowance.freed.notify_one();
        }
    }

    /// Forgets what no longer counts.
    pub(super) fn sweep(&self, now: Instant) {
        self.lock().retain(|_, allowance| {
            allowance.expire(now);
            !allowance.taken.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Caller>, Allowance>> {
        // No change is ever half done.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller, if it has places or there is room for another; else `None`, who is all the others.
fn known(callers: &HashMap<Option<Caller>, Allowance>, caller: &Caller) -> Option<Caller> {
    let caller = Some(caller.clone());
    let has_room = callers.len() < MAX_CALLERS || callers.contains_key(&caller);
    if has_room { caller } else { None }
}

impl Allowance {
    fn take(&mut self, meeting: u64, key: Key, now: Instant) -> Result<(), Full> {
        self.expire(now);
        if let Some(place) = self.taken.iter_mut().find(|place| place.key == key) {
            if let Some((PasswordDoubt::Wrong, when)) = place.judged {
                return Err(Full::Refuse((when + AGE).duration_since(now)));
            }
            place.pending = true;
            return Ok(());
        }
        let of_meeting = || self.taken.iter().filter(|place| place.meeting == meeting);
        if of_meeting().count() >= MAX_PER_MEETING {
            return Err(full(of_meeting(), &self.settled, now));
        }
        if self.taken.len() >= MAX_PER_CALLER {
            return Err(full(self.taken.iter(), &self.freed, now));
        }
        self.taken.push(Place {
            key,
            meeting,
            pending: true,
            judged: None,
        });
        Ok(())
    }

    fn settle(&mut self, key: Key, end: End) {
        self.taken.retain_mut(|place| {
            if place.key != key {
                return true;
            }
            place.pending = false;
            match end {
                End::Right => return false,
                End::Doubted(doubt, when) => place.judged = Some((doubt, when)),
                End::Silent => {}
            }
            place.judged.is_some()
        });
        self.settled.notify_waiters();
        if self.taken.iter().any(|place| place.pending) {
            self.freed.notify_one();
        } else {
            // None will be given back any more.
            self.freed.notify_waiters();
        }
    }

    fn expire(&mut self, now: Instant) {
        let counts = |(_, when): (PasswordDoubt, Instant)| now < when + AGE;
        self.taken
            .retain(|place| place.pending || place.judged.is_some_and(counts));
    }
}

/// What to do where all of some places are taken: wait for one that is pending, if any is.
fn full<'a>(
    places: impl Iterator<Item = &'a Place> + Clone,
    freed: &Arc<Notify>,
    now: Instant,
) -> Full {
    if places.clone().any(|place| place.pending) {
        return Full::Wait(Arc::clone(freed).notified_owned());
    }
    let judged = places.filter_map(|place| place.judged);
    let first = judged.map(|(_, when)| when).min();
    let ends = first.map_or(now, |first| first + AGE);
    Full::Refuse(ends.saturating_duration_since(now))
}

impl Taken {
    /// The password is right, whatever was made of it before: its place is given back.
    pub(super) fn prove(mut self) {
        self.end = End::Right;
    }

    /// The password is wrong, or may be: its place stays taken for a while.
    pub(super) fn keep(mut self, doubt: PasswordDoubt, now: Instant) {
        self.end = End::Doubted(doubt, now);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut callers = self.allowances.lock();
        if let Some(allowance) = callers.get_mut(&self.caller) {
            allowance.settle(self.key, self.end);
            if allowance.taken.is_empty() {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests;
