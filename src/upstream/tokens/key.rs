//! Stands for a meeting and a password where neither is to be kept.

use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::{digest, hmac};

use crate::secret::Password;

/// Stands for one password of one meeting. Without the process's secret, neither can be found out from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::upstream) struct Key([u8; digest::SHA256_OUTPUT_LEN]);

/// Makes keys, by a secret of its own.
pub(super) struct Keys(hmac::Key);

impl Keys {
    /// With a new secret.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new() -> Result<Self, Unspecified> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map(Self)
    }

    /// The key of one password of one meeting.
    pub(super) fn key(&self, conference_id: &str, password: &Password) -> Key {
        let mut context = hmac::Context::with_key(&self.0);
        // Its length first, so that no other meeting and password are the same text.
        context.update(&(conference_id.len() as u64).to_le_bytes());
        context.update(conference_id.as_bytes());
        context.update(password.expose().as_bytes());
        let mut key = [0; digest::SHA256_OUTPUT_LEN];
        key.copy_from_slice(context.sign().as_ref());
        Key(key)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
impl Key {
    pub(super) fn for_tests(number: u8) -> Self {
        Self([number; digest::SHA256_OUTPUT_LEN])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_one_meeting_and_one_password_in_one_process() {
        let keys = Keys::new().unwrap();
        let key = |id, password| keys.key(id, &Password::new(password));
        assert_eq!(key("1", "23"), key("1", "23"));
        assert_ne!(key("1", "23"), key("12", "3"));
        assert_ne!(key("1", "23"), key("1", "24"));
        let elsewhere = Keys::new().unwrap();
        assert_ne!(key("1", "23"), elsewhere.key("1", &Password::new("23")));
    }
}
