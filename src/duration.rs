//! Durations as people write them in settings, such as `250ms`, `10s` or `1m 30s`.

use std::time::Duration;

/// The longest duration that a setting may ask for: one day.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a time limit: longer than zero, at most a day.
///
/// # Errors
/// A sentence for the person when the unit is missing or the limit is out of range.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number and a unit, such as 10s or 250ms"))?;
    if limit.is_zero() || limit > MAX {
        return Err("a time limit is longer than zero and at most 24h".to_owned());
    }
    Ok(limit)
}

/// Reads a pause: like a limit, but it may be zero.
///
/// # Errors
/// A sentence for the person when the unit is missing or the pause is above one day.
pub fn parse_pause(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(pause) if pause.is_zero() => Ok(pause),
        _ => parse_limit(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_needs_a_unit_and_lies_between_zero_and_a_day() {
        for (text, expected) in [
            ("10s", Some(Duration::from_secs(10))),
            ("250ms", Some(Duration::from_millis(250))),
            ("1m 30s", Some(Duration::from_secs(90))),
            ("24h", Some(MAX)),
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
}
