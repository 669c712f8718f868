//! The meeting control token, and how it is kept out of everything but the REST call.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use http::HeaderValue;

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
    /// What stands in for the token wherever it must not appear.
    pub const REDACTED: &'static str = "[redacted]";

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(HeaderValue::from_static("cnr0123456789abcdef"))
    }

    pub(super) fn new(mut token: HeaderValue) -> Self {
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
        self.spellings().fold(Cow::Borrowed(text), |text, secret| {
            match take_out(&text, &secret) {
                Some(clean) => Cow::Owned(clean),
                None => text,
            }
        })
    }

    /// Whether a text holds the token, in any spelling.
    pub(super) fn is_within(&self, text: &str) -> bool {
        let within = |secret: String| find_ignoring_case(text, &secret).is_some();
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

    /// The token without its scheme, and with one layer of Base64 more and less. What is
    /// shorter than a token can be is left out: it would hide more than it protects.
    fn spellings(&self) -> impl Iterator<Item = String> {
        let bare = self.bare();
        let decoded = [&STANDARD, &URL_SAFE]
            .into_iter()
            .find_map(|engine| engine.decode(bare).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        // A prefix of the padded form, so both are found.
        let encoded = |text: &str| STANDARD_NO_PAD.encode(text);
        let encoded_again = decoded.as_deref().map(encoded);
        [
            Some(bare.to_owned()),
            Some(encoded(bare)),
            encoded_again,
            decoded,
        ]
        .into_iter()
        .flatten()
        .filter(|secret| secret.len() >= MIN_SECRET)
    }
}

/// `text` without each `secret` in it; `None` when there is none.
fn take_out(text: &str, secret: &str) -> Option<String> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = find_ignoring_case(rest, secret) {
        clean.push_str(&rest[..at]);
        clean.push_str(ControlToken::REDACTED);
        rest = &rest[at + secret.len()..];
    }
    (rest.len() < text.len()).then(|| clean + rest)
}

/// Where `secret` stands in `text`, between whole characters.
fn find_ignoring_case(text: &str, secret: &str) -> Option<usize> {
    let found = text
        .as_bytes()
        .windows(secret.len())
        .position(|window| window.eq_ignore_ascii_case(secret.as_bytes()))?;
    let whole = text.is_char_boundary(found) && text.is_char_boundary(found + secret.len());
    whole.then_some(found)
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::REDACTED)
    }
}

#[cfg(test)]
mod tests;
