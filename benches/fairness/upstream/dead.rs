//! Upstreams that nobody can reach, or that say nothing.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{acceptor, certificates, flags};
use crate::Failure;

/// How long connecting to loopback takes at most where somebody listens.
const CONNECT: Duration = Duration::from_millis(300);
/// Connections after which a queue that is as short as can be has to be full.
const MAX_QUEUE: usize = 16;

/// An upstream that answers nothing, ended when dropped.
#[derive(Debug)]
pub struct Dead {
    pub address: SocketAddr,
    tls: Option<TempDir>,
    _holding: Holding,
}

/// What keeps it as it is.
#[derive(Debug)]
enum Holding {
    Nothing,
    Queue {
        _listener: TcpListener,
        _waiting: Vec<TcpStream>,
    },
    Tasks {
        _accepting: JoinSet<()>,
    },
}

impl Dead {
    /// Refuses connections: nobody listens there.
    pub async fn refusing() -> Result<Self, Failure> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        Ok(Self::new(address, Holding::Nothing))
    }

    /// Leaves connections unanswered: nobody accepts any, and the queue of those that wait for it is full,
    /// so Linux drops further SYNs.
    pub async fn unanswering() -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        let listener = socket.listen(0)?;
        let address = listener.local_addr()?;
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(CONNECT, TcpStream::connect(address)).await {
            waiting.push(stream?);
            if waiting.len() > MAX_QUEUE {
                return Err("this system answers SYNs although the queue is full".into());
            }
        }
        let holding = Holding::Queue {
            _listener: listener,
            _waiting: waiting,
        };
        Ok(Self::new(address, holding))
    }

    /// Accepts connections, over TLS if `tls` says so, and never sends a byte of HTTP.
    pub async fn silent(tls: bool) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tls = tls.then(certificates).transpose()?;
        let acceptor = tls.as_ref().map(acceptor).transpose()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let held = match acceptor {
                        Some(acceptor) => (None, acceptor.accept(stream).await.ok()),
                        None => (Some(stream), None),
                    };
                    std::future::pending::<()>().await;
                    drop(held);
                });
            }
        });
        Ok(Self {
            tls,
            ..Self::new(address, Holding::Tasks { _accepting: tasks })
        })
    }

    fn new(address: SocketAddr, holding: Holding) -> Self {
        Self {
            address,
            tls: None,
            _holding: holding,
        }
    }

    /// The flags with which a façade finds it.
    pub fn flags(&self) -> Vec<String> {
        flags(self.address, self.tls.as_ref())
    }
}
