//! The answer to a request for a control token.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::upstream::refusal::Role;

/// The longest token that can be sent on, in bytes.
const MAX_TOKEN: usize = 4096;
/// The longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A control token, as the upstream issues it.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SecretString,
    /// How long it lives from when it was asked for, if the answer says so in a way that can be believed.
    pub life: Option<Duration>,
    /// Whose password it was obtained for.
    pub role: Role,
}

/// Reads the body of a success: the token in it, if there is one that a header may carry.
pub(super) fn read(body: &str) -> Option<Issued> {
    let body: Value = serde_json::from_str(body.trim_start_matches('\u{feff}')).ok()?;
    let data = &body["data"];
    let token = data["token"].as_str()?.trim();
    let usable = (1..=MAX_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    usable.then(|| Issued {
        token: token.into(),
        life: seconds(&data["confTokenExpireTime"]),
        role: match number(&data["role"]) {
            Some(0) => Role::Guest,
            _ => Role::Host,
        },
    })
}

fn seconds(value: &Value) -> Option<Duration> {
    let life = Duration::from_secs(number(value)?);
    (!life.is_zero() && life <= MAX_LIFE).then_some(life)
}

/// A whole number, which may be written as a text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => {
            let integral = value.as_f64().filter(|number| number.fract() == 0.0);
            value.as_u64().or(integral
                .filter(|number| (0.0..1e15).contains(number))
                .map(|number| number as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// Token, life in seconds, role.
    fn found(body: &str) -> Option<(String, Option<u64>, Role)> {
        let issued = read(body)?;
        let life = issued.life.map(|life| life.as_secs());
        Some((issued.token.expose_secret().to_owned(), life, issued.role))
    }

    #[test]
    fn a_token_is_read_with_its_life_and_role() {
        let long = "x".repeat(4096);
        for (body, expected) in [
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":1800,"role":1}}"#.to_owned(),
                Some(("cnr1", Some(1800), Role::Host)),
            ),
            (
                "\u{feff}{\"data\":{\"token\":\" cnr1 \",\"confTokenExpireTime\":\"60\",\"role\":0}}".to_owned(),
                Some(("cnr1", Some(60), Role::Guest)),
            ),
            (r#"{"data":{"token":"cnr1"}}"#.to_owned(), Some(("cnr1", None, Role::Host))),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":0,"role":"0"}}"#.to_owned(),
                Some(("cnr1", None, Role::Guest)),
            ),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":-5}}"#.to_owned(),
                Some(("cnr1", None, Role::Host)),
            ),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":86400}}"#.to_owned(),
                Some(("cnr1", Some(86400), Role::Host)),
            ),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":86401}}"#.to_owned(),
                Some(("cnr1", None, Role::Host)),
            ),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":60.0}}"#.to_owned(),
                Some(("cnr1", Some(60), Role::Host)),
            ),
            (
                r#"{"data":{"token":"cnr1","confTokenExpireTime":1.5}}"#.to_owned(),
                Some(("cnr1", None, Role::Host)),
            ),
            (
                format!(r#"{{"data":{{"token":"{long}"}}}}"#),
                Some((long.as_str(), None, Role::Host)),
            ),
            (format!(r#"{{"data":{{"token":"{long}x"}}}}"#), None),
            (r#"{"data":{"token":""}}"#.to_owned(), None),
            (r#"{"data":{"token":"a\nb"}}"#.to_owned(), None),
            (r#"{"data":{"token":7}}"#.to_owned(), None),
            (r#"{"data":{}}"#.to_owned(), None),
            (r#"{"token":"cnr1"}"#.to_owned(), None),
            (r#"{"data":{"token":"cnr1"}"#.to_owned(), None),
            (String::new(), None),
        ] {
            let expected =
                expected.map(|(token, life, role): (&str, _, _)| (token.to_owned(), life, role));
            assert_eq!(found(&body), expected, "{body}");
        }
    }
}
