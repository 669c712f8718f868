//! The HTTP clients. Each worker has its own, so that a connection serves calls of its own thread, and
//! makes more of them when there is much to do.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;
use std::{iter, mem};

use reqwest::{Client, redirect, retry};
use tokio::time::sleep;

use super::SetupError;
use super::tls::{self, Roots};
use crate::upstream::connection::NoteLayer;
use crate::upstream::{BaseUrl, Settings};
use crate::workers;

/// What one client carries at once before there is another. Over HTTP/2 a client has one connection, on
/// which servers commonly allow 100 or 128 calls; the others would wait.
const MOST_CALLS: usize = 100;
/// How long a connection may lie idle: less than the gateways and load balancers that might stand
/// before the REST API grant, so that we close it first.
const IDLE_LIMIT: Duration = Duration::from_secs(15);
/// How long a peer may leave data or pings unanswered.
const SILENCE_LIMIT: Duration = Duration::from_secs(2);
/// How long clients are used at most, so that a change of the name's address and of the roots is followed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// The clients of all workers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    workers: Arc<[RwLock<Own>]>,
}

/// The clients of one worker.
#[derive(Debug)]
struct Own {
    recipe: Recipe,
    first: Arc<Counted>,
    more: Vec<Arc<Counted>>,
}

/// A client, and how many calls it carries.
#[derive(Debug)]
struct Counted {
    client: Client,
    calls: AtomicUsize,
}

/// A client for one attempt.
#[derive(Debug)]
pub(super) struct Lent(Arc<Counted>);

/// How to make a client, again and again.
#[derive(Debug, Clone)]
struct Recipe {
    /// No proxy can reach this machine's own loopback.
    loopback: bool,
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
}

// === impl Clients ===

impl Clients {
    /// Prepares a client for each of `threads` workers.
    ///
    /// # Errors
    /// [`SetupError`] when the settings cannot work.
    pub(super) fn new(
        base: &BaseUrl,
        settings: &Settings,
        threads: usize,
    ) -> Result<Self, SetupError> {
        let roots = Roots::new(base, settings);
        let recipe = Recipe {
            loopback: base.is_loopback(),
            connect_timeout: settings.connect_timeout,
            tls: tls::config(&roots)?,
        };
        let workers: Arc<[_]> = (0..threads.max(1))
            .map(|_| Own::new(recipe.clone()).map(RwLock::new))
            .collect::<Result<_, _>>()?;
        tokio::spawn(renew(recipe, roots, Arc::downgrade(&workers)));
        Ok(Self { workers })
    }

    /// A client of this worker's that carries fewer than [`MOST_CALLS`]; a new one if there is none.
    pub(super) fn lend(&self) -> Lent {
        let own = &self.workers[workers::number() % self.workers.len()];
        if let Some(lent) = read(own).free() {
            return lent;
        }
        let mut own = write(own);
        own.grow();
        own.least_busy()
    }
}

/// The clients are never half changed, so they are usable even after a panic.
fn read(own: &RwLock<Own>) -> RwLockReadGuard<'_, Own> {
    own.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(own: &RwLock<Own>) -> RwLockWriteGuard<'_, Own> {
    own.write().unwrap_or_else(PoisonError::into_inner)
}

// === impl Own ===

impl Own {
    fn new(recipe: Recipe) -> Result<Self, SetupError> {
        Ok(Self {
            first: Counted::new(&recipe)?,
            more: Vec::new(),
            recipe,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Counted>> {
        iter::once(&self.first).chain(&self.more)
    }

    /// The first with room, so that those before it stay warm and the last fall idle.
    fn free(&self) -> Option<Lent> {
        let has_room = |client: &&Arc<Counted>| client.calls() < MOST_CALLS;
        self.all().find(has_room).map(Lent::new)
    }

    fn least_busy(&self) -> Lent {
        let least = self.all().min_by_key(|client| client.calls());
        Lent::new(least.unwrap_or(&self.first))
    }

    fn grow(&mut self) {
        // What has been made once can be made again; if not, the others carry more.
        if let Ok(client) = Counted::new(&self.recipe) {
            self.more.push(client);
        }
    }
}

impl Counted {
    fn new(recipe: &Recipe) -> Result<Arc<Self>, SetupError> {
        Ok(Arc::new(Self {
            client: recipe.client().map_err(SetupError::Client)?,
            calls: AtomicUsize::new(0),
        }))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

// === impl Lent ===

impl Lent {
    fn new(client: &Arc<Counted>) -> Self {
        client.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(client))
    }
}

impl Deref for Lent {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Recipe ===

impl Recipe {
    fn client(&self) -> Result<Client, reqwest::Error> {
        let mut builder = Client::builder();
        if self.loopback {
            builder = builder.no_proxy();
        }
        builder
            .tls_backend_preconfigured(self.tls.clone())
            // A redirect could hand the token to another host.
            .redirect(redirect::Policy::none())
            // Whether to repeat is decided above, with the deadline and the budget in view.
            .retry(retry::never())
            .connector_layer(NoteLayer)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_LIMIT)
            .tcp_nodelay(true)
            // A peer that has vanished without a word is found out while calls are under way.
            .tcp_user_timeout(SILENCE_LIMIT)
            .http2_keep_alive_interval(SILENCE_LIMIT)
            .http2_keep_alive_timeout(SILENCE_LIMIT)
            .build()
    }
}

/// Replaces the clients now and then, until they are gone: calls under way keep the old one's connections,
/// new calls resolve the host's name anew and trust the roots as they are now.
async fn renew(mut recipe: Recipe, roots: Roots, workers: Weak<[RwLock<Own>]>) {
    loop {
        sleep(RENEWAL).await;
        let Some(workers) = workers.upgrade() else {
            return;
        };
        let roots = roots.clone();
        // Reading the roots takes its time.
        match tokio::task::spawn_blocking(move || tls::config(&roots)).await {
            Ok(Ok(tls)) => recipe.tls = tls,
            Ok(Err(error)) => tracing::warn!(cause = %error, "the roots in use are kept"),
            // The runtime is shutting down.
            Err(_) => return,
        }
        for own in workers.iter() {
            match Own::new(recipe.clone()) {
                // The old ones close their connections when nobody waits for the lock any more.
                Ok(new) => drop(mem::replace(&mut *write(own), new)),
                Err(error) => tracing::warn!(cause = %error, "a thread's HTTP clients are kept"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
