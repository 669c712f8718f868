//! The meeting control token.

use std::borrow::Cow;
use std::fmt;

use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, decoded_len_estimate};
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;

use super::redaction::{Place, REDACTED, find, redact, spellings};

/// Real tokens have some 50 characters.
const MIN_SECRET: usize = 8;

const BASIC: &str = "basic ";
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The meeting control token, a secret: it prints as `[redacted]` and is marked sensitive.
#[derive(Clone)]
pub struct ControlToken(HeaderValue);

impl ControlToken {
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(HeaderValue::from_static("cnr0123456789abcdef"))
    }

    /// Takes over what a header carries.
    pub(crate) fn new(mut token: HeaderValue) -> Self {
        token.set_sensitive(true);
        Self(token)
    }

    /// The header value to send, byte for byte as the caller gave it, marked sensitive.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Takes the token out of a text that the upstream wrote, in each spelling it may have there.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_longer_than(text) {
            return Cow::Borrowed(text);
        }
        redact(text, self.spellings(), Place::Anywhere)
    }

    /// Whether a text holds the token, in any spelling.
    pub(crate) fn is_within(&self, text: &str) -> bool {
        let within = |secret: Zeroizing<String>| find(text, 0, &secret, Place::Anywhere).is_some();
        !self.is_longer_than(text) && self.spellings().any(within)
    }

    /// Whether even the shortest spelling, without its Base64, is longer than a text: most texts are ids
    /// that cannot hold a token, and need no spelling made.
    fn is_longer_than(&self, text: &str) -> bool {
        (self.bare().len() / 4 * 3).saturating_sub(2) > text.len()
    }

    /// The token as it was sent, without its scheme.
    fn bare(&self) -> &str {
        let sent = self.0.to_str().unwrap_or_default().trim();
        match sent.split_at_checked(BASIC.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(BASIC) => rest.trim(),
            _ => sent,
        }
    }

    /// The token without its scheme, and without its Base64 if it has one, each in every spelling. What is shorter
    /// than a token can be is left out: it would hide more than it protects.
    fn spellings(&self) -> impl Iterator<Item = Zeroizing<String>> {
        let bare = self.bare();
        let mut room = Zeroizing::new(vec![0; decoded_len_estimate(bare.len())]);
        let decoded = [&STANDARD, &URL_SAFE]
            .into_iter()
            .find_map(|engine| engine.decode_slice(bare, &mut room).ok())
            .and_then(|length| str::from_utf8(&room[..length]).ok())
            .map(spellings);
        spellings(bare)
            .chain(decoded.into_iter().flatten())
            .filter(|secret| secret.len() >= MIN_SECRET)
    }
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests;
