//! The load: calls from one thread over some connections, at one of two paces.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use meeting_control::duration::parse_pause;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

use crate::call::{Call, CallError, message};
use crate::tally::Tally;
use crate::timer::Timer;
use crate::watch::Watch;
use crate::{Failure, pki};

/// How long calls may take that are still under way at the end.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The most calls that one connection may carry before the server has said how many it takes.
const STREAMS: usize = 100_000;

/// What is sent where, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The gRPC server, or the REST one with `--direct`
    #[arg(long)]
    target: SocketAddr,

    /// Make the call that the façade makes
    #[arg(long)]
    direct: bool,

    /// Its process; tells what it uses
    #[arg(long)]
    watch: u32,

    /// Calls under way at once
    #[arg(long, required_unless_present = "rate", conflicts_with = "rate")]
    in_flight: Option<u32>,

    /// Calls that start each second
    #[arg(long)]
    rate: Option<u32>,

    /// Connections
    #[arg(long, default_value_t = 8)]
    connections: u32,

    /// More calls under way at once, all on one more connection; their latency does not count
    #[arg(long, default_value_t = 0)]
    hot: u32,

    /// How long to call before anything is measured
    #[arg(long, default_value = "1s", value_parser = parse_pause)]
    warm_up: Duration,

    /// How long to measure
    #[arg(long, default_value = "3s", value_parser = parse_pause)]
    measured: Duration,

    /// Folder with certificates: TLS, with a certificate of our own
    #[arg(long)]
    tls: Option<PathBuf>,

    /// The request message as protobuf in hex digits; without it, what the façade understands
    #[arg(long, value_parser = hex)]
    message: Option<Bytes>,
}

/// What all tasks of the load share.
struct Shared {
    call: Call,
    connections: Vec<SendRequest<Bytes>>,
    tally: Tally,
    /// What is measured begins and ends here.
    from: Instant,
    to: Instant,
}

/// Loads the server, and tells in JSON what that was like.
pub async fn run(options: Options) -> Result<Value, Failure> {
    let watch = Watch::new(options.watch)?;
    let memory_before = watch.memory()?;
    let authority = options.target.to_string();
    let call = if options.direct {
        Call::direct(&authority)?
    } else {
        let message = options.message.clone().unwrap_or_else(|| message().into());
        Call::new(&authority, options.tls.is_some(), &message)?
    };
    let mut connections = connect(&options).await?;
    let hot = connections.split_off(options.connections as usize);
    let from = Instant::now() + options.warm_up;
    let shared = Rc::new(Shared {
        call,
        connections,
        tally: Tally::new()?,
        from,
        to: from + options.measured,
    });
    let calls = match options.rate {
        Some(rate) => spawn_local(open_loop(Rc::clone(&shared), rate)),
        None => {
            let calls = options.in_flight.unwrap_or(1);
            spawn_local(closed_loop(Rc::clone(&shared), calls, options.warm_up / 2))
        }
    };

    for connection in hot.iter().cycle().take(options.hot as usize) {
        let (shared, connection) = (Rc::clone(&shared), connection.clone());
        spawn_local(async move { shared.call_again(connection, |_| ()).await });
    }

    let timer = Timer::start();
    timer.until(shared.from).await;
    let (cpu_before, ended_before) = (watch.cpu()?, shared.tally.ended());
    let began = Instant::now();
    timer.until(shared.to).await;
    let (cpu, ended) = (
        watch.cpu()? - cpu_before,
        shared.tally.ended() - ended_before,
    );
    let seconds = began.elapsed().as_secs_f64();

    calls.await?;
    let patience = Instant::now() + PATIENCE;
    while shared.tally.under_way() > 0 && Instant::now() < patience {
        sleep(Duration::from_millis(10)).await;
    }
    if shared.tally.under_way() > 0 {
        let why = format!("no answer within {PATIENCE:?}");
        shared.tally.fail(why, shared.tally.under_way());
    }
    if shared.tally.noted() == 0 {
        shared
            .tally
            .fail("no call ended in the time measured".to_owned(), 1);
    }
    Ok(json!({
        "calls": ended,
        "calls_per_second": ended as f64 / seconds,
        "p50_us": shared.tally.quantile(0.5),
        "p99_us": shared.tally.quantile(0.99),
        "cpu_us_per_call": cpu.as_secs_f64() * 1e6 / ended.max(1) as f64,
        "most_in_flight": shared.tally.most_under_way(),
        "memory_before": memory_before,
        "memory_peak": watch.peak_memory()?,
        "failures": shared.tally.failures(),
    }))
}

