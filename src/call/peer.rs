//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Who is at the other end of a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Connection>);

/// Who a client is by its certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name in the certificate.
    pub name: Option<String>,
    /// Whether the client may call.
    pub may_call: bool,
}

/// Who counts as one caller, over all its connections: the name in its certificate, else its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// By its certificate.
    Name(String),
    /// By its address, in canonical form and without a port.
    Address(IpAddr),
}

#[derive(Debug)]
struct Connection {
    identity: Identity,
    caller: Caller,
    in_flight: Arc<AtomicUsize>,
    cut_off: AtomicBool,
}

impl Default for Identity {
    /// A client without a certificate, where none is asked for.
    fn default() -> Self {
        Self {
            name: None,
            may_call: true,
        }
    }
}

impl Caller {
    /// The caller that a client with that identity at that address is.
    pub fn new(identity: &Identity, address: IpAddr) -> Self {
        match &identity.name {
            Some(name) => Self::Name(name.clone()),
            None => Self::Address(address.to_canonical()),
        }
    }
}

impl Peer {
    /// A client with that identity; `in_flight` counts the calls of all that are the same `caller`.
    pub fn new(identity: Identity, caller: Caller, in_flight: Arc<AtomicUsize>) -> Self {
        Self(Arc::new(Connection {
            identity,
            caller,
            in_flight,
            cut_off: AtomicBool::new(false),
        }))
    }

    /// A client of which nothing is known.
    pub fn anonymous() -> Self {
        let nowhere = Caller::Address(Ipv4Addr::UNSPECIFIED.into());
        Self::new(Identity::default(), nowhere, Arc::default())
    }

    /// Who it counts as.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// How many calls of the caller are under way, over all its connections.
    pub fn in_flight(&self) -> &Arc<AtomicUsize> {
        &self.0.in_flight
    }

    /// The name in the client's certificate.
    pub fn identity(&self) -> Option<&str> {
        self.0.identity.name.as_deref()
    }

    /// Whether the client may call.
    pub fn may_call(&self) -> bool {
        self.0.identity.may_call
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
