//! The streams of one connection: which are open, what answers them, and what is held for answers that the client
//! has not taken yet.
//!
//! An answer is done long before it is taken, if the client does not read. Until its last frame has been handed
//! over, its permit is held; after a while, the connection is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::frames::Frame;
use super::metrics::Closing;
use super::permits::Kept;

mod all;
mod state;
mod stream;
mod turn;
mod wear;

pub(super) use all::All;
pub(super) use stream::Kind;
pub(super) use wear::Life;

use state::State;
use stream::{LOOK, MAX_UNTAKEN};
use turn::Turn;

/// How long one reflection stream lasts.
pub(super) const MAX_REFLECTION: Duration = Duration::from_secs(30);
/// HTTP/2's reason of a reset for a request that breaks its rules.
const PROTOCOL_ERROR: u32 = 1;

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    all: Arc<All>,
    life: Life,
    /// Whether the client has spoken HTTP/2.
    is_heard: AtomicBool,
    /// Whether the connection ends because its client costs the others too much.
    is_abused: AtomicBool,
    state: Mutex<State>,
    pub(super) turn: Turn,
    /// There is something to look after again.
    busy: Notify,
    /// The connection has spent what it may in its life.
    worn: Notify,
    /// Our last call has been answered, and its answer taken.
    ours_done: Notify,
    is_waited: AtomicBool,
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct Work {
    streams: Arc<Streams>,
    kind: Kind,
    /// The answer's number among those of its connection.
    number: u64,
    is_answered: bool,
}

/// A connection has too many streams of a kind. It is told so, which is work as well.
#[derive(Debug)]
pub(super) struct TooMany(pub(super) Work);

// === impl Streams ===

impl Streams {
    /// The streams of a new connection, which is to be replaced after such a `life`.
    pub(super) fn new(all: Arc<All>, life: Life) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(all.max_resets)),
            all,
            life,
            is_heard: AtomicBool::new(false),
            is_abused: AtomicBool::new(false),
            turn: Turn::default(),
            busy: Notify::new(),
            worn: Notify::new(),
            ours_done: Notify::new(),
            is_waited: AtomicBool::new(false),
        })
    }

    /// The connection's task has its turn again.
    pub(super) fn begin_turn(&self) {
        self.turn.begin();
    }

    /// The connection's task has done what it could for now.
    pub(super) fn end_turn(&self) {
        self.state().end_turn();
    }

    /// Whether the client has spoken HTTP/2.
    pub(super) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// The client has sent a frame.
    pub(super) fn received(&self, frame: Frame) {
        self.is_heard.store(true, Ordering::Relaxed);
        let mut state = self.state();
        let was_idle = state.is_idle();
        state.received(frame);
        if was_idle && !state.is_idle() {
            self.busy.notify_one();
        }
        self.tell(&state);
    }

    /// We have sent a frame.
    pub(super) fn sent(&self, frame: Frame) {
        if let Frame::Resets {
            reason: PROTOCOL_ERROR,
            ..
        } = frame
        {
            self.all.tell_malformed();
        }
        let mut state = self.state();
        state.sent(frame);
        self.tell(&state);
    }

    /// An answer is begun.
    ///
    /// # Errors
    /// [`TooMany`] when the connection has as many of its kind as it may.
    pub(super) fn begin(self: &Arc<Self>, kind: Kind) -> Result<Work, TooMany> {
        let mut state = self.state();
        let work = |kind, number| Work {
            streams: Arc::clone(self),
            kind,
            number,
            is_answered: false,
        };
        match state.begin(kind) {
            Some(number) => Ok(work(kind, number)),
            None => {
                // There is no limit to these.
                let number = state.begin(Kind::Other).unwrap_or_default();
                Err(TooMany(work(Kind::Other, number)))
            }
        }
    }

    /// Resolves with the reason when the client costs the others too much: it has left an answer for too long, or too
    /// many where memory is short, resets streams as fast as it can, or does not end its headers.
    pub(super) async fn abused(&self) -> Closing {
        loop {
            if self.state().is_idle() {
                self.busy.notified().await;
            }
            let due = Instant::now() + LOOK;
            sleep_until(due).await;
            // We have had no time ourselves, and the client no chance.
            if due.elapsed() > LOOK {
                continue;
            }
            let is_short = self.all.is_full();
            let abuse = self.state().abuse(self.all.limit, is_short, Instant::now());
            if let Some(abuse) = abuse {
                self.is_abused.store(true, Ordering::Relaxed);
                return abuse;
            }
        }
    }

    /// Whether the connection ends because its client costs the others too much.
    pub(super) fn is_abused(&self) -> bool {
        self.is_abused.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has spent what it may in its life.
    pub(super) async fn worn(&self) {
        self.worn.notified().await;
    }

    /// Resolves when no call of ours is open, and no answer to one has still to be taken.
    pub(super) async fn ours_done(&self) {
        self.is_waited.store(true, Ordering::Relaxed);
        loop {
            let done = self.ours_done.notified();
            if !self.state().has_ours() {
                return;
            }
            done.await;
        }
    }

    fn tell(&self, state: &State) {
        if self.is_waited.load(Ordering::Relaxed) && !state.has_ours() {
            self.ours_done.notify_waiters();
        }
        if state.is_worn(self.life) {
            self.worn.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change is ever half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Work ===

impl Work {
    /// What the stream is about.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The answer is there, and has to be taken by the client from now on. The permit of its call is held until it
    /// has; a watch gives it back, as it lasts.
    pub(super) fn answer(&mut self, permit: Kept) {
        let until = match self.kind {
            Kind::Watch => return,
            Kind::Reflection => Instant::now() + MAX_REFLECTION,
            Kind::Ours | Kind::Other => permit.deadline().unwrap_or_else(Instant::now),
        };
        self.hold(until, permit);
    }

    fn hold(&mut self, until: Instant, permit: Kept) {
        self.is_answered = true;
        let held = self.streams.all.hold();
        let mut state = self.streams.state();
        state.answer(self.number, until + MAX_UNTAKEN, permit, held);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.is_answered {
            self.hold(Instant::now(), Kept::default());
        }
        self.streams.state().finish(self.number);
    }
}

#[cfg(test)]
mod tests;
