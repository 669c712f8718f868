//! Stand-ins for the REST API. What one does with a request, the meeting's id says: `ok-…` is answered
//! after 10 ms, `slow-…` after a second, `hang-…` never, `down-…` with 503.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::{Failure, pki};

mod dead;
mod http2;

pub use dead::Dead;

const SUCCESS: Bytes = Bytes::from_static(br#"{"returnCode":0,"returnDesc":"Success"}"#);

/// What a stand-in has seen.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections: AtomicU64,
    pub puts: AtomicU64,
    /// Requests that were given up before their answer: by `RST_STREAM`, or with their connection.
    pub given_up: AtomicU64,
    /// Connections that were ended for too many resets.
    pub ended: AtomicU64,
}

/// How a stand-in is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Http1,
    /// With TLS.
    Http2,
    /// With TLS; more than 33 resets within a second end a connection, as with nghttp2's defaults.
    StrictHttp2,
}

/// A stand-in, ended when dropped.
#[derive(Debug)]
pub struct StandIn {
    pub counts: Arc<Counts>,
    address: SocketAddr,
    tls: Option<TempDir>,
    _tasks: JoinSet<()>,
}

impl StandIn {
    pub async fn start(over: Over) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        match over {
            Over::Http1 => Self::serve(listener, None, usize::MAX),
            Over::Http2 => Self::serve(listener, Some(certificates()?), usize::MAX),
            Over::StrictHttp2 => Self::serve(listener, Some(certificates()?), 33),
        }
    }

    /// Speaks HTTP/1.1 at an address that is free.
    pub async fn at(address: SocketAddr) -> Result<Self, Failure> {
        Self::serve(TcpListener::bind(address).await?, None, usize::MAX)
    }

    fn serve(
        listener: TcpListener,
        tls: Option<TempDir>,
        max_resets: usize,
    ) -> Result<Self, Failure> {
        let address = listener.local_addr()?;
        let acceptor = tls.as_ref().map(acceptor).transpose()?;
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                Counts::add(&counting.connections);
                let (tls, counts) = (acceptor.clone(), Arc::clone(&counting));
                connections.spawn(async move {
                    // Small answers are not to wait for each other.
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => http1(stream, &counts).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                http2::serve(stream, counts, max_resets).await;
                            }
                        }
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            counts,
            address,
            tls,
            _tasks: tasks,
        })
    }

    /// The flags with which a façade finds it.
    pub fn flags(&self) -> Vec<String> {
        flags(self.address, self.tls.as_ref())
    }
}

impl Counts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }

    /// What was seen, in one line.
    pub fn describe(&self) -> String {
        let [connections, puts, given_up, ended] =
            [&self.connections, &self.puts, &self.given_up, &self.ended]
                .map(|count| count.load(Relaxed));
        format!(
            "{puts} PUTs over {connections} connections; {given_up} given up or reset, {ended} connections \
             ended with ENHANCE_YOUR_CALM"
        )
    }
}

impl Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::StrictHttp2 => "strict HTTP/2",
        })
    }
}

/// A new folder with certificates.
fn certificates() -> Result<TempDir, Failure> {
    let folder = TempDir::new()?;
    pki::make(folder.path())?;
    Ok(folder)
}

fn acceptor(folder: &TempDir) -> Result<TlsAcceptor, Failure> {
    Ok(TlsAcceptor::from(Arc::new(pki::server(
        folder.path(),
        true,
    )?)))
}

fn flags(address: SocketAddr, tls: Option<&TempDir>) -> Vec<String> {
    match tls {
        None => vec![format!("--upstream=http://{address}")],
        Some(folder) => vec![
            format!("--upstream=https://{address}"),
            format!("--upstream-ca={}", folder.path().join(pki::ROOT).display()),
        ],
    }
}

/// Serves one connection to its end, whatever that is.
async fn http1(stream: TcpStream, counts: &Counts) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let given_up = GivenUp(Some(counts));
        // A body that breaks off is seen where the answer is sent.
        let _ = body.collect().await;
        let status = answer(&head, counts).await;
        given_up.not();
        let mut response = Response::new(Full::new(SUCCESS));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Counts a request as given up, unless it is told otherwise.
struct GivenUp<'a>(Option<&'a Counts>);

impl GivenUp<'_> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(counts) = self.0 {
            Counts::add(&counts.given_up);
        }
    }
}

/// Takes the time that the meeting's id says.
async fn answer(head: &http::request::Parts, counts: &Counts) -> StatusCode {
    Counts::add(&counts.puts);
    let query = head.uri.query().unwrap_or_default();
    let manner = query
        .strip_prefix("conferenceID=")
        .and_then(|meeting| meeting.split('-').next());
    match manner {
        Some("ok") => sleep(Duration::from_millis(10)).await,
        Some("slow") => sleep(Duration::from_secs(1)).await,
        Some("hang") => std::future::pending().await,
        Some("down") => return StatusCode::SERVICE_UNAVAILABLE,
        _ => return StatusCode::BAD_REQUEST,
    }
    StatusCode::OK
}
