//! How an HTTP client is made, and when anew.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use tokio::sync::watch;
use tokio::time::sleep;
use tower::layer::layer_fn;

use crate::upstream::address::BaseUrl;
use crate::upstream::breaker::Breaker;
use crate::upstream::egress::Proxy;
use crate::upstream::settings::UpstreamSettings;
use crate::upstream::transport::addresses::Addresses;
use crate::upstream::transport::connect::{Connect, Protocol, Way};
use crate::upstream::transport::error::SetupError;
use crate::upstream::transport::tls::{self, Roots};

/// How long a connection may lie idle: less than the gateways and load balancers that might stand
/// before the REST API grant, so that we close it first.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// How long a peer may leave data or pings unanswered.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// How long a connection may be silent while calls wait, before it is asked whether it lives. Servers take more
/// than a few pings without data for a flood.
const PING_AFTER: Duration = Duration::from_secs(5);
/// The most headers of an answer over HTTP/1.1, whose size together the library bounds.
const MAX_HEADERS: usize = 512;
/// The largest header list of an answer over HTTP/2, in bytes.
const MAX_HEADER_LIST: u32 = 128 * 1024;
/// How long clients are used at most, so that a change of the name's address and of the roots is followed.
pub(super) const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// How to make a client, again and again.
#[derive(Debug, Clone)]
pub(in super::super) struct Recipe {
    pub(super) tls: rustls::ClientConfig,
    way: Way,
}

/// Has clients made anew now and then, on every thread: calls under way keep the old one's connections, new
/// calls resolve the host's name anew and trust the roots as they are now.
#[derive(Debug)]
pub struct Renewal {
    roots: Roots,
    recipe: watch::Sender<Recipe>,
}

impl Recipe {
    /// What the settings ask for, and what keeps it up to date.
    ///
    /// # Errors
    /// [`SetupError`] when the roots cannot be used.
    pub(in super::super) fn new(
        base: &BaseUrl,
        settings: &UpstreamSettings,
        proxy: Option<Proxy>,
        breaker: Arc<Breaker>,
    ) -> Result<(Renewal, watch::Receiver<Self>), SetupError> {
        let roots = Roots::new(base, settings);
        let host = match &proxy {
            Some(proxy) => proxy.port(),
            None => base.port(),
        };
        let (recipe, reader) = watch::channel(Self {
            tls: tls::config(&roots)?,
            way: Way {
                limit: settings.connect_timeout,
                breaker,
                addresses: Addresses::new(host),
                protocol: Arc::new(Protocol::of(base)),
                proxy,
            },
        });
        Ok((Renewal { roots, recipe }, reader))
    }

    /// Whether one connection may serve many calls.
    pub(super) fn shares(&self) -> bool {
        self.way.protocol.is_shared()
    }

    /// A client that makes connections on the way, and has `making` count those under way.
    ///
    /// # Errors
    /// [`SetupError`] when it cannot start.
    pub(super) fn client(&self, making: Arc<AtomicUsize>) -> Result<Client, SetupError> {
        let way = self.way.clone();
        let connect = layer_fn(move |inner| Connect::new(inner, way.clone(), Arc::clone(&making)));
        // What the environment says of proxies has been read already, and more strictly.
        let mut builder = Client::builder().no_proxy();
        if let Some(proxy) = &self.way.proxy {
            let proxy = reqwest::Proxy::all(proxy.url().clone());
            builder = builder.proxy(proxy.map_err(SetupError::Client)?);
        }
        builder
            .tls_backend_preconfigured(self.tls.clone())
            // A redirect could hand the token to another host.
            .redirect(redirect::Policy::none())
            // Whether to repeat is decided above, with the deadline and the budget in view.
            .retry(retry::never())
            .dns_resolver(self.way.addresses.clone())
            .connector_layer(connect)
            .connect_timeout(self.way.limit)
            .pool_idle_timeout(MAX_IDLE)
            .tcp_nodelay(true)
            // As much as gateways send, and as loosely as some servers write.
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            // A peer that has vanished without a word is found out while calls are under way.
            .tcp_user_timeout(MAX_SILENCE)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(MAX_SILENCE)
            .build()
            .map_err(SetupError::Client)
    }
}

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
