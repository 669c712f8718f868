//! The scenarios: what one peer does, and what that may cost the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use meeting_control::names::{METHOD_PATH, SERVICE};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Failure;
use crate::callers::{Caller, Credential, Ended, Facade, count, describe, paced};
use crate::issuer::{Issuer, Manner};
use crate::raw::{
    CHECK, DATA, EMPTY, END_HEADERS, END_STREAM, GOAWAY, HEADERS, REFLECTION, Raw, WATCH, frame,
    request,
};
use crate::report::Row;
use crate::runner::{Bench, Scenario};

pub const SCENARIOS: [Scenario; 8] = [
    ("untaken", 300, |bench| Box::pin(untaken(bench))),
    ("unfinished", 120, |bench| Box::pin(unfinished(bench))),
    ("watches", 240, |bench| Box::pin(watches(bench))),
    ("connections", 60, |bench| Box::pin(connections(bench))),
    ("malformed", 120, |bench| Box::pin(malformed(bench))),
    ("starved", 120, |bench| Box::pin(starved(bench))),
    ("admin", 60, |bench| Box::pin(admin(bench))),
    ("end", 60, |bench| Box::pin(end(bench))),
];

const MEMORY: &str = "process_resident_memory_bytes ";
const OPEN: &str = "meeting_control_connections ";
const UNTAKEN: &str = "meeting_control_untaken_answers ";
const MOST: f64 = 100e6;
/// Where the abuse comes from, and where honest callers are.
const ABUSER: u32 = 1;
const HONEST: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn start(bench: &Bench, flags: &[&str]) -> Result<(Issuer, Facade), Failure> {
    let issuer = Issuer::start(Manner::default()).await?;
    let mut arguments = vec![issuer.flag()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let facade = Facade::start(bench, &arguments)?;
    Ok((issuer, facade))
}

fn one(caller: &Caller) -> impl Future<Output = Ended> + use<> {
    let caller = caller.clone();
    async move { caller.call("1", &Credential::Token, PATIENCE).await }
}

/// 50 honest calls a second, from a thread of their own, as the abuse keeps ours busy as well.
async fn honest(facade: &Facade, span: Duration) -> Result<Vec<Ended>, Failure> {
    let address = facade.address();
    let calls = span.as_millis() as u32 / 20;
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(async {
            let caller = Caller::connect(&address, HONEST).await?;
            let paced = paced(calls, Duration::from_millis(20), |_| one(&caller));
            Ok::<_, Failure>(paced.await)
        })
    });
    let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
    joined.map_err(|_| "the honest callers panicked")?
}

/// The time that 99 of 100 stay below.
fn p99(calls: &[Ended]) -> Duration {
    let mut times: Vec<_> = calls.iter().map(|call| call.took).collect();
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

fn require_ok(row: Row, calls: &[Ended]) -> Row {
    let ok = count(calls, "OK");
    let row = row.require(
        "honest calls: all OK",
        format!("{ok} of {}", calls.len()),
        ok == calls.len(),
    );
    match ok == calls.len() {
        true => row,
        false => row.note("they ended", describe(calls)),
    }
}

fn require_memory(row: Row, peak: f64) -> Row {
    row.require("under 100 MB", format!("{:.1} MB", peak / 1e6), peak < MOST)
}

/// Looks at the memory until told to stop, and returns the most that was seen.
async fn peak(facade: &Facade, over: &AtomicBool) -> f64 {
    let mut peak = 0.0_f64;
    while !over.load(Relaxed) {
        peak = peak.max(facade.metric(MEMORY).await.unwrap_or_default());
        sleep(Duration::from_millis(200)).await;
    }
    peak
}

/// 40 connections, each with as many streams as it gets, whose answers are not taken.
async fn untaken(bench: &Bench) -> Result<(), Failure> {
    const CONNECTIONS: u32 = 40;
    const STREAMS: u32 = 2_300;
    for (path, window, read) in [
        (CHECK, 0, true),
        (CHECK, 1, true),
        (CHECK, 65_535, false),
        (METHOD_PATH, 0, true),
        (METHOD_PATH, 1, true),
        (METHOD_PATH, 65_535, false),
    ] {
        let (_issuer, facade) = start(bench, &[]).await?;
        let over = AtomicBool::new(false);
        let abuse = async {
            let mut open = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let mut raw = Raw::connect(&facade.grpc, ABUSER, window).await?;
                // A call without a setting is refused.
                let headers = request(path, &[("grpc-timeout", "1S")]);
                let mut burst = Vec::new();
                for number in 0..STREAMS {
                    let stream = 2 * number + 1;
                    burst.extend(frame(HEADERS, END_HEADERS, stream, &headers));
                    burst.extend(frame(DATA, END_STREAM, stream, EMPTY));
                }
                open.spawn(async move {
                    raw.push(&burst).await;
                    if read {
                        raw.drain().await;
                    } else {
                        sleep(seconds(60)).await;
                    }
                });
            }
            sleep(seconds(9)).await;
            // One second is their deadline, and five more are theirs. An honest answer is on its way now and then.
            let mut left = f64::MAX;
            for _ in 0..20 {
                left = left.min(facade.metric(UNTAKEN).await?);
                sleep(Duration::from_millis(10)).await;
            }
            open.shutdown().await;
            over.store(true, Relaxed);
            Ok::<_, Failure>(left)
        };
        let (calls, left, peak) =
            tokio::join!(honest(&facade, seconds(9)), abuse, peak(&facade, &over));
        let (calls, left) = (calls?, left?);
        let name = format!(
            "40 x 2,300 {}, {}",
            if path == CHECK {
                "checks"
            } else {
                "refused calls"
            },
            if read {
                format!("window {window}")
            } else {
                "never read".to_owned()
            }
        );
        let row = require_memory(Row::new(name), peak);
        let row = require_ok(row, &calls);
        let p99 = p99(&calls);
        bench.report.tell(
            &row.require(
                "honest calls: p99 under 50 ms",
                format!("{:.1} ms", p99.as_secs_f64() * 1e3),
                p99 < Duration::from_millis(50),
            )
            .require(
                "answers untaken after 9 s: none",
                left.to_string(),
                left == 0.0,
            ),
        );
    }
    Ok(())
}

