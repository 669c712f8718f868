//! The books of one connection's streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::server::permits::Permit;

/// How long an answer may wait for its client beyond the deadline of its call.
pub(super) const MAX_UNTAKEN: Duration = Duration::from_secs(5);
/// Health watches of one connection. Clients have one for each service that they ask about.
const MAX_WATCHES: usize = 2;
/// Reflection streams of one connection.
const MAX_REFLECTIONS: usize = 4;
/// How many answers a connection may leave untaken where memory is short.
const MIN_UNTAKEN: usize = 8;
/// How many streams a client may reset in a second, and at once beyond that: calls whose callers have given up while
/// we got no time. With more, it is flooding.
pub(super) const MAX_CANCELS: f64 = 10_000.0;

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// A call of our own service.
    Ours,
    /// A health check, and anything else that is answered at once.
    Other,
    /// A health watch, which lasts as long as its connection.
    Watch,
    /// Reflection.
    Reflection,
}

/// The books of one connection's streams.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Sorted, as each new one is higher than those before.
    pub(super) open: Vec<u32>,
    /// The highest stream so far.
    last: u32,
    /// Those that an answer is made for, by kind.
    working: [usize; Kind::COUNT],
    /// When answers have to be taken whose bodies wait for the client to take some of them, by number.
    waiting: Vec<Waits>,
    numbers: u64,
    /// Answers that are done, and perhaps not taken; the oldest first.
    held: VecDeque<Held>,
    /// Streams that the client has reset beyond what it may in the time until the last of them.
    pub(super) cancelled: f64,
    last_cancelled: Option<Instant>,
}

/// The number of an answer that waits, and until when.
pub(super) type Waits = (u64, Instant);

/// An answer that is done, and what is held for it.
#[derive(Debug)]
struct Held {
    is_ours: bool,
    until: Instant,
    _permit: Option<Arc<Permit>>,
}

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

impl State {
    /// The client has sent headers. Returns whether the stream is new.
    pub(super) fn open(&mut self, stream: u32) -> bool {
        let is_new = stream > self.last;
        if is_new {
            self.last = stream;
            self.open.push(stream);
        }
        is_new
    }

    /// A stream is over. Returns whether it was open.
    pub(super) fn end(&mut self, stream: u32) -> bool {
        let found = self.open.binary_search(&stream);
        if let Ok(at) = found {
            self.open.remove(at);
            self.settle();
        }
        found.is_ok()
    }

    /// The client has reset a stream.
    pub(super) fn cancel(&mut self, now: Instant) {
        let since = self.last_cancelled.replace(now);
        let since = since.map_or(Duration::ZERO, |since| now - since);
        let allowed = since.as_secs_f64() * MAX_CANCELS;
        self.cancelled = (self.cancelled - allowed).max(0.0) + 1.0;
    }

    /// An answer is begun, where the connection may have another of its kind.
    pub(super) fn begin(&mut self, kind: Kind) -> bool {
        let has_room = self.working[kind as usize] < kind.max();
        if has_room {
            self.working[kind as usize] += 1;
            self.settle();
        }
        has_room
    }

    /// An answer is there, and has to be taken until then.
    pub(super) fn answer(&mut self, until: Instant) -> Waits {
        self.numbers += 1;
        let waits = (self.numbers, until);
        self.waiting.push(waits);
        waits
    }

    /// An answer is done, as far as it lies with us.
    pub(super) fn finish(
        &mut self,
        kind: Kind,
        waits: Option<Waits>,
        permit: Option<Arc<Permit>>,
        now: Instant,
    ) {
        self.working[kind as usize] -= 1;
        let at = self.waiting.iter().rposition(|other| Some(*other) == waits);
        if let Some(at) = at {
            self.waiting.swap_remove(at);
        }
        self.held.push_back(Held {
            is_ours: kind == Kind::Ours,
            until: waits.map_or(now + MAX_UNTAKEN, |(_, until)| until),
            _permit: permit,
        });
        self.settle();
    }

    /// Whether the client has left an answer for too long, or too many where memory `is_short`, or resets streams
    /// as fast as it can.
    pub(super) fn is_abused(&self, is_short: bool, now: Instant) -> bool {
        let held = self.held.iter().map(|held| held.until);
        let mut until = held.chain(self.waiting.iter().map(|(_, until)| *until));
        until.any(|until| until <= now)
            || (is_short && self.held.len() > MIN_UNTAKEN)
            || self.cancelled > MAX_CANCELS
    }

    /// Whether a call of ours is open, or its answer has still to be taken.
    pub(super) fn has_ours(&self) -> bool {
        self.working[Kind::Ours as usize] > 0 || self.held.iter().any(|held| held.is_ours)
    }

    /// Lets go of what is held for answers that have been taken: as many are left as streams are open that
    /// nobody makes an answer for.
    fn settle(&mut self) {
        let working = self.working.iter().sum::<usize>();
        let untaken = self.open.len().saturating_sub(working);
        while self.held.len() > untaken {
            self.held.pop_front();
        }
    }
}
