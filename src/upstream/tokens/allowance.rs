//! How many different wrong passwords each caller may have the upstream judge: it locks the login of a meeting
//! after too many.
//!
//! A place is taken before a password is sent, and given back unless the password turns out to be wrong; then
//! it is taken for a minute.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::key::Key;
use crate::call::Caller;
use crate::upstream::error_code::PasswordDoubt;

mod places;

pub(super) use places::{Full, Holder, Waiting};

use places::{End, Places};

/// The most callers that are told apart; the others count as one.
const MAX_CALLERS: usize = 16_384;

/// The places of all callers.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    callers: Mutex<HashMap<Holder, Places>>,
    /// Makes the number that stands for a meeting.
    meetings: RandomState,
}

/// A place that is taken while the upstream is asked. Dropped, it is given back, unless the password was refused
/// before.
#[derive(Debug)]
pub(super) struct Taken {
    allowances: Arc<Allowances>,
    holder: Holder,
    key: Key,
    end: End,
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
        let holder = holder(&callers, caller);
        let places = callers.entry(holder.clone()).or_default();
        places.take(&holder, meeting, key, now)?;
        drop(callers);
        Ok(Taken {
            allowances: Arc::clone(self),
            holder,
            key,
            end: End::Silent,
        })
    }

    /// A call that has waited for a place goes on, with it or without: others may have what is left.
    pub(super) fn pass_on(&self, holder: &Holder) {
        if let Some(places) = self.lock().get(holder) {
            places.pass_on();
        }
    }

    /// Forgets what no longer counts.
    pub(super) fn sweep(&self, now: Instant) {
        self.lock().retain(|_, places| {
            places.expire(now);
            !places.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Holder, Places>> {
        // No change is ever half done.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller, if it has places or there is room for another; else `None`, who is all the others.
fn holder(callers: &HashMap<Holder, Places>, caller: &Caller) -> Holder {
    let caller = Some(caller.clone());
    let has_room = callers.len() < MAX_CALLERS || callers.contains_key(&caller);
    if has_room { caller } else { None }
}

impl Taken {
    /// The password is right, whatever was made of it before: its place is given back.
    pub(super) fn prove(mut self) {
        self.end = End::Right;
    }

    /// The password is wrong, or may be, or was not looked at: its place stays taken for a while.
    pub(super) fn keep(mut self, doubt: PasswordDoubt, now: Instant) {
        self.end = End::Doubted(doubt, now);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut callers = self.allowances.lock();
        if let Some(places) = callers.get_mut(&self.holder) {
            places.settle(self.key, self.end);
            if places.is_empty() {
                callers.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests;
