//! Time limits of a call: the caller's `grpc-timeout` and our own `--timeout` become one [`Deadline`].
//!
//! Pure: nothing here sleeps. The upstream room holds each attempt to what [`Deadline::remaining`]
//! leaves, so that `DEADLINE_EXCEEDED` is answered a little before the caller gives up.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// The longest time limit that a setting may ask for: one day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How much earlier than the caller's deadline the answer is sent, so that it arrives in time.
const RESERVE: Duration = Duration::from_millis(20);

/// Time limit of a whole call.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Longest time for one call, all attempts included; a caller's shorter deadline wins
    #[arg(long, env = "MEETING_CONTROL_TIMEOUT", value_name = "DURATION",
          default_value = "10s", value_parser = parse_limit)]
    pub timeout: Duration,
}

/// Reads a time limit that a person wrote, such as `10s` or `250ms`.
///
/// # Errors
/// A sentence for the person when the unit is missing, or the limit is zero or above one day.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number and a unit, such as 10s or 250ms"))?;
    if limit.is_zero() || limit > LONGEST {
        return Err("a time limit is longer than zero and at most 24h".to_owned());
    }
    Ok(limit)
}

/// Reads a pause that a person wrote: like a limit, but it may be zero.
///
/// # Errors
/// A sentence for the person when the unit is missing or the pause is above one day.
pub fn parse_pause(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(pause) if pause.is_zero() => Ok(pause),
        _ => parse_limit(text),
    }
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
    /// Starts the clock: the smaller of what the caller allows and `limit`, both counted from now.
    pub fn start(caller: Option<Duration>, limit: Duration) -> Self {
        let caller = caller.unwrap_or(Duration::MAX);
        // A fifth keeps the reserve from eating a deadline of a few milliseconds whole.
        let reserve = RESERVE.min(caller / 5);
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

    #[test]
    fn a_limit_needs_a_unit_and_lies_between_zero_and_a_day() {
        for (text, expected) in [
            ("10s", Some(Duration::from_secs(10))),
            ("250ms", Some(Duration::from_millis(250))),
            ("1m 30s", Some(Duration::from_secs(90))),
            ("24h", Some(LONGEST)),
            ("5", None),
            ("0s", None),
            ("25h", None),
            ("-1s", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_limit(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_pause_may_be_zero() {
        assert_eq!(parse_pause("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_pause("3s"), Ok(Duration::from_secs(3)));
        assert!(parse_pause("0").is_ok(), "zero needs no unit");
        assert!(parse_pause("5").is_err());
        assert!(parse_pause("25h").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_smaller_limit_wins_and_the_caller_gets_the_answer_early() {
        let ms = Duration::from_millis;
        for (caller, limit, expected) in [
            (None, ms(10_000), ms(10_000)),
            (Some(ms(60_000)), ms(10_000), ms(10_000)),
            (Some(ms(1_000)), ms(10_000), ms(980)),
            (Some(ms(10)), ms(10_000), ms(8)),
            (Some(ms(0)), ms(10_000), ms(0)),
        ] {
            let deadline = Deadline::start(caller, limit);
            assert_eq!(deadline.remaining(), expected, "{caller:?} {limit:?}");
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
