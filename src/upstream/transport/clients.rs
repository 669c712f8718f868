//! The HTTP clients of one thread: a connection serves calls of its own thread, and there are more of them
//! when there is much to do.

use std::iter;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use tokio::sync::watch;
use tokio::time::sleep;

use super::SetupError;
use super::reuse::ReuseLayer;
use super::tls::{self, Roots};
use crate::upstream::Settings;
use crate::upstream::wire::BaseUrl;

/// What one client carries at once before there is another. Over HTTP/2 a client has one connection, on
/// which servers commonly allow 100 or 128 calls; the others would wait.
const MAX_CALLS: usize = 100;
/// How long a connection may lie idle: less than the gateways and load balancers that might stand
/// before the REST API grant, so that we close it first.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// How long a peer may leave data or pings unanswered.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// How long clients are used at most, so that a change of the name's address and of the roots is followed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// The clients of one thread.
#[derive(Debug)]
pub(super) struct Clients(RwLock<Pool>);

#[derive(Debug)]
struct Pool {
    recipe: watch::Receiver<Recipe>,
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
pub(super) struct Recipe {
    /// No proxy can reach this machine's own loopback.
    loopback: bool,
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
}

/// Has clients made anew now and then, on every thread: calls under way keep the old one's connections, new
/// calls resolve the host's name anew and trust the roots as they are now.
#[derive(Debug)]
pub struct Renewal {
    roots: Roots,
    recipe: watch::Sender<Recipe>,
}

// === impl Clients ===

impl Clients {
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn new(recipe: watch::Receiver<Recipe>) -> Result<Self, SetupError> {
        Pool::new(recipe).map(|pool| Self(RwLock::new(pool)))
    }

    /// Clients for another thread.
    ///
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn for_thread(&self) -> Result<Self, SetupError> {
        let recipe = self.read().recipe.clone();
        Self::new(recipe)
    }

    /// A client that carries fewer than [`MAX_CALLS`]; a new one if there is none.
    pub(super) fn lend(&self) -> Lent {
        let pool = self.read();
        if !pool.is_old()
            && let Some(lent) = pool.free()
        {
            return lent;
        }
        drop(pool);
        let mut pool = self.write();
        if pool.is_old() {
            pool.renew();
        }
        pool.free().unwrap_or_else(|| {
            pool.grow();
            pool.least_busy()
        })
    }

    /// The clients are never half changed, so they are usable even after a panic.
    fn read(&self) -> RwLockReadGuard<'_, Pool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Pool> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pool ===

impl Pool {
    fn new(recipe: watch::Receiver<Recipe>) -> Result<Self, SetupError> {
        let first = Counted::new(&recipe.borrow())?;
        Ok(Self {
            first,
            more: Vec::new(),
            recipe,
        })
    }

    /// Whether there is a newer recipe.
    fn is_old(&self) -> bool {
        self.recipe.has_changed().unwrap_or(false)
    }

    fn renew(&mut self) {
        self.recipe.mark_unchanged();
        match Self::new(self.recipe.clone()) {
            // The old ones close their connections once their calls have ended.
            Ok(new) => *self = new,
            Err(error) => tracing::warn!(cause = %error, "a thread's HTTP clients are kept"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Counted>> {
        iter::once(&self.first).chain(&self.more)
    }

    /// The first with room, so that those before it stay warm and the last fall idle.
    fn free(&self) -> Option<Lent> {
        let has_room = |client: &&Arc<Counted>| client.calls() < MAX_CALLS;
        self.all().find(has_room).map(Lent::new)
    }

    fn least_busy(&self) -> Lent {
        let least = self.all().min_by_key(|client| client.calls());
        Lent::new(least.unwrap_or(&self.first))
    }

    fn grow(&mut self) {
        // What has been made once can be made again; if not, the others carry more.
        if let Ok(client) = Counted::new(&self.recipe.borrow()) {
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
    /// What the settings ask for, and what keeps it up to date.
    ///
    /// # Errors
    /// [`SetupError`] when the roots cannot be used.
    pub(super) fn new(
        base: &BaseUrl,
        settings: &Settings,
    ) -> Result<(Renewal, watch::Receiver<Self>), SetupError> {
        let roots = Roots::new(base, settings);
        let (recipe, reader) = watch::channel(Self {
            loopback: base.is_loopback(),
            connect_timeout: settings.connect_timeout,
            tls: tls::config(&roots)?,
        });
        Ok((Renewal { roots, recipe }, reader))
    }

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
            .connector_layer(ReuseLayer)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(MAX_IDLE)
            .tcp_nodelay(true)
            // A peer that has vanished without a word is found out while calls are under way.
            .tcp_user_timeout(MAX_SILENCE)
            .http2_keep_alive_interval(MAX_SILENCE)
            .http2_keep_alive_timeout(MAX_SILENCE)
            .build()
    }
}

// === impl Renewal ===

impl Renewal {
    /// Works until it is dropped, within a tokio runtime.
    pub async fn run(self) {
        loop {
            sleep(RENEWAL).await;
            let roots = self.roots.clone();
            // Reading the roots takes its time.
            match tokio::task::spawn_blocking(move || tls::config(&roots)).await {
                Ok(Ok(tls)) => self.recipe.send_modify(|recipe| recipe.tls = tls),
                Ok(Err(error)) => {
                    tracing::warn!(cause = %error, "the roots in use are kept");
                    // The name may have another address all the same.
                    self.recipe.send_modify(|_| {});
                }
                // The runtime is shutting down.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
