//! A connection's bytes on their way in and out, watched: whether the client has sent the preface of HTTP/2, and
//! which streams are open.
//!
//! The HTTP/2 library does not tell when an answer has been handed over. The frames do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::streams::Streams;

/// HTTP/2's preface.
const PREFACE: usize = 24;

/// A stream of bytes whose frames are noted in `streams`.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    streams: Arc<Streams>,
    incoming: Frames,
    outgoing: Frames,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, streams: Arc<Streams>) -> Self {
        Self {
            stream,
            streams,
            incoming: Frames::after(PREFACE),
            outgoing: Frames::after(0),
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        let streams = &self.streams;
        self.outgoing.read(bytes, |frame| streams.sent(frame));
    }

    fn received(&mut self, bytes: &[u8]) {
        let streams = &self.streams;
        streams.turn.read(bytes.len());
        self.incoming.read(bytes, |frame| streams.received(frame));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.streams.turn.left();
        if turn == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buffer.remaining().min(turn);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let more = part.filled().len();
        self.received(part.filled());
        buffer.advance(more);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(sent)) = result {
            self.sent(&bytes[..sent]);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(mut sent)) = result {
            for slice in slices {
                let part = sent.min(slice.len());
                self.sent(&slice[..part]);
                sent -= part;
            }
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
