//! One client's connection, from its first byte to its last: HTTP/2 with bounds on everything, GOAWAY
//! in two steps when it is old or the process drains, and an end to every wait.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::layers::Services;
use super::metrics::Closing;
use super::streams::{All, Life, Streams};
use super::wire::Watched;
use crate::call::Peer;

/// The largest header list that comes in, to be told by us that it is too large. Up to four times as much, a request
/// that has more costs its own stream alone.
const MAX_HEADERS: u32 = 32 * 1024;
/// What a client may send ahead on one stream: more than the largest message.
const STREAM_WINDOW: u32 = 32 * 1024;
/// The most streams at once. A client that wants more waits, or opens another connection.
const MAX_STREAMS: u32 = 256;
/// What a client may send ahead on all its streams. The HTTP/2 library takes it for a flood when more small
/// frames wait to be read than half of this would hold at 256 bytes each. There may be one for each call that its
/// caller has given up while we got no time.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// Answers that wait to be sent on one stream.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that a client has reset and that we have not seen yet; more, and the client is flooding. A process that
/// gets no time finds as many when it goes on.
const MAX_RESET_STREAMS: usize = 10_000;
/// Requests that break HTTP/2's rules, in each second of a connection's longest life. The library counts them over
/// all of it; with more, the client is flooding.
const MALFORMED_PER_SECOND: u64 = 40;
/// So many in any life, and at most.
const MIN_MALFORMED: u64 = 1_000;
const MAX_MALFORMED: u64 = 150_000;
/// How often a silent connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take over the preface of HTTP/2.
pub(super) const MAX_PREFACE: Duration = Duration::from_secs(10);
/// How long a client that may not call stays, to be told so.
const MAX_UNWELCOME: Duration = Duration::from_secs(1);
/// How long calls on their way may take to arrive once the process drains.
const MAX_UNDER_WAY: Duration = Duration::from_secs(1);

/// What connections are to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// Serve.
    Serving,
    /// Finish the calls under way, until then at most.
    Draining { until: Instant },
}

/// How old a connection grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The age at which the client is asked to make a new connection, ±10 %.
    pub(super) age: Duration,
    /// How long after that the calls that are still open are cut off.
    pub(super) grace: Duration,
}

/// Serves `services` over `stream` until the client is gone, does not take its answers, the connection is too old,
/// or `phase` says to drain.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    services: Services,
    bounds: Bounds,
    all: Arc<All>,
    mut phase: watch::Receiver<Phase>,
) {
    let bounds = match peer.may_call() {
        true => bounds,
        false => bounds.unwelcome(),
    };
    let streams = Streams::new(Arc::clone(&all), bounds.life());
    let stream = Watched::new(stream, Arc::clone(&streams));
    let (of_calls, of_answers) = (peer.clone(), Arc::clone(&streams));
    let open = phase.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(of_calls.clone());
        extensions.insert(Arc::clone(&of_answers));
        // As long as a call is open, draining waits for it, even when its connection is gone.
        let open = open.clone();
        let answer = services.answer(request, &of_answers);
        answer.inspect(move |_| drop(open))
    });
    let mut connection = pin!(builder(bounds).serve_connection(TokioIo::new(stream), service));

    let until = tokio::select! {
        // An error is the client's own: it is gone, or does not speak HTTP/2.
        _ended = serving(connection.as_mut(), &streams) => return,
        () = missed(&streams) => return all.tell_closed(Closing::Silent, &peer),
        abuse = streams.abused() => return all.tell_closed(abuse, &peer),
        () = streams.worn() => {
            all.tell_closed(Closing::Worn, &peer);
            Instant::now() + bounds.grace
        }
        () = sleep(jittered(bounds.age)) => Instant::now() + bounds.grace,
        until = draining(&mut phase) => until,
    };
    if !streams.is_heard() {
        // Nobody is there yet to be told, and nothing can be on its way.
        return;
    }
    // The first GOAWAY still lets in what is on its way; the second, a round trip later, is final.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        // First, so that a GOAWAY goes out where no time is left for more.
        biased;
        _ended = serving(connection.as_mut(), &streams) => {}
        abuse = streams.abused() => all.tell_closed(abuse, &peer),
        () = sleep_until(until) => peer.cut_off(),
        // Draining may end sooner than the grace of an old connection, never later.
        () = async {
            let drained = draining(&mut phase).await;
            let ours_done = async {
                sleep(MAX_UNDER_WAY).await;
                streams.ours_done().await;
            };
            // Whatever else is open, or whoever does not answer, is not waited for.
            let _ = timeout_at(drained.min(until), ours_done).await;
        } => peer.cut_off(),
    }
}

/// Serves a connection in turns, until it ends.
async fn serving<C: Future>(mut connection: Pin<&mut C>, streams: &Streams) -> C::Output {
    poll_fn(|cx| {
        streams.begin_turn();
        let ended = connection.as_mut().poll(cx);
        streams.end_turn();
        ended
    })
    .await
}

/// Resolves when a client has not spoken HTTP/2 in time.
async fn missed(streams: &Streams) {
    sleep(MAX_PREFACE).await;
    if streams.is_heard() {
        std::future::pending().await
    }
}

impl Bounds {
    /// As they are, but no longer than a client stays that may not call.
    fn unwelcome(self) -> Self {
        Self {
            age: self.age.min(MAX_UNWELCOME),
            grace: Duration::ZERO,
        }
    }

    /// Requests that break HTTP/2's rules, for which the library ends a connection.
    fn malformed(self) -> usize {
        let longest_life = self.age.mul_f64(1.1) + self.grace;
        let malformed = MALFORMED_PER_SECOND.saturating_mul(longest_life.as_secs());
        let malformed = malformed.clamp(MIN_MALFORMED, MAX_MALFORMED);
        usize::try_from(malformed).unwrap_or(usize::MAX)
    }

    /// Half of what the library bears, so that nothing of the rest is lost.
    fn life(self) -> Life {
        Life {
            charges: CONNECTION_WINDOW as usize / 2 / 2,
            resets: self.malformed() / 2,
        }
    }
}

fn builder(bounds: Bounds) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(Some(bounds.malformed()))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .auto_date_header(false);
    builder
}

/// Resolves when the process drains, with the moment by which it is done.
pub(super) async fn draining(phase: &mut watch::Receiver<Phase>) -> Instant {
    loop {
        if let Phase::Draining { until } = *phase.borrow_and_update() {
            return until;
        }
        if phase.changed().await.is_err() {
            // Nobody is left to say so: the server is gone.
            return Instant::now();
        }
    }
}

/// `age` ±10 %, so that connections made together do not end together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_age_end_spread_over_a_fifth_of_it() {
        const AGE: Duration = Duration::from_secs(1_000);
        let mut ages: Vec<_> = (0..1_000).map(|_| jittered(AGE).as_secs()).collect();
        ages.sort_unstable();
        assert!((900..920).contains(&ages[0]), "{}", ages[0]);
        assert!((980..1_020).contains(&ages[500]), "{}", ages[500]);
        assert!((1_080..=1_100).contains(&ages[999]), "{}", ages[999]);
    }
}
