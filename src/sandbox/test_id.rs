//! Conference ids that make the sandbox misbehave, in the manner of a payment provider's test cards.

use std::time::Duration;

use axum::http::StatusCode;

/// What the sandbox does with a call for a meeting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Any other id: the meeting is running.
    Run,
    /// `900000NNN`: HTTP status NNN with an empty body.
    Status(StatusCode),
    /// `900001NNN`: HTTP status NNN for two calls, success for the third, and again from the start.
    StatusTwice(StatusCode),
    /// `900002001` and `900002005`: an answer, late.
    Delay(Duration),
    /// `900002004`: a success with a body of that many bytes.
    Huge(usize),
    /// `900002002` and `900002003`: no HTTP answer at all.
    Fault(Fault),
    /// `900003NNN`: HTTP 400 with the error code `MMC.111072NNN`.
    Code(String),
}

/// How a connection ends without an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the connection is cut")]
    Cut,
    #[error("the answer is not HTTP")]
    NotHttp,
}

/// Longer than any caller waits.
const HANG: Duration = Duration::from_secs(60 * 60);

pub(super) fn behaviour(id: &str) -> Behaviour {
    let Some((kind, number)) = split(id) else {
        return Behaviour::Run;
    };
    match (kind, number) {
        ("900000", _) => status(number).map_or(Behaviour::Run, Behaviour::Status),
        ("900001", _) => status(number).map_or(Behaviour::Run, Behaviour::StatusTwice),
        ("900002", "001") => Behaviour::Delay(HANG),
        ("900002", "002") => Behaviour::Fault(Fault::Cut),
        ("900002", "003") => Behaviour::Fault(Fault::NotHttp),
        ("900002", "004") => Behaviour::Huge(1024 * 1024),
        ("900002", "005") => Behaviour::Delay(Duration::from_secs(1)),
        ("900003", _) => Behaviour::Code(format!("MMC.111072{number}")),
        _ => Behaviour::Run,
    }
}

/// Splits an id of nine digits into kind and number.
fn split(id: &str) -> Option<(&str, &str)> {
    let nine_digits = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_digit());
    nine_digits.then(|| id.split_at(6))
}

fn status(number: &str) -> Option<StatusCode> {
    let number = number.parse().ok()?;
    (400..=599)
        .contains(&number)
        .then(|| StatusCode::from_u16(number).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_id_has_its_behaviour_and_any_other_meeting_runs() {
        let status = |number| StatusCode::from_u16(number).unwrap();
        for (id, expected) in [
            ("900244663", Behaviour::Run),
            ("900000399", Behaviour::Run),
            ("900000400", Behaviour::Status(status(400))),
            ("900000599", Behaviour::Status(status(599))),
            ("900000600", Behaviour::Run),
            ("900001503", Behaviour::StatusTwice(status(503))),
            ("900001200", Behaviour::Run),
            ("900002001", Behaviour::Delay(HANG)),
            ("900002002", Behaviour::Fault(Fault::Cut)),
            ("900002003", Behaviour::Fault(Fault::NotHttp)),
            ("900002004", Behaviour::Huge(1 << 20)),
            ("900002005", Behaviour::Delay(Duration::from_secs(1))),
            ("900002006", Behaviour::Run),
            ("900003005", Behaviour::Code("MMC.111072005".to_owned())),
            ("900003999", Behaviour::Code("MMC.111072999".to_owned())),
            ("9000000400", Behaviour::Run),
            ("90000040", Behaviour::Run),
            ("90000040x", Behaviour::Run),
            ("90000é400", Behaviour::Run),
            ("", Behaviour::Run),
        ] {
            assert_eq!(behaviour(id), expected, "{id}");
        }
    }
}
