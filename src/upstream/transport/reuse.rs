//! Tells an attempt whether its connection was made for it or had served before.
//!
//! The HTTP client makes a connection within the task that asked for it, so a task-local flag finds
//! its way from the connector back to the attempt.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Service, ServiceExt as _};

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

/// A connector that notes each connection that it makes. The client clones its connector for every request,
/// though few make a connection.
#[derive(Debug)]
pub(super) struct Reuse<S>(Arc<S>);

impl<S> Reuse<S> {
    /// Notes the connections that `connector` makes.
    pub(super) fn new(connector: S) -> Self {
        Self(Arc::new(connector))
    }
}

impl<S> Clone for Reuse<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, Target> Service<Target> for Reuse<S>
where
    S: Service<Target> + Clone + Send + Sync + 'static,
    S::Future: Send,
    Target: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let connecting = S::clone(&self.0).oneshot(target);
        Box::pin(async move {
            let connection = connecting.await;
            // Outside an attempt, the connection is made for the pool, and nobody needs to know.
            let _ = CONNECTED.try_with(|connected| connected.set(true));
            connection
        })
    }
}
