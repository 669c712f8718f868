//! What is known of the way to the upstream, and what follows from a connection. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Connections that failed in a row, after which the upstream may count as unreachable.
pub(super) const THRESHOLD: u32 = 5;
/// How long the row must have lasted as well: faults come back sooner than connections, so at the start of a
/// burst a few of them can be the first that is heard.
pub(super) const TRIAL: Duration = Duration::from_millis(500);
/// The time between two probes; an upstream that is back is noticed so soon.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum State {
    /// Attempts are made.
    Closed {
        /// The upstream counts as reachable since then; what began before tells of a time that is over.
        since: Instant,
        /// Connections that failed in a row.
        missed: u32,
        /// When the first of them failed.
        first: Option<Instant>,
    },
    /// Attempts are refused, but for one now and then whose connection is a probe.
    Open {
        /// When the next may be made.
        next_probe: Instant,
    },
}

impl State {
    /// Nothing is held against an upstream that counts as reachable since then.
    pub(super) fn clean(since: Instant) -> Self {
        Self::Closed {
            since,
            missed: 0,
            first: None,
        }
    }

    /// Whether an attempt may be made `now`, as a probe or not; if not, how long until the next probe.
    pub(super) fn admit(self, now: Instant) -> (Self, Result<(), Duration>) {
        match self {
            Self::Open { next_probe } if next_probe > now => (self, Err(next_probe - now)),
            Self::Open { .. } => (
                Self::Open {
                    next_probe: now + PROBE_INTERVAL,
                },
                Ok(()),
            ),
            Self::Closed { .. } => (self, Ok(())),
        }
    }

    /// The upstream was reached `now`.
    pub(super) fn reached(self, now: Instant) -> Self {
        match self {
            Self::Closed { since, .. } => Self::clean(since),
            Self::Open { .. } => Self::clean(now),
        }
    }

    /// A connection that was begun at `started` has failed `now`.
    pub(super) fn missed(self, started: Instant, now: Instant) -> Self {
        match self {
            Self::Closed {
                since,
                missed,
                first,
            } if started >= since => {
                let missed = missed.saturating_add(1);
                let first = first.unwrap_or(now);
                if missed >= THRESHOLD && now - first >= TRIAL {
                    Self::Open {
                        next_probe: now + PROBE_INTERVAL,
                    }
                } else {
                    Self::Closed {
                        since,
                        missed,
                        first: Some(first),
                    }
                }
            }
            unmoved => unmoved,
        }
    }
}
