//! A REST client on a raw socket: what a caller of the stand-in sees, whatever it is.

use std::time::Duration;

use meeting_control::upstream::wire::UPDATE_PATH;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::kit::{PATIENCE, TOKEN};

/// One answer; the status is 0 where it is not HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    /// In the words of the documentation.
    fn told(&self) -> String {
        let Self { status, head, body } = self;
        if *status == 0 {
            let kind = if head.is_empty() { "cut" } else { "not HTTP" };
            return kind.to_owned();
        }
        let mut told = status.to_string();
        let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(code) = envelope["error_code"].as_str() {
            told = format!("{told}, {code}");
        }
        if let Some(code) = envelope["returnCode"].as_u64().filter(|code| *code != 0) {
            told = format!("{told}, {code}");
        }
        if let Some(seconds) = self.header("retry-after") {
            told = format!("{told}, Retry-After {seconds}");
        }
        if body.len() == 1 << 20 {
            told.push_str(", 1 MiB");
        }
        told
    }
}

/// Sends one request and reads until the connection is closed.
async fn exchange(address: &str, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let end = read.windows(4).position(|four| four == b"\r\n\r\n");
    let body = end.map(|end| read.split_off(end + 4)).unwrap_or_default();
    let head = String::from_utf8_lossy(&read).into_owned();
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let status = status.map_or(0, |status| status.parse().unwrap());
    Answer { status, head, body }
}

/// Sends one request that is answered in time.
pub async fn send(address: &str, line: &str, headers: &str, body: &str) -> Answer {
    timeout(PATIENCE, exchange(address, line, headers, body))
        .await
        .expect("the stand-in answers in time")
}

/// Locks sharing in meeting `id`.
async fn lock(address: &str, id: &str, request_id: Option<&str>) -> Answer {
    let line = format!("PUT {UPDATE_PATH}?conferenceID={id}");
    let request_id = request_id.map_or_else(String::new, |id| format!("x-request-id: {id}\r\n"));
    let headers = format!(
        "content-type: application/json\r\nx-conference-authorization: {TOKEN}\r\n{request_id}"
    );
    exchange(address, &line, &headers, r#"{"lockSharing":1}"#).await
}

/// Locks sharing in meeting `id`, which answers in time.
pub async fn put(address: &str, id: &str, request_id: Option<&str>) -> Answer {
    timeout(PATIENCE, lock(address, id, request_id))
        .await
        .expect("the stand-in answers in time")
}

/// `GET` or `DELETE` of a meeting.
pub async fn method(method: &str, address: &str, id: &str) -> Answer {
    send(address, &format!("{method} /sandbox/meetings/{id}"), "", "").await
}

/// Whether sharing is locked in meeting `id`.
pub async fn locked(address: &str, id: &str) -> u64 {
    let shown = method("GET", address, id).await.json();
    shown["lockSharing"].as_u64().unwrap()
}

/// Makes as many requests as `documented` has answers, and tells the answers in the same words. A
/// silence is waited for briefly, an answer as long as it takes.
pub async fn observe(address: &str, id: &str, request_id: &str, documented: &str) -> String {
    let mut answers = Vec::new();
    for expected in documented.split(", then ") {
        let patience = match expected {
            "nothing" => Duration::from_millis(300),
            _ => PATIENCE,
        };
        let start = Instant::now();
        let answer = timeout(patience, lock(address, id, Some(request_id))).await;
        let mut told = answer.map_or_else(|_| "nothing".to_owned(), |answer| answer.told());
        // A busy machine can be late with any answer, but never early.
        let late = expected.ends_with(", after 1 s");
        if late && start.elapsed() >= Duration::from_secs(1) {
            told.push_str(", after 1 s");
        }
        answers.push(told);
    }
    answers.join(", then ")
}