async fn unfinished(bench: &Bench) -> Result<(), Failure> {
    for (name, path, prefix) in [
        (
            "10 x 2,304 unfinished reflections",
            REFLECTION,
            [0, 0, 64, 0, 0],
        ),
        ("10 x 2,304 unfinished calls", METHOD_PATH, [0, 0, 0, 64, 0]),
    ] {
        let (_issuer, facade) = start(bench, &[]).await?;
        let over = AtomicBool::new(false);
        let abuse = async {
            let mut open = JoinSet::new();
            for _ in 0..10 {
                let mut raw = Raw::connect(&facade.grpc, ABUSER, 65_535).await?;
                let headers = request(path, &[]);
                open.spawn(async move {
                    let mut stream = 1;
                    while stream < 2 * 2_304 {
                        let part = [&prefix[..], &[b'x'; 16_000]].concat();
                        let mut burst = frame(HEADERS, END_HEADERS, stream, &headers);
                        burst.extend(frame(DATA, 0, stream, &part));
                        if !raw.push(&burst).await {
                            break;
                        }
                        stream += 2;
                    }
                    raw.drain().await;
                });
            }
            sleep(seconds(6)).await;
            open.shutdown().await;
            over.store(true, Relaxed);
            Ok::<_, Failure>(())
        };
        let (calls, ended, peak) =
            tokio::join!(honest(&facade, seconds(6)), abuse, peak(&facade, &over));
        ended?;
        let row = require_memory(Row::new(name), peak);
        bench.report.tell(&require_ok(row, &calls?));
    }
    Ok(())
}

async fn watches(bench: &Bench) -> Result<(), Failure> {
    let (_issuer, facade) = start(bench, &[]).await?;
    let over = AtomicBool::new(false);
    let abuse = async {
        let mut open = JoinSet::new();
        for _ in 0..40 {
            let mut raw = Raw::connect(&facade.grpc, ABUSER, 65_535).await?;
            let headers = request(WATCH, &[]);
            let mut burst = Vec::new();
            for number in 0..250 {
                burst.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &headers));
                burst.extend(frame(DATA, END_STREAM, 2 * number + 1, EMPTY));
            }
            open.spawn(async move {
                raw.push(&burst).await;
                raw.drain().await;
            });
        }
        sleep(seconds(6)).await;
        open.shutdown().await;
        over.store(true, Relaxed);
        Ok::<_, Failure>(())
    };
    let (calls, ended, peak) =
        tokio::join!(honest(&facade, seconds(6)), abuse, peak(&facade, &over));
    ended?;
    let row = require_memory(Row::new("10,000 watches from one peer"), peak);
    bench.report.tell(&require_ok(row, &calls?));

    // Each client has a connection with a watch for its whole life, as those with health checking have.
    const CLIENTS: u32 = 1_000;
    let (_issuer, facade) = start(bench, &[]).await?;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (grpc, caller) = (facade.grpc.clone(), facade.caller(1000 + number).await?);
        clients.spawn(async move {
            let endpoint = tonic::transport::Endpoint::from_shared(grpc)?;
            let mut health = HealthClient::new(endpoint.connect().await?);
            let service = SERVICE.to_owned();
            let watch = health.watch(HealthCheckRequest { service }).await?;
            let mut watch = watch.into_inner();
            watch.message().await?;
            let calls = paced(60, seconds(1), |_| one(&caller));
            let (calls, ended) = tokio::join!(calls, timeout(seconds(60), watch.message()));
            Ok::<_, Failure>((calls, ended.is_ok()))
        });
    }
    let mut calls = Vec::new();
    let mut ended = 0;
    for client in clients.join_all().await {
        let (of_client, watch_ended) = client?;
        calls.extend(of_client);
        ended += u32::from(watch_ended);
    }
    let row = Row::new("1,000 clients with a watch each, a minute");
    bench.report.tell(&require_ok(row, &calls).require(
        "no watch ends",
        ended.to_string(),
        ended == 0,
    ));
    Ok(())
}

