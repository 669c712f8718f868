//! A request on its way out, carried by a client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::{Body, Response};
use tokio::time::Instant;

use super::clients::Lent;
use super::connect;
use crate::upstream::gate::Gate;

/// A request on its way. Its client counts it as carried for as long as this lives.
#[derive(Debug)]
pub(super) struct Passage {
    client: Lent,
    gate: Arc<Gate>,
    has_left: AtomicBool,
}

impl Passage {
    /// Has `client` carry a request, whose body leaves by `gate`.
    pub(super) fn new(client: Lent, gate: Arc<Gate>) -> Arc<Self> {
        client.queue().join(Instant::now());
        Arc::new(Self {
            client,
            gate,
            has_left: AtomicBool::new(false),
        })
    }

    /// The client that carries the request.
    pub(super) fn client(&self) -> &Lent {
        &self.client
    }

    /// Sends the request. Returns the head of its answer, and whether its connection had served before.
    pub(super) async fn make(
        self: &Arc<Self>,
        mut request: reqwest::Request,
        body: Bytes,
    ) -> (Result<Response, reqwest::Error>, bool) {
        if body.is_empty() {
            // The HTTP client does not ask for a body that is empty.
            self.pass();
        }
        *request.body_mut() = Some(Body::wrap(GatedBody {
            body: Some(body),
            passage: Arc::clone(self),
        }));
        connect::observe(self.client.http().execute(request)).await
    }

    fn pass(&self) -> bool {
        let passed = self.gate.pass();
        if passed && !self.has_left.swap(true, Ordering::Relaxed) {
            self.client.queue().leave();
        }
        passed
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut queue = self.client.queue();
        match *self.has_left.get_mut() {
            true => queue.end(),
            false => queue.withdraw(),
        }
    }
}

/// The body of a request. It leaves only if the attempt still wants it to, and the attempt then knows:
/// before that, the upstream cannot have changed anything, whatever goes wrong.
struct GatedBody {
    body: Option<Bytes>,
    passage: Arc<Passage>,
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
        if self.body.is_some() && !self.passage.pass() {
            return Poll::Ready(Some(Err(AttemptOver)));
        }
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
