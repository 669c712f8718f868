//! An upstream with TLS and a certificate of its own root, which answers with 200 unless told otherwise.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// The upstream, ended when dropped.
pub struct Upstream {
    pub base: String,
    /// PEM file with the root.
    pub root: tempfile::NamedTempFile,
    versions: Arc<Mutex<Vec<Version>>>,
    connections: Arc<AtomicUsize>,
    handshakes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What becomes of a request.
#[derive(Clone)]
enum Manner {
    Answering,
    Gathering {
        all_there: Arc<Barrier>,
        streams: u32,
    },
    Resetting(h2::Reason),
    /// Takes its time for each handshake.
    Shaking(Duration),
    Telling(Arc<Mutex<VecDeque<Response<String>>>>),
}

impl Upstream {
    pub async fn start() -> Self {
        Self::offering(&["h2", "http/1.1"]).await
    }

    /// An upstream that offers these protocols by ALPN.
    pub async fn offering(protocols: &[&str]) -> Self {
        Self::new(protocols, Manner::Answering).await
    }

    /// An upstream over HTTP/2 that answers when `calls` are there, and allows `streams` on a connection.
    pub async fn gathering(calls: usize, streams: u32) -> Self {
        let all_there = Arc::new(Barrier::new(calls));
        Self::new(&["h2"], Manner::Gathering { all_there, streams }).await
    }

    /// An upstream that resets every HTTP/2 stream once its request is there.
    pub async fn resetting(reason: h2::Reason) -> Self {
        Self::new(&["h2"], Manner::Resetting(reason)).await
    }

    /// An upstream over HTTP/2 whose handshakes take that long.
    pub async fn shaking(time: Duration) -> Self {
        Self::new(&["h2"], Manner::Shaking(time)).await
    }

    /// An upstream that gives these answers, one after the other, and then empty ones.
    pub async fn telling(answers: impl IntoIterator<Item = Response<String>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self::new(&["h2"], Manner::Telling(answers)).await
    }

    async fn new(protocols: &[&str], manner: Manner) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut root = tempfile::NamedTempFile::new().unwrap();
        root.write_all(key.cert.pem().as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (versions, connections) = (Arc::default(), Arc::<AtomicUsize>::default());
        let accepted = Arc::clone(&connections);
        let handshakes = Arc::<AtomicUsize>::default();
        let shaken = Arc::clone(&handshakes);
        let counting = Arc::clone(&versions);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::Relaxed);
                let shaken = Arc::clone(&shaken);
                let (acceptor, manner) = (acceptor.clone(), manner.clone());
                let counting: Arc<Mutex<Vec<Version>>> = Arc::clone(&counting);
                tokio::spawn(async move {
                    if let Manner::Shaking(time) = manner {
                        sleep(time).await;
                    }
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    shaken.fetch_add(1, Ordering::Relaxed);
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    let answers = match &manner {
                        Manner::Telling(answers) => Arc::clone(answers),
                        _ => Arc::default(),
                    };
                    let gathered = match manner {
                        Manner::Answering | Manner::Shaking(_) | Manner::Telling(_) => None,
                        Manner::Resetting(reason) => {
                            return reset_all(stream, reason, &counting).await;
                        }
                        Manner::Gathering { all_there, streams } => {
                            builder.http2().max_concurrent_streams(streams);
                            Some(all_there)
                        }
                    };
                    let service = service_fn(|request: Request<hyper::body::Incoming>| {
                        counting.lock().unwrap().push(request.version());
                        let gathered = gathered.clone();
                        let answer = answers.lock().unwrap().pop_front();
                        async move {
                            if let Some(all_there) = gathered {
                                all_there.wait().await;
                            }
                            let answer = answer.unwrap_or_default();
                            let answer = answer.map(|body| Full::new(bytes::Bytes::from(body)));
                            Ok::<_, hyper::Error>(answer)
                        }
                    });
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            base: format!("https://localhost:{port}"),
            root,
            versions,
            connections,
            handshakes,
            task,
        }
    }

    pub fn requests(&self) -> usize {
        self.versions().len()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many handshakes have succeeded.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// The HTTP version of each request that came.
    pub fn versions(&self) -> Vec<Version> {
        self.versions.lock().unwrap().clone()
    }
}

async fn reset_all(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    reason: h2::Reason,
    counting: &Mutex<Vec<Version>>,
) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        counting.lock().unwrap().push(request.version());
        let mut body = request.into_body();
        tokio::spawn(async move {
            while body.data().await.is_some() {}
            answer.send_reset(reason);
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
