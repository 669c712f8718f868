//! How far an attempt came: the truth behind every `outcome`.
//!
//! The request leaves on another task than the one that waits for the answer, so the two agree on one
//! atomic value: either the body may leave, and the attempt knows it, or the attempt is over, and the
//! body stays. `tests/gate.rs` has them meet in every order there is.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not a byte of the body has left, and none will: nothing can have been changed.
    NotSent,
    /// The body has begun to leave, and nothing came back.
    Sent,
    /// The head of an answer came back.
    Answered,
}

/// Shared between an attempt and its request's body.
// Each step is one read-modify-write of one value, and nothing else is handed over by it: `Relaxed` will do.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const ANSWERED: u8 = 2;
/// Added to one of the others: how far an attempt came stays known once it is over.
const CLOSED: u8 = 4;

impl Gate {
    /// Asks whether the body may leave. After a no, it must not.
    pub(super) fn pass(&self) -> bool {
        let passed = self
            .0
            .compare_exchange(WAITING, SENT, Ordering::Relaxed, Ordering::Relaxed);
        matches!(passed, Ok(_) | Err(SENT | ANSWERED))
    }

    /// Notes that the head of an answer came back.
    pub(super) fn answered(&self) {
        // An answer to a request that has not left whole is one all the same.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                (now & CLOSED == 0).then_some(ANSWERED)
            });
    }

    /// Ends the attempt: says how far it came, and holds back a body that has not left. May be asked again.
    pub(super) fn close(&self) -> Progress {
        match self.0.fetch_or(CLOSED, Ordering::Relaxed) & !CLOSED {
            SENT => Progress::Sent,
            ANSWERED => Progress::Answered,
            _ => Progress::NotSent,
        }
    }
}
