//! One client's connection, from its first byte to its last: HTTP/2 with bounds on everything, GOAWAY
//! in two steps when it is old or the process drains, and an end to every wait.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::layers::Services;
use super::preface::Preface;
use crate::call::Peer;

/// The largest header list; leaves room for a token that is too long to be told so.
const MAX_HEADERS: u32 = 16 * 1024;
/// What a client may send ahead on one stream: more than the largest message.
const STREAM_WINDOW: u32 = 32 * 1024;
/// The most streams at once. A client that wants more waits, or opens another connection.
const MAX_STREAMS: u32 = 512;
/// What a client may send ahead on all its streams. The HTTP/2 library takes it for a flood when more small
/// frames wait to be read than half of this would hold at 256 bytes each, and every call may come in two.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * 2 * 2 * 256;
/// Answers that wait to be sent on one stream.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that a client has reset and that are not yet swept up; more, and the client is flooding.
const MAX_RESET_STREAMS: usize = 64;
/// Resets of ours for protocol errors of a client's; more, and the client is flooding.
const MAX_LOCAL_RESETS: usize = 256;
/// How often a silent connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take over the preface of HTTP/2.
pub(super) const MAX_PREFACE: Duration = Duration::from_secs(10);

/// What connections are to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// Serve.
    Serving,
    /// Finish the calls under way, until then at most.
    Draining { until: Instant },
}

/// How much a connection carries, and how old it grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The age at which the client is asked to make a new connection, ±10 %.
    pub(super) age: Duration,
    /// How long after that the calls that are still open are cut off.
    pub(super) grace: Duration,
}

/// Serves `services` over `stream` until the client is gone, the connection is too old, or `phase` says
/// to drain.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    services: Services,
    bounds: Bounds,
    mut phase: watch::Receiver<Phase>,
) {
    let (stream, preface) = Preface::watch(stream);
    let of_calls = peer.clone();
    let open = phase.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_calls.clone());
        // As long as a call is open, draining waits for it, even when its connection is gone.
        let open = open.clone();
        services.answer(request).inspect(move |_| drop(open))
    });
    let mut connection = pin!(builder().serve_connection(TokioIo::new(stream), service));

    let until = tokio::select! {
        // An error is the client's own: it is gone, or does not speak HTTP/2.
        _ended = connection.as_mut() => return,
        () = preface.missed(MAX_PREFACE) => {
            tracing::debug!("a connection is closed: no HTTP/2 in time");
            return;
        }
        () = sleep(jittered(bounds.age)) => Instant::now() + bounds.grace,
        until = draining(&mut phase) => until,
    };
    if !preface.is_complete() {
        // Nobody is there yet to be told, and nothing can be on its way.
        return;
    }
    // The first GOAWAY still lets in what is on its way; the second, a round trip later, is final.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ended = connection.as_mut() => {}
        () = sleep_until(until) => peer.cut_off(),
        // Draining may end sooner than the grace of an old connection, never later.
        () = async {
            let drained = draining(&mut phase).await;
            sleep_until(drained.min(until)).await;
        } => peer.cut_off(),
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
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
