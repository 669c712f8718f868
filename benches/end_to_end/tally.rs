//! What the load sees: how many calls, how long each took, and what went wrong.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Failure;

/// The longest latency that is told apart, in microseconds.
const MAX_WAIT: u64 = 120_000_000;

/// Counts calls; shared by all tasks of the load's one thread.
#[derive(Debug)]
pub struct Tally {
    latencies: RefCell<Histogram<u64>>,
    failures: RefCell<BTreeMap<String, u64>>,
    ended: Cell<u64>,
    under_way: Cell<u64>,
    most_under_way: Cell<u64>,
}

impl Tally {
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {
            latencies: RefCell::new(Histogram::new_with_bounds(1, MAX_WAIT, 3)?),
            failures: RefCell::default(),
            ended: Cell::default(),
            under_way: Cell::default(),
            most_under_way: Cell::default(),
        })
    }

    /// A call starts.
    pub fn start(&self) {
        let calls = self.under_way.get() + 1;
        self.under_way.set(calls);
        self.most_under_way
            .set(self.most_under_way.get().max(calls));
    }

    /// A call ended.
    pub fn end(&self) {
        self.under_way.set(self.under_way.get() - 1);
        self.ended.set(self.ended.get() + 1);
    }

    /// Notes the latency of a call that is part of what is measured.
    pub fn took(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MAX_WAIT);
        self.latencies.borrow_mut().saturating_record(micros);
    }

    /// Notes that `count` calls failed.
    pub fn fail(&self, why: String, count: u64) {
        *self.failures.borrow_mut().entry(why).or_default() += count;
    }

    /// Calls under way.
    pub fn under_way(&self) -> u64 {
        self.under_way.get()
    }

    /// Calls that have ended.
    pub fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// The most calls under way at once.
    pub fn most_under_way(&self) -> u64 {
        self.most_under_way.get()
    }

    /// Latencies that were noted.
    pub fn noted(&self) -> u64 {
        self.latencies.borrow().len()
    }

    /// The latency that this share of calls stays below, in microseconds.
    pub fn quantile(&self, share: f64) -> u64 {
        self.latencies.borrow().value_at_quantile(share)
    }

    /// What went wrong, and how often.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.borrow().clone()
    }
}
