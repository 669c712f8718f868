//! The control tokens that the stand-in has issued.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::bounded::{Bounded, lock};
use crate::duration::parse_limit;

/// The one control token that the sandbox always accepts, raw or in its `Basic` form.
pub const TOKEN: &str = "cnr000000000000000000000000000000000000000000000000";
/// The host password of every meeting of the sandbox.
pub const PASSWORD: &str = "100001";

/// The most tokens of one meeting that are good at once.
const MAX_TOKENS: usize = 256;

/// How the stand-in issues tokens.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct TokenSettings {
    /// Whether a meeting's new token displaces the one before, or many are good at once: the REST API's documentation
    /// does not say
    #[arg(long, value_name = "NUMBER", default_value = "many")]
    pub rest_tokens: Many,

    /// How long a token of the stand-in lives: whole seconds
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_life)]
    pub rest_token_life: Duration,
}

/// How many tokens of one meeting are good at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Many {
    /// A new token displaces the one before
    One,
    /// A new token leaves those before as they are
    Many,
}

/// The REST API tells the life of a token in whole seconds.
fn parse_life(text: &str) -> Result<Duration, String> {
    let life = parse_limit(text)?;
    match (life.as_secs(), life.subsec_nanos()) {
        (1.., 0) => Ok(life),
        _ => Err("it takes whole seconds, at least one".to_owned()),
    }
}

impl Default for TokenSettings {
    /// As documented for the REST API, as far as it is.
    fn default() -> Self {
        Self {
            rest_tokens: Many::Many,
            rest_token_life: Duration::from_secs(30 * 60),
        }
    }
}

/// The tokens of all meetings.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    settings: TokenSettings,
    issued: Mutex<Bounded<String, Vec<Token>>>,
}

#[derive(Debug)]
struct Token {
    text: String,
    ends: Instant,
    /// Whether a change of settings is refused with it, as if it had been displaced.
    displaced: bool,
}

impl Tokens {
    /// None yet.
    pub(super) fn new(settings: TokenSettings) -> Self {
        Self {
            settings,
            issued: Mutex::default(),
        }
    }

    /// How long a token lives.
    pub(super) fn life(&self) -> Duration {
        self.settings.rest_token_life
    }

    /// A new token for a meeting, good for `life`; not at all, if it is the meeting's first and that is to be
    /// `displaced`.
    pub(super) fn issue(&self, id: &str, life: Duration, displaced: bool) -> String {
        let text = format!("cnr{:032x}{:016x}", fastrand::u128(..), fastrand::u64(..));
        let mut issued = lock(&self.issued);
        let tokens = issued.get_or_default(id.to_owned());
        let displaced = displaced && tokens.is_empty();
        if self.settings.rest_tokens == Many::One {
            tokens.clear();
        }
        let now = Instant::now();
        tokens.retain(|token| now < token.ends);
        if tokens.len() >= MAX_TOKENS {
            tokens.remove(0);
        }
        tokens.push(Token {
            text: text.clone(),
            ends: now + life,
            displaced,
        });
        text
    }

    /// Whether a change of a meeting is allowed with that token.
    pub(super) fn accept(&self, id: &str, token: &str) -> bool {
        let issued = lock(&self.issued);
        let tokens = issued.entries.get(id).map(|(_, tokens)| tokens);
        let is_good =
            |known: &Token| known.text == token && !known.displaced && Instant::now() < known.ends;
        token == TOKEN || tokens.is_some_and(|tokens| tokens.iter().any(is_good))
    }

    /// Forgets the tokens of a meeting.
    pub(super) fn reset(&self, id: &str) {
        lock(&self.issued).entries.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(rest_tokens: Many) -> Tokens {
        Tokens::new(TokenSettings {
            rest_tokens,
            ..TokenSettings::default()
        })
    }

    #[test]
    fn a_life_is_told_in_whole_seconds_so_it_has_no_others() {
        for (text, seconds) in [
            ("1s", Some(1)),
            ("1m 30s", Some(90)),
            ("2000ms", Some(2)),
            ("1500ms", None),
            ("999ms", None),
            ("0s", None),
            ("1", None),
        ] {
            let life = parse_life(text).ok().map(|life| life.as_secs());
            assert_eq!(life, seconds, "{text}");
        }
    }

    #[test]
    fn a_new_token_displaces_the_one_before_where_there_is_one_alone() {
        for (number, still_good) in [(Many::One, false), (Many::Many, true)] {
            let tokens = tokens(number);
            let first = tokens.issue("1", tokens.life(), false);
            let second = tokens.issue("1", tokens.life(), false);
            assert_eq!(tokens.accept("1", &first), still_good, "{number:?}");
            assert!(tokens.accept("1", &second));
            assert!(!tokens.accept("2", &second), "of another meeting");
        }
    }

    #[test]
    fn a_token_is_good_for_its_life_and_until_its_meeting_is_reset() {
        let tokens = tokens(Many::Many);
        let over = tokens.issue("1", Duration::ZERO, false);
        assert!(!tokens.accept("1", &over));
        let good = tokens.issue("1", tokens.life(), false);
        assert!(tokens.accept("1", &good));
        tokens.reset("1");
        assert!(!tokens.accept("1", &good));
        assert!(tokens.accept("1", TOKEN), "always");
    }

    #[test]
    fn the_first_token_alone_can_be_displaced_from_the_start() {
        let tokens = tokens(Many::Many);
        let first = tokens.issue("1", tokens.life(), true);
        let second = tokens.issue("1", tokens.life(), true);
        assert_eq!(
            (tokens.accept("1", &first), tokens.accept("1", &second)),
            (false, true)
        );
    }
}
