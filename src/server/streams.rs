//! The streams of one connection: which are open, what answers them, and what is held for answers that the client
//! has not taken yet.
//!
//! An answer is done long before it is taken, if the client does not read. Until its last frame has been handed
//! over, its permit is held; after a while, the connection is closed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::permits::Permit;

/// How long an answer may wait for its client beyond the deadline of its call.
pub(super) const MAX_UNTAKEN: Duration = Duration::from_secs(5);
/// Health watches of one connection. Clients have one for each service that they ask about.
const MAX_WATCHES: usize = 2;
/// Reflection streams of one connection.
const MAX_REFLECTIONS: usize = 4;
/// The most streams of all connections. Beyond it, connections that leave answers untaken are closed.
const MAX_OPEN: usize = 10_240;
/// How many answers a connection may leave untaken even then.
const MIN_UNTAKEN: usize = 8;
/// How many streams a client may reset in a second, and at once beyond that: calls whose callers have given up while
/// we got no time. With more, it is flooding.
const MAX_CANCELS: f64 = 10_000.0;
/// How many bytes are read before others on the same thread have their turn; with more to come, the next turns are
/// short. One client's burst is not to keep the others waiting until all of it has been served.
const MAX_TURN: usize = 8 * 1024;
const SHORT_TURN: usize = 1024;
/// How often a connection looks after what its client has not taken.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is told that clients send what is not HTTP/2.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// HTTP/2's reason of a reset for a request that breaks its rules.
const PROTOCOL_ERROR: u32 = 1;

/// What the streams of all connections have in common.
#[derive(Debug, Default)]
pub(super) struct All {
    open: AtomicUsize,
    malformed: Counter,
    told: Mutex<Option<Instant>>,
}

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

#[derive(Debug, Default)]
struct State {
    /// Sorted, as each new one is higher than those before.
    open: Vec<u32>,
    /// The highest stream so far.
    last: u32,
    /// Those that an answer is made for, by kind.
    working: [usize; Kind::COUNT],
    /// When answers have to be taken whose bodies wait for the client to take some of them, by number.
    waiting: Vec<(u64, Instant)>,
    numbers: u64,
    /// Answers that are done, and perhaps not taken; the oldest first.
    held: VecDeque<Held>,
    /// Streams that the client has reset beyond what it may in the time until the last of them.
    cancelled: f64,
    last_cancelled: Option<Instant>,
}

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call of our own service.
    Ours,
    /// A health check, and anything else that is answered at once.
    Other,
    /// A health watch, which lasts as long as its connection.
    Watch,
    /// Reflection.
    Reflection,
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct Work {
    streams: Arc<Streams>,
    kind: Kind,
    permit: Option<Arc<Permit>>,
    /// Where it stands among those that wait, and until when.
    waits: Option<(u64, Instant)>,
}

/// An answer that is done, and what is held for it.
#[derive(Debug)]
struct Held {
    is_ours: bool,
    until: Instant,
    _permit: Option<Arc<Permit>>,
}

/// A connection has too many streams of a kind. It is told so, which is work as well.
#[derive(Debug)]
pub(super) struct TooMany(pub(super) Work);

impl Kind {
    const COUNT: usize = 4;

    /// How many a connection may have.
    fn max(self) -> usize {
        match self {
            Self::Ours | Self::Other => usize::MAX,
            Self::Watch => MAX_WATCHES,
            Self::Reflection => MAX_REFLECTIONS,
        }
    }
}

// === impl All ===

impl All {
    /// Counts requests that break HTTP/2's rules by `malformed`.
    pub(super) fn new(malformed: Counter) -> Self {
        Self {
            malformed,
            ..Self::default()
        }
    }

    fn tell_malformed(&self) {
        self.malformed.inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(
                malformed = self.malformed.get(),
                "requests break the rules of HTTP/2, perhaps by their :authority, and are reset"
            );
        }
    }
}

// === impl Streams ===

impl Streams {
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
        let mut state = self.state();
        if stream > state.last {
            state.last = stream;
            state.open.push(stream);
            self.all.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last frame of an answer has been handed over, or the client does not want it any more.
    pub(super) fn end(&self, stream: u32) {
        let mut state = self.state();
        if let Ok(at) = state.open.binary_search(&stream) {
            state.open.remove(at);
            self.all.open.fetch_sub(1, Ordering::Relaxed);
            self.settle(&mut state);
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
        let is_full = state.working[kind as usize] >= kind.max();
        let kind = if is_full { Kind::Other } else { kind };
        state.working[kind as usize] += 1;
        self.settle(&mut state);
        let work = Work {
            streams: Arc::clone(self),
            kind,
            permit: None,
            waits: None,
        };
        if is_full {
            Err(TooMany(work))
        } else {
            Ok(work)
        }
    }

    /// Resolves when the client has left an answer for too long, or too many where memory is short, or resets
    /// streams as fast as it can.
    pub(super) async fn abused(&self) {
        loop {
            sleep(LOOK).await;
            let now = Instant::now();
            let is_full = self.all.open.load(Ordering::Relaxed) > MAX_OPEN;
            let state = self.state();
            let mut held = state.held.iter().map(|held| held.until);
            let mut waiting = state.waiting.iter().map(|(_, until)| *until);
            if held.any(|until| until <= now)
                || waiting.any(|until| until <= now)
                || (is_full && state.held.len() > MIN_UNTAKEN)
                || state.cancelled > MAX_CANCELS
            {
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

    /// Lets go of what is held for answers that have been taken: as many are left as streams are open that
    /// nobody makes an answer for.
    fn settle(&self, state: &mut State) {
        let untaken = state
            .open
            .len()
            .saturating_sub(state.working.iter().sum::<usize>());
        while state.held.len() > untaken {
            state.held.pop_front();
        }
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

impl State {
    fn cancel(&mut self, now: Instant) {
        let since = self.last_cancelled.replace(now);
        let since = since.map_or(Duration::ZERO, |since| now - since);
        let allowed = since.as_secs_f64() * MAX_CANCELS;
        self.cancelled = (self.cancelled - allowed).max(0.0) + 1.0;
    }

    fn has_ours(&self) -> bool {
        self.working[Kind::Ours as usize] > 0 || self.held.iter().any(|held| held.is_ours)
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
        let mut state = self.streams.state();
        state.numbers += 1;
        let waits = (state.numbers, until);
        state.waiting.push(waits);
        self.waits = Some(waits);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let until = self.waits.map(|(_, until)| until);
        let held = Held {
            is_ours: self.kind == Kind::Ours,
            until: until.unwrap_or_else(|| Instant::now() + MAX_UNTAKEN),
            _permit: self.permit.take(),
        };
        let mut state = self.streams.state();
        state.working[self.kind as usize] -= 1;
        if let Some(waits) = self.waits {
            let waiting = &mut state.waiting;
            if let Some(at) = waiting.iter().rposition(|other| *other == waits) {
                waiting.swap_remove(at);
            }
        }
        state.held.push_back(held);
        self.streams.settle(&mut state);
    }
}

#[cfg(test)]
mod tests;
