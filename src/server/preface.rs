//! Notices whether a client has sent the preface of HTTP/2, so that one who never does can be shown out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// HTTP/2's preface, and the head of the settings frame that must follow.
const LENGTH: usize = 24 + 9;

/// A stream that counts what comes in, until the preface is complete.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    received: Arc<AtomicUsize>,
    complete: bool,
}

/// What has come in so far.
#[derive(Debug)]
pub(super) struct Preface(Arc<AtomicUsize>);

impl Preface {
    /// Watches for the preface on `stream`, which is to be used in place of the one given.
    pub(super) fn watch<S>(stream: S) -> (Watched<S>, Self) {
        let received = Arc::new(AtomicUsize::new(0));
        let preface = Self(Arc::clone(&received));
        let stream = Watched {
            stream,
            received,
            complete: false,
        };
        (stream, preface)
    }

    /// Resolves after `limit` if the preface is not complete by then, else never.
    pub(super) async fn missed(&self, limit: Duration) {
        tokio::time::sleep(limit).await;
        if self.is_complete() {
            std::future::pending().await
        }
    }

    /// Whether the preface is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LENGTH
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if !self.complete {
            let more = buffer.filled().len() - before;
            let received = self.received.fetch_add(more, Ordering::Relaxed) + more;
            self.complete = received >= LENGTH;
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn is_missed(sent: usize) -> bool {
        let (mut client, server) = duplex(1024);
        let (mut server, preface) = Preface::watch(server);
        client.write_all(&vec![b'x'; sent]).await.unwrap();
        let mut buffer = vec![0; sent];
        server.read_exact(&mut buffer).await.unwrap();
        timeout(2 * LIMIT, preface.missed(LIMIT)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_missed_until_its_preface_is_complete() {
        for (sent, missed) in [(0, true), (32, true), (33, false), (533, false)] {
            assert_eq!(is_missed(sent).await, missed, "{sent} bytes");
        }
    }

    #[tokio::test]
    async fn the_end_of_what_is_sent_is_passed_on() {
        let (mut client, server) = duplex(1024);
        let (mut server, _preface) = Preface::watch(server);
        server.write_all(b"bye").await.unwrap();
        server.shutdown().await.unwrap();
        let mut received = Vec::new();
        let ended = timeout(LIMIT, client.read_to_end(&mut received)).await;
        ended.expect("the client sees the end").unwrap();
        assert_eq!(received, b"bye");
    }
}