async fn connections(bench: &Bench) -> Result<(), Failure> {
    let (_issuer, facade) = start(bench, &[]).await?;
    let mut idle = Vec::new();
    for _ in 0..10_000 {
        if let Ok(raw) = Raw::connect(&facade.grpc, ABUSER, 65_535).await {
            idle.push(raw);
        }
    }
    let started = Instant::now();
    let call = one(&facade.caller(HONEST).await?).await;
    let took = started.elapsed();
    bench.report.tell(
        &Row::new("10,000 idle connections from one peer")
            .require(
                "another is served within 1 s",
                format!("{} after {:.1} ms", call.end, took.as_secs_f64() * 1e3),
                call.end == "OK" && took < seconds(1),
            )
            .note("open", facade.metric(OPEN).await?)
            .note("made", idle.len()),
    );
    Ok(())
}

/// One connection with calls and with requests that break the rules, as through a proxy.
async fn malformed(bench: &Bench) -> Result<(), Failure> {
    const A_SECOND: u32 = 200;
    const SPAN: u32 = 60;
    let (_issuer, facade) = start(bench, &[]).await?;
    let raw = Raw::connect(&facade.grpc, ABUSER, 65_535).await?;
    let bad = request(METHOD_PATH, &[(":authority", "10.0.0.1:1,10.0.0.2:1")]);
    let good = request(METHOD_PATH, &[]);
    let message = b"\0\0\0\0\x0d\x0a\x09900244663\x10\x02";
    let mut ticks = interval(seconds(1) / A_SECOND);
    let (mut reading, mut writing) = raw.0.into_split();
    let read = tokio::spawn(async move {
        let mut answered = 0;
        let mut head = [0; 9];
        let mut body = Vec::new();
        while reading.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            body.resize(length as usize, 0);
            if reading.read_exact(&mut body).await.is_err() || head[3] == GOAWAY {
                break;
            }
            answered += u32::from(head[3] == HEADERS && head[4] & END_STREAM != 0);
        }
        answered
    });
    let (mut asked, mut stream) = (0, 1);
    let mut lost = false;
    for number in 0..A_SECOND * SPAN {
        ticks.tick().await;
        let mut burst = frame(HEADERS, END_HEADERS, stream, &bad);
        stream += 2;
        if number % 10 == 0 {
            burst.extend(frame(HEADERS, END_HEADERS, stream, &good));
            burst.extend(frame(DATA, END_STREAM, stream, message));
            stream += 2;
            asked += 1;
        }
        lost |= writing.write_all(&burst).await.is_err();
    }
    sleep(seconds(1)).await;
    drop(writing);
    let answered = timeout(seconds(5), read).await??;
    bench.report.tell(
        &Row::new("200 malformed requests/s on a shared connection, a minute").require(
            "no call of others is lost",
            format!("{answered} of {asked} answered"),
            answered == asked && !lost,
        ),
    );
    Ok(())
}

