//! Time limits of a call: the caller's `grpc-timeout` and our own `--timeout` become one [`Deadline`].
//!
//! Pure: nothing here sleeps. The upstream room holds each attempt to what [`Deadline::remaining`]
//! leaves, so that `DEADLINE_EXCEEDED` is answered a little before the caller gives up.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::duration::parse_limit;
use crate::names::GRPC_TIMEOUT;

/// How much earlier than the caller's deadline the answer is sent, so that it arrives in time.
const RESERVE: Duration = Duration::from_millis(20);
/// The part of a `grpc-timeout` that is kept back as well: some clients round it up by as much as 1 % of what
/// they grant, and the longer a call is, the less a moment counts.
const ROUNDING: f64 = 0.015;

/// More than any call is given.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Time limit of a whole call.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct DeadlineSettings {
    /// Longest time for one call, all attempts included; a caller's shorter deadline wins
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_limit)]
    pub timeout: Duration,
}

/// Reads the value of a `grpc-timeout` header: one to eight digits and a unit.
///
/// Returns `None` when the value breaks the gRPC specification.
pub fn parse_grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount * 60 * 60)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// The moment by which a call is answered.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
    allowed: Duration,
}

impl Deadline {
    /// Starts the clock of a call: what its `grpc-timeout` allows, if it has a valid one, and at most `limit`.
    pub fn of_call(metadata: &HeaderMap, limit: Duration) -> Self {
        let caller = metadata.get(&GRPC_TIMEOUT).and_then(parse_grpc_timeout);
        Self::start(caller, limit)
    }

    /// Starts the clock: the smaller of what the caller allows and `limit`, both counted from now.
    pub fn start(caller: Option<Duration>, limit: Duration) -> Self {
        let caller = caller.unwrap_or(Duration::MAX);
        // A fifth keeps the reserve from eating a deadline of a few milliseconds whole.
        let reserve = RESERVE
            .saturating_add(caller.min(MAX).mul_f64(ROUNDING))
            .min(caller / 5);
        Self {
            started: Instant::now(),
            limit: limit.min(caller - reserve),
            allowed: limit.min(caller),
        }
    }

    /// How long the call may take as the caller, or our own limit, put it; for messages.
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// How long the call may take as a whole.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// When the call has to be over.
    pub fn due(&self) -> Instant {
        self.started + self.limit
    }

    /// How long the call has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What is left; zero once the deadline has passed.
    pub fn remaining(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_timeout_is_read_in_each_unit_and_refused_otherwise() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("250u", Some(Duration::from_micros(250))),
            ("250n", Some(Duration::from_nanos(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("0S", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("1.5S", None),
            ("123456789S", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(parse_grpc_timeout(&value), expected, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_smaller_limit_wins_and_the_caller_gets_the_answer_early() {
        let ms = Duration::from_millis;
        for (caller, limit, expected) in [
            (None, ms(10_000), ms(10_000)),
            (Some(ms(60_000)), ms(10_000), ms(10_000)),
            (Some(ms(1_000)), ms(10_000), ms(965)),
            // What 10 s become in C-core: the answer is there before they have passed.
            (
                Some(ms(10_099)),
                ms(20_000),
                Duration::from_micros(9_927_515),
            ),
            (Some(ms(10_099)), ms(9_000), ms(9_000)),
            (Some(ms(10)), ms(10_000), ms(8)),
            (Some(ms(0)), ms(10_000), ms(0)),
        ] {
            let deadline = Deadline::start(caller, limit);
            assert_eq!(deadline.remaining(), expected, "{caller:?} {limit:?}");
            assert_eq!(deadline.limit(), expected);
            assert_eq!(deadline.allowed(), limit.min(caller.unwrap_or(limit)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_valid_grpc_timeout_has_our_limit() {
        let second = Duration::from_secs(1);
        for (sent, allowed) in [
            (None, 3 * second),
            (Some("soon"), 3 * second),
            (Some("2S"), 2 * second),
            (Some("4S"), 3 * second),
        ] {
            let value = sent.map(|sent| (GRPC_TIMEOUT.clone(), HeaderValue::from_static(sent)));
            let deadline = Deadline::of_call(&value.into_iter().collect(), 3 * second);
            assert_eq!(deadline.allowed(), allowed, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_runs_out_and_stays_at_zero() {
        let deadline = Deadline::start(None, Duration::from_secs(1));
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(deadline.remaining(), Duration::from_millis(600));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
        assert_eq!(deadline.elapsed(), Duration::from_millis(5400));
    }
}
