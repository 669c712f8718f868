//! An upstream on a raw socket: it records each request byte for byte and answers by a list of steps.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PATIENCE;

/// What the upstream does with one request. After the last step, the last is repeated.
#[derive(Clone)]
pub enum Step {
    /// Sends these bytes.
    Raw(Vec<u8>),
    /// Closes the connection without a byte.
    Cut,
    /// Sends nothing and keeps the connection open.
    Hang,
    /// Sends these bytes and closes the connection.
    Then(Vec<u8>),
    /// Waits, then sends these bytes.
    Late(Duration, Vec<u8>),
}

impl Step {
    pub fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
                .into_bytes(),
        )
    }

    pub fn ok() -> Self {
        Self::answer(200, "", "")
    }
}

/// One request as it came off the wire.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct Record {
    requests: Vec<Recorded>,
    connections: usize,
    /// Requests whose answer has been written.
    answers: usize,
    /// Connections on which the peer hung up while its request was unanswered.
    abandoned: usize,
}

/// The upstream, ended when dropped.
pub struct Script {
    pub base: String,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

impl Script {
    pub async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), steps).await
    }

    /// Starts at an address that must be free.
    pub async fn at(address: SocketAddr, steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let record = Arc::new(Mutex::new(Record::default()));
        let steps = Arc::new(Mutex::new(steps.into_iter().collect::<VecDeque<_>>()));
        let recording = Arc::clone(&record);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                recording.lock().unwrap().connections += 1;
                connections.spawn(converse(stream, Arc::clone(&steps), Arc::clone(&recording)));
            }
        });
        Self { base, record, task }
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.record.lock().unwrap().requests.clone()
    }

    /// The one request that came.
    pub fn request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    /// How many answers have been written whole.
    pub fn answers(&self) -> usize {
        self.record.lock().unwrap().answers
    }

    pub fn abandoned(&self) -> usize {
        self.record.lock().unwrap().abandoned
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: TcpStream,
    steps: Arc<Mutex<VecDeque<Step>>>,
    record: Arc<Mutex<Record>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        record.lock().unwrap().requests.push(request);
        let step = {
            let mut steps = steps.lock().unwrap();
            match steps.len() {
                0 => Step::ok(),
                1 => steps[0].clone(),
                _ => steps.pop_front().unwrap(),
            }
        };
        let bytes = match step {
            Step::Raw(bytes) => bytes,
            Step::Cut => return,
            Step::Then(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Step::Hang => {
                wait_for_hang_up(&mut stream, &record).await;
                return;
            }
            Step::Late(delay, bytes) => {
                tokio::time::sleep(delay).await;
                bytes
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        record.lock().unwrap().answers += 1;
    }
}

async fn wait_for_hang_up(stream: &mut TcpStream, record: &Mutex<Record>) {
    let mut rest = [0; 64];
    if let Ok(Ok(0) | Err(_)) = timeout(PATIENCE, stream.read(&mut rest)).await {
        record.lock().unwrap().abandoned += 1;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Recorded {
        line,
        headers,
        body,
    })
}
