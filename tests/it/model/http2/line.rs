//! A connection on which frames of our own go between those of the h2 crate.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use h2::Reason;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::model::behaviour::{Act, Behaviour};
use crate::model::upstream::Io;

const HEADER_LENGTH: usize = 9;
/// The first frame of a head. If a head takes more, none of ours goes after it.
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;
const GARBAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

/// What can be done to a connection beside answering on it.
#[derive(Debug)]
pub struct Line {
    orders: UnboundedSender<Order>,
    streams: Mutex<Streams>,
}

#[derive(Debug)]
pub enum Order {
    GoAway(GoAway),
    Garbage,
    Close,
}

#[derive(Debug)]
pub struct GoAway {
    /// Does not cover this stream, unless a later one must be covered.
    pub except: Option<u32>,
    /// Waits until the head of the answer on this stream is out.
    pub after: Option<u32>,
    pub reason: Reason,
    pub closes: bool,
}

/// Which streams a GOAWAY must cover.
#[derive(Debug, Default)]
struct Streams {
    /// Those on which something is done.
    taken: BTreeSet<u32>,
    /// The last that the latest GOAWAY covers; none after it may be taken.
    last: Option<u32>,
}

impl Line {
    /// A connection, and the orders for [`carry`].
    pub fn new() -> (Arc<Self>, UnboundedReceiver<Order>) {
        let (orders, ordered) = unbounded_channel();
        let streams = Mutex::default();
        (Arc::new(Self { orders, streams }), ordered)
    }

    pub fn order(&self, order: Order) {
        // An error means that the connection is closed already.
        let _ = self.orders.send(order);
    }

    /// Whether something may be done on a new stream, now and later.
    pub fn take(&self, stream: u32, behaviour: &Behaviour) -> bool {
        let mut streams = self.streams.lock().unwrap();
        let covered = streams.last.is_none_or(|last| stream <= last);
        let left_alone = matches!(behaviour.act, Act::Nothing(loss) if loss.leaves_uncovered());
        if covered && !left_alone {
            streams.taken.insert(stream);
        }
        covered
    }

    /// The frame that leaves no stream uncovered on which something is done, but for the exception.
    fn go_away(&self, order: &GoAway) -> Vec<u8> {
        let mut streams = self.streams.lock().unwrap();
        let mut taken = streams.taken.iter().rev();
        let highest = taken.find(|stream| Some(**stream) != order.except);
        let highest = highest.copied().unwrap_or_default();
        let last = streams.last.map_or(highest, |last| last.min(highest));
        streams.last = Some(last);
        let reason = u32::from(order.reason);
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        [&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0], payload.as_slice()].concat()
    }
}

/// Carries bytes between the peer and the h2 crate until either has enough or it is told to close.
pub async fn carry(
    stream: impl Io,
    far: DuplexStream,
    orders: UnboundedReceiver<Order>,
    line: Arc<Line>,
) {
    let (mut from_peer, mut to_peer) = tokio::io::split(stream);
    let (from_crate, mut to_crate) = tokio::io::split(far);
    tokio::select! {
        _ = tokio::io::copy(&mut from_peer, &mut to_crate) => {}
        _ = carry_out(from_crate, &mut to_peer, orders, &line) => {}
    }
}

/// Carries frames out one by one, so that what goes between them leaves them legible.
async fn carry_out(
    mut from_crate: impl AsyncRead + Unpin,
    to_peer: &mut (impl AsyncWrite + Unpin),
    mut orders: UnboundedReceiver<Order>,
    line: &Line,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut headed = BTreeSet::new();
    let mut waiting: Vec<GoAway> = Vec::new();
    loop {
        while let Some(frame) = next_frame(&mut buffer) {
            to_peer.write_all(&frame).await?;
            if frame[3] == HEADERS {
                headed.insert(u32::from_be_bytes(frame[5..9].try_into().unwrap()));
            }
        }
        let is_due = |order: &mut GoAway| order.after.is_none_or(|after| headed.contains(&after));
        for order in waiting.extract_if(.., is_due) {
            to_peer.write_all(&line.go_away(&order)).await?;
            if order.closes {
                return to_peer.flush().await;
            }
        }
        to_peer.flush().await?;
        tokio::select! {
            read = from_crate.read_buf(&mut buffer) => if read? == 0 {
                return Ok(());
            },
            Some(order) = orders.recv() => match order {
                Order::GoAway(order) => waiting.push(order),
                Order::Garbage => to_peer.write_all(GARBAGE).await?,
                Order::Close => return Ok(()),
            },
        }
    }
}

fn next_frame(buffer: &mut BytesMut) -> Option<BytesMut> {
    let length = buffer.get(..3)?;
    let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
    let whole = HEADER_LENGTH + length;
    (buffer.len() >= whole).then(|| buffer.split_to(whole))
}
