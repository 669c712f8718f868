//! Lines that a client can bring about as often as it likes, and that are logged now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often such a line is logged.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// A line of the log that is not to flood it.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether the line is to be logged now; then it says how many have been left out since the last.
    pub(super) fn is_due(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| last.elapsed() < TELL_AGAIN) {
            told.left_out += 1;
            return None;
        }
        told.last = Some(Instant::now());
        Some(std::mem::take(&mut told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_each_ten_seconds_and_tells_of_those_left_out() {
        let seldom = Seldom::default();
        assert_eq!(seldom.is_due(), Some(0));
        for _ in 0..3 {
            assert_eq!(seldom.is_due(), None);
        }
        tokio::time::advance(TELL_AGAIN).await;
        assert_eq!(seldom.is_due(), Some(3));
        assert_eq!(seldom.is_due(), None);
    }
}
