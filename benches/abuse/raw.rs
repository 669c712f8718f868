//! HTTP/2 by hand: frames that no library would send, and answers that are not read.

use std::net::Ipv4Addr;
use std::time::Duration;

use meeting_control::names::METHOD_PATH;
use meeting_control::sandbox::TOKEN;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::Failure;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const CHECK: &str = "/grpc.health.v1.Health/Check";
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// A message without a byte.
pub const EMPTY: &[u8] = &[0; 5];

/// How long a write may take: a socket that nobody reads fills up.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Raw(pub TcpStream);

impl Raw {
    /// Connects from 127.0.0.0 plus `number`, and grants `window` bytes on each stream.
    pub async fn connect(grpc: &str, number: u32, window: u32) -> Result<Self, Failure> {
        let address = grpc.trim_start_matches("http://").parse()?;
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + number);
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let mut raw = Self(socket.connect(address).await?);
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &settings));
        raw.0.write_all(&hello).await?;
        Ok(raw)
    }

    /// Sends as much of `bytes` as goes in a moment. Returns whether all went.
    pub async fn push(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(PATIENCE, self.0.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }

    /// The next frame: kind, flags, stream and body.
    pub async fn receive(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.ok()?;
        Some((head[3], head[4], stream, body))
    }

    /// Reads and forgets until the connection ends.
    pub async fn drain(&mut self) {
        while self.receive().await.is_some() {}
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

/// The headers of a gRPC request, with a token if it is a call of ours.
pub fn request(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // POST, http by HPACK's static table.
    let mut headers = vec![0x83, 0x86];
    let mut field = |name: &str, value: &str| {
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend(text.as_bytes());
        }
    };
    field(":path", path);
    for (name, value) in more.iter().filter(|(name, _)| name.starts_with(':')) {
        field(name, value);
    }
    field("content-type", "application/grpc");
    if path == METHOD_PATH {
        field("x-conference-authorization", TOKEN);
    }
    for (name, value) in more.iter().filter(|(name, _)| !name.starts_with(':')) {
        field(name, value);
    }
    headers
}
