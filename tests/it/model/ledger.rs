//! Which PUT the upstream applied, written before its answer, and what contradicts what callers were told.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use super::caller::Told;

/// All that the upstream did, by the number that each call has as its request id.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<u64, Vec<Put>>>);

/// What was done with one PUT.
#[derive(Clone, Debug)]
pub struct Put {
    /// What the upstream set out to do with it.
    story: String,
    pub applied: bool,
    /// A success was told.
    accepted: bool,
}

/// Writes on about one PUT.
#[derive(Debug)]
pub struct Pen {
    ledger: Arc<Ledger>,
    call: u64,
    number: usize,
}

/// Contradictions, each kind with the number of calls and one of them.
#[derive(Debug, Default)]
pub struct Lies(BTreeMap<String, (usize, u64)>);

impl Ledger {
    /// Notes that a PUT is there; `choose` says what is to become of it, from how many came before.
    pub fn open<B: fmt::Display>(
        self: &Arc<Self>,
        call: u64,
        choose: impl FnOnce(usize) -> B,
    ) -> (Pen, B) {
        let mut puts = self.0.lock().unwrap();
        let puts = puts.entry(call).or_default();
        let number = puts.len();
        let story = choose(number);
        puts.push(Put {
            story: story.to_string(),
            applied: false,
            accepted: false,
        });
        let pen = Pen {
            ledger: Arc::clone(self),
            call,
            number,
        };
        (pen, story)
    }

    /// The PUTs of a call.
    pub fn puts(&self, call: u64) -> Vec<Put> {
        let puts = self.0.lock().unwrap();
        puts.get(&call).cloned().unwrap_or_default()
    }
}

/// What about `puts`, which may be `most` in number, contradicts that their call was told this.
pub fn contradiction(puts: &[Put], told: &Told, most: usize) -> Option<String> {
    match told {
        Told::Nothing => None,
        Told::Bare(status) => Some(format!("no details: {status}")),
        Told::Success if !puts.iter().any(|put| put.accepted) => {
            let last = puts.last().map_or("no PUT", |put| &put.story);
            Some(format!("OK, after: {last}"))
        }
        Told::Success => {
            let puts = puts.len();
            (puts > most).then(|| format!("{puts} PUTs, {most} allowed"))
        }
        Told::Failure {
            code,
            reason,
            outcome,
            attempts,
            ..
        } => {
            let applied = puts.iter().find(|put| put.applied);
            let puts = puts.len();
            match applied {
                Some(Put { story, .. }) if outcome != "unknown" => Some(format!(
                    "{outcome} ({code}, {reason}), applied before: {story}"
                )),
                _ => (puts > *attempts || *attempts > most)
                    .then(|| format!("{puts} PUTs, {attempts} told, {most} allowed")),
            }
        }
    }
}

impl Pen {
    /// The settings change now.
    pub fn apply(&self) {
        self.change(|put| put.applied = true);
    }

    /// A success is about to be told.
    pub fn accept(&self) {
        self.change(|put| put.accepted = true);
    }

    fn change(&self, change: impl FnOnce(&mut Put)) {
        let mut puts = self.ledger.0.lock().unwrap();
        change(&mut puts.get_mut(&self.call).unwrap()[self.number]);
    }
}

impl Lies {
    pub fn add(&mut self, kind: String, call: u64) {
        self.0.entry(kind).or_insert((0, call)).0 += 1;
    }

    pub fn extend(&mut self, others: Self) {
        for (kind, (count, call)) in others.0 {
            self.0.entry(kind).or_insert((0, call)).0 += count;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Lies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, call)) in &self.0 {
            writeln!(f, "{count} times, such as call {call}: {kind}")?;
        }
        Ok(())
    }
}
