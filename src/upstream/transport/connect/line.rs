//! Who makes a connection, and who waits for it.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The calls of one HTTP client that need a connection. `C` is a connection.
#[derive(Debug)]
pub(super) struct Line<C> {
    state: Mutex<State<C>>,
    kept: Notify,
}

#[derive(Debug)]
struct State<C> {
    /// The connection that is being made, or was made last.
    last: Option<watch::Receiver<Stage>>,
    /// A connection whose call has left, and until when it is kept.
    unclaimed: Option<(C, Instant)>,
}

/// What a call has to do for its connection.
pub(super) enum Turn<C> {
    /// This one waits for a call.
    Take(C),
    /// Make one, and say how that goes.
    Make(watch::Sender<Stage>),
    /// See how it goes with the one that is being made.
    Wait(watch::Receiver<Stage>),
}

/// How it goes with a connection.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// It is being made.
    Making,
    /// It takes long: others need not wait for it.
    Slow,
    /// It is there, and serves all calls.
    Shared,
    /// It is there, and serves one call, or none: others make their own.
    Single,
    /// It could not be made.
    Failed(Failed),
}

/// Why a connection could not be made, for all who waited for it.
#[derive(Debug, Clone)]
pub(super) struct Failed(pub(super) Arc<dyn Error + Send + Sync>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection was made")
    }
}

impl Error for Failed {
    /// What is shared, itself: an `Arc` would hide it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl<C> Default for Line<C> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                last: None,
                unclaimed: None,
            }),
            kept: Notify::new(),
        }
    }
}

impl<C> Line<C> {
    /// What the next call has to do. Where a connection is `shared`, one makes it and the others wait.
    pub(super) fn turn(&self, shared: bool) -> Turn<C> {
        let mut state = self.state();
        if let Some(connection) = state.take() {
            return Turn::Take(connection);
        }
        if let Some(last) = &state.last
            && shared
            && matches!(*last.borrow(), Stage::Making)
            // An error says that whoever made it is gone.
            && last.has_changed().is_ok()
        {
            return Turn::Wait(last.clone());
        }
        let (leader, last) = watch::channel(Stage::Making);
        if shared {
            state.last = Some(last);
        }
        Turn::Make(leader)
    }

    /// Keeps a connection for the next call, for so long.
    pub(super) fn keep(&self, connection: C, max: Duration) {
        self.state().unclaimed = Some((connection, Instant::now() + max));
        self.kept.notify_one();
    }

    /// Resolves with a connection that was kept, once there is one.
    pub(super) async fn kept(&self) -> C {
        loop {
            self.kept.notified().await;
            if let Some(connection) = self.state().take() {
                return connection;
            }
        }
    }

    /// Drops a connection that was kept for too long.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.unclaimed.take_if(|(_, until)| *until <= now);
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        // The values are whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> State<C> {
    fn take(&mut self) -> Option<C> {
        let (connection, until) = self.unclaimed.take()?;
        (until > Instant::now()).then_some(connection)
    }
}
