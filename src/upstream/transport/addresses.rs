//! Which of a host's addresses a connection is made to. Where there are several, they are raced by TCP, over
//! both families and a moment apart (RFC 8305), and the winner is remembered: a dead one costs a moment, and
//! no call its time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep};

/// How long one address is waited for before the next is tried as well.
const STAGGER: Duration = Duration::from_millis(250);
/// How long the address of the last connection is taken without a race.
const MAX_TRUST: Duration = Duration::from_secs(5);
/// How long an address that did not answer stands behind the others.
const MAX_GRUDGE: Duration = Duration::from_secs(30);
/// The most addresses that are tried.
const MAX_ADDRESSES: usize = 32;

/// What is known of the addresses of one host, for all threads. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    port: u16,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The address of the last connection, and until when it is taken without a race.
    winner: Option<(IpAddr, Instant)>,
    /// How long that connection took.
    took: Duration,
    /// The address that was given as the first the last time.
    tried: Option<IpAddr>,
    /// Those that did not answer, and until when they stand behind.
    dead: HashMap<IpAddr, Instant>,
}

impl Addresses {
    /// Nothing is known yet of a host whose `port` is to be reached.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            known: Arc::default(),
        }
    }

    /// A connection to that address was made, which took so long.
    pub(super) fn reached(&self, address: IpAddr, took: Duration) {
        let mut known = self.known();
        known.took = took;
        known.winner = Some((address, Instant::now() + MAX_TRUST));
        known.dead.remove(&address);
    }

    /// How long the last connection took.
    pub(super) fn took(&self) -> Duration {
        self.known().took
    }

    /// A connection could not be made, though its address may have won a race: it stands behind the others.
    pub(super) fn missed(&self) {
        let mut known = self.known();
        known.winner = None;
        if let Some(tried) = known.tried {
            known.dead.insert(tried, Instant::now() + MAX_GRUDGE);
        }
    }

    /// A connection was not made soon: the next takes no address without a race.
    pub(super) fn doubt(&self) {
        if let Some((_, until)) = &mut self.known().winner {
            *until = Instant::now();
        }
    }

    /// The addresses in the order in which connections are to be tried. With no answer from any, it is as long as
    /// some of them are silent.
    async fn choose(&self, found: Vec<IpAddr>) -> Vec<IpAddr> {
        let mut order = self.known().order(found, Instant::now());
        let is_raced = order.len() > 1 && !self.known().trusts(order[0], Instant::now());
        if is_raced && let Some(winner) = self.race(&order).await {
            order.sort_by_key(|address| *address != winner);
        }
        self.known().tried = order.first().copied();
        order
    }

    /// The first address that takes a connection, which is closed again: the client makes its own.
    async fn race(&self, order: &[IpAddr]) -> Option<IpAddr> {
        let mut runners = FuturesUnordered::new();
        let mut waiting = order.iter().copied().peekable();
        loop {
            let started = waiting.next();
            if let Some(next) = started {
                let address = SocketAddr::new(next, self.port);
                runners.push(async move { (next, TcpStream::connect(address).await.is_ok()) });
            }
            let silent = tokio::select! {
                ended = runners.next() => match ended? {
                    (winner, true) => return Some(winner),
                    (loser, false) => Some(loser),
                },
                () = sleep(STAGGER), if waiting.peek().is_some() => started,
            };
            if let Some(silent) = silent {
                let until = Instant::now() + MAX_GRUDGE;
                self.known().dead.insert(silent, until);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // The values are whole even after a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The winner first, then the others by turns of their families as the system prefers them, then the dead, the longest first.
    fn order(&mut self, found: Vec<IpAddr>, now: Instant) -> Vec<IpAddr> {
        self.dead.retain(|_, until| *until > now);
        let mut order = by_turns(found);
        order.truncate(MAX_ADDRESSES);
        order.sort_by_key(|address| {
            let is_winner = self.winner.is_some_and(|(winner, _)| winner == *address);
            (!is_winner, self.dead.get(address).copied())
        });
        order
    }

    fn trusts(&self, address: IpAddr, now: Instant) -> bool {
        self.winner
            .is_some_and(|(winner, until)| winner == address && until > now)
    }
}

/// Addresses without those that come twice, one family after the other, beginning with that of the first.
fn by_turns(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut unique = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let is_first_v4 = unique.first().is_some_and(IpAddr::is_ipv4);
    let (preferred, other): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv4() == is_first_v4);
    let mut other = other.into_iter();
    let mut turns: Vec<_> = preferred
        .into_iter()
        .flat_map(|address| [Some(address), other.next()])
        .flatten()
        .collect();
    turns.extend(other);
    turns
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone();
        Box::pin(async move {
            let found = lookup_host((name.as_str(), addresses.port)).await?;
            let found = found.map(|address| address.ip()).collect();
            let chosen = addresses.choose(found).await;
            // The client puts the port to them.
            let chosen = chosen.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(chosen) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