/// The façade gets a tenth of the time, in pieces, and 2.5 times as many calls as it can then serve.
async fn starved(bench: &Bench) -> Result<(), Failure> {
    const A_SECOND: u32 = 2_500;
    const SPAN: u32 = 20;
    let (_issuer, facade) = start(bench, &[]).await?;
    let pid = Pid::from_child(&facade.process.child);
    let mut callers = Vec::new();
    for _ in 0..10 {
        callers.push(facade.caller(ABUSER).await?);
    }
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let starving = std::thread::spawn(move || {
        while !is_over.load(Relaxed) {
            let _ = kill_process(pid, Signal::STOP);
            std::thread::sleep(Duration::from_millis(900));
            let _ = kill_process(pid, Signal::CONT);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let calls = paced(A_SECOND * SPAN, seconds(1) / A_SECOND, |number| {
        let caller = callers[number as usize % callers.len()].clone();
        async move {
            let deadline = Duration::from_millis(300);
            caller.call("1", &Credential::Token, deadline).await
        }
    })
    .await;
    over.store(true, Relaxed);
    let _ = starving.join();
    let is_lost = |call: &&Ended| call.end.contains("by the client") && !is_own_deadline(&call.end);
    let lost = calls.iter().filter(is_lost).count();
    // A client's library may take our late answers to what it has given up for a flood, and end the connection itself.
    let is_ours = |call: &&Ended| call.end.contains("connection error received");
    let by_us = calls.iter().filter(is_ours).count();
    let breaker = facade.metric("meeting_control_breaker_state ").await?;
    let refused = facade
        .metric("meeting_control_breaker_refused_total ")
        .await?;
    bench.report.tell(
        &Row::new("a tenth of the time, 2,500 calls/s, 300 ms")
            .require(
                "no connection is ended by us",
                format!("{by_us} calls lost so"),
                by_us == 0,
            )
            .require(
                "the breaker stays closed",
                format!("state {breaker}, {refused} refused"),
                breaker == 0.0 && refused == 0.0,
            )
            .note(
                "calls lost as the client ended its connection",
                lost - by_us,
            )
            .note("calls", describe(&calls)),
    );
    Ok(())
}

/// Whether the client's own timer ended the call.
fn is_own_deadline(end: &str) -> bool {
    end.contains("Timeout expired") || end.starts_with("DEADLINE_EXCEEDED")
}

async fn admin(bench: &Bench) -> Result<(), Failure> {
    let (_issuer, facade) = start(bench, &[]).await?;
    let mut silent = JoinSet::new();
    for _ in 0..1_000 {
        let admin = facade.admin.clone();
        silent.spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(&admin).await {
                    // Until it is closed; then there is another.
                    let _ = stream.read(&mut [0]).await;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
    }
    sleep(seconds(1)).await;
    let mut times = Vec::new();
    let mut lost = 0;
    for _ in 0..100 {
        let started = Instant::now();
        let probe = async {
            let mut stream = TcpStream::connect(&facade.admin).await?;
            stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer.contains("200"))
        };
        match timeout(seconds(1), probe).await {
            Ok(Ok(true)) => times.push(started.elapsed()),
            _ => lost += 1,
        }
        sleep(Duration::from_millis(50)).await;
    }
    let slowest = times.iter().max().copied().unwrap_or_default();
    bench.report.tell(
        &Row::new("1,000 silent admin sockets, renewed as they close")
            .require(
                "every probe within 1 s",
                format!("{} of 100", 100 - lost),
                lost == 0,
            )
            .note(
                "the slowest",
                format!("{:.1} ms", slowest.as_secs_f64() * 1e3),
            ),
    );
    Ok(())
}

async fn end(bench: &Bench) -> Result<(), Failure> {
    const DELAY: u64 = 2;
    let (_issuer, mut facade) = start(bench, &[&format!("--drain-delay={DELAY}s")]).await?;
    let mut raw = Raw::connect(&facade.grpc, ABUSER, 65_535).await?;
    for (stream, path) in [(1, WATCH), (3, REFLECTION)] {
        let headers = request(path, &[]);
        raw.push(&frame(HEADERS, END_HEADERS, stream, &headers))
            .await;
        raw.push(&frame(DATA, 0, stream, EMPTY)).await;
    }
    sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    kill_process(Pid::from_child(&facade.process.child), Signal::TERM)?;
    let status = loop {
        if let Some(status) = facade.process.child.try_wait()? {
            break status;
        }
        if started.elapsed() > seconds(40) {
            return Err("it does not end".into());
        }
        sleep(Duration::from_millis(10)).await;
    };
    let took = started.elapsed();
    bench.report.tell(
        &Row::new("SIGTERM, idle reflection and watch, ping unanswered").require(
            "exit 0 soon after --drain-delay",
            format!(
                "{status}, {:.2} s after it",
                took.as_secs_f64() - DELAY as f64
            ),
            status.success() && took < seconds(DELAY) + Duration::from_millis(1_500),
        ),
    );
    Ok(())
}
