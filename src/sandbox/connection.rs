//! One connection: HTTP/1.1, until a test id asks for something else.

use std::error::Error as _;
use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::test_id::Fault;

/// How long a connection may take over its request headers, and stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves `stream` to its end.
pub(super) async fn serve(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            match response.extensions_mut().remove::<Fault>() {
                Some(fault) => Err(fault),
                None => Ok(response),
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let fault = ended.as_ref().err().and_then(|error| error.source());
    if let Some(Fault::NotHttp) = fault.and_then(|error| error.downcast_ref()) {
        let mut stream = connection.into_parts().io.into_inner();
        // Whether the garbage still arrives is the caller's affair.
        let _ = stream.write_all(b"\x00\x01SSH-2.0-sandbox\r\n\r\n").await;
    }
}

/// In place of an answer: the connection that it would go to ends.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}
