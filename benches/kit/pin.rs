//! Which processors the processes may use, so that the façade's share is its own.

use std::io;
use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// The processors of this machine that we may use, split in two.
#[derive(Debug)]
pub struct Cpus {
    pub facade: CpuSet,
    /// For load and stand-in.
    pub others: CpuSet,
    own: CpuSet,
}

impl Cpus {
    /// Gives the façade `count` processors, and the others what is left: all, if nothing is.
    pub fn split(count: usize) -> Result<Self, Failure> {
        let own = sched_getaffinity(None)?;
        let all = numbers(&own);
        if count > all.len() {
            return Err(format!("--cpus {count}: there are {}", all.len()).into());
        }
        let (facade, others) = all.split_at(count);
        let or_all = |some: &[usize]| if some.is_empty() { own } else { set(some) };
        Ok(Self {
            facade: or_all(facade),
            others: or_all(others),
            own,
        })
    }

    /// Starts a process on `cpus`. It inherits them, so it knows from the start how many it has.
    pub fn start(&self, command: &mut Command, cpus: &CpuSet) -> io::Result<Child> {
        sched_setaffinity(None, cpus)?;
        let child = command.spawn();
        sched_setaffinity(None, &self.own)?;
        child
    }

    /// Who runs where, in words.
    pub fn describe(&self) -> String {
        let [own, facade, others] = [&self.own, &self.facade, &self.others].map(|set| set.count());
        match (facade == own, others == own) {
            (true, true) => format!("all processes share {own} CPUs"),
            (false, true) => format!("façade on {facade} of {own} CPUs"),
            _ => {
                format!("façade on {facade} of {own} CPUs, load and upstream on the other {others}")
            }
        }
    }
}

fn numbers(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

fn set(numbers: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for cpu in numbers {
        set.set(*cpu);
    }
    set
}
