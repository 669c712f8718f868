//! The HTTP clients of one thread: a connection serves calls of its own thread, and there are more of them
//! when there is much to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use tokio::sync::watch;
use tokio::time::sleep;
use tower::layer::layer_fn;

use super::connect::Connect;
use super::error::SetupError;
use super::tls::{self, Roots};
use crate::upstream::address::BaseUrl;
use crate::upstream::breaker::Breaker;
use crate::upstream::settings::UpstreamSettings;

/// What one client carries at once before there is another. Over HTTP/2 a client has one connection, on
/// which servers commonly allow 100 or 128 calls; the others would wait.
const MAX_CALLS: usize = 100;
/// How long a connection may lie idle: less than the gateways and load balancers that might stand
/// before the REST API grant, so that we close it first.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// How long a peer may leave data or pings unanswered.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// The most headers of an answer over HTTP/1.1, whose size together the library bounds.
const MAX_HEADERS: usize = 512;
/// The largest header list of an answer over HTTP/2, in bytes.
const MAX_HEADER_LIST: u32 = 128 * 1024;
/// How long clients are used at most, so that a change of the name's address and of the roots is followed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// The clients of one thread.
#[derive(Debug)]
pub(super) struct Clients(Mutex<Pool>);

#[derive(Debug)]
struct Pool {
    recipe: watch::Receiver<Recipe>,
    /// Never empty.
    clients: Vec<Lent>,
}

/// A client; each clone but the pool's own carries a call.
pub(super) type Lent = Arc<Client>;

/// How to make a client, again and again.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// No proxy can reach this machine's own loopback.
    loopback: bool,
    connect_timeout: Duration,
    tls: rustls::ClientConfig,
    breaker: Arc<Breaker>,
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
        let first = recipe.borrow().client()?;
        Ok(Self(Mutex::new(Pool {
            recipe,
            clients: vec![first],
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

    /// A client that carries fewer than [`MAX_CALLS`], the first of them, so that those before it stay warm
    /// and the last fall idle; a new one if there is none.
    pub(super) fn lend(&self) -> Lent {
        let mut pool = self.pool();
        pool.renew();
        let has_room = |client: &&Lent| calls(client) < MAX_CALLS;
        if let Some(client) = pool.clients.iter().find(has_room) {
            return Arc::clone(client);
        }
        let another = pool.recipe.borrow().client();
        match another {
            Ok(client) => {
                pool.clients.push(Arc::clone(&client));
                client
            }
            // What has been made once can be made again; if not, the first carries more.
            Err(_) => Arc::clone(&pool.clients[0]),
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
        let client = self.recipe.borrow_and_update().client();
        match client {
            Ok(client) => self.clients = vec![client],
            Err(error) => tracing::warn!(cause = %error, "a thread's HTTP clients are kept"),
        }
    }
}

/// How many calls a client of the pool carries.
fn calls(client: &Lent) -> usize {
    Arc::strong_count(client) - 1
}

// === impl Recipe ===

impl Recipe {
    /// What the settings ask for, and what keeps it up to date.
    ///
    /// # Errors
    /// [`SetupError`] when the roots cannot be used.
    pub(super) fn new(
        base: &BaseUrl,
        settings: &UpstreamSettings,
        breaker: Arc<Breaker>,
    ) -> Result<(Renewal, watch::Receiver<Self>), SetupError> {
        let roots = Roots::new(base, settings);
        let (recipe, reader) = watch::channel(Self {
            loopback: base.is_loopback(),
            connect_timeout: settings.connect_timeout,
            tls: tls::config(&roots)?,
            breaker,
        });
        Ok((Renewal { roots, recipe }, reader))
    }

    fn client(&self) -> Result<Lent, SetupError> {
        let (limit, breaker) = (self.connect_timeout, Arc::clone(&self.breaker));
        let connect = layer_fn(move |inner| Connect::new(inner, limit, Arc::clone(&breaker)));
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
            .connector_layer(connect)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(MAX_IDLE)
            .tcp_nodelay(true)
            // As much as gateways send, and as loosely as some servers write.
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            // A peer that has vanished without a word is found out while calls are under way.
            .tcp_user_timeout(MAX_SILENCE)
            .http2_keep_alive_interval(MAX_SILENCE)
            .http2_keep_alive_timeout(MAX_SILENCE)
            .build()
            .map(Arc::new)
            .map_err(SetupError::Client)
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
                Err(error) if error.is_cancelled() => return,
                Err(_panic) => tracing::warn!("the roots in use are kept"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
