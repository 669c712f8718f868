//! Connections are made by tasks of their own: one that a call has begun is made to its end when the call
//! gives up, tells the breaker whether the upstream can be reached, and serves the next call.
//!
//! Over HTTP/2 one connection serves all calls of a thread, so one call makes it and the others wait for it; the
//! protocol is known only once TLS has agreed on it. An attempt learns whether its connection was made for it or
//! had served before: the HTTP client asks for one within the task of the attempt, so a task-local flag finds its
//! way back.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connection;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::sleep;
use tower::{BoxError, Service, ServiceExt as _};

mod line;
mod protocol;
mod way;

pub(super) use protocol::Protocol;
pub(super) use way::{TooLong, Way};

use line::{Failed, Line, Stage, Turn};

/// The most connections of one HTTP client that are made at once as tasks of their own; those beyond end with
/// their calls.
const MAX_TASKS: usize = 256;
/// How long a connection whose call has left is kept for another.
const MAX_UNCLAIMED: Duration = Duration::from_secs(5);
/// How long the HTTP client may take to hand a connection that is there to all who wait for it.
const HAND_OUT: Duration = Duration::from_millis(100);

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
pub(super) struct Connect<S, C>(Arc<Inner<S, C>>);

#[derive(Debug)]
struct Inner<S, C> {
    connector: S,
    way: Way,
    line: Line<C>,
    tasks: Arc<Semaphore>,
    /// How many connections are being made.
    making: Arc<AtomicUsize>,
}

/// The call has another connection by now.
#[derive(Debug, thiserror::Error)]
#[error("no connection is needed any more")]
struct NotNeeded;

// === impl Connect ===

impl<S, C> Connect<S, C> {
    /// Has `connector` make connections on that way, and `making` count those under way.
    pub(super) fn new(connector: S, way: Way, making: Arc<AtomicUsize>) -> Self {
        Self(Arc::new(Inner {
            connector,
            way,
            line: Line::default(),
            tasks: Arc::new(Semaphore::new(MAX_TASKS)),
            making,
        }))
    }
}

impl<S, C> Clone for Connect<S, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, C, Target> Service<Target> for Connect<S, C>
where
    S: Service<Target, Response = C, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send,
    C: Connection + Send + 'static,
    Target: Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.connection(target).await })
    }
}

// === impl Inner ===

impl<S, C: Connection + Send + 'static> Inner<S, C> {
    /// A connection for one call: one that waits for a call, or a new one, made alone or first in line.
    async fn connection<Target>(self: Arc<Self>, target: Target) -> Result<C, BoxError>
    where
        S: Service<Target, Response = C, Error = BoxError> + Clone + Send + Sync + 'static,
        S::Future: Send,
        Target: Send + 'static,
    {
        loop {
            match self.line.turn(self.way.protocol.is_shared()) {
                Turn::Take(connection) => return Ok(connection),
                Turn::Make(stage) => return self.dial(target, stage).await,
                Turn::Wait(mut stage) => {
                    let ended = stage
                        .wait_for(|stage| !matches!(stage, Stage::Making))
                        .await;
                    // An error means that its task was lost.
                    match ended.map(|stage| stage.clone()) {
                        Ok(Stage::Failed(failed)) => return Err(failed.into()),
                        Ok(Stage::Shared) => {
                            note_connected();
                            sleep(HAND_OUT).await;
                        }
                        _ => {}
                    }
                }
            }
            // The client goes on with what it has begun when the call has got another connection meanwhile.
            if CONNECTED.try_with(|_| ()).is_err() {
                return Err(NotNeeded.into());
            }
        }
    }

    /// Makes a connection, to its end if the call leaves meanwhile.
    async fn dial<Target>(
        self: Arc<Self>,
        target: Target,
        stage: watch::Sender<Stage>,
    ) -> Result<C, BoxError>
    where
        S: Service<Target, Response = C, Error = BoxError> + Clone + Send + Sync + 'static,
        S::Future: Send,
        Target: Send + 'static,
    {
        let (hand_over, claimed) = oneshot::channel();
        let permit = Arc::clone(&self.tasks).try_acquire_owned();
        let connecting = self.connector.clone().oneshot(target);
        let inner = Arc::clone(&self);
        let making = async move {
            let made = {
                let _counted = Counted::new(&inner.making);
                let slow = || drop(stage.send_replace(Stage::Slow));
                inner.way.make(connecting, slow).await
            };
            inner.hand_over(made, hand_over, &stage).await;
        };
        match permit {
            Ok(permit) => drop(tokio::spawn(async move {
                let _permit = permit;
                making.await;
            })),
            Err(_) => making.await,
        }
        tokio::select! {
            biased;
            // An error means that the runtime is going away, and the call with it.
            made = claimed => {
                note_connected();
                made.unwrap_or_else(|error| Err(error.into()))
            }
            // One that took long, and whose call has left; the peer may have closed it since.
            kept = self.line.kept() => Ok(kept),
        }
    }

    /// Gives a connection to the call that made it, or else to the next.
    async fn hand_over(
        &self,
        made: Result<C, Failed>,
        call: oneshot::Sender<Result<C, BoxError>>,
        stage: &watch::Sender<Stage>,
    ) {
        let after = match &made {
            Ok(connection) if connection.connected().is_negotiated_h2() => Stage::Shared,
            Ok(_) => Stage::Single,
            Err(failed) => Stage::Failed(failed.clone()),
        };
        match call.send(made.map_err(Into::into)) {
            Err(Ok(unclaimed)) => {
                self.line.keep(unclaimed, MAX_UNCLAIMED);
                stage.send_replace(Stage::Single);
                sleep(MAX_UNCLAIMED).await;
                self.line.clear();
            }
            Ok(()) | Err(Err(_)) => drop(stage.send_replace(after)),
        }
    }
}

/// Counts for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Notes that the connection is made for the call. Outside an attempt, it is made for the pool, and nobody needs
/// to know.
fn note_connected() {
    let _ = CONNECTED.try_with(|connected| connected.set(true));
}
