//! One stream that is open, and its answer.

use std::time::Duration;

use tokio::time::Instant;

use super::all::Counted;
use crate::server::permits::Kept;

/// How long an answer may wait for its client beyond the deadline of its call.
pub(super) const MAX_UNTAKEN: Duration = Duration::from_secs(5);
/// How often a connection looks after what its client has not taken.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Health watches of one connection. Clients have one for each service that they ask about.
const MAX_WATCHES: usize = 2;
/// Reflection streams of one connection.
const MAX_REFLECTIONS: usize = 4;

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

/// A stream that is open: its answer has not been handed over.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) number: u32,
    pub(super) opened: Instant,
    /// Whether the client has reset it in this turn, before its answer was begun.
    pub(super) is_cancelled: bool,
    pub(super) answer: Option<Answer>,
}

/// A stream's answer, which is being made, or done.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) is_done: bool,
    pub(super) untaken: Option<Untaken>,
}

/// What is held for an answer that the client has to take.
#[derive(Debug)]
pub(super) struct Untaken {
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) _permit: Kept,
    pub(super) _counted: Counted,
}

impl Kind {
    /// How many a connection may have, if there is a limit.
    pub(super) fn max(self) -> Option<usize> {
        match self {
            Self::Ours | Self::Other => None,
            Self::Watch => Some(MAX_WATCHES),
            Self::Reflection => Some(MAX_REFLECTIONS),
        }
    }
}

impl Stream {
    /// When it has to be over. Where calls take so long at most, there is an answer by then.
    pub(super) fn until(&self, limit: Duration) -> Option<Instant> {
        match &self.answer {
            Some(Answer {
                untaken: Some(untaken),
                ..
            }) => Some(untaken.until),
            Some(answer) if answer.kind == Kind::Watch => None,
            _ => Some(self.opened + limit + MAX_UNTAKEN),
        }
    }

    /// Whether its answer has been left from one look to the next.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        let untaken = self
            .answer
            .as_ref()
            .and_then(|answer| answer.untaken.as_ref());
        untaken.is_some_and(|untaken| untaken.since + LOOK <= now)
    }
}