/// Keeps `calls` under way. They begin spread over `ramp`, or they would all come back in one wave.
async fn closed_loop(shared: Rc<Shared>, calls: u32, ramp: Duration) {
    let timer = Timer::start();
    let start = Instant::now();
    for number in 0..calls {
        timer.until(start + ramp * number / calls).await;
        let shared = Rc::clone(&shared);
        spawn_local(async move {
            let took = |latency| shared.tally.took(latency);
            shared.call_again(shared.connection(number), took).await;
        });
    }
}

/// Starts `rate` calls each second. Latency counts from when a call should have started, so that a
/// server that makes the load wait does not look fast.
async fn open_loop(shared: Rc<Shared>, rate: u32) {
    let timer = Timer::start();
    let start = Instant::now();
    for number in 0.. {
        let due = start + Duration::from_secs(number.into()) / rate;
        if due >= shared.to {
            break;
        }
        timer.until(due).await;
        let shared = Rc::clone(&shared);
        spawn_local(async move {
            let mut connection = shared.connection(number);
            // A failure is counted; there is nothing else to do about it.
            let _ = shared.make_call(&mut connection).await;
            if due >= shared.from {
                shared.tally.took(due.elapsed());
            }
        });
        if number % 64 == 0 {
            // However late we are, answers are to be read.
            tokio::task::yield_now().await;
        }
    }
}

impl Shared {
    fn connection(&self, number: u32) -> SendRequest<Bytes> {
        self.connections[number as usize % self.connections.len()].clone()
    }

    /// Makes one call after the other until the end, and tells how long each took that ends while
    /// calls are measured.
    async fn call_again(&self, mut connection: SendRequest<Bytes>, took: impl Fn(Duration)) {
        while Instant::now() < self.to {
            let start = Instant::now();
            let result = self.make_call(&mut connection).await;
            let end = Instant::now();
            if (self.from..self.to).contains(&end) {
                took(end - start);
            }
            if let Err(CallError::Broken(_)) = result {
                return;
            }
        }
    }

    async fn make_call(&self, connection: &mut SendRequest<Bytes>) -> Result<(), CallError> {
        self.tally.start();
        let result = self.call.make(connection).await;
        self.tally.end();
        if let Err(error) = &result {
            self.tally.fail(error.to_string(), 1);
        }
        result
    }
}

/// Makes the connections, and the hot one last, if there is one.
async fn connect(options: &Options) -> Result<Vec<SendRequest<Bytes>>, Failure> {
    let tls = match &options.tls {
        Some(folder) => Some(TlsConnector::from(Arc::new(pki::client(folder)?))),
        None => None,
    };
    let mut connections = Vec::new();
    for _ in 0..options.connections + u32::from(options.hot > 0) {
        let stream = TcpStream::connect(options.target).await?;
        stream.set_nodelay(true)?;
        connections.push(match &tls {
            Some(tls) => greet(tls.connect(pki::NAME.try_into()?, stream).await?).await?,
            None => greet(stream).await?,
        });
    }
    Ok(connections)
}

async fn greet(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<SendRequest<Bytes>, Failure> {
    let (sender, connection) = client::Builder::new()
        .initial_max_send_streams(STREAMS)
        // As many answers, small as they are, may have arrived before the first is read.
        .data_frame_budget(STREAMS * 1024)
        .handshake(stream)
        .await?;
    // Its calls know what happened to a connection that breaks.
    spawn_local(connection);
    Ok(sender)
}

fn hex(text: &str) -> Result<Bytes, String> {
    let byte = |at| {
        let pair = text.get(at..at + 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes
        .map(Bytes::from)
        .ok_or_else(|| "not pairs of hex digits".to_owned())
}
