//! What callers are told is held against a ledger of what an unruly upstream did.
//!
//! The upstream does with each PUT whatever real ones were seen to do, over real sockets, and writes down
//! beforehand whether the settings change. `MODEL_SEED` repeats a run: each call then has the same caller,
//! and each of its PUTs the same fate. `MODEL_CALLS` sets the number of calls.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a seed to repeat is no setting of the program, and has to be seen"
)]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::kit::{Facade, PATIENCE, Settings, eventually};

pub mod behaviour;
mod caller;
mod http1;
mod http2;
mod ledger;
pub mod reply;
pub mod upstream;

use behaviour::{Behaviour, Wire};
use caller::{Caller, Told};
use ledger::Lies;
use upstream::Upstream;

const WIRES: [Wire; 3] = [Wire::Plain, Wire::Tls, Wire::Http2];
/// Each wire with no retry and with up to three.
const ROUNDS: u64 = 12;
/// How many calls are under way at once in each round.
const CALLERS: usize = 16;
/// How many of a façade's own tasks may be left after its end, to end by themselves.
const MAX_TASKS_LEFT: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_is_told_what_the_ledger_contradicts() {
    check(3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn no_caller_of_very_many_is_told_what_the_ledger_contradicts() {
    check(120_000).await;
}

/// Makes so many calls, a twelfth in each round.
async fn check(calls: u64) {
    let variable = |name| Some(std::env::var(name).ok()?.parse().unwrap());
    let seed = variable("MODEL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let calls = variable("MODEL_CALLS").unwrap_or(calls);
    eprintln!("MODEL_SEED={seed} MODEL_CALLS={calls}");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let tasks_left = tasks() + ROUNDS as usize * MAX_TASKS_LEFT;

    let mut result = (Tally::default(), Lies::default());
    for max_retries in 0..4 {
        // The others come after, lest the machine be so busy that every attempt takes too long.
        let mut rounds = JoinSet::new();
        for (number, wire) in (max_retries * 3..).zip(WIRES) {
            let round = Round {
                seed,
                wire,
                max_retries: max_retries as u32,
                calls: calls * number / ROUNDS..calls * (number + 1) / ROUNDS,
            };
            rounds.spawn(round.play());
        }
        for (tally, lies) in rounds.join_all().await {
            result.0.extend(&tally);
            result.1.extend(lies);
        }
    }
    eventually("the tasks end", || tasks() <= tasks_left).await;

    let (tally, lies) = result;
    eprintln!("{tally:#?}");
    assert!(
        lies.is_empty(),
        "MODEL_SEED={seed} MODEL_CALLS={calls}:\n{lies}"
    );
    // Else it was no trial.
    assert!(tally.succeeded > 0 && tally.not_applied > 0 && tally.unknown > 0);
    assert!(tally.applied > 0 && tally.applied < tally.puts);
}

/// A façade with its upstream and its callers.
struct Round {
    seed: u64,
    wire: Wire,
    max_retries: u32,
    calls: Range<u64>,
}

/// How calls ended.
#[derive(Debug, Default)]
struct Tally {
    succeeded: usize,
    not_applied: usize,
    unknown: usize,
    /// The caller gave up first.
    unheard: usize,
    puts: usize,
    /// PUTs that changed the settings.
    applied: usize,
}

impl Round {
    async fn play(self) -> (Tally, Lies) {
        let (seed, wire) = (self.seed, self.wire);
        let choose = move |call, put| {
            let random = &mut random(seed, call, 1 + put as u64);
            Behaviour::any(random, wire, has_several_settings(call))
        };
        let upstream = Upstream::moody(wire, Box::new(choose), seed).await;
        let mut facade = Facade::with(&upstream.base, self.settings(&upstream)).await;
        let told = self.make_calls(&facade).await;

        let in_flight = || total(&facade, "grpc_server_in_flight");
        eventually("no call is under way", || in_flight() == 0.0).await;
        let started = total(&facade, "grpc_server_started_total");
        assert!(started > 0.0);
        assert_eq!(started, total(&facade, "grpc_server_handled_total"));
        eventually("every exchange ends", || upstream.exchanges() == 0).await;
        let stopping = timeout(PATIENCE, facade.stop()).await;
        stopping.expect("the façade ends in time").unwrap();
        drop(facade);
        eventually("every connection ends", || upstream.connections() == 0).await;
        self.tally(told, &upstream)
    }

    fn settings(&self, upstream: &Upstream) -> Settings {
        let random = &mut random(self.seed, self.calls.start, 0);
        let mut milliseconds = |range| Duration::from_millis(random.u64(range));
        let mut settings = Settings {
            timeout: milliseconds(300..1_200),
            ..Settings::default()
        };
        settings.upstream.attempt_timeout = milliseconds(100..300);
        settings.upstream.connect_timeout = milliseconds(100..300);
        settings.upstream.max_retries = self.max_retries;
        settings.threads = random.usize(1..=2);
        if self.wire != Wire::Plain {
            settings.upstream.upstream_ca = Some(upstream.root.pem());
        }
        settings
    }

    /// Makes all calls, and returns what each was told.
    async fn make_calls(&self, facade: &Facade) -> Vec<(u64, Told)> {
        let next = Arc::new(AtomicU64::new(self.calls.start));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let mut client = facade.client().await;
            let (seed, end) = (self.seed, self.calls.end);
            let next = Arc::clone(&next);
            callers.spawn(async move {
                let mut all = Vec::new();
                loop {
                    let call = next.fetch_add(1, Ordering::Relaxed);
                    if call >= end {
                        return all;
                    }
                    let caller = Caller::any(&mut random(seed, call, 0));
                    let several = has_several_settings(call);
                    let told = caller.call(&mut client, call, several).await;
                    // Else the other calls would all be refused meanwhile.
                    sleep(told.pause().unwrap_or_default()).await;
                    all.push((call, told));
                }
            });
        }
        callers.join_all().await.into_iter().flatten().collect()
    }

    fn tally(&self, told: Vec<(u64, Told)>, upstream: &Upstream) -> (Tally, Lies) {
        // The first attempt, the retries, and one in place of a pooled connection that was closed.
        let most = 2 + self.max_retries as usize;
        let (mut tally, mut lies) = (Tally::default(), Lies::default());
        for (call, told) in told {
            match &told {
                Told::Success => tally.succeeded += 1,
                Told::Failure { outcome, .. } if outcome == "unknown" => tally.unknown += 1,
                Told::Failure { .. } => tally.not_applied += 1,
                Told::Bare(_) | Told::Nothing => tally.unheard += 1,
            }
            let puts = upstream.ledger().puts(call);
            tally.puts += puts.len();
            tally.applied += puts.iter().filter(|put| put.applied).count();
            if let Some(lie) = ledger::contradiction(&puts, &told, most) {
                lies.add(lie, call);
            }
        }
        (tally, lies)
    }
}

impl Tally {
    fn extend(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.not_applied += other.not_applied;
        self.unknown += other.unknown;
        self.unheard += other.unheard;
        self.puts += other.puts;
        self.applied += other.applied;
    }
}

/// Chance that is the same for the same step of the same call.
fn random(seed: u64, call: u64, step: u64) -> Rng {
    Rng::with_seed(Rng::with_seed(seed ^ call).u64(..) ^ step)
}

fn has_several_settings(call: u64) -> bool {
    call.is_multiple_of(4)
}

/// The sum of a metric over all its labels.
fn total(facade: &Facade, name: &str) -> f64 {
    let page = facade.metrics.page();
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    values.sum()
}
