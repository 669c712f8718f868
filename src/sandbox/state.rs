//! What the stand-in remembers: the settings of meetings, and which requests it has refused so far.
//!
//! Bounded: the oldest is forgotten first. Nothing is shared between two meetings, nor between two
//! requests, so that calls beside each other do not disturb each other.

use std::sync::Mutex;

use super::bounded::{Bounded, lock};
use crate::setting::{SETTINGS, Values};

/// How often a request is refused before it succeeds.
const REFUSALS: u8 = 2;

/// The REST values of a meeting, in the order of [`SETTINGS`].
pub(super) type Shown = [u8; SETTINGS.len()];

/// The memory of one stand-in.
#[derive(Debug, Default)]
pub(super) struct State {
    meetings: Mutex<Bounded<String, Meeting>>,
    /// Refusals so far, by conference id and request id.
    refusals: Mutex<Bounded<(String, String), u8>>,
}

#[derive(Debug)]
struct Meeting(Shown);

impl Default for Meeting {
    fn default() -> Self {
        Self(SETTINGS.each_ref().map(|setting| setting.default))
    }
}

impl State {
    /// Changes the settings of a meeting, which comes into being when it is first used. Returns each
    /// change, such as `lockSharing 0 -> 1`.
    pub(super) fn change(&self, id: &str, values: &Values) -> Vec<String> {
        let mut changes = Vec::new();
        let mut meetings = lock(&self.meetings);
        let Meeting(settings) = meetings.get_or_default(id.to_owned());
        for ((setting, current), new) in SETTINGS.iter().zip(settings).zip(values) {
            if let Some(new) = *new
                && new != *current
            {
                changes.push(format!("{} {current} -> {new}", setting.key));
                *current = new;
            }
        }
        changes
    }

    /// The settings of a meeting, used or not.
    pub(super) fn settings(&self, id: &str) -> Shown {
        let meetings = lock(&self.meetings);
        let settings = meetings
            .entries
            .get(id)
            .map(|(_, Meeting(settings))| *settings);
        settings.unwrap_or_else(|| Meeting::default().0)
    }

    /// Forgets a meeting and all that it has refused. Returns whether it had settings.
    pub(super) fn reset(&self, id: &str) -> bool {
        lock(&self.refusals)
            .entries
            .retain(|(meeting, _), _| meeting != id);
        lock(&self.meetings).entries.remove(id).is_some()
    }

    /// Counts a request: whether it is still to be refused. Once it is not, it is forgotten.
    pub(super) fn refuses(&self, id: &str, request_id: &str) -> bool {
        let key = (id.to_owned(), request_id.to_owned());
        let mut refusals = lock(&self.refusals);
        let so_far = refusals.get_or_default(key.clone());
        if *so_far < REFUSALS {
            *so_far += 1;
            return true;
        }
        refusals.entries.remove(&key);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::bounded::MAX_ENTRIES;

    fn locked() -> Values {
        let mut values = Values::default();
        values[0] = Some(1);
        values
    }

    #[test]
    fn a_change_is_told_once_and_shown_until_the_meeting_is_reset() {
        let state = State::default();
        assert_eq!(state.settings("1")[0], 0);
        assert_eq!(state.change("1", &locked()), ["lockSharing 0 -> 1"]);
        assert!(state.change("1", &locked()).is_empty());
        assert_eq!((state.settings("1")[0], state.settings("2")[0]), (1, 0));
        assert!(state.reset("1"));
        assert_eq!(state.settings("1")[0], 0);
        assert!(!state.reset("1"));
    }

    #[test]
    fn a_request_is_refused_twice_then_succeeds_and_is_forgotten_whatever_comes_between() {
        let state = State::default();
        for refused in [true, true, false, true, true, false] {
            for (meeting, request) in [("1", "a"), ("1", "b"), ("2", "a")] {
                assert_eq!(
                    state.refuses(meeting, request),
                    refused,
                    "{meeting} {request}"
                );
            }
        }
        assert!(lock(&state.refusals).entries.is_empty());
    }

    #[test]
    fn a_reset_forgets_the_refusals_of_that_meeting_alone() {
        let state = State::default();
        for meeting in ["1", "2"] {
            assert!(state.refuses(meeting, "a") && state.refuses(meeting, "a"));
        }
        state.reset("1");
        assert!(state.refuses("1", "a"));
        assert!(!state.refuses("2", "a"));
    }

    #[test]
    fn the_oldest_makes_room_and_the_others_stay() {
        let state = State::default();
        for number in 0..=MAX_ENTRIES {
            let id = number.to_string();
            state.change(&id, &locked());
            assert!(state.refuses("1", &id) && state.refuses("1", &id));
        }
        assert_eq!(lock(&state.meetings).entries.len(), MAX_ENTRIES);
        assert_eq!((state.settings("0")[0], state.settings("1")[0]), (0, 1));
        assert!(!state.refuses("1", "1"), "the second was kept");
        assert!(state.refuses("1", "0"), "the first begins anew");
        assert!(lock(&state.refusals).entries.len() <= MAX_ENTRIES);
    }
}
