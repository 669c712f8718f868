//! Accepts connections for as long as the process wants them: within a limit, and undeterred by faults
//! that pass.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// The pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// An address over its share is refused while less than this part of all places is free.
const SHORT: usize = 4;

/// How often it is said that too many connections are open.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// How many connections may be open.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub max: usize,
    /// From one address, while less than a quarter of all is free.
    pub share: usize,
}

/// The connections that are open, by address.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Serves each connection in a task of its own; those beyond `bounds` are closed as they come. Ends when it is
/// dropped, and leaves the connections to themselves.
pub async fn each<F>(
    listener: &TcpListener,
    bounds: Bounds,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let open = Arc::new(Mutex::new(Open::default()));
    let mut told: Option<Instant> = None;
    loop {
        let (stream, address) = next(listener).await;
        let ip = address.ip().to_canonical();
        if !lock(&open).enter(ip, bounds) {
            if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                told = Some(Instant::now());
                let max = bounds.max;
                tracing::warn!(%address, max, "connections are closed: too many are open");
            }
            continue;
        }
        let leaving = Leaving(Arc::clone(&open), ip);
        tokio::spawn(serve(stream, address).map(|()| drop(leaving)));
    }
}

/// Serves each connection in a task of its own; while `max` are open, the oldest gives way to a new one. Ends
/// when it is dropped, and the connections with it.
pub async fn newest<F>(
    listener: &TcpListener,
    max: usize,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut serving = JoinSet::new();
    let mut oldest = VecDeque::new();
    loop {
        let (stream, address) = next(listener).await;
        while serving.try_join_next().is_some() {}
        oldest.retain(|task: &AbortHandle| !task.is_finished());
        if oldest.len() >= max
            && let Some(task) = oldest.pop_front()
        {
            task.abort();
        }
        oldest.push_back(serving.spawn(serve(stream, address)));
    }
}

/// The next connection.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Small answers must not wait for each other; without it, they are just slower.
                let _ = stream.set_nodelay(true);
                return (stream, address);
            }
            Err(error) => {
                tracing::warn!(cause = %error, "a connection was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Open {
    /// Counts a new connection, if there is room for it.
    fn enter(&mut self, ip: IpAddr, bounds: Bounds) -> bool {
        let free = bounds.max.saturating_sub(self.all);
        let own = self.by_address.get(&ip).copied().unwrap_or_default();
        let is_short = free.saturating_mul(SHORT) < bounds.max;
        if free == 0 || (own >= bounds.share && is_short) {
            return false;
        }
        self.all += 1;
        self.by_address.insert(ip, own + 1);
        true
    }

    fn leave(&mut self, ip: IpAddr) {
        self.all -= 1;
        if let Entry::Occupied(mut own) = self.by_address.entry(ip) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// A connection's place, given back when it is dropped.
struct Leaving(Arc<Mutex<Open>>, IpAddr);

impl Drop for Leaving {
    fn drop(&mut self) {
        lock(&self.0).leave(self.1);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    // No change is ever half done.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_excess_is_closed_and_a_freed_place_is_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let bounds = Bounds { max: 1, share: 1 };
            each(&listener, bounds, |mut stream, _| async move {
                // Greeted, and held until the client closes.
                stream.write_all(b"!").await.unwrap();
                let _ = stream.read(&mut [0]).await;
            })
            .await;
        });
        let is_greeted = async |stream: &mut TcpStream| {
            let read = timeout(PATIENCE, stream.read(&mut [0])).await;
            matches!(read.expect("greeted or closed"), Ok(1))
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(is_greeted(&mut first).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(!is_greeted(&mut second).await);
        drop(first);
        let reused = async {
            loop {
                let mut third = TcpStream::connect(address).await.unwrap();
                if is_greeted(&mut third).await {
                    return;
                }
            }
        };
        timeout(PATIENCE, reused).await.unwrap();
    }

    #[test]
    fn an_address_over_its_share_is_refused_while_places_are_short() {
        let bounds = Bounds { max: 8, share: 4 };
        let [greedy, other] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let mut open = Open::default();
        let taken = (0..20).filter(|_| open.enter(greedy, bounds)).count();
        assert_eq!(taken, 7, "all but the last quarter");
        assert!(open.enter(other, bounds));
        assert!(!open.enter(other, bounds), "all are taken");
        open.leave(greedy);
        assert!(!open.enter(greedy, bounds));
        assert!(open.enter(other, bounds));
        for _ in 0..6 {
            open.leave(greedy);
        }
        open.leave(other);
        open.leave(other);
        assert_eq!((open.all, open.by_address.len()), (0, 0));
    }

    #[tokio::test]
    async fn the_oldest_gives_way_to_a_new_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            newest(&listener, 2, |mut stream, _| async move {
                stream.write_all(b"!").await.unwrap();
                let _ = stream.read(&mut [0]).await;
            })
            .await;
        });
        let read = async |stream: &mut TcpStream| {
            let read = timeout(PATIENCE, stream.read(&mut [0])).await;
            read.expect("greeted or closed").unwrap_or(0)
        };
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(read(&mut stream).await, 1);
            streams.push(stream);
        }
        assert_eq!(read(&mut streams[0]).await, 0, "the first is closed");
        streams[2].write_all(b"x").await.unwrap();
        assert_eq!(read(&mut streams[2]).await, 0, "the last ends by itself");
    }
}
