//! What may be spent on retries: a bucket that calls fill, and time fills a little.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// A bucket of retries.
#[derive(Debug)]
pub(super) struct Budget {
    per_call: f64,
    per_second: f64,
    most: f64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    retries: f64,
    at: Instant,
}

impl Budget {
    /// Each call pays in `per_call`, each second `per_second`; no more than `most` is kept. A tenth of
    /// that is there from the start.
    pub(super) fn new(per_call: f64, per_second: f64, most: f64) -> Self {
        Self {
            per_call,
            per_second,
            most,
            level: Mutex::new(Level {
                retries: most / 10.0,
                at: Instant::now(),
            }),
        }
    }

    /// A call was made.
    pub(super) fn deposit(&self) {
        self.change(|retries| (retries + self.per_call, ()));
    }

    /// Takes out one retry; `false` when there is none.
    pub(super) fn withdraw(&self) -> bool {
        self.change(|retries| {
            if retries >= 1.0 {
                (retries - 1.0, true)
            } else {
                (retries, false)
            }
        })
    }

    fn change<T>(&self, change: impl FnOnce(f64) -> (f64, T)) -> T {
        // Two plain numbers, whole even after a panic.
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(level.at).as_secs_f64() * self.per_second;
        let (retries, result) = change((level.retries + earned).min(self.most));
        level.retries = retries.min(self.most);
        level.at = now;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn drain(budget: &Budget) -> usize {
        (0..1_000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_pay_their_share_and_time_a_floor() {
        let budget = Budget::new(0.2, 1.0, 100.0);
        assert_eq!(drain(&budget), 10, "what is there from the start");
        for _ in 0..100 {
            budget.deposit();
        }
        // Twenty, give or take a rounding.
        assert!((19..=20).contains(&drain(&budget)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!((7..=8).contains(&drain(&budget)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_the_bucket_holds() {
        let budget = Budget::new(0.2, 1.0, 100.0);
        for _ in 0..10_000 {
            budget.deposit();
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(drain(&budget), 100);
    }
}
