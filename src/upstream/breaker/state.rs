//! What is known of the upstream, and what follows from an attempt. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Attempts in a row without an answer, after which the upstream may count as down: …
pub(super) const THRESHOLD: u32 = 5;
/// … if they failed outright, for so long. Faults come back sooner than answers, so at the start of a
/// burst a few of them can be the first that is heard.
pub(super) const TRIAL: Duration = Duration::from_millis(500);
/// … or if callers gave up waiting, after so long a silence. One caller may be in a hurry; a service
/// that answers nobody for that long is down to all.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
/// The time between two probes; an upstream that is back is noticed so soon.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// Attempts go through.
    Closed(Record),
    /// Attempts are refused until then.
    Open { until: Instant },
    /// Since then, an attempt is under way to see whether the upstream is back.
    Probing { since: Instant },
}

/// What is held against an upstream that counts as up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// It counts as up since then; attempts from before tell of a time that is over.
    since: Instant,
    /// Attempts in a row that failed outright, from the end of the first.
    failed: Row,
    /// Attempts in a row without an answer for whatever reason, from the start of the first.
    unanswered: Row,
}

/// An attempt that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// When it was let through.
    pub(super) started: Instant,
    /// Whether it was to see if the upstream is back.
    pub(super) probe: bool,
    /// What it says.
    pub(super) sign: Sign,
}

/// Attempts in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    length: u32,
    first: Option<Instant>,
}

impl Row {
    fn and(self, at: Instant) -> Self {
        Self {
            length: self.length.saturating_add(1),
            first: self.first.or(Some(at)),
        }
    }

    fn is_long(self, now: Instant, lasting: Duration) -> bool {
        let lasted = self.first.map(|first| now.saturating_duration_since(first));
        self.length >= THRESHOLD && lasted >= Some(lasting)
    }
}

impl Record {
    pub(super) fn clean(since: Instant) -> Self {
        Self {
            since,
            failed: Row::default(),
            unanswered: Row::default(),
        }
    }

    /// One more attempt without an answer.
    fn and(self, attempt: Ended, now: Instant) -> State {
        let record = Self {
            unanswered: self.unanswered.and(attempt.started),
            failed: match attempt.sign {
                Sign::Dead => self.failed.and(now),
                Sign::Silent | Sign::Alive | Sign::None => self.failed,
            },
            ..self
        };
        if record.failed.is_long(now, TRIAL) || record.unanswered.is_long(now, SILENCE) {
            State::Open {
                until: now + PROBE_INTERVAL,
            }
        } else {
            State::Closed(record)
        }
    }
}

/// What an attempt says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered.
    Alive,
    /// It could not be reached, or failed to answer when it had its time.
    Dead,
    /// It had not answered when the caller gave up.
    Silent,
    /// Nothing: the attempt met a stale connection.
    None,
}

impl State {
    /// When the next attempt may go through, `None` when all may.
    pub(super) fn next_probe(self) -> Option<Instant> {
        match self {
            Self::Closed(_) => None,
            Self::Open { until } => Some(until),
            // A probe that hangs must not keep out the next one.
            Self::Probing { since } => Some(since + PROBE_INTERVAL),
        }
    }

    /// The state after an attempt that ends `now`.
    pub(super) fn after(self, attempt: Ended, now: Instant) -> Self {
        match (self, attempt.sign) {
            (State::Closed(record), Sign::Alive) => State::Closed(Record::clean(record.since)),
            (State::Closed(record), Sign::Dead | Sign::Silent)
                if attempt.started >= record.since =>
            {
                record.and(attempt, now)
            }
            // Whoever has an answer, the upstream is back.
            (State::Open { .. } | State::Probing { .. }, Sign::Alive) => {
                State::Closed(Record::clean(now))
            }
            (State::Probing { .. }, Sign::Dead | Sign::Silent) if attempt.probe => State::Open {
                until: now + PROBE_INTERVAL,
            },
            // The probe said nothing, so the next call is the probe.
            (State::Probing { .. }, Sign::None) if attempt.probe => State::Open { until: now },
            (unmoved, Sign::Dead | Sign::Silent | Sign::None) => unmoved,
        }
    }
}

impl Record {
    /// How many attempts in a row got no answer.
    pub(super) fn unanswered(&self) -> u32 {
        self.unanswered.length
    }
}
