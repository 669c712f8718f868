//! The HTTP client: carries a [`Put`] to the REST side and brings the answer back.
//!
//! The only room that knows reqwest. It follows no redirect, repeats nothing, and reads at most
//! 64 KiB of an answer.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::{Frame, SizeHint};
use reqwest::{Body, Certificate, Client, Request, Response, redirect, retry, tls};
use tokio::time::sleep;
use tower::Service;

use super::Settings;
use super::connection::{self, NoteLayer};
use super::error::UpstreamError;
use super::failure::{self, causes};
use super::gate::Gate;
use super::wire::{Answer, BaseUrl, Put};
use crate::workers;

/// How much of an answer is read; the rest is dropped with the connection.
const LONGEST_BODY: usize = 64 * 1024;

/// How long a connection may lie idle: less than the gateways and load balancers that might stand
/// before the REST API grant, so that we close it first.
const IDLE_LIMIT: Duration = Duration::from_secs(15);
/// How long a peer may leave data or pings unanswered.
const SILENCE_LIMIT: Duration = Duration::from_secs(2);
/// How long connections are used at most, so that a change of the name's address is followed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);

/// The settings for the REST side cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The token would cross a network in clear.
    #[error(
        "--upstream is plain http:// to another machine, which would send the control token in \
         clear; use https:// or give --allow-plaintext-upstream"
    )]
    Plaintext,
    /// The file with extra roots cannot be read.
    #[error("--upstream-ca: cannot read {path}: {source}", path = .0.display(), source = .1)]
    UnreadableRoots(PathBuf, #[source] io::Error),
    /// The file with extra roots holds none.
    #[error("--upstream-ca: {path} holds no PEM certificate that can be used", path = .0.display())]
    NoRoots(PathBuf),
    /// The HTTP client cannot start.
    #[error("the HTTP client cannot start: {}", causes(.0))]
    Client(#[source] reqwest::Error),
}

/// Chooses the process's TLS implementation; later calls change nothing. Call it before
/// [`Upstream::new`](super::Upstream::new).
pub fn use_crypto() {
    // An error means that a choice has been made already, and that is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends requests over pooled connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    /// One for each worker, so that a connection serves calls of its own thread.
    clients: Arc<[RwLock<Client>]>,
}

impl Transport {
    /// Prepares a client for the API at `base`.
    ///
    /// # Errors
    /// [`SetupError`] when plaintext is not allowed or the roots cannot be used.
    pub(super) fn new(
        base: &BaseUrl,
        settings: &Settings,
        threads: usize,
    ) -> Result<Self, SetupError> {
        if base.is_exposed() && !settings.allow_plaintext_upstream {
            return Err(SetupError::Plaintext);
        }
        let roots = read_roots(settings)?;
        let recipe = Recipe {
            plaintext: base.is_plaintext(),
            loopback: base.is_loopback(),
            connect_timeout: settings.connect_timeout,
            roots,
        };
        let clients: Arc<[_]> = (0..threads.max(1))
            .map(|_| recipe.client().map(RwLock::new))
            .collect::<Result<_, _>>()
            .map_err(SetupError::Client)?;
        tokio::spawn(renew(recipe, Arc::downgrade(&clients)));
        Ok(Self { clients })
    }

    fn client(&self) -> Client {
        let own = &self.clients[workers::number() % self.clients.len()];
        // A client is replaced whole, so it is usable even after a panic.
        let client = own.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }
}

/// How to make a client, again and again.
#[derive(Clone)]
struct Recipe {
    plaintext: bool,
    loopback: bool,
    connect_timeout: Duration,
    roots: Vec<Certificate>,
}

impl Recipe {
    fn client(&self) -> Result<Client, reqwest::Error> {
        let roots = self.roots.clone();
        let mut builder = if self.plaintext {
            // No root is ever asked for; reading the system's takes time, and a bare image has none.
            Client::builder().tls_certs_only(roots)
        } else {
            Client::builder().tls_certs_merge(roots)
        };
        if self.loopback {
            // No proxy can reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        builder
            // A redirect could hand the token to another host.
            .redirect(redirect::Policy::none())
            // Whether to repeat is decided above, with the deadline and the budget in view.
            .retry(retry::never())
            .connector_layer(NoteLayer)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_LIMIT)
            .tls_version_min(tls::Version::TLS_1_2)
            .tcp_nodelay(true)
            // A peer that has vanished without a word is found out while calls are under way.
            .tcp_user_timeout(SILENCE_LIMIT)
            .http2_keep_alive_interval(SILENCE_LIMIT)
            .http2_keep_alive_timeout(SILENCE_LIMIT)
            .build()
    }
}

/// Replaces the clients now and then, until the transport is gone: calls under way keep the old one's
/// connections, new calls resolve the host's name anew.
async fn renew(recipe: Recipe, clients: Weak<[RwLock<Client>]>) {
    loop {
        sleep(RENEWAL).await;
        let Some(clients) = clients.upgrade() else {
            return;
        };
        let recipe = recipe.clone();
        // Reading the system's roots takes its time.
        let renewed = tokio::task::spawn_blocking(move || {
            for client in clients.iter() {
                match recipe.client() {
                    Ok(new) => *client.write().unwrap_or_else(PoisonError::into_inner) = new,
                    Err(error) => tracing::warn!(cause = causes(&error), "an HTTP client is kept"),
                }
            }
        });
        if renewed.await.is_err() {
            // The runtime is shutting down.
            return;
        }
    }
}

/// The extra roots; none when the settings name no file.
pub(super) fn read_roots(settings: &Settings) -> Result<Vec<Certificate>, SetupError> {
    let Some(path) = &settings.upstream_ca else {
        return Ok(Vec::new());
    };
    let pem =
        std::fs::read(path).map_err(|error| SetupError::UnreadableRoots(path.clone(), error))?;
    Certificate::from_pem_bundle(&pem)
        .ok()
        .filter(|roots| !roots.is_empty())
        .ok_or_else(|| SetupError::NoRoots(path.clone()))
}

impl Service<Put> for Transport {
    type Response = Answer;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, put: Put) -> Self::Future {
        let client = self.client();
        Box::pin(async move {
            let mut request = Request::new(Method::PUT, put.content.url.clone());
            *request.headers_mut() = put.headers();
            *request.body_mut() = Some(Body::wrap(Departure {
                body: Some(put.content.body.clone()),
                gate: Arc::clone(&put.gate),
            }));
            let (response, reused) = connection::observe(client.execute(request)).await;
            let answer = match response {
                Ok(response) => {
                    put.gate.answered();
                    receive(response).await
                }
                Err(error) => Err(error),
            };
            answer.map_err(|error| failure::classify(error, put.gate.close(), reused))
        })
    }
}

async fn receive(mut response: Response) -> Result<Answer, reqwest::Error> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Bytes::new();
    while body.len() < LONGEST_BODY {
        match response.chunk().await {
            Ok(Some(more)) if body.is_empty() => body = more,
            Ok(Some(more)) => {
                let mut longer = BytesMut::from(body);
                longer.extend_from_slice(&more);
                body = longer.freeze();
            }
            Ok(None) => break,
            // A refusal is known by its status; a success could still turn out to be none.
            Err(_) if !status.is_success() => break,
            Err(error) => return Err(error),
        }
    }
    body.truncate(LONGEST_BODY);
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// The body of a request. It leaves only if the attempt still wants it to, and the attempt then knows:
/// before that, the REST side cannot have changed anything, whatever goes wrong.
struct Departure {
    body: Option<Bytes>,
    gate: Arc<Gate>,
}

/// The attempt ended before its body left.
#[derive(Debug, thiserror::Error)]
#[error("the attempt is over")]
struct TooLate;

impl http_body::Body for Departure {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        if !self.gate.pass() {
            return Poll::Ready(Some(Err(TooLate)));
        }
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
