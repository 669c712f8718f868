//! The scenarios: what the way to the upstream is like, and what that may cost calls.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::callers::{Caller, Credential, Ended, Facade, count, describe, paced};
use crate::report::Row;
use crate::runner::{Bench, Scenario};
use crate::stand_in::{Nature, StandIn};
use crate::{Failure, pki};

pub const SCENARIOS: [Scenario; 4] = [
    ("burst", 120, |bench| Box::pin(burst(bench))),
    ("dead", 60, |bench| Box::pin(dead(bench))),
    ("streams", 120, |bench| Box::pin(streams(bench))),
    ("closed", 180, |bench| Box::pin(closed(bench))),
];

const ID: &str = "900244663";
const DEADLINE: Duration = Duration::from_secs(5);
/// Threads of the façade, one for each processor of a container.
const WORKERS: u64 = 2;

const QUICK: Nature = Nature {
    http2: true,
    streams: 128,
    delay: Duration::from_millis(10),
    idle: Duration::from_secs(60),
};

/// So many calls at once, from as many callers as there are workers.
async fn at_once(callers: &[Caller], calls: u32) -> Vec<Ended> {
    let calls = (0..calls).map(|number| {
        let caller = callers[number as usize % callers.len()].clone();
        async move { caller.call(ID, &Credential::Token, DEADLINE).await }
    });
    futures_util::future::join_all(calls).await
}

async fn callers(facade: &Facade, number: u32) -> Result<Vec<Caller>, Failure> {
    let mut callers = Vec::new();
    for number in 0..number {
        callers.push(facade.caller(1 + number).await?);
    }
    Ok(callers)
}

/// The time within which 99 of 100 calls ended.
fn p99(calls: &[Ended]) -> Duration {
    let mut times: Vec<_> = calls.iter().map(|call| call.took).collect();
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// A hundred calls at once meet no connection, and again when all have been closed as idle.
async fn burst(bench: &Bench) -> Result<(), Failure> {
    for http2 in [true, false] {
        let stand_in = StandIn::start(Nature { http2, ..QUICK }).await?;
        let facade = Facade::start(bench, &stand_in.flags())?;
        let callers = callers(&facade, 4).await?;
        let protocol = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        for when in ["cold", "after 20 s idle"] {
            let before = stand_in.counts.handshakes.load(Relaxed);
            let calls = at_once(&callers, 100).await;
            let made = stand_in.counts.handshakes.load(Relaxed) - before;
            let row = Row::new(format!("100 calls at once, {when}, {protocol}"))
                .require("all OK", describe(&calls), count(&calls, "OK") == 100)
                .note("p99", format!("{:?}", p99(&calls)))
                .note("handshakes", made);
            let row = match http2 {
                true => row.require(
                    format!("at most {} handshakes", WORKERS + 1),
                    made.to_string(),
                    made <= WORKERS + 1,
                ),
                false => row,
            };
            bench.report.tell(&row);
            if when == "cold" {
                sleep(Duration::from_secs(20)).await;
            }
        }
    }
    Ok(())
}

/// A listener whose queue is full: it answers no further connection.
async fn deaf(address: SocketAddr) -> Result<(TcpListener, Vec<TcpStream>), Failure> {
    let socket = match address.is_ipv4() {
        true => TcpSocket::new_v4()?,
        false => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(1)?;
    let mut queued = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await {
        queued.push(stream);
    }
    Ok((listener, queued))
}

/// All addresses of the upstream's name but the last never answer. Where `localhost` has one address, there is nothing to
/// see; a hosts file with more of 127.0.0.0/8 shows it.
async fn dead(bench: &Bench) -> Result<(), Failure> {
    let nature = Nature {
        idle: Duration::from_millis(500),
        ..QUICK
    };
    let found: Vec<_> = tokio::net::lookup_host((pki::NAME, 0)).await?.collect();
    let last = *found.last().ok_or("localhost has no address")?;
    let stand_in = StandIn::at(last, nature).await?;
    let mut others = Vec::new();
    for mut address in found.into_iter().filter(|address| *address != last) {
        address.set_port(stand_in.address.port());
        others.push(deaf(address).await?);
    }
    if others.is_empty() {
        bench
            .report
            .tell(&Row::new("dead addresses").note("not measured", "localhost has one address"));
        return Ok(());
    }
    let facade = Facade::start(bench, &stand_in.flags())?;
    let caller = facade.caller(1).await?;
    // Each call meets a connection that has been closed, and makes another.
    let calls = paced(15, Duration::from_secs(1), |_| {
        let caller = caller.clone();
        async move {
            caller
                .call(ID, &Credential::Token, Duration::from_secs(1))
                .await
        }
    })
    .await;
    let later = &calls[2..];
    let row = Row::new(format!(
        "{} addresses are dead, one lives, deadlines of 1 s",
        others.len()
    ))
    .require(
        "from the second second on, all OK",
        describe(later),
        count(later, "OK") == later.len(),
    )
    .note("the first two", describe(&calls[..2]))
    .note("slowest", format!("{:?}", p99(&calls)));
    bench.report.tell(&row);
    Ok(())
}

/// Few calls are allowed on a connection, and each takes 200 ms.
async fn streams(bench: &Bench) -> Result<(), Failure> {
    let mut p99s = Vec::new();
    for streams in [100, 8] {
        let delay = Duration::from_millis(200);
        let stand_in = StandIn::start(Nature {
            streams,
            delay,
            ..QUICK
        })
        .await?;
        let facade = Facade::start(bench, &stand_in.flags())?;
        let callers = callers(&facade, 4).await?;
        let calls = paced(3_000, Duration::from_secs(1) / 150, |number| {
            let caller = callers[number as usize % callers.len()].clone();
            async move { caller.call(ID, &Credential::Token, DEADLINE).await }
        })
        .await;
        p99s.push(p99(&calls));
        let ratio = p99s[p99s.len() - 1].as_secs_f64() / p99s[0].as_secs_f64();
        let row = Row::new(format!(
            "{streams} calls on a connection, 150 calls/s for 20 s"
        ))
        .require(
            "all OK",
            describe(&calls),
            count(&calls, "OK") == calls.len(),
        )
        .require(
            "p99 at most twice that of 100",
            format!("{ratio:.2}"),
            ratio <= 2.0,
        )
        .note("p99", format!("{:?}", p99(&calls)))
        .note("connections", stand_in.counts.handshakes.load(Relaxed));
        bench.report.tell(&row);
    }
    Ok(())
}

/// Each second a burst meets connections that are being closed just then.
async fn closed(bench: &Bench) -> Result<(), Failure> {
    for http2 in [false, true] {
        let nature = Nature {
            http2,
            idle: Duration::from_secs(1),
            ..QUICK
        };
        let stand_in = StandIn::start(nature).await?;
        let mut flags = stand_in.flags();
        flags.push("--max-retries=0".to_owned());
        let facade = Facade::start(bench, &flags)?;
        let callers = callers(&facade, 4).await?;
        let mut calls = Vec::new();
        for _ in 0..60 {
            calls.extend(at_once(&callers, 30).await);
            // As long as they may be idle, give or take what the machine does.
            sleep(Duration::from_millis(980 + fastrand::u64(..40))).await;
        }
        let puts = stand_in.counts.puts.load(Relaxed);
        let protocol = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        let row = Row::new(format!("bursts of 30 as connections close, {protocol}"))
            .require(
                "all OK, without retries",
                describe(&calls),
                count(&calls, "OK") == calls.len(),
            )
            .note("changes", puts);
        bench.report.tell(&row);
    }
    Ok(())
}
