//! An upstream over real sockets that does with each request what it is told, and keeps the ledger.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::behaviour::{Act, Behaviour, Framing, Loss, Wire};
use super::ledger::{Ledger, Pen};
use super::reply::Reply;
use super::{http1, http2};
use crate::kit::pki::Root;

/// What becomes of the nth PUT of a call.
pub type Choose = Box<dyn Fn(u64, usize) -> Behaviour + Send + Sync>;

/// The upstream, ended when dropped.
pub struct Upstream {
    pub base: String,
    pub root: Root,
    shared: Arc<Shared>,
    /// Each connection holds a clone.
    connections: Arc<()>,
    task: JoinHandle<()>,
}

pub struct Shared {
    choose: Choose,
    pub ledger: Arc<Ledger>,
    /// Each exchange under way holds a clone.
    exchanges: Arc<()>,
    /// Whether connections have accidents of their own, beside those of exchanges.
    pub moody: bool,
}

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A request and the way back.
pub trait Exchange: Send {
    /// Waits for the whole request; `false` if it does not come.
    fn read(&mut self) -> impl Future<Output = bool> + Send;
    /// Sends the head and half the body; nothing in it says that the rest will not come.
    fn begin(&mut self, reply: &Reply, framing: Framing) -> impl Future<Output = ()> + Send;
    /// Sends the whole reply, its second half after a `pause`, and at once after it perhaps a `stray`
    /// one that nobody asked for.
    fn send(
        &mut self,
        reply: &Reply,
        framing: Framing,
        pause: Duration,
        stray: bool,
    ) -> impl Future<Output = ()> + Send;
    /// Ends without a whole reply.
    fn lose(&mut self, loss: Loss) -> impl Future<Output = ()> + Send;
}

impl Upstream {
    /// An upstream that makes no mistake but those it is told to make.
    pub async fn start(wire: Wire, choose: Choose) -> Self {
        Self::new(wire, choose, None).await
    }

    /// An upstream whose connections have accidents of their own, by `seed`.
    pub async fn moody(wire: Wire, choose: Choose, seed: u64) -> Self {
        Self::new(wire, choose, Some(Rng::with_seed(seed))).await
    }

    async fn new(wire: Wire, choose: Choose, moods: Option<Rng>) -> Self {
        let root = Root::new();
        let tls = (wire != Wire::Plain).then(|| acceptor(&root, wire));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            choose,
            ledger: Arc::default(),
            exchanges: Arc::default(),
            moody: moods.is_some(),
        });
        let connections = Arc::new(());
        let task = tokio::spawn(accept(
            listener,
            tls,
            wire,
            moods,
            Arc::clone(&shared),
            Arc::clone(&connections),
        ));
        Self {
            base: format!("{scheme}://localhost:{port}"),
            root,
            shared,
            connections,
            task,
        }
    }

    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// How many requests have not come to their end.
    pub fn exchanges(&self) -> usize {
        Arc::strong_count(&self.shared.exchanges) - 1
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        // The task that accepts them holds one as well.
        Arc::strong_count(&self.connections) - 2
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(root: &Root, wire: Wire) -> TlsAcceptor {
    let files = root.issue("localhost");
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(files.cert).unwrap()],
            PrivateKeyDer::from_pem_file(files.key).unwrap(),
        )
        .unwrap();
    let protocol: &[u8] = match wire {
        Wire::Http2 => b"h2",
        Wire::Plain | Wire::Tls => b"http/1.1",
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    wire: Wire,
    mut moods: Option<Rng>,
    shared: Arc<Shared>,
    open: Arc<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let random = moods.as_mut().map_or_else(|| Rng::with_seed(0), Rng::fork);
        let (tls, shared, open) = (tls.clone(), Arc::clone(&shared), Arc::clone(&open));
        connections.spawn(async move {
            converse(stream, tls, wire, shared, random).await;
            drop(open);
        });
    }
}

async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    wire: Wire,
    shared: Arc<Shared>,
    mut random: Rng,
) {
    stream.set_nodelay(true).unwrap();
    if shared.moody {
        match random.u8(..20) {
            0 => return,
            1 => sleep(Duration::from_millis(random.u64(..100))).await,
            _ => {}
        }
    }
    let Some(tls) = tls else {
        return http1::converse(stream, shared, random).await;
    };
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    match wire {
        Wire::Http2 => http2::converse(stream, shared, random).await,
        Wire::Plain | Wire::Tls => http1::converse(stream, shared, random).await,
    }
}

impl Shared {
    /// A PUT is there; says what is to become of it.
    pub fn open(&self, call: u64) -> (Pen, Behaviour) {
        self.ledger.open(call, |number| (self.choose)(call, number))
    }

    pub fn exchange(&self) -> Arc<()> {
        Arc::clone(&self.exchanges)
    }
}

/// Does with a request what `behaviour` says.
pub async fn play(behaviour: &Behaviour, pen: &Pen, exchange: &mut impl Exchange) {
    if !behaviour.early && !exchange.read().await {
        return;
    }
    sleep(behaviour.before).await;
    if behaviour.applies && !behaviour.early {
        pen.apply();
    }
    sleep(behaviour.after).await;
    match behaviour.act {
        Act::Whole {
            reply,
            framing,
            pause,
            stray,
        } => {
            if reply.is_success() {
                pen.accept();
            }
            exchange.send(reply, framing, pause, stray).await;
            if behaviour.early && exchange.read().await && behaviour.applies {
                pen.apply();
            }
        }
        Act::Half {
            reply,
            framing,
            pause,
            loss,
        } => {
            exchange.begin(reply, framing).await;
            sleep(pause).await;
            exchange.lose(loss).await;
        }
        Act::Nothing(loss) => exchange.lose(loss).await,
    }
}

/// Sleeps, but not at all where there is nothing to wait for.
pub async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}
