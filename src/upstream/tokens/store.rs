//! What is known of passwords: the tokens that are kept for them, which were right lately, and which were refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::kept::Kept;
use super::key::Key;
use super::memory::Memory;
use crate::upstream::answer::Issued;
use crate::upstream::error::UpstreamError;
use crate::upstream::error_code::PasswordDoubt;
use crate::upstream::metrics::{Metrics, TokenRequest};

/// How long a password counts as right after a token was obtained for it.
const PROVEN: Duration = Duration::from_secs(60 * 60);
/// From so many tokens on that were displaced one after the other, it is told.
const MIN_DISPLACED: u32 = 4;

/// What is known of passwords.
#[derive(Debug)]
pub(super) struct Store {
    kept: Cache<Key, Arc<Kept>>,
    proven: Cache<Key, ()>,
    memory: Memory,
    /// Whether refused passwords are remembered.
    remembers: bool,
    metrics: Arc<Metrics>,
    /// Whether it has been told that tokens do not say how long they live.
    told_of_life: AtomicBool,
}

/// How asking for a token ended, for all that wait for it.
pub(super) type End = Result<Arc<Kept>, Arc<UpstreamError>>;

/// Tokens are kept for as long as they live.
struct Life;

#[allow(
    clippy::disallowed_types,
    reason = "the trait has it so, and no clock is read"
)]
impl Expiry<Key, Arc<Kept>> for Life {
    fn expire_after_create(
        &self,
        _: &Key,
        kept: &Arc<Kept>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(kept.life)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Arc<Kept>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.life)
    }
}

impl Store {
    /// Keeps at most `max` tokens; refused passwords are remembered if it `remembers`.
    pub(super) fn new(max: u64, remembers: bool, metrics: Arc<Metrics>) -> Self {
        let tokens = metrics.tokens.clone();
        let kept = Cache::builder()
            .max_capacity(max)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Life)
            .eviction_listener(move |_, _, _| {
                tokens.dec();
            });
        let proven = Cache::builder()
            .max_capacity(max)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(PROVEN);
        Self {
            kept: kept.build(),
            proven: proven.build(),
            memory: Memory::default(),
            remembers,
            metrics,
            told_of_life: AtomicBool::new(false),
        }
    }

    /// The token that is kept, if it can be sent.
    pub(super) fn usable(&self, key: &Key, now: Instant) -> Option<Arc<Kept>> {
        self.kept.get(key).filter(|kept| kept.is_usable(now))
    }

    /// Whether a password was right lately.
    pub(super) fn is_proven(&self, key: &Key) -> bool {
        self.proven.contains_key(key)
    }

    /// What the upstream said of a password, as long as it need not be asked again.
    pub(super) fn refusal(&self, key: &Key, now: Instant) -> Option<Arc<UpstreamError>> {
        self.memory.refusal(key, now)
    }

    /// Learns how asking for a token ended: with a token that was asked for so long ago, or not. It `replaces`
    /// one that was rejected, if there is one, where it was not asked for before that.
    pub(super) fn settle(
        &self,
        key: Key,
        conference_id: &str,
        result: Result<(Issued, Duration), UpstreamError>,
        replaces: bool,
        now: Instant,
    ) -> End {
        match result {
            Ok((issued, ago)) => {
                let forerunner = self.kept.get(&key).filter(|_| replaces);
                let kept = Kept::new(issued, now - ago, forerunner.as_deref());
                Ok(self.keep(key, conference_id, kept))
            }
            Err(error) => {
                let error = Arc::new(error);
                let doubt = error.password_doubt();
                if self.remembers {
                    self.memory.remember(key, doubt, &error, now);
                }
                match (&*error, doubt) {
                    // Nothing was asked.
                    (UpstreamError::KnownDown(_), _) => {}
                    (_, PasswordDoubt::None) => self.metrics.token_request(TokenRequest::Failed),
                    _ => self.metrics.token_request(TokenRequest::Refused),
                }
                Err(error)
            }
        }
    }

    fn keep(&self, key: Key, conference_id: &str, kept: Kept) -> Arc<Kept> {
        if kept.is_life_assumed && !self.told_of_life.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the upstream does not say how long its tokens live: half an hour, it is assumed"
            );
        }
        let kept = Arc::new(kept);
        // Ever more rarely, as it goes on.
        if kept.displaced >= MIN_DISPLACED && kept.displaced.is_power_of_two() {
            tracing::warn!(
                conference_id,
                displaced = kept.displaced,
                "the tokens of a meeting are displaced again and again: another client obtains tokens for it"
            );
        }
        self.metrics.tokens.inc();
        self.kept.insert(key, Arc::clone(&kept));
        self.proven.insert(key, ());
        self.memory.forget(&key);
        self.metrics.token_request(TokenRequest::Issued);
        kept
    }

    /// Drops what is over, which else happens only where others are looked up.
    pub(super) fn sweep(&self) {
        self.kept.run_pending_tasks();
        self.proven.run_pending_tasks();
        self.memory.sweep();
    }
}
