//! HTTP/1.1, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::behaviour::{Framing, Loss};
use super::reply::Reply;
use super::upstream::{Exchange, Io, Shared, play, sleep};
use crate::kit::PATIENCE;

const STRAY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const GIVEN_UP: &[u8] =
    b"HTTP/1.1 408 Request Time-out\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves a connection until one side has enough.
pub async fn converse(stream: impl Io, shared: Arc<Shared>, mut random: Rng) {
    let mut line = Line {
        stream,
        buffer: BytesMut::new(),
    };
    let mut reused = false;
    loop {
        let idle = if shared.moody && random.bool() {
            Duration::from_millis(random.u64(5..300))
        } else {
            PATIENCE
        };
        let Ok(head) = timeout(idle, line.head()).await else {
            if random.bool() {
                let _ = line.stream.write_all(GIVEN_UP).await;
            }
            return;
        };
        let Some(head) = head else { return };
        let _exchange = shared.exchange();
        if reused && shared.moody && random.u8(..20) == 0 {
            // The gateway had given the connection up when the request was on its way.
            shared
                .ledger
                .open(head.call, |_| "408 on a reused connection");
            let _ = line.stream.write_all(GIVEN_UP).await;
            return;
        }
        let (pen, behaviour) = shared.open(head.call);
        let mut exchange = Http1 {
            line: &mut line,
            body_left: head.length,
            reusable: true,
        };
        play(&behaviour, &pen, &mut exchange).await;
        if !exchange.reusable || exchange.body_left > 0 {
            return;
        }
        reused = true;
    }
}

struct Line<S> {
    stream: S,
    /// What has been read and not yet used.
    buffer: BytesMut,
}

struct Head {
    call: u64,
    length: usize,
}

struct Http1<'a, S> {
    line: &'a mut Line<S>,
    body_left: usize,
    /// Whether the connection may serve another request.
    reusable: bool,
}

impl<S: Io> Line<S> {
    /// The head of the next request; `None` if the peer has enough.
    async fn head(&mut self) -> Option<Head> {
        let end = loop {
            let end = self.buffer.windows(4).position(|part| part == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.split_to(end).to_vec()).unwrap();
        let header = |name| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_else(|| panic!("no {name} in {head}"))
        };
        Some(Head {
            call: header("x-request-id: ").parse().unwrap(),
            length: header("content-length: ").parse().unwrap(),
        })
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }
}

impl<S: Io> Http1<'_, S> {
    async fn write(&mut self, bytes: &[u8]) {
        let written = async {
            self.line.stream.write_all(bytes).await?;
            self.line.stream.flush().await
        };
        if written.await.is_err() {
            self.reusable = false;
        }
    }
}

impl<S: Io> Exchange for Http1<'_, S> {
    async fn read(&mut self) -> bool {
        while self.line.buffer.len() < self.body_left {
            if self.line.more().await.is_none() {
                self.reusable = false;
                return false;
            }
        }
        self.line.buffer.advance(self.body_left);
        self.body_left = 0;
        true
    }

    async fn begin(&mut self, reply: &Reply, framing: Framing) {
        // One more than there is, so that even a reply without a body is not whole.
        let mut bytes = head(reply, framing, reply.body.len() + 1);
        bytes.extend(chunk(reply.half(), framing));
        self.write(&bytes).await;
    }

    async fn send(&mut self, reply: &Reply, framing: Framing, pause: Duration, stray: bool) {
        let mut bytes = head(reply, framing, reply.body.len());
        let (half, rest) = reply.body.split_at(reply.half().len());
        bytes.extend(chunk(half, framing));
        if !pause.is_zero() {
            self.write(&bytes).await;
            sleep(pause).await;
            bytes.clear();
        }
        bytes.extend(chunk(rest, framing));
        if framing == Framing::Chunked {
            bytes.extend(b"0\r\n\r\n");
        }
        if stray {
            bytes.extend(STRAY);
        }
        self.write(&bytes).await;
        if framing == Framing::ToClose {
            let _ = self.line.stream.shutdown().await;
            self.reusable = false;
        }
    }

    async fn lose(&mut self, loss: Loss) {
        self.reusable = false;
        match loss {
            Loss::Hang => {
                let gone = async { while self.line.more().await.is_some() {} };
                let _ = timeout(PATIENCE, gone).await;
            }
            Loss::Garbage => self.write(b"SSH-2.0-OpenSSH\r\n\r\n").await,
            Loss::Cut | Loss::Reset(_) | Loss::GoAway { .. } => {}
        }
    }
}

fn head(reply: &Reply, framing: Framing, length: usize) -> Vec<u8> {
    let status = reply.status;
    let (name, value) = reply.header;
    let framing = match framing {
        Framing::Length => format!("content-length: {length}"),
        Framing::Chunked => "transfer-encoding: chunked".to_owned(),
        Framing::ToClose => "connection: close".to_owned(),
    };
    format!("HTTP/1.1 {status} X\r\n{name}: {value}\r\n{framing}\r\n\r\n").into_bytes()
}

fn chunk(bytes: &[u8], framing: Framing) -> Vec<u8> {
    if framing == Framing::Chunked && !bytes.is_empty() {
        let size = format!("{:x}\r\n", bytes.len()).into_bytes();
        [&size, bytes, b"\r\n"].concat()
    } else {
        bytes.to_vec()
    }
}
