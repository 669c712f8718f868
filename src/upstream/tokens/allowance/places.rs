//! The places of one caller: which of its passwords the upstream is judging, and which count for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout};

use super::super::key::Key;
use crate::call::Caller;
use crate::upstream::error_code::PasswordDoubt;

/// Passwords of one caller for one meeting, within [`AGE`], that are wrong or met a locked login.
const MAX_PER_MEETING: usize = 3;
/// Wrong passwords of one caller within [`AGE`].
pub(super) const MAX_PER_CALLER: usize = 20;
/// Those that met a locked login as well: they say nothing against a caller, but their number is bounded.
const MAX_PLACES: usize = 100;
/// How long a password counts.
pub(super) const AGE: Duration = Duration::from_secs(60);

/// A caller, or `None`, who is all those that are not told apart.
pub(in crate::upstream::tokens) type Holder = Option<Caller>;

/// The places of one caller.
#[derive(Debug, Default)]
pub(super) struct Places {
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

/// What came of asking the upstream.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The password is right.
    Right,
    /// It is wrong, or may be, or was not looked at.
    Doubted(PasswordDoubt, Instant),
    /// Nothing was learnt.
    Silent,
}

/// There is no place.
#[derive(Debug)]
pub(in crate::upstream::tokens) enum Full {
    /// But one may be given back.
    Wait(Waiting),
    /// And none will be for so long.
    Refuse(Duration),
}

/// What a call waits for that needs a place.
#[derive(Debug)]
pub(in crate::upstream::tokens) struct Waiting {
    /// Whose place it is to be.
    holder: Holder,
    /// Resolves when one may have been given back.
    freed: OwnedNotified,
    /// When the first of those that are taken is over by itself.
    expiry: Option<Instant>,
}

impl Waiting {
    /// Waits until there may be a place. Returns whose it would be; `None` when there was none for as long as was
    /// `left`.
    pub(in crate::upstream::tokens) async fn wait(self, left: Duration) -> Option<Holder> {
        let expiry = self.expiry.map(|ends| ends.duration_since(Instant::now()));
        let expiry = expiry.filter(|expiry| *expiry < left);
        let freed = timeout(expiry.unwrap_or(left), self.freed).await;
        (freed.is_ok() || expiry.is_some()).then_some(self.holder)
    }
}

impl Places {
    /// Takes a place for the password `key` of a meeting.
    ///
    /// # Errors
    /// [`Full`] when there is none for `holder`, whose places these are, or the password is known to be wrong.
    pub(super) fn take(
        &mut self,
        holder: &Holder,
        meeting: u64,
        key: Key,
        now: Instant,
    ) -> Result<(), Full> {
        self.expire(now);
        let of_key = self.taken.iter().position(|place| place.key == key);
        let judged = of_key.and_then(|at| self.taken[at].judged);
        if let Some((PasswordDoubt::Wrong, when)) = judged {
            return Err(Full::Refuse((when + AGE).duration_since(now)));
        }
        let others = || self.taken.iter().filter(|place| place.key != key);
        let of_meeting = || others().filter(|place| place.meeting == meeting);
        let wrong = || others().filter(|place| place.counts());
        if of_meeting().count() >= MAX_PER_MEETING {
            return Err(full(of_meeting(), holder, &self.settled, now));
        }
        if wrong().count() >= MAX_PER_CALLER {
            return Err(full(wrong(), holder, &self.freed, now));
        }
        if others().count() >= MAX_PLACES {
            return Err(full(others(), holder, &self.freed, now));
        }
        match of_key {
            Some(at) => self.taken[at].pending = true,
            None => self.taken.push(Place {
                key,
                meeting,
                pending: true,
                judged: None,
            }),
        }
        Ok(())
    }

    /// The upstream has been asked about a password.
    pub(super) fn settle(&mut self, key: Key, end: End) {
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

    /// One that has waited for a place goes on, with it or without: the next may have what is left.
    pub(super) fn pass_on(&self) {
        let wrong = self.taken.iter().filter(|place| place.counts());
        if self.taken.len() < MAX_PLACES && wrong.count() < MAX_PER_CALLER {
            self.freed.notify_one();
        }
    }

    /// Gives back what no longer counts.
    pub(super) fn expire(&mut self, now: Instant) {
        let counts = |(_, when): (PasswordDoubt, Instant)| now < when + AGE;
        self.taken
            .retain(|place| place.pending || place.judged.is_some_and(counts));
    }

    /// Whether nothing is known of the caller.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

impl Place {
    /// Whether its password is wrong, or may turn out to be.
    fn counts(&self) -> bool {
        self.pending || !matches!(self.judged, Some((PasswordDoubt::Locked, _)))
    }

    /// When it is over, if the upstream is not being asked.
    fn expiry(&self) -> Option<Instant> {
        let judged = self.judged.filter(|_| !self.pending);
        judged.map(|(_, when)| when + AGE)
    }
}

/// What to do where all of some places are taken: wait for one that is pending, if any is.
fn full<'a>(
    places: impl Iterator<Item = &'a Place> + Clone,
    holder: &Holder,
    freed: &Arc<Notify>,
    now: Instant,
) -> Full {
    let expiry = places.clone().filter_map(Place::expiry).min();
    if { places }.any(|place| place.pending) {
        return Full::Wait(Waiting {
            holder: holder.clone(),
            freed: Arc::clone(freed).notified_owned(),
            expiry,
        });
    }
    Full::Refuse(expiry.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now)))
}
