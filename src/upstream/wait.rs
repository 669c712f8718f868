//! How long an answer asks to wait: `Retry-After`, or the gateway's `X-APIG-Ratelimit-*`. Pure.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// The longest wait that is believed and handed on.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The gateway's headers begin so, one for each kind of limit.
const RATE_LIMIT: &str = "x-apig-ratelimit-";

/// The wait that an answer asks for, at most a minute; `None` when it asks for none. A date counts from the
/// answer's own, as its clock need not be ours, and from `now` only if it has none.
pub(super) fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let sent = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let after = text(RETRY_AFTER).and_then(|after| retry_after(after, sent.unwrap_or(now)));
    after
        .or_else(|| rate_limit(headers))
        .map(|wait| wait.min(MAX_WAIT))
}

/// `Retry-After`: seconds, or an HTTP date.
fn retry_after(text: &str, sent: SystemTime) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // So many digits that they overflow mean a very long time.
        return Some(text.parse().map_or(MAX_WAIT, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(sent).unwrap_or_default())
}

/// The longest window among the limits of which nothing remains, such as
/// `remain:0,limit:100,time:1 minute`.
fn rate_limit(headers: &HeaderMap) -> Option<Duration> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(RATE_LIMIT))
        .filter_map(|(_, value)| spent_window(value.to_str().ok()?))
        .max()
}

fn spent_window(text: &str) -> Option<Duration> {
    let field = |name| {
        text.split(',')
            .filter_map(|field| field.trim().split_once(':'))
            .find_map(|(key, value)| (key == name).then_some(value.trim()))
    };
    if field("remain")?.parse() != Ok(0_u64) {
        return None;
    }
    let (amount, unit) = field("time")?.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    let amount: u64 = amount.parse().ok()?;
    Some(Duration::from_secs(amount.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
    const NOW: u64 = 784_111_777;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        asked_for(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_capped() {
        let seconds = Duration::from_secs;
        for (value, expected) in [
            ("0", Some(seconds(0))),
            ("7", Some(seconds(7))),
            (" 7 ", Some(seconds(7))),
            ("60", Some(seconds(60))),
            ("61", Some(MAX_WAIT)),
            ("99999999999999999999999", Some(MAX_WAIT)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(seconds(10))),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(seconds(10))),
            ("Sun Nov  6 08:49:47 1994", Some(seconds(10))),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(seconds(0))),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(MAX_WAIT)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(wait(&[("retry-after", value)]), expected, "{value:?}");
        }
    }

    #[test]
    fn a_date_counts_from_the_answers_own() {
        let after = ("retry-after", "Sun, 06 Nov 1994 09:00:10 GMT");
        for (date, seconds) in [
            ("Sun, 06 Nov 1994 09:00:00 GMT", 10),
            (" Sunday, 06-Nov-94 09:00:07 GMT ", 3),
            ("Sun, 06 Nov 1994 09:00:10 GMT", 0),
            ("Sun, 06 Nov 1994 10:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 60),
            // Not a date: ours is 10 min 33 s before.
            ("today", 60),
        ] {
            let found = wait(&[("date", date), after]);
            assert_eq!(found, Some(Duration::from_secs(seconds)), "{date}");
        }
        let seconds = ("retry-after", "7");
        let date = ("date", "Sun, 06 Nov 1994 09:00:00 GMT");
        assert_eq!(wait(&[date, seconds]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[date]), None);
    }

    #[test]
    fn a_spent_rate_limit_asks_to_wait_for_its_window() {
        let seconds = Duration::from_secs;
        for (value, expected) in [
            ("remain:0,limit:200,time:1 second", Some(seconds(1))),
            ("remain:0,limit:200,time:30 seconds", Some(seconds(30))),
            ("remain:0, limit:100, time:1 minute", Some(seconds(60))),
            ("remain:0,limit:100,time:1 day", Some(MAX_WAIT)),
            ("remain:99,limit:100,time:1 minute", None),
            ("remain:0,limit:100", None),
            ("remain:0,limit:100,time:1 fortnight", None),
            ("remain:x,time:1 minute", None),
            ("", None),
        ] {
            assert_eq!(
                wait(&[("x-apig-ratelimit-api", value)]),
                expected,
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_window_of_a_spent_limit_is_read_in_each_unit() {
        for (time, seconds) in [
            ("2 second", 2),
            ("2 seconds", 2),
            ("2 minute", 120),
            ("2 hour", 7_200),
            ("2 hours", 7_200),
            ("2 day", 172_800),
        ] {
            let limit = format!("remain:0,limit:9,time:{time}");
            assert_eq!(
                spent_window(&limit),
                Some(Duration::from_secs(seconds)),
                "{time}"
            );
        }
    }

    #[test]
    fn the_longest_spent_window_counts_and_retry_after_comes_first() {
        let api = ("x-apig-ratelimit-api", "remain:0,limit:9,time:5 second");
        let user = ("x-apig-ratelimit-user", "remain:0,limit:9,time:20 second");
        let free = ("x-apig-ratelimit-ip", "remain:1,limit:9,time:1 minute");
        assert_eq!(wait(&[api, user, free]), Some(Duration::from_secs(20)));
        let after = ("retry-after", "3");
        assert_eq!(wait(&[api, user, after]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[]), None);
    }
}
