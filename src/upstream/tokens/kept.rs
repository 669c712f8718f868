//! One token that is kept: how long it can be sent, and when another is to be obtained.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::secret::ControlToken;
use crate::upstream::answer::Issued;
use crate::upstream::refusal::Role;

/// How long a token lives if the upstream does not say.
pub(super) const DEFAULT_LIFE: Duration = Duration::from_secs(30 * 60);

/// With less of its life left than this, or than a tenth, a token is not sent: it might be over on arrival.
const MIN_LEFT: Duration = Duration::from_secs(1);
/// With less left than this, or than a fifth, another is obtained in the background.
const RENEWAL: Duration = Duration::from_secs(60);
/// How long after a renewal that failed there is another, at the earliest.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// A token that was obtained for a password. It prints without the token, and is wiped when it is dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Kept {
    token: SecretString,
    role: Role,
    ends: Instant,
    pub(super) life: Duration,
    /// Whether the upstream did not say how long that is.
    pub(super) is_life_assumed: bool,
    /// How many of its forerunners, one after the other, were displaced before their time.
    pub(super) displaced: u32,
    rejected: AtomicBool,
    /// When another is obtained; `None` while that is under way.
    renewal: Mutex<Option<Instant>>,
}

impl Kept {
    /// A token that was asked for then, and takes the place of a `forerunner`.
    pub(super) fn new(issued: Issued, asked: Instant, forerunner: Option<&Self>) -> Self {
        let life = issued.life.unwrap_or(DEFAULT_LIFE);
        let displaced = forerunner
            .filter(|forerunner| forerunner.is_rejected())
            .map_or(0, |forerunner| forerunner.displaced.saturating_add(1));
        Self {
            token: issued.token,
            role: issued.role,
            ends: asked + life,
            life,
            is_life_assumed: issued.life.is_none(),
            displaced,
            rejected: AtomicBool::new(false),
            renewal: Mutex::new(Some(asked + life - RENEWAL.min(life / 5))),
        }
    }

    /// The token, to be sent.
    pub(in crate::upstream) fn token(&self) -> ControlToken {
        let header = HeaderValue::from_str(self.token.expose_secret());
        // Its characters were checked when it was read.
        ControlToken::new(header.unwrap_or(HeaderValue::from_static("")))
    }

    /// Whose password it was obtained for.
    pub(in crate::upstream) fn role(&self) -> Role {
        self.role
    }

    /// Notes that the upstream did not accept it. Whoever needs a token afterwards has another obtained.
    pub(in crate::upstream) fn reject(&self) {
        self.rejected.store(true, Ordering::Relaxed);
    }

    fn is_rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Whether it can be sent.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        let left = self.ends.saturating_duration_since(now);
        !self.is_rejected() && left >= MIN_LEFT.min(self.life / 10)
    }

    /// Whether another is to be obtained now, by whoever gets this answer.
    pub(super) fn begin_renewal(&self, now: Instant) -> bool {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        let due = renewal.is_some_and(|due| due <= now);
        if due {
            *renewal = None;
        }
        due
    }

    /// No other was obtained; that is tried again after a pause.
    pub(super) fn fail_renewal(&self, now: Instant) {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        *renewal = Some(now + RENEWAL_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn kept(life: Option<u64>, asked: Instant, forerunner: Option<&Kept>) -> Kept {
        let issued = Issued {
            token: "cnr1".into(),
            life: life.map(Duration::from_secs),
            role: Role::Host,
        };
        Kept::new(issued, asked, forerunner)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_sent_renewed_and_given_up_in_time() {
        let asked = Instant::now();
        for (life, renewed, last_sent) in [
            (Some(1800), 1740.0, 1799.0),
            (Some(100), 80.0, 99.0),
            (Some(3), 2.4, 2.7),
            (None, 1740.0, 1799.0),
        ] {
            let at = |seconds: f64| asked + Duration::from_secs_f64(seconds);
            let token = kept(life, asked, None);
            assert!(!token.begin_renewal(at(renewed - 0.01)), "{life:?}");
            assert!(token.begin_renewal(at(renewed + 0.01)), "{life:?}");
            assert!(!token.begin_renewal(at(renewed + 0.02)), "one at a time");
            assert!(token.is_usable(at(last_sent - 0.01)), "{life:?}");
            assert!(!token.is_usable(at(last_sent + 0.01)), "{life:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_failed_is_tried_again_after_a_pause() {
        let asked = Instant::now();
        let token = kept(Some(1800), asked, None);
        let due = asked + 1740 * SECOND;
        assert!(token.begin_renewal(due));
        token.fail_renewal(due);
        assert!(!token.begin_renewal(due + 4 * SECOND));
        assert!(token.begin_renewal(due + 5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_not_sent_again_and_its_heirs_know() {
        let asked = Instant::now();
        let first = kept(Some(1800), asked, None);
        first.reject();
        assert!(!first.is_usable(asked));
        let second = kept(Some(1800), asked, Some(&first));
        assert!(second.is_usable(asked));
        assert_eq!(second.displaced, 1);
        second.reject();
        let third = kept(Some(1800), asked, Some(&second));
        assert_eq!(third.displaced, 2);
        assert_eq!(kept(Some(1800), asked, Some(&third)).displaced, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_token_prints_without_the_token() {
        let token = kept(Some(1800), Instant::now(), None);
        assert!(!format!("{token:?}").contains("cnr1"));
        assert_eq!(token.token().to_header(), "cnr1");
    }
}
