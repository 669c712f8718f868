//! HTTP/2: the h2 crate speaks it, and frames of our own are put between those of the crate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, timeout};

use super::behaviour::{Framing, Loss};
use super::reply::Reply;
use super::upstream::{self, Exchange, Io, Shared, play};
use crate::kit::PATIENCE;

mod line;

use line::{GoAway, Line, Order};

/// Serves a connection until one side has enough.
pub async fn converse(stream: impl Io, shared: Arc<Shared>, random: Rng) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (line, orders) = Line::new();
    let carrying = line::carry(stream, far, orders, Arc::clone(&line));
    tokio::join!(carrying, serve(near, line, shared, random));
}

async fn serve(near: DuplexStream, line: Arc<Line>, shared: Arc<Shared>, mut random: Rng) {
    let mut builder = h2::server::Builder::new();
    let (mut narrow, mut ends) = (false, false);
    if shared.moody {
        builder.max_concurrent_streams(random.u32(2..100));
        narrow = random.u8(..5) == 0;
        ends = random.u8(..3) == 0;
    }
    if narrow {
        // No body may leave at first.
        builder.initial_window_size(0);
    }
    let Ok(mut connection) = builder.handshake(near).await else {
        return;
    };
    let widening = sleep(Duration::from_millis(random.u64(..300)));
    let ending = sleep(Duration::from_millis(random.u64(20..1_000)));
    tokio::pin!(widening, ending);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else {
                    return;
                };
                answer(request, respond, &line, &shared);
            }
            () = &mut widening, if narrow => {
                // An error means that the peer has not yet heard of the first size.
                narrow = connection.set_initial_window_size(65_535).is_err();
                widening.as_mut().reset(Instant::now() + Duration::from_millis(10));
            }
            () = &mut ending, if ends => {
                ends = false;
                match random.u8(..3) {
                    0 => line.order(Order::Close),
                    1 => line.order(Order::GoAway(GoAway {
                        except: None,
                        after: None,
                        reason: Reason::NO_ERROR,
                        closes: true,
                    })),
                    _ => connection.graceful_shutdown(),
                }
            }
        }
    }
}

/// Has a request answered, beside the connection, which may end before.
fn answer(
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    line: &Arc<Line>,
    shared: &Arc<Shared>,
) {
    let id = request.headers()["x-request-id"].to_str().unwrap();
    let (pen, behaviour) = shared.open(id.parse().unwrap());
    let mut exchange = Http2 {
        stream: respond.stream_id().as_u32(),
        request: request.into_body(),
        respond,
        body: None,
        line: Arc::clone(line),
    };
    let taken = line.take(exchange.stream, &behaviour);
    let under_way = shared.exchange();
    tokio::spawn(async move {
        if taken {
            play(&behaviour, &pen, &mut exchange).await;
        } else {
            exchange.lose(Loss::Hang).await;
        }
        drop(under_way);
    });
}

struct Http2 {
    stream: u32,
    request: RecvStream,
    respond: SendResponse<Bytes>,
    /// Of the answer, once its head has been sent.
    body: Option<SendStream<Bytes>>,
    line: Arc<Line>,
}

impl Http2 {
    fn head(&mut self, reply: &Reply) {
        let (name, value) = reply.header;
        let head = http::Response::builder().status(reply.status);
        let head = head.header(name, value).body(()).unwrap();
        // An error, here and below, means that the peer has given the stream up.
        self.body = self.respond.send_response(head, false).ok();
    }

    fn data(&mut self, bytes: &'static [u8], last: bool) {
        if let Some(body) = &mut self.body {
            let _ = body.send_data(Bytes::from_static(bytes), last);
        }
    }

    async fn given_up(&mut self) {
        let given_up = std::future::poll_fn(|cx| match &mut self.body {
            Some(body) => body.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        });
        let _ = timeout(PATIENCE, given_up).await;
    }
}

impl Exchange for Http2 {
    async fn read(&mut self) -> bool {
        while let Some(part) = self.request.data().await {
            let Ok(part) = part else { return false };
            let _ = self.request.flow_control().release_capacity(part.len());
        }
        true
    }

    async fn begin(&mut self, reply: &Reply, _: Framing) {
        self.head(reply);
        self.data(reply.half(), false);
    }

    async fn send(&mut self, reply: &Reply, _: Framing, pause: Duration, _: bool) {
        let (half, rest) = reply.body.split_at(reply.half().len());
        self.head(reply);
        self.data(half, false);
        upstream::sleep(pause).await;
        self.data(rest, true);
    }

    async fn lose(&mut self, loss: Loss) {
        match loss {
            Loss::Hang => {}
            Loss::Cut => self.line.order(Order::Close),
            Loss::Garbage => self.line.order(Order::Garbage),
            Loss::Reset(reason) => match &mut self.body {
                Some(body) => body.send_reset(reason),
                None => self.respond.send_reset(reason),
            },
            Loss::GoAway {
                covers,
                reason,
                closes,
            } => self.line.order(Order::GoAway(GoAway {
                except: (!covers).then_some(self.stream),
                after: self.body.as_ref().map(|_| self.stream),
                reason,
                closes,
            })),
        }
        if !matches!(loss, Loss::Reset(_)) {
            self.given_up().await;
        }
    }
}
