//! Whether a client's connection has a stream for each of its requests.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a request waits for a stream before there may be none for it.
const MAX_WAIT: Duration = Duration::from_millis(30);
/// How much later it must be waiting still: a thread that was held up for once is no sign.
const AGAIN: Duration = Duration::from_millis(10);

/// The requests of one client, as they wait for their streams and leave.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Since when those wait that have not left, the first that came in front.
    waiting: VecDeque<Instant>,
    /// How many have left and are not over.
    sent: usize,
    /// What was seen when the one in front had waited for too long.
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    front: Instant,
    at: Instant,
    sent: usize,
}

impl Queue {
    /// A request waits from now on.
    pub(super) fn join(&mut self, now: Instant) {
        self.waiting.push_back(now);
    }

    /// A request has left; they leave in their order.
    pub(super) fn leave(&mut self) {
        self.waiting.pop_front();
        self.sent += 1;
    }

    /// A request will not leave any more.
    pub(super) fn withdraw(&mut self) {
        self.waiting.pop_front();
    }

    /// A request that had left is over.
    pub(super) fn end(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// How many streams the connection has, when it shows now that they are not enough.
    pub(super) fn shortage(&mut self, now: Instant) -> Option<usize> {
        let front = self.waiting.front().copied()?;
        // With none under way, there may be no connection yet.
        if self.sent == 0 || now - front < MAX_WAIT {
            return None;
        }
        let seen = self.seen.filter(|seen| seen.front == front);
        let seen = *self.seen.insert(seen.unwrap_or(Seen {
            front,
            at: now,
            sent: self.sent,
        }));
        // Some may just be over, and those that wait have not taken their streams.
        (now - seen.at >= AGAIN).then_some(seen.sent.max(self.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_waits_beside_others_that_left_and_is_still_there_shows_a_shortage() {
        let start = Instant::now();
        let mut queue = Queue::default();
        for _ in 0..9 {
            queue.join(start);
        }
        assert_eq!(queue.shortage(start + MAX_WAIT), None, "nothing has left");
        for _ in 0..8 {
            queue.leave();
        }
        assert_eq!(queue.shortage(start + MAX_WAIT / 2), None, "too soon");
        assert_eq!(queue.shortage(start + MAX_WAIT), None, "seen once");
        for _ in 0..7 {
            queue.end();
        }
        assert_eq!(queue.shortage(start + MAX_WAIT + AGAIN), Some(8));
        queue.leave();
        assert_eq!(queue.shortage(start + 2 * MAX_WAIT), None, "none waits");
    }

    #[test]
    fn a_thread_that_was_held_up_is_no_shortage() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.join(start);
        queue.leave();
        queue.join(start);
        let late = start + 10 * MAX_WAIT;
        assert_eq!(queue.shortage(late), None, "seen once");
        queue.leave();
        queue.join(late);
        assert_eq!(queue.shortage(late + MAX_WAIT), None, "another");
        queue.withdraw();
        assert_eq!(queue.shortage(late + 2 * MAX_WAIT), None, "none waits");
    }
}
