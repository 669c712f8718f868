//! The streams of one connection: which are open, what answers them, and what is held for answers that the client
//! has not taken yet.
//!
//! An answer is done long before it is taken, if the client does not read. Until its last frame has been handed
//! over, its permit is held; after a while, the connection is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::permits::Permit;

mod all;
mod state;

pub(super) use all::All;
pub(super) use state::Kind;

use state::{MAX_UNTAKEN, State, Waits};

/// How many bytes are read before others on the same thread have their turn; with more to come, the next turns are
/// short. One client's burst is not to keep the others waiting until all of it has been served.
const MAX_TURN: usize = 8 * 1024;
const SHORT_TURN: usize = 1024;
/// How often a connection looks after what its client has not taken.
const LOOK: Duration = Duration::from_secs(1);
/// HTTP/2's reason of a reset for a request that breaks its rules.
const PROTOCOL_ERROR: u32 = 1;

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    all: Arc<All>,
    /// Whether the client has spoken HTTP/2.
    is_heard: AtomicBool,
    state: Mutex<State>,
    /// Bytes that may still be read in this turn.
    turn: AtomicUsize,
    /// Our last call has been answered, and its answer taken.
    ours_done: Notify,
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct Work {
    streams: Arc<Streams>,
    kind: Kind,
    permit: Option<Arc<Permit>>,
    waits: Option<Waits>,
}

/// A connection has too many streams of a kind. It is told so, which is work as well.
#[derive(Debug)]
pub(super) struct TooMany(pub(super) Work);

// === impl Streams ===

impl Streams {
    /// The streams of a new connection.
    pub(super) fn new(all: Arc<All>) -> Arc<Self> {
        Arc::new(Self {
            all,
            is_heard: AtomicBool::new(false),
            state: Mutex::default(),
            turn: AtomicUsize::new(MAX_TURN),
            ours_done: Notify::new(),
        })
    }

    /// The connection's task has its turn again.
    pub(super) fn begin_turn(&self) {
        let is_burst = self.turn() == 0;
        let next = if is_burst { SHORT_TURN } else { MAX_TURN };
        self.turn.store(next, Ordering::Relaxed);
    }

    /// How many bytes may be read before others are to have their turn.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    /// So many of them have been read.
    pub(super) fn read(&self, bytes: usize) {
        self.turn.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The client has sent a frame.
    pub(super) fn hear(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Whether the client has spoken HTTP/2.
    pub(super) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// The client has sent headers or the end of its side; a stream that is new is open.
    pub(super) fn open(&self, stream: u32) {
        if self.state().open(stream) {
            self.all.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last frame of an answer has been handed over, or the client does not want it any more.
    pub(super) fn end(&self, stream: u32) {
        let mut state = self.state();
        if state.end(stream) {
            self.all.open.fetch_sub(1, Ordering::Relaxed);
            self.tell(&state);
        }
    }

    /// The client has reset a stream.
    pub(super) fn cancel(&self, stream: u32) {
        self.state().cancel(Instant::now());
        self.end(stream);
    }

    /// We have reset a stream.
    pub(super) fn reset(&self, stream: u32, reason: u32) {
        if reason == PROTOCOL_ERROR {
            self.all.tell_malformed();
        }
        self.end(stream);
    }

    /// An answer is begun.
    ///
    /// # Errors
    /// [`TooMany`] when the connection has as many of its kind as it may.
    pub(super) fn begin(self: &Arc<Self>, kind: Kind) -> Result<Work, TooMany> {
        let mut state = self.state();
        let work = |kind| Work {
            streams: Arc::clone(self),
            kind,
            permit: None,
            waits: None,
        };
        if state.begin(kind) {
            return Ok(work(kind));
        }
        // There is no limit to these.
        state.begin(Kind::Other);
        Err(TooMany(work(Kind::Other)))
    }

    /// Resolves when the client has left an answer for too long, or too many where memory is short, or resets
    /// streams as fast as it can.
    pub(super) async fn abused(&self) {
        loop {
            sleep(LOOK).await;
            if self.state().is_abused(self.all.is_full(), Instant::now()) {
                return;
            }
        }
    }

    /// Resolves when no call of ours is open, and no answer to one has still to be taken.
    pub(super) async fn ours_done(&self) {
        loop {
            let done = self.ours_done.notified();
            if !self.state().has_ours() {
                return;
            }
            done.await;
        }
    }

    fn tell(&self, state: &State) {
        if !state.has_ours() {
            self.ours_done.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change is ever half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        let open = self.state().open.len();
        self.all.open.fetch_sub(open, Ordering::Relaxed);
    }
}

// === impl Work ===

impl Work {
    /// What the stream is about.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The answer is there, and has to be taken by the client from now on. The permit of its call is held until it
    /// has; one that lasts gives it back.
    pub(super) fn answer(&mut self, permit: Option<Arc<Permit>>) {
        if matches!(self.kind, Kind::Watch | Kind::Reflection) {
            return;
        }
        let deadline = permit.as_ref().map(|permit| permit.deadline());
        let until = deadline.unwrap_or_else(Instant::now) + MAX_UNTAKEN;
        self.permit = permit;
        self.waits = Some(self.streams.state().answer(until));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let permit = self.permit.take();
        let mut state = self.streams.state();
        state.finish(self.kind, self.waits, permit, Instant::now());
        self.streams.tell(&state);
    }
}

#[cfg(test)]
mod tests;
