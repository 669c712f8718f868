//! A request's body on its way in.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long the rest of a body is read on that nobody wants any more, and how much of it.
const MAX_REST: Duration = Duration::from_secs(2);
const MAX_REST_BYTES: usize = 64 * 1024;

/// The body of a request. If it is dropped before it has come whole, the rest is read and forgotten: the HTTP/2 library
/// holds every small frame that nobody reads against the connection, for all of its life.
#[derive(Debug)]
pub(super) struct Arriving(Option<Incoming>);

impl From<Incoming> for Arriving {
    fn from(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        let mut forgetting = Box::pin(forget(body));
        // As a rule the rest is there already.
        if forgetting.as_mut().now_or_never().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(MAX_REST, forgetting));
        }
    }
}

async fn forget(mut body: Incoming) {
    let mut read = 0;
    while read <= MAX_REST_BYTES
        && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
