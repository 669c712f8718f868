//! Passwords that were refused, so that they are not shown to the upstream again and again: it locks the login.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::key::Key;
use crate::upstream::error::UpstreamError;
use crate::upstream::error_code::PasswordDoubt;

/// How long a wrong password is refused from memory.
const WRONG: Duration = Duration::from_secs(60);
/// How long one that may be wrong is, at first; the meeting may be about to start.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that this becomes by doubling.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long it is remembered how often a password was refused.
const MAX_AGE: Duration = Duration::from_secs(120);
/// The most passwords that are remembered.
const MAX_ENTRIES: u64 = 10_000;

/// What is remembered of refused passwords.
#[derive(Debug)]
pub(super) struct Memory(Cache<Key, Refused>);

#[derive(Debug, Clone)]
struct Refused {
    error: Arc<UpstreamError>,
    until: Instant,
    times: u32,
}

impl Default for Memory {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_ENTRIES)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(MAX_AGE);
        Self(cache.build())
    }
}

impl Memory {
    /// What the upstream said of a password, as long as it need not be asked again.
    pub(super) fn refusal(&self, key: &Key, now: Instant) -> Option<Arc<UpstreamError>> {
        let refused = self.0.get(key)?;
        (now < refused.until).then_some(refused.error)
    }

    /// Remembers what the upstream said of a password.
    pub(super) fn remember(
        &self,
        key: Key,
        doubt: PasswordDoubt,
        error: &Arc<UpstreamError>,
        now: Instant,
    ) {
        let times = self.0.get(&key).map_or(0, |refused| refused.times);
        let pause = match doubt {
            PasswordDoubt::None => return,
            PasswordDoubt::Wrong => WRONG,
            PasswordDoubt::Locked | PasswordDoubt::Perhaps => FIRST_PAUSE
                .saturating_mul(1 << times.min(16))
                .min(MAX_PAUSE),
        };
        let refused = Refused {
            error: Arc::clone(error),
            until: now + pause,
            times: times.saturating_add(1),
        };
        self.0.insert(key, refused);
    }

    /// Drops what is over.
    pub(super) fn sweep(&self) {
        self.0.run_pending_tasks();
    }

    /// The password is right.
    pub(super) fn forget(&self, key: &Key) {
        self.0.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::refusal::Refusal;

    #[tokio::test(start_paused = true)]
    async fn a_refused_password_is_remembered_for_as_long_as_its_refusal_says() {
        let error = Arc::new(UpstreamError::Refused(Box::new(Refusal::of_status(400))));
        for (doubt, pauses) in [
            (PasswordDoubt::Wrong, &[60, 60][..]),
            (PasswordDoubt::Perhaps, &[5, 10, 20, 30, 30]),
            (PasswordDoubt::Locked, &[5, 10, 20, 30, 30]),
            (PasswordDoubt::None, &[0]),
        ] {
            let (memory, key) = (Memory::default(), Key::for_tests(1));
            let mut now = Instant::now();
            for pause in pauses {
                let pause = Duration::from_secs(*pause);
                memory.remember(key, doubt, &error, now);
                if let Some(last) = pause.checked_sub(Duration::from_millis(1)) {
                    assert!(memory.refusal(&key, now + last).is_some(), "{doubt:?}");
                }
                now += pause;
                assert!(memory.refusal(&key, now).is_none(), "{doubt:?} {pause:?}");
                assert!(memory.refusal(&Key::for_tests(2), now).is_none());
            }
            memory.remember(key, doubt, &error, now);
            memory.forget(&key);
            assert!(memory.refusal(&key, now).is_none());
        }
    }
}
