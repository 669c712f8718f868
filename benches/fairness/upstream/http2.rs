//! HTTP/2, by hand: gateways end a connection on which too many requests are reset.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::{Counts, SUCCESS, answer};

/// Calls at once on one connection, as gateways commonly allow.
const STREAMS: u32 = 128;
/// Serves one connection to its end. More resets than `max_resets` within a second end it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    counts: Arc<Counts>,
    max_resets: usize,
) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        // The limit here is ours, not the library's.
        .max_pending_accept_reset_streams(STREAMS as usize);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let (reset, mut resets) = unbounded_channel();
    let mut recent = VecDeque::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let exchange = exchange(request, respond, Arc::clone(&counts), reset.clone());
                    tokio::spawn(exchange);
                }
                Some(Err(_)) | None => return,
            },
            Some(moment) = resets.recv() => {
                Counts::add(&counts.given_up);
                recent.push_back(moment);
                while recent.front().is_some_and(|first| moment - *first > Duration::from_secs(1)) {
                    recent.pop_front();
                }
                if recent.len() > max_resets {
                    recent.clear();
                    Counts::add(&counts.ended);
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
            }
        }
    }
}

/// Answers one request, or tells when it was reset.
async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    counts: Arc<Counts>,
    resets: UnboundedSender<Instant>,
) {
    let (head, mut body) = request.into_parts();
    // Small enough for the window. One that breaks off is seen where the answer is sent.
    while let Some(Ok(_)) = body.data().await {}
    tokio::select! {
        status = answer(&head, &counts) => {
            let mut response = Response::new(());
            *response.status_mut() = status;
            // Whoever asked may be gone.
            if let Ok(mut body) = respond.send_response(response, false) {
                let _ = body.send_data(SUCCESS, true);
            }
        }
        Ok(_) = poll_fn(|context| respond.poll_reset(context)) => {
            // The connection may have ended meanwhile.
            let _ = resets.send(Instant::now());
        }
    }
}
