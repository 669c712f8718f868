//! The gate between an attempt and its request's body holds in every order in which their steps can
//! happen: loom runs them all.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a room of the library stands here as it is, and tests may unwrap"
)]

// Where the gate says `std`, it gets loom's atomics. They work inside of `loom::model` alone, so this is
// a test binary of its own, and the gate has no unit tests beside its code.
extern crate loom as std;

#[path = "../src/upstream/gate.rs"]
mod gate;

use gate::{Gate, Progress};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

fn beside<T: 'static>(gate: &Arc<Gate>, step: fn(&Gate) -> T) -> JoinHandle<T> {
    let gate = Arc::clone(gate);
    thread::spawn(move || step(&gate))
}

/// A body is polled more than once.
fn polls(gate: &Gate) -> [bool; 2] {
    [gate.pass(), gate.pass()]
}

#[test]
fn what_has_passed_is_known_and_what_has_not_stays() {
    loom::model(|| {
        let gate = Gate::default();
        assert_eq!(polls(&gate), [true; 2], "the rest follows the beginning");
        assert_eq!(gate.close(), Progress::Sent);
        assert!(!gate.pass());

        let gate = Gate::default();
        assert_eq!(gate.close(), Progress::NotSent);
        assert!(!gate.pass());

        let gate = Gate::default();
        assert!(gate.pass());
        gate.answered();
        assert!(gate.pass());
        assert_eq!(gate.close(), Progress::Answered);
        assert!(!gate.pass());
    });
}

#[test]
fn an_attempt_that_ends_knows_whether_its_body_leaves() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let body = beside(&gate, polls);
        let progress = gate.close();
        let [first, rest] = body.join().unwrap();
        assert_eq!(first, progress == Progress::Sent);
        assert!(first || !rest, "a body that was held back stays");
    });
}

#[test]
fn an_answer_that_comes_while_the_body_leaves_is_known() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let body = beside(&gate, polls);
        gate.answered();
        let progress = gate.close();
        let [first, rest] = body.join().unwrap();
        assert_eq!(progress, Progress::Answered);
        assert!(first || !rest, "a body that was held back stays");
    });
}

#[test]
fn an_answer_that_comes_as_the_attempt_ends_hides_nothing_and_opens_nothing() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let body = beside(&gate, polls);
        let answer = beside(&gate, Gate::answered);
        let progress = gate.close();
        let [first, rest] = body.join().unwrap();
        answer.join().unwrap();
        assert_eq!(gate.close(), progress, "it stays known");
        match progress {
            Progress::NotSent => assert!(!first),
            Progress::Sent => assert!(first),
            // To a request that has left, or before it could.
            Progress::Answered => {}
        }
        assert!(first || !rest, "a body that was held back stays");
        assert!(!gate.pass(), "what is closed stays closed");
    });
}
