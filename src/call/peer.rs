//! Who is at the other end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who is at the other end of a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    identity: Option<String>,
    may_call: bool,
    cut_off: AtomicBool,
}

impl Peer {
    /// A client without a certificate, where none is asked for.
    pub fn anonymous() -> Self {
        Self::named(None, true)
    }

    /// A client with a certificate, known by the name in it.
    pub fn named(identity: Option<String>, may_call: bool) -> Self {
        Self(Arc::new(Connection {
            identity,
            may_call,
            cut_off: AtomicBool::new(false),
        }))
    }

    /// The name in the client's certificate.
    pub fn identity(&self) -> Option<&str> {
        self.0.identity.as_deref()
    }

    /// Whether the client may call.
    pub fn may_call(&self) -> bool {
        self.0.may_call
    }

    /// Notes that its calls that are still open end because we close the connection.
    pub fn cut_off(&self) {
        self.0.cut_off.store(true, Ordering::Relaxed);
    }

    /// Whether its calls end because we close the connection.
    pub fn is_cut_off(&self) -> bool {
        self.0.cut_off.load(Ordering::Relaxed)
    }
}
