//! A stand-in that issues tokens, and keeps a ledger of what they were used for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Failure;

/// The one password that is right.
pub const RIGHT: &str = "100001";

/// What the stand-in does.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Whether a new token displaces the one before.
    pub one: bool,
    pub life: Duration,
    /// How long an answer takes, in milliseconds.
    pub issues_after: Range<u64>,
    pub applies_after: Range<u64>,
    /// When meetings begin.
    pub begin: Option<Instant>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            one: false,
            life: Duration::from_secs(1800),
            issues_after: 10..11,
            applies_after: 0..1,
            begin: None,
        }
    }
}

/// What the stand-in has seen.
#[derive(Debug, Default)]
pub struct Ledger {
    pub asked: AtomicU64,
    pub issued: AtomicU64,
    pub applied: AtomicU64,
    /// Changes with a token that was over.
    pub late: AtomicU64,
    /// Changes with a token that had been displaced.
    pub displaced: AtomicU64,
    /// When it was asked.
    pub times: Mutex<Vec<Instant>>,
    /// Answers 503 where a token is asked for.
    pub is_down: AtomicBool,
    /// Answers nothing there.
    pub hangs: AtomicBool,
    tokens: Mutex<HashMap<String, Vec<(String, Instant)>>>,
}

/// The stand-in, ended when dropped.
#[derive(Debug)]
pub struct Issuer {
    pub ledger: Arc<Ledger>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Issuer {
    pub async fn start(manner: Manner) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (ledger, manner) = (Arc::new(Ledger::default()), Arc::new(manner));
        let keeping = Arc::clone(&ledger);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (ledger, manner) = (Arc::clone(&keeping), Arc::clone(&manner));
                connections.spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| async {
                        let (head, body) = request.into_parts();
                        let _ = body.collect().await;
                        let (status, text) = ledger.answer(&manner, &head).await;
                        let mut response = Response::new(Full::new(Bytes::from(text)));
                        *response.status_mut() = http::StatusCode::from_u16(status)
                            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
                        Ok::<_, Infallible>(response)
                    });
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            ledger,
            address,
            _tasks: tasks,
        })
    }

    pub fn flag(&self) -> String {
        format!("--upstream=http://{}", self.address)
    }
}

impl Ledger {
    async fn answer(&self, manner: &Manner, head: &http::request::Parts) -> (u16, String) {
        let query = head.uri.query().unwrap_or_default();
        let id = query.strip_prefix("conferenceID=").unwrap_or_default();
        let header = |name: &str| {
            let value = head.headers.get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        match header("x-password") {
            Some(password) => self.issue(manner, id, &password).await,
            None => {
                let token = header("x-conference-authorization").unwrap_or_default();
                self.apply(manner, id, &token).await
            }
        }
    }

    async fn issue(&self, manner: &Manner, id: &str, password: &str) -> (u16, String) {
        self.asked.fetch_add(1, Relaxed);
        let arrived = Instant::now();
        lock(&self.times).push(arrived);
        if self.hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        sleep(some(&manner.issues_after)).await;
        if self.is_down.load(Relaxed) {
            return (503, String::new());
        }
        if manner.begin.is_some_and(|begin| Instant::now() < begin) {
            return (400, r#"{"error_code":"MMC.111072065"}"#.to_owned());
        }
        if password != RIGHT {
            return (400, r#"{"error_code":"MMC.111071091"}"#.to_owned());
        }
        let number = self.issued.fetch_add(1, Relaxed);
        let token = format!("cnr{number:048x}");
        let mut tokens = lock(&self.tokens);
        let of_meeting = tokens.entry(id.to_owned()).or_default();
        if manner.one {
            of_meeting.clear();
        }
        // Some time beyond its end, so that the ledger knows one that is used late.
        of_meeting.retain(|(_, ends)| arrived < *ends + Duration::from_secs(10));
        of_meeting.push((token.clone(), arrived + manner.life));
        let life = manner.life.as_secs();
        let body =
            format!(r#"{{"data":{{"token":"{token}","confTokenExpireTime":{life},"role":1}}}}"#);
        (200, body)
    }

    async fn apply(&self, manner: &Manner, id: &str, token: &str) -> (u16, String) {
        sleep(some(&manner.applies_after)).await;
        if token == meeting_control::sandbox::TOKEN {
            self.applied.fetch_add(1, Relaxed);
            return (200, r#"{"returnCode":0}"#.to_owned());
        }
        let ends = {
            let tokens = lock(&self.tokens);
            let known = tokens.get(id).and_then(|tokens| {
                let mut tokens = tokens.iter();
                tokens.find(|(known, _)| known == token)
            });
            known.map(|(_, ends)| *ends)
        };
        match ends {
            Some(ends) if Instant::now() < ends => {
                self.applied.fetch_add(1, Relaxed);
                (200, r#"{"returnCode":0}"#.to_owned())
            }
            ends => {
                let count = if ends.is_some() {
                    &self.late
                } else {
                    &self.displaced
                };
                count.fetch_add(1, Relaxed);
                (400, r#"{"error_code":"MMC.111072065"}"#.to_owned())
            }
        }
    }
}

fn some(milliseconds: &Range<u64>) -> Duration {
    Duration::from_millis(fastrand::u64(milliseconds.clone()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
