//! The HTTP client: carries a request to the upstream and brings the answer back.
//!
//! The only room that knows reqwest. It follows no redirect, repeats nothing, and reads at most
//! 64 KiB of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body::{Frame, SizeHint};
use reqwest::{Body, Response};
use url::Url;

use super::answer::{Answer, Extent};
use super::error::UpstreamError;
use super::gate::Gate;
use super::settings::Settings;
use super::wire::BaseUrl;

mod clients;
mod error;
mod failure;
mod reuse;
mod tls;

pub use clients::Renewal;
pub use error::SetupError;

use clients::{Clients, Recipe};

/// How much of an answer is read; the rest is dropped with the connection.
const MAX_BODY: usize = 64 * 1024;

/// One HTTP request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Says whether the body may still leave, and learns that it has.
    pub(super) gate: Arc<Gate>,
}

/// Sends requests over pooled connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Transport(Arc<Clients>);

impl Transport {
    /// Prepares clients for the API at `base`.
    ///
    /// # Errors
    /// [`SetupError`] when plaintext is not allowed or the roots cannot be used.
    pub(super) fn new(base: &BaseUrl, settings: &Settings) -> Result<(Self, Renewal), SetupError> {
        if base.is_exposed() && !settings.allow_plaintext_upstream {
            return Err(SetupError::Plaintext);
        }
        let (renewal, recipe) = Recipe::new(base, settings)?;
        Ok((Self(Arc::new(Clients::new(recipe)?)), renewal))
    }

    /// A transport with connections of its own.
    ///
    /// # Errors
    /// [`SetupError`] when the HTTP client cannot start.
    pub(super) fn for_thread(&self) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(self.0.for_thread()?)))
    }

    /// Sends a request, once, and brings back the answer.
    ///
    /// # Errors
    /// [`UpstreamError`], sorted by phase, when no answer came that is HTTP.
    pub(super) fn send(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, UpstreamError>> + Send>> {
        let client = self.0.lend();
        let gate = request.gate;
        let mut out = reqwest::Request::new(request.method, request.url);
        *out.headers_mut() = request.headers;
        *out.body_mut() = Some(Body::wrap(GatedBody {
            body: Some(request.body),
            gate: Arc::clone(&gate),
        }));
        let exchange = reuse::observe(client.execute(out));
        Box::pin(async move {
            // Counts as carrying the call until it has ended.
            let _client = client;
            let (response, reused) = exchange.await;
            let answer = match response {
                Ok(response) => {
                    gate.answered();
                    receive(response).await
                }
                Err(error) => Err(error),
            };
            answer.map_err(|error| failure::classify(error, gate.close(), reused))
        })
    }
}

/// Finds out whether the file with extra roots can be used, if the settings name one.
///
/// # Errors
/// [`SetupError`] when it cannot.
pub fn check_roots(settings: &Settings) -> Result<(), SetupError> {
    settings
        .upstream_ca
        .as_ref()
        .map_or(Ok(()), |file| tls::read(file).map(drop))
}

async fn receive(mut response: Response) -> Result<Answer, reqwest::Error> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Bytes::new();
    let extent = loop {
        if body.len() > MAX_BODY {
            break Extent::Cut;
        }
        match response.chunk().await {
            Ok(Some(more)) if body.is_empty() => body = more,
            Ok(Some(more)) => {
                let mut longer = BytesMut::from(body);
                longer.extend_from_slice(&more);
                body = longer.freeze();
            }
            Ok(None) => break Extent::Whole,
            // A refusal is known by its status; a success could still turn out to be none.
            Err(_) if !status.is_success() => break Extent::Lost,
            Err(error) => return Err(error),
        }
    };
    body.truncate(MAX_BODY);
    Ok(Answer {
        status,
        headers,
        body,
        extent,
    })
}

/// The body of a request. It leaves only if the attempt still wants it to, and the attempt then knows:
/// before that, the upstream cannot have changed anything, whatever goes wrong.
struct GatedBody {
    body: Option<Bytes>,
    gate: Arc<Gate>,
}

/// The attempt ended before its body left.
#[derive(Debug, thiserror::Error)]
#[error("the attempt is over")]
struct AttemptOver;

impl http_body::Body for GatedBody {
    type Data = Bytes;
    type Error = AttemptOver;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AttemptOver>>> {
        if !self.gate.pass() {
            return Poll::Ready(Some(Err(AttemptOver)));
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
