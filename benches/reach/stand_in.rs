//! A stand-in for the REST API with TLS, which answers each call after a while.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use tokio_rustls::TlsAcceptor;

use crate::{Failure, pki};

const SUCCESS: Bytes = Bytes::from_static(br#"{"returnCode":0,"returnDesc":"Success"}"#);

/// What it is like.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// Whether it offers HTTP/2 beside HTTP/1.1.
    pub http2: bool,
    /// How many calls it allows on a connection.
    pub streams: u32,
    /// How long each call takes.
    pub delay: Duration,
    /// How long a connection may lie idle.
    pub idle: Duration,
}

/// A stand-in, ended when dropped.
#[derive(Debug)]
pub struct StandIn {
    pub counts: Arc<Counts>,
    pub address: SocketAddr,
    folder: TempDir,
    _tasks: JoinSet<()>,
}

/// What it has seen.
#[derive(Debug, Default)]
pub struct Counts {
    pub handshakes: AtomicU64,
    pub puts: AtomicU64,
}

impl StandIn {
    pub async fn start(nature: Nature) -> Result<Self, Failure> {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), nature).await
    }

    /// Listens at an address that is free.
    pub async fn at(address: SocketAddr, nature: Nature) -> Result<Self, Failure> {
        let folder = TempDir::new()?;
        pki::make(folder.path())?;
        let tls = TlsAcceptor::from(Arc::new(pki::server(folder.path(), nature.http2)?));
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, tls.clone(), nature, Arc::clone(&counting)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            counts,
            address,
            folder,
            _tasks: tasks,
        })
    }

    /// The flags with which a façade finds it, by the name that its certificate has.
    pub fn flags(&self) -> Vec<String> {
        let (port, root) = (self.address.port(), self.folder.path().join(pki::ROOT));
        vec![
            format!("--upstream=https://{}:{port}", pki::NAME),
            format!("--upstream-ca={}", root.display()),
        ]
    }
}

/// Serves one connection to its end, or until it has been idle for too long.
async fn serve(stream: TcpStream, tls: TlsAcceptor, nature: Nature, counts: Arc<Counts>) {
    // Small answers are not to wait for each other.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    counts.handshakes.fetch_add(1, Relaxed);
    let started = Instant::now();
    let (busy, last) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (in_flight, ended) = (Arc::clone(&busy), Arc::clone(&last));
    let service = service_fn(move |request: Request<Incoming>| {
        let (counts, busy, last) = (
            Arc::clone(&counts),
            Arc::clone(&in_flight),
            Arc::clone(&ended),
        );
        async move {
            busy.fetch_add(1, Relaxed);
            let _ = request.into_body().collect().await;
            sleep(nature.delay).await;
            counts.puts.fetch_add(1, Relaxed);
            busy.fetch_sub(1, Relaxed);
            last.store(started.elapsed().as_millis() as u64, Relaxed);
            Ok::<_, Infallible>(Response::new(Full::new(SUCCESS)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(nature.streams);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ticks = interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = ticks.tick() => {
                let since = Duration::from_millis(last.load(Relaxed));
                if busy.load(Relaxed) == 0 && started.elapsed() - since >= nature.idle {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
