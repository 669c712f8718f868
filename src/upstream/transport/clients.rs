//! The HTTP clients of one thread: a connection serves calls of its own thread, and there are more of them
//! when there is much to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Client;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::SetupError;
use super::queue::Queue;

mod recipe;

pub(super) use recipe::Recipe;
pub use recipe::Renewal;

/// What one client carries at once before there is another. Over HTTP/2 a client has one connection, on
/// which servers commonly allow 100 or 128 calls; the others would wait.
const MAX_CALLS: usize = 100;
/// The fewest that a client carries before there is another, whatever the upstream allows.
const MIN_CALLS: usize = 4;
/// The most clients of one thread where servers allow fewer; beyond, calls wait.
const MAX_CLIENTS: usize = 32;

/// The clients of one thread.
#[derive(Debug)]
pub(super) struct Clients(Mutex<Pool>);

#[derive(Debug)]
struct Pool {
    recipe: watch::Receiver<Recipe>,
    /// Never empty.
    clients: Vec<Lent>,
    /// How many calls each carries at once before there is another.
    room: usize,
}

/// A client; each clone but the pool's own carries a call.
pub(super) type Lent = Arc<Carrier>;

/// An HTTP client, and the requests that it carries.
#[derive(Debug)]
pub(super) struct Carrier {
    client: Client,
    queue: Mutex<Queue>,
    /// How many connections it is making.
    making: Arc<AtomicUsize>,
}

// === impl Clients ===

impl Clients {
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn new(recipe: watch::Receiver<Recipe>) -> Result<Self, SetupError> {
        let first = Carrier::by(&recipe.borrow())?;
        Ok(Self(Mutex::new(Pool {
            recipe,
            clients: vec![first],
            room: MAX_CALLS,
        })))
    }

    /// Clients for another thread.
    ///
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn for_thread(&self) -> Result<Self, SetupError> {
        let recipe = self.pool().recipe.clone();
        Self::new(recipe)
    }

    /// A client that has room for a call, the first of them, so that those before it stay warm and the last fall
    /// idle; a new one if there is none.
    pub(super) fn lend(&self) -> Lent {
        let mut pool = self.pool();
        pool.renew();
        while let Some(client) = pool.with_room() {
            match pool.shortage(&client) {
                None => return client,
                Some(room) => pool.room = room,
            }
        }
        let is_full = pool.room < MAX_CALLS && pool.clients.len() >= MAX_CLIENTS;
        let by_load = pool.clients.iter();
        if is_full && let Some(client) = by_load.min_by_key(|client| calls(client)) {
            return Arc::clone(client);
        }
        let another = Carrier::by(&pool.recipe.borrow());
        match another {
            Ok(client) => {
                pool.clients.push(Arc::clone(&client));
                client
            }
            // What has been made once can be made again; if not, the first carries more.
            Err(_) => Arc::clone(&pool.clients[0]),
        }
    }

    /// Lends a client no more, nor the others: its idle connections have been closed by the peer, and theirs will
    /// have been as well. The calls that they carry go on.
    pub(super) fn retire(&self, client: &Lent) {
        let mut pool = self.pool();
        if !pool.clients.iter().any(|own| Arc::ptr_eq(own, client)) {
            return;
        }
        let another = Carrier::by(&pool.recipe.borrow());
        if let Ok(another) = another {
            pool.clients = vec![another];
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // The clients are never half changed, so they are usable even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pool ===

impl Pool {
    /// Begins anew where there is a newer recipe; old clients close their connections once their calls have
    /// ended.
    fn renew(&mut self) {
        if !self.recipe.has_changed().unwrap_or(false) {
            return;
        }
        let client = Carrier::by(&self.recipe.borrow_and_update());
        match client {
            Ok(client) => {
                self.clients = vec![client];
                self.room = MAX_CALLS;
            }
            Err(error) => tracing::warn!(cause = %error, "a thread's HTTP clients are kept"),
        }
    }

    /// The first client that has room for a call.
    fn with_room(&self) -> Option<Lent> {
        let has_room = |client: &&Lent| calls(client) < self.room;
        self.clients.iter().find(has_room).cloned()
    }

    /// How many calls clients should carry, when it shows now that the upstream takes fewer on a connection than
    /// they do.
    fn shortage(&self, client: &Lent) -> Option<usize> {
        // Where connections do not serve all, there are as many as it takes.
        if !self.recipe.borrow().shares() || client.making.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let streams = client.queue().shortage(Instant::now())?;
        let room = streams.max(MIN_CALLS);
        if room >= self.room {
            return None;
        }
        tracing::debug!(
            calls = room,
            "the upstream takes fewer calls on a connection"
        );
        Some(room)
    }
}

/// How many calls a client of the pool carries.
fn calls(client: &Lent) -> usize {
    Arc::strong_count(client) - 1
}

// === impl Carrier ===

impl Carrier {
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    fn by(recipe: &Recipe) -> Result<Lent, SetupError> {
        let making = Arc::default();
        Ok(Arc::new(Self {
            client: recipe.client(Arc::clone(&making))?,
            queue: Mutex::default(),
            making,
        }))
    }

    /// The HTTP client itself.
    pub(super) fn http(&self) -> &Client {
        &self.client
    }

    /// Its requests.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        // It is whole even after a panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
