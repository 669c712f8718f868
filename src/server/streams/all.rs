//! What the streams of all connections have in common.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::call::Peer;
use crate::server::metrics::{Closing, Connections};
use crate::server::seldom::Seldom;

/// The most answers of all connections that are held until their clients take them. Beyond it, connections that leave
/// several are closed.
pub(super) const MAX_HELD: i64 = 10_240;

/// The streams of all connections.
#[derive(Debug, Default)]
pub(in crate::server) struct All {
    /// The longest time for a call.
    pub(super) limit: Duration,
    /// Streams that a client may reset in a second.
    pub(super) max_resets: u32,
    pub(super) held: Gauge,
    pub(super) malformed: Counter,
    pub(super) closed: [Counter; Closing::LABELS.len()],
    told_malformed: Seldom,
    told_closed: Seldom,
}

/// An answer that is held, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<All>);

// === impl All ===

impl All {
    /// The streams of all connections, whose calls take `limit` at most, and of which a client may reset so many in a
    /// second. What happens is counted by `connections`.
    pub(in crate::server) fn new(
        connections: &Connections,
        limit: Duration,
        max_resets: u32,
    ) -> Self {
        Self {
            limit,
            max_resets,
            held: connections.untaken(),
            malformed: connections.malformed(),
            closed: connections.closed(),
            ..Self::default()
        }
    }

    /// Whether there are more answers than memory is meant for.
    pub(super) fn is_full(&self) -> bool {
        self.held.get() > MAX_HELD
    }

    /// An answer is held until its client takes it.
    pub(super) fn hold(self: &Arc<Self>) -> Counted {
        self.held.inc();
        Counted(Arc::clone(self))
    }

    /// A request has broken the rules.
    pub(super) fn tell_malformed(&self) {
        self.malformed.inc();
        if self.told_malformed.is_due().is_some() {
            tracing::warn!(
                malformed = self.malformed.get(),
                "requests break the rules of HTTP/2, perhaps by their :authority, and are reset"
            );
        }
    }

    /// A connection is closed before its time.
    pub(in crate::server) fn tell_closed(&self, closing: Closing, peer: &Peer) {
        self.closed[closing as usize].inc();
        let reason = closing.label();
        let told = match closing.is_abuse() {
            true => self.told_closed.is_due(),
            false => None,
        };
        match told {
            Some(left_out) => tracing::warn!(
                peer = peer.identity(),
                caller = ?peer.caller(),
                reason,
                left_out,
                "a connection is closed, as its client costs the others too much"
            ),
            None => tracing::debug!(
                peer = peer.identity(),
                reason,
                "a connection ends before its time"
            ),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.held.dec();
    }
}
