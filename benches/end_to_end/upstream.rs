//! A stand-in for the REST API that answers every `PUT` alike, and costs as little as it can.
//!
//! The sandbox is of no use here: it keeps meetings, and would take longer than the façade.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meeting_control::duration::parse_pause;
use meeting_control::names::{AUTHORIZATION, REQUEST_ID};
use meeting_control::sandbox;
use meeting_control::upstream::wire::UPDATE_PATH;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::timer::Timer;
use crate::{Failure, pki};

/// Most calls at once on one HTTP/2 connection, as gateways commonly allow.
pub const STREAMS: u32 = 128;

/// Connections that wait to be taken on; the system may cap it. With too few, a burst of thousands loses
/// some, which try again after a second.
const BACKLOG: u32 = 65_535;

/// The body that a caller of [`crate::call::message`] is to send.
pub const EXPECTED: &[u8] = br#"{"lockSharing":1}"#;
const SUCCESS: Bytes = Bytes::from_static(br#"{"returnCode":0,"returnDesc":"Success"}"#);

/// Where it is, and how it answers.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddrV4,

    /// How long each answer takes
    #[arg(long, default_value = "0s", value_parser = parse_pause)]
    delay: Duration,

    /// Folder with certificates: TLS, with HTTP/2 for who knows it
    #[arg(long)]
    tls: Option<PathBuf>,

    /// HTTP/1.1 alone, even with TLS
    #[arg(long)]
    http1: bool,

    /// Most calls at once on one HTTP/2 connection
    #[arg(long, default_value_t = STREAMS)]
    streams: u32,
}

/// Serves until the process ends.
pub async fn serve(options: Options) -> Result<(), Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(options.listen.into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let tls = match &options.tls {
        Some(folder) => {
            let config = pki::server(folder, !options.http1)?;
            Some(TlsAcceptor::from(Arc::new(config)))
        }
        None => None,
    };
    let pause = (!options.delay.is_zero()).then(|| Pause {
        length: options.delay,
        timer: Timer::start(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(
            stream,
            tls.clone(),
            pause.clone(),
            options.streams,
        ));
    }
}

/// Serves one connection to its end, whatever that is.
async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    pause: Option<Pause>,
    streams: u32,
) {
    let Some(tls) = tls else {
        // The façade speaks HTTP/1.1 here, and a load without it HTTP/2.
        let mut first = [0; 2];
        return match stream.peek(&mut first).await {
            Ok(_) if first == *b"PR" => http2(stream, pause, streams).await,
            _ => http1(stream, pause).await,
        };
    };
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(stream, pause, streams).await;
    } else {
        http1(stream, pause).await;
    }
}

async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin, pause: Option<Pause>) {
    let service = service_fn(|request| answer(request, pause.as_ref()));
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    pause: Option<Pause>,
    streams: u32,
) {
    let service = service_fn(move |request| {
        let pause = pause.clone();
        async move { answer(request, pause.as_ref()).await }
    });
    let _ = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Answers success to the one request that is expected, so that nothing else is ever measured.
async fn answer(
    request: Request<Incoming>,
    pause: Option<&Pause>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let as_expected = request.method() == Method::PUT
        && request.uri().path() == UPDATE_PATH
        && request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("conferenceID="))
            == Some(sandbox::MEETING)
        && request.headers().get(&AUTHORIZATION) == Some(&HeaderValue::from_static(sandbox::TOKEN));
    let body = request.into_body().collect().await?.to_bytes();
    if let Some(pause) = pause {
        pause.wait().await;
    }
    let mut response = Response::new(Full::new(SUCCESS));
    if !as_expected || body != EXPECTED {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        *response.body_mut() = Full::new(body);
    }
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    headers.insert(
        &REQUEST_ID,
        HeaderValue::from_static("4836358e037348f1b78c5562a4c35dee"),
    );
    Ok(response)
}

/// How long every answer takes. They come due in the order in which they were asked for, so one timer
/// serves them all.
#[derive(Debug, Clone)]
struct Pause {
    length: Duration,
    timer: Timer,
}

impl Pause {
    async fn wait(&self) {
        self.timer.until(Instant::now() + self.length).await;
    }
}
