//! What the streams of all connections have in common.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

/// The most streams of all connections. Beyond it, connections that leave answers untaken are closed.
pub(super) const MAX_OPEN: usize = 10_240;
/// How often it is told that clients send what is not HTTP/2.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The streams of all connections.
#[derive(Debug, Default)]
pub(in crate::server) struct All {
    pub(super) open: AtomicUsize,
    pub(super) malformed: Counter,
    told: Mutex<Option<Instant>>,
}

impl All {
    /// Counts requests that break HTTP/2's rules by `malformed`.
    pub(in crate::server) fn new(malformed: Counter) -> Self {
        Self {
            malformed,
            ..Self::default()
        }
    }

    /// Whether there are more than memory is meant for.
    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) > MAX_OPEN
    }

    /// A request has broken the rules.
    pub(super) fn tell_malformed(&self) {
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
