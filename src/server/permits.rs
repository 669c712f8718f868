//! How many calls may be under way at once: in all, and of one caller while permits are short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::time::Instant;

use crate::call::{Caller, Identity, Peer};
use crate::status::Shed;

/// A caller over its share is refused while less than this part of all permits is free.
const SHORT: usize = 4;
/// Above so many callers, those that have gone are forgotten.
const MAX_CALLERS: usize = 4096;

/// The permits for calls, for all threads. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    /// Each caller's share.
    share: usize,
    taken: AtomicUsize,
    /// How many permits each caller has taken, as long as it has a connection.
    callers: Mutex<HashMap<Caller, Weak<AtomicUsize>>>,
}

/// A permit that a call has taken, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    shared: Arc<Shared>,
    of_caller: Arc<AtomicUsize>,
    deadline: Instant,
}

/// Where a call's permit is kept, however the call ends: from when it is taken until the last clone is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<OnceLock<Permit>>);

impl Permits {
    /// `max` permits, of which one caller may have `share` while they are short; 0 sets no share.
    pub(super) fn new(max: u32, share: u32) -> Self {
        let share = if share == 0 { max } else { share };
        Self(Arc::new(Shared {
            max: max as usize,
            share: share as usize,
            taken: AtomicUsize::new(0),
            callers: Mutex::default(),
        }))
    }

    /// The peer at `address` with that identity; it counts with all peers that are the same caller.
    pub(super) fn peer(&self, identity: Identity, address: IpAddr) -> Peer {
        let caller = Caller::new(&identity, address);
        let mut callers = self
            .0
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MAX_CALLERS {
            callers.retain(|_, count| count.strong_count() > 0);
        }
        let count = callers.entry(caller.clone()).or_default();
        let in_flight = count.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *count = Arc::downgrade(&new);
            new
        });
        Peer::new(identity, caller, in_flight)
    }

    /// Takes a permit for a call of `peer` that is due then.
    ///
    /// # Errors
    /// [`Shed`] says whose limit is reached.
    pub(super) fn take(&self, peer: &Peer, deadline: Instant) -> Result<Permit, Shed> {
        // A call that gets none must not keep one from another, not even for a moment.
        let max = self.0.max;
        let taken = self
            .0
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < max).then_some(taken + 1)
            });
        let free = max - taken.map_err(|_| Shed::All)?;
        let of_caller = peer.in_flight().fetch_add(1, Ordering::Relaxed);
        let permit = Permit {
            shared: Arc::clone(&self.0),
            of_caller: Arc::clone(peer.in_flight()),
            deadline,
        };
        if of_caller >= self.0.share && free * SHORT < max {
            return Err(Shed::Caller);
        }
        Ok(permit)
    }
}

impl Kept {
    /// Keeps the permit of a call.
    pub(super) fn keep(&self, permit: Permit) {
        // A call takes one alone.
        let _ = self.0.set(permit);
    }

    /// When the call is due; `None` where no permit was taken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.get().map(|permit| permit.deadline)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.taken.fetch_sub(1, Ordering::Relaxed);
        self.of_caller.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
