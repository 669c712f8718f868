//! An answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use super::streams::{Kind, MAX_REFLECTION, Work};

/// The body of an answer. As long as it is there, its stream is one that is worked on.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// Ends an answer that would last.
    end: Option<Pin<Box<Sleep>>>,
    over: bool,
    _work: Work,
}

impl Answer {
    pub(super) fn new(body: Body, work: Work) -> Self {
        let lasts = work.kind() == Kind::Reflection;
        Self {
            body,
            end: lasts.then(|| Box::pin(sleep(MAX_REFLECTION))),
            over: false,
            _work: work,
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let is_late = self
            .end
            .as_mut()
            .is_some_and(|end| end.as_mut().poll(cx).is_ready());
        if is_late {
            self.over = true;
            let mut trailers = HeaderMap::new();
            trailers.insert(Status::GRPC_STATUS, (Code::DeadlineExceeded as i32).into());
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
