//! Connections are made by tasks of their own: one that a call has begun is made to its end when the call
//! gives up, and tells the breaker whether the upstream can be reached. An attempt learns whether its
//! connection was made for it or had served before: the HTTP client asks for one within the task of the
//! attempt, so a task-local flag finds its way back.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower::{BoxError, Service, ServiceExt as _};

use crate::causes::{causes, find};
use crate::upstream::breaker::Breaker;

/// The most connections of one HTTP client that are made at once as tasks of their own; those beyond end with
/// their calls.
const MAX_TASKS: usize = 256;
/// How much longer than the caller's own limit for connecting a task waits, so that the caller's, which has
/// a kind of its own, comes first.
const GRACE: Duration = Duration::from_millis(50);

tokio::task_local! {
    static CONNECTED: Cell<bool>;
}

/// Runs an exchange. Returns its result, and whether it went over a connection that had served before.
pub(super) async fn observe<T>(exchange: impl Future<Output = T>) -> (T, bool) {
    CONNECTED
        .scope(Cell::new(false), async {
            let result = exchange.await;
            let reused = !CONNECTED.with(Cell::get);
            (result, reused)
        })
        .await
}

/// A connector whose connections are tasks of their own. The client clones its connector for every request,
/// though few make a connection.
#[derive(Debug)]
pub(super) struct Connect<S>(Arc<Inner<S>>);

#[derive(Debug)]
struct Inner<S> {
    connector: S,
    /// The longest time for a connection: name, TCP and TLS.
    limit: Duration,
    breaker: Arc<Breaker>,
    tasks: Arc<Semaphore>,
}

impl<S> Connect<S> {
    /// Has `connector` make connections within `limit`, and `breaker` learn of each.
    pub(super) fn new(connector: S, limit: Duration, breaker: Arc<Breaker>) -> Self {
        Self(Arc::new(Inner {
            connector,
            limit,
            breaker,
            tasks: Arc::new(Semaphore::new(MAX_TASKS)),
        }))
    }
}

impl<S> Clone for Connect<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The connection took too long.
#[derive(Debug, thiserror::Error)]
#[error("connecting took too long")]
struct TooLong;

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

impl<S, Target> Service<Target> for Connect<S>
where
    S: Service<Target, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Response: Send,
    S::Future: Send,
    Target: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let started = Instant::now();
        let permit = Arc::clone(&inner.tasks).try_acquire_owned();
        let connecting = async move {
            let connecting = inner.connector.clone().oneshot(target);
            let result = match timeout(inner.limit + GRACE, connecting).await {
                Ok(result) => result,
                Err(_elapsed) => Err(TooLong.into()),
            };
            match &result {
                Ok(_) => inner.breaker.reached(),
                Err(error) if is_ours(&**error) => {
                    tracing::warn!(
                        cause = causes(&**error),
                        "no connection can be made from here"
                    );
                }
                Err(error) => inner.breaker.missed(started, || causes(&**error)),
            }
            result
        };
        Box::pin(async move {
            let result = match permit {
                Ok(permit) => {
                    let task = tokio::spawn(async move {
                        let _permit = permit;
                        connecting.await
                    });
                    // An error means that the runtime is going away, and the call with it.
                    task.await.unwrap_or_else(|error| Err(error.into()))
                }
                Err(_) => connecting.await,
            };
            // Outside an attempt, the connection is made for the pool, and nobody needs to know.
            let _ = CONNECTED.try_with(|connected| connected.set(true));
            result
        })
    }
}
