//! Which protocol the upstream speaks, as its last connection said.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::upstream::address::BaseUrl;

/// The protocol of the last connection. For all threads, and for good.
#[derive(Debug)]
pub(in super::super) struct Protocol {
    http1: AtomicBool,
}

impl Protocol {
    /// What is known before the first connection: without TLS nothing is agreed on, so it is HTTP/1.1.
    pub(in super::super) fn of(base: &BaseUrl) -> Self {
        Self {
            http1: AtomicBool::new(base.is_plaintext()),
        }
    }

    /// Whether one connection may serve all: it is HTTP/2, or nobody knows yet.
    pub(in super::super) fn is_shared(&self) -> bool {
        !self.http1.load(Ordering::Relaxed)
    }

    pub(super) fn learn(&self, http2: bool) {
        self.http1.store(!http2, Ordering::Relaxed);
    }
}
