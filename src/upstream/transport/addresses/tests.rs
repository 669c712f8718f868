use tokio::net::{TcpListener, TcpSocket};

use super::*;

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace()
        .map(|ip| ip.parse().unwrap())
        .collect()
}

/// A listener whose queue is full: it answers no further connection.
struct Deaf {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Deaf {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(STAGGER, TcpStream::connect(address)).await
        {
            queued.push(stream);
        }
        Self {
            _listener: listener,
            _queued: queued,
        }
    }
}

#[test]
fn addresses_come_by_turns_of_their_families_the_winner_first_and_the_dead_last() {
    let now = Instant::now();
    let (a, b, six) = ("10.0.0.1", "10.0.0.2", "2001:db8::1");
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (found, winner, dead, expected) in [
        (
            format!("{a} {b} {six}"),
            None,
            vec![],
            format!("{a} {six} {b}"),
        ),
        (
            format!("{six} {a} {b}"),
            None,
            vec![],
            format!("{six} {a} {b}"),
        ),
        (format!("{a} {a} {b}"), None, vec![], format!("{a} {b}")),
        (
            format!("{a} {b} {six}"),
            Some(b),
            vec![],
            format!("{b} {a} {six}"),
        ),
        (
            format!("{a} {b} {six}"),
            None,
            vec![a],
            format!("{six} {b} {a}"),
        ),
        (
            format!("{a} {b}"),
            Some("10.0.0.9"),
            vec![a, b],
            format!("{a} {b}"),
        ),
        (String::new(), Some(a), vec![], String::new()),
    ] {
        let mut known = Known {
            winner: winner.map(|winner| (ip(winner), now)),
            dead: dead
                .iter()
                .map(|dead| (ip(dead), now + MAX_GRUDGE))
                .collect(),
            ..Known::default()
        };
        let order = known.order(ips(&found), now);
        assert_eq!(order, ips(&expected), "{found}");
        let later = known.order(ips(&found), now + MAX_GRUDGE);
        assert!(known.dead.is_empty(), "{later:?}");
    }
}

#[tokio::test]
async fn a_deaf_address_costs_a_moment_and_is_not_tried_first_again() {
    let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = live.local_addr().unwrap().port();
    let _deaf = Deaf::at(SocketAddr::from(([127, 0, 0, 2], port))).await;
    let addresses = Addresses::new(port);
    let found = ips("127.0.0.2 127.0.0.3 127.0.0.1");
    let expected = ips("127.0.0.1 127.0.0.2 127.0.0.3");
    assert_eq!(addresses.choose(found.clone()).await, expected);
    addresses.reached(expected[0], Duration::ZERO);
    // Nothing is raced now, and nothing answers any more.
    drop(live);
    assert_eq!(addresses.choose(found.clone()).await, expected);
    // Once in doubt, it has to race, and loses like the others.
    addresses.doubt();
    let live = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
    assert_eq!(addresses.choose(found).await[0], ips("127.0.0.3")[0]);
    drop(live);
}

#[tokio::test]
async fn where_none_takes_a_connection_the_client_has_all_to_find_out_why() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let addresses = Addresses::new(port);
    let found = ips("127.0.0.1 127.0.0.2");
    assert_eq!(addresses.choose(found.clone()).await, found);
}

#[tokio::test]
async fn an_address_that_takes_connections_and_then_fails_gives_way_to_the_others() {
    let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = one.local_addr().unwrap().port();
    let _other = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let addresses = Addresses::new(port);
    let found = ips("127.0.0.1 127.0.0.2");
    for first in [0, 1, 0] {
        assert_eq!(addresses.choose(found.clone()).await[0], found[first]);
        addresses.missed();
    }
}
