//! The HTTP client: carries a [`Put`] to the REST side and brings the answer back.
//!
//! The only room that knows reqwest. It follows no redirect, repeats nothing, and reads at most
//! 64 KiB of an answer.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::{Frame, SizeHint};
use reqwest::{Body, Request, Response};
use tower::Service;

use super::Settings;
use super::connection;
use super::error::UpstreamError;
use super::failure::{self, causes};
use super::gate::Gate;
use super::wire::{Answer, BaseUrl, Put};

mod clients;
mod tls;

use clients::Clients;

/// How much of an answer is read; the rest is dropped with the connection.
const LONGEST_BODY: usize = 64 * 1024;

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
    /// No root can be used.
    #[error(
        "no TLS towards the upstream: {0}; --upstream-ca or SSL_CERT_FILE name root certificates"
    )]
    Tls(#[source] rustls::Error),
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
    clients: Clients,
}

impl Transport {
    /// Prepares clients for the API at `base`.
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
        let clients = Clients::new(base, settings, threads)?;
        Ok(Self { clients })
    }
}

/// Finds out whether the file with extra roots can be used, if the settings name one.
pub(super) fn check_roots(settings: &Settings) -> Result<(), SetupError> {
    settings
        .upstream_ca
        .as_ref()
        .map_or(Ok(()), |file| tls::read(file).map(drop))
}

impl Service<Put> for Transport {
    type Response = Answer;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, put: Put) -> Self::Future {
        let client = self.clients.lend();
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
