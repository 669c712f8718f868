//! Turns at reading: one client's burst is not to keep others on the same thread waiting until all of it has been
//! served.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes are read before others have their turn; with more to come, the next turns are short.
const MAX_TURN: usize = 8 * 1024;
const SHORT_TURN: usize = 512;

/// The bytes that may still be read in a connection's turn.
#[derive(Debug)]
pub(in crate::server) struct Turn(AtomicUsize);

impl Default for Turn {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_TURN))
    }
}

impl Turn {
    /// The connection's task has its turn again.
    pub(super) fn begin(&self) {
        let is_burst = self.left() == 0;
        let next = if is_burst { SHORT_TURN } else { MAX_TURN };
        self.0.store(next, Ordering::Relaxed);
    }

    /// How many bytes may be read before others are to have their turn.
    pub(in crate::server) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// So many of them have been read.
    pub(in crate::server) fn read(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}
