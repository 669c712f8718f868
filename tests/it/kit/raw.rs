//! HTTP/2 by hand, to send what no library would, and to see the frames as they are.

use std::collections::BTreeSet;

use meeting_control::names::METHOD_PATH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Facade, PATIENCE, TOKEN};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// A call of our method: lock sharing in meeting 900244663.
pub const MESSAGE: &[u8] = b"\0\0\0\0\x0d\x0a\x09900244663\x10\x02";

pub struct RawClient(pub TcpStream);

impl RawClient {
    pub async fn connect(facade: &Facade) -> Self {
        Self::with_window(facade, 65_535).await
    }

    /// A client that takes so many bytes on each stream, and never asks for more.
    pub async fn with_window(facade: &Facade, window: u32) -> Self {
        let address = facade.address.strip_prefix("http://").unwrap();
        let mut client = Self(TcpStream::connect(address).await.unwrap());
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.0.write_all(preface).await.unwrap();
        let settings = [&INITIAL_WINDOW_SIZE[..], &window.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &settings).await.unwrap();
        client
    }

    pub async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        body: &[u8],
    ) -> std::io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, body)).await
    }

    /// The next frame: kind, flags and body; `None` at the end of the connection.
    pub async fn receive(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        self.receive_any()
            .await
            .map(|(kind, flags, _, body)| (kind, flags, body))
    }

    async fn receive_any(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.ok()?;
        Some((head[3], head[4], stream, body))
    }

    /// Waits until `stream` has been ended by the other side. Returns by which kind of frame.
    pub async fn ended(&mut self, stream: u32) -> u8 {
        let ending = async {
            loop {
                let (kind, of) = self.next_end().await;
                if of == stream {
                    return kind;
                }
            }
        };
        timeout(PATIENCE, ending).await.expect("it ends")
    }

    /// Waits until all of `streams` have been ended by the other side, in any order.
    pub async fn all_ended(&mut self, streams: impl Iterator<Item = u32>) {
        let mut open: BTreeSet<_> = streams.collect();
        let ending = async {
            while !open.is_empty() {
                open.remove(&self.next_end().await.1);
            }
        };
        timeout(PATIENCE, ending).await.expect("all end");
    }

    /// The kind of the next frame that ends a stream, and which.
    async fn next_end(&mut self) -> (u8, u32) {
        loop {
            match self.receive_any().await {
                Some((kind @ (DATA | HEADERS), flags, of, _)) if flags & END_STREAM != 0 => {
                    return (kind, of);
                }
                Some((RST_STREAM, _, of, _)) => return (RST_STREAM, of),
                Some((GOAWAY, _, _, body)) => panic!("{}", String::from_utf8_lossy(&body)),
                Some(_) => {}
                None => panic!("the connection has ended"),
            }
        }
    }

    /// Waits until the other side says that it serves no stream above some, and answers its pings meanwhile. Returns the
    /// last that it serves, and why no more.
    pub async fn told_to_leave(&mut self) -> (u32, u32) {
        let number = |body: &[u8], at: usize| {
            let bytes = body[at..at + 4].try_into().unwrap();
            u32::from_be_bytes(bytes)
        };
        let leaving = async {
            loop {
                match self.receive().await.expect("it is told before the end") {
                    (GOAWAY, _, body) => return (number(&body, 0), number(&body, 4)),
                    (PING, flags, body) if flags & ACK == 0 => {
                        self.send(PING, ACK, 0, &body).await.unwrap();
                    }
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, leaving).await.expect("it is told")
    }

    /// Waits until the other side has closed the connection.
    pub async fn closed(&mut self) {
        let closing = async { while self.receive().await.is_some() {} };
        timeout(PATIENCE, closing).await.expect("it is closed");
    }

    /// Makes a call of our method.
    pub async fn call(&mut self, stream: u32, more: &[(&str, &str)]) {
        let headers = request(METHOD_PATH, more);
        self.send(HEADERS, END_HEADERS, stream, &headers)
            .await
            .unwrap();
        self.send(DATA, END_STREAM, stream, MESSAGE).await.unwrap();
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

/// The headers of a gRPC request.
pub fn request(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // POST, http by HPACK's static table.
    let mut headers = vec![0x83, 0x86];
    headers.extend(field(":path", path));
    for (name, value) in more.iter().filter(|(name, _)| name.starts_with(':')) {
        headers.extend(field(name, value));
    }
    headers.extend(field("content-type", "application/grpc"));
    headers.extend(field("x-conference-authorization", TOKEN));
    for (name, value) in more.iter().filter(|(name, _)| !name.starts_with(':')) {
        headers.extend(field(name, value));
    }
    headers
}

/// A header field of HPACK by name and value, both as they are.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(length) if length < 127 => field.push(length),
            _ => {
                let mut rest = text.len() - 127;
                field.push(127);
                while rest >= 128 {
                    field.push(0x80 | (rest & 0x7f) as u8);
                    rest >>= 7;
                }
                field.push(rest as u8);
            }
        }
        field.extend(text.as_bytes());
    }
    field
}
