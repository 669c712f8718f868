//! The way to the upstream: makes one connection, and tells everybody whom that concerns.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use rustix::io::Errno;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use super::line::Failed;
use super::protocol::Protocol;
use crate::causes::{causes, find};
use crate::upstream::breaker::Breaker;
use crate::upstream::egress::Proxy;
use crate::upstream::transport::addresses::Addresses;
use crate::upstream::transport::proxied;

/// How much longer than the caller's own limit for connecting a task waits, so that the caller's, which has
/// a kind of its own, comes first.
const GRACE: Duration = Duration::from_millis(50);
/// A connection that is not there by then may be waiting for a dead address: others need not wait for it.
const MIN_PATIENCE: Duration = Duration::from_millis(300);

/// The way to the upstream, and what is known of it.
#[derive(Debug, Clone)]
pub(in super::super) struct Way {
    /// The longest time for a connection: name, TCP and TLS.
    pub(in super::super) limit: Duration,
    /// Learns of each connection.
    pub(in super::super) breaker: Arc<Breaker>,
    /// Of the host that is connected to: the proxy, or the upstream itself.
    pub(in super::super) addresses: Addresses,
    pub(in super::super) protocol: Arc<Protocol>,
    pub(in super::super) proxy: Option<Proxy>,
}

/// The connection took too long.
#[derive(Debug, thiserror::Error)]
#[error("connecting took too long")]
pub(in super::super) struct TooLong;

impl Way {
    /// How long a connection may take before it is slow: that depends on how far the upstream is.
    fn patience(&self) -> Duration {
        MIN_PATIENCE.max(2 * self.addresses.took())
    }

    /// Sees a connection made, within the limit. `slow` is told when it takes long.
    ///
    /// # Errors
    /// [`Failed`] when it cannot be made.
    pub(super) async fn make<C: Connection>(
        &self,
        connecting: impl Future<Output = Result<C, BoxError>>,
        slow: impl FnOnce(),
    ) -> Result<C, Failed> {
        let started = Instant::now();
        let mut connecting = pin!(timeout(self.limit + GRACE, connecting));
        let made = match timeout(self.patience(), &mut connecting).await {
            Ok(made) => made,
            Err(_elapsed) => {
                self.addresses.doubt();
                slow();
                connecting.await
            }
        };
        match made.unwrap_or_else(|_elapsed| Err(TooLong.into())) {
            Ok(connection) => {
                self.breaker.reached();
                let connected = connection.connected();
                self.protocol.learn(connected.is_negotiated_h2());
                let mut extras = http::Extensions::new();
                connected.get_extras(&mut extras);
                if let Some(info) = extras.get::<HttpInfo>() {
                    let took = started.elapsed();
                    self.addresses.reached(info.remote_addr().ip(), took);
                }
                Ok(connection)
            }
            Err(error) => {
                self.addresses.missed();
                let error = proxied::explain(error, self.proxy.as_ref());
                if is_ours(&*error) {
                    tracing::warn!(
                        cause = causes(&*error),
                        "no connection can be made from here"
                    );
                } else {
                    self.breaker.missed(started, || causes(&*error));
                }
                Err(Failed(error.into()))
            }
        }
    }
}

/// Whether this machine is at fault, which has no file, port or memory left: that says nothing of the
/// upstream.
fn is_ours(error: &(dyn std::error::Error + 'static)) -> bool {
    const OURS: [Errno; 4] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ADDRNOTAVAIL,
        Errno::NOBUFS,
    ];
    let code = find::<io::Error>(error).and_then(io::Error::raw_os_error);
    code.is_some_and(|code| OURS.contains(&Errno::from_raw_os_error(code)))
}
