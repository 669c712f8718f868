//! The HTTP client: carries a request to the upstream and brings the answer back.
//!
//! The only room that knows reqwest. It follows no redirect, repeats nothing, and reads at most
//! 64 KiB of an answer.

use std::ffi::OsString;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::Body as _;
use reqwest::{Body, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::Url;

use super::address::BaseUrl;
use super::answer::{Answer, Extent};
use super::breaker::Breaker;
use super::egress::Proxy;
use super::error::UpstreamError;
use super::gate::{Gate, Progress};
use super::retry::MAX_STALE;
use super::settings::UpstreamSettings;

mod addresses;
mod clients;
mod connect;
mod error;
mod exchange;
mod failure;
mod passage;
mod proxied;
mod queue;
mod tls;

pub use clients::Renewal;
pub use error::SetupError;

use clients::{Clients, Recipe};
use exchange::{Exchange, MAX_LINGERING};
use passage::Passage;

/// How much of an answer is read; the rest is dropped with the connection.
const MAX_BODY: usize = 64 * 1024;
/// How long the body of a refusal is waited for after its head.
const MAX_BODY_WAIT: Duration = Duration::from_secs(1);

/// One HTTP request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Says whether the body may still leave, and learns that it has.
    pub(super) gate: Arc<Gate>,
    /// When the answer is due.
    pub(super) due: Instant,
}

/// Sends requests over pooled connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    clients: Arc<Clients>,
    /// Learns of every connection and every answer.
    breaker: Arc<Breaker>,
    lingering: Arc<Semaphore>,
}

impl Transport {
    /// Prepares clients for the API at `base`; `breaker` learns whether it is reached.
    ///
    /// # Errors
    /// [`SetupError`] when plaintext is not allowed or the roots cannot be used.
    pub(super) fn new(
        base: &BaseUrl,
        settings: &UpstreamSettings,
        breaker: Arc<Breaker>,
    ) -> Result<(Self, Renewal), SetupError> {
        if base.is_exposed() && !settings.allow_plaintext_upstream {
            return Err(SetupError::Plaintext);
        }
        let proxy = Proxy::of(base, variable)?;
        if let Some(proxy) = &proxy {
            tracing::info!(%proxy, "the upstream is reached by a proxy");
        }
        let (renewal, recipe) = Recipe::new(base, settings, proxy, Arc::clone(&breaker))?;
        let transport = Self {
            clients: Arc::new(Clients::new(recipe)?),
            breaker,
            lingering: Arc::new(Semaphore::new(MAX_LINGERING)),
        };
        Ok((transport, renewal))
    }

    /// A transport with connections of its own.
    ///
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn for_thread(&self) -> Result<Self, SetupError> {
        Ok(Self {
            clients: Arc::new(self.clients.for_thread()?),
            ..self.clone()
        })
    }

    /// Sends a request, once, and brings back the answer. Given up, a request that has left goes on for a
    /// moment.
    ///
    /// # Errors
    /// [`UpstreamError`], sorted by phase, when no answer came that is HTTP.
    pub(super) fn send(&self, request: Request) -> Exchange {
        let (gate, lingering) = (Arc::clone(&request.gate), Arc::clone(&self.lingering));
        let (clients, breaker) = (Arc::clone(&self.clients), Arc::clone(&self.breaker));
        let passage = Passage::new(clients.lend(), Arc::clone(&gate));
        let (body, due) = (request.body, request.due);
        let mut out = reqwest::Request::new(request.method, request.url);
        *out.headers_mut() = request.headers;
        let running = async move {
            let (gate, started) = (Arc::clone(&request.gate), Instant::now());
            let (response, reused) = passage.make(out, body).await;
            let answer = match response {
                Ok(response) => {
                    breaker.reached();
                    gate.answered();
                    receive(response, due, reused).await
                }
                Err(error) => Err(failure::classify(error, gate.close(), reused)),
            };
            let is_stale = match &answer {
                Ok(answer) => answer.idle && answer.status == StatusCode::REQUEST_TIMEOUT,
                Err(error) => error.is_stale(),
            };
            if is_stale && started.elapsed() < MAX_STALE {
                clients.retire(passage.client());
            }
            answer
        };
        Exchange::new(Box::pin(running), gate, lingering)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the customary variables say where the proxy is"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Finds out whether the file with extra roots can be used, if the settings name one.
///
/// # Errors
/// [`SetupError`] when it cannot.
pub fn check_roots(settings: &UpstreamSettings) -> Result<(), SetupError> {
    settings
        .upstream_ca
        .as_ref()
        .map_or(Ok(()), |file| tls::read(file).map(drop))
}

/// Reads an answer that is due then. The head of a refusal says enough, so its body is not waited for
/// until it is too late to tell.
async fn receive(
    mut response: Response,
    due: Instant,
    reused: bool,
) -> Result<Answer, UpstreamError> {
    let (status, http2) = (response.status(), response.version() == Version::HTTP_2);
    let headers = std::mem::take(response.headers_mut());
    let framed =
        http2 || headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let mut body = BytesMut::new();
    let reading = read(Body::from(response), http2, &mut body);
    let extent = if status.is_success() {
        // A success could still turn out to be none.
        reading.await?
    } else {
        // An exchange that was given up is past its time, and must end without breaking its connection.
        let left = due.saturating_duration_since(Instant::now());
        let wait = match left.is_zero() {
            true => MAX_BODY_WAIT,
            false => MAX_BODY_WAIT.min(left.mul_f64(0.8)),
        };
        let read = timeout(wait, reading).await;
        read.unwrap_or(Ok(Extent::Lost)).unwrap_or(Extent::Lost)
    };
    let extent = match extent {
        Extent::Whole if !framed => Extent::Unframed,
        extent => extent,
    };
    body.truncate(MAX_BODY);
    Ok(Answer {
        status,
        headers,
        body: body.freeze(),
        extent,
        idle: reused && !http2,
    })
}

/// Reads a body, as much of it as is wanted; what came stays in `text` whatever happens.
async fn read(mut body: Body, http2: bool, text: &mut BytesMut) -> Result<Extent, UpstreamError> {
    while text.len() <= MAX_BODY {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => text.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Some(Err(error)) => return Err(failure::classify(error, Progress::Answered, true)),
            // The client takes a stream that is reset for no reason for one that has ended.
            None if http2 && !body.is_end_stream() => return Err(failure::cut_short()),
            None => return Ok(Extent::Whole),
        }
    }
    Ok(Extent::Cut)
}
