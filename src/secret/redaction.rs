//! Finds a secret in a text, and takes it out.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;

/// What stands in for a secret wherever it must not appear.
pub const REDACTED: &str = "[redacted]";

/// Where a secret counts as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Anywhere,
    /// As a word of its own: a short secret is part of many a number.
    WholeWord,
}

/// A secret as it stands, and as it is written in Base64, in hexadecimal digits and percent-encoded; longer ones
/// before those that are parts of them.
pub(super) fn spellings(secret: &str) -> impl Iterator<Item = Zeroizing<String>> + use<> {
    let (mut hex, mut percent) = (String::new(), String::new());
    for byte in secret.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        let _ = write!(percent, "%{byte:02x}");
    }
    let reserved = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let all = [
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex,
        percent,
    ];
    let reserved = (reserved != secret).then_some(reserved);
    all.into_iter().chain(reserved).map(Zeroizing::new)
}

/// `text` without any of `spellings`, in any case.
pub(super) fn redact<'a>(
    text: &'a str,
    spellings: impl Iterator<Item = Zeroizing<String>>,
    place: Place,
) -> Cow<'a, str> {
    spellings.fold(Cow::Borrowed(text), |text, secret| {
        match take_out(&text, &secret, place) {
            Some(clean) => Cow::Owned(clean),
            None => text,
        }
    })
}

/// `text` without each `secret` in it; `None` when there is none.
fn take_out(text: &str, secret: &str, place: Place) -> Option<String> {
    let mut clean = String::new();
    let mut from = 0;
    while let Some(at) = find(text, from, secret, place) {
        clean.push_str(&text[from..at]);
        clean.push_str(REDACTED);
        from = at + secret.len();
    }
    (from > 0).then(|| clean + &text[from..])
}

/// Where `secret` stands in `text`, in any case, not before the byte `from`.
pub(super) fn find(text: &str, from: usize, secret: &str, place: Place) -> Option<usize> {
    let (bytes, length) = (text.as_bytes(), secret.len());
    if length == 0 {
        return None;
    }
    let mut windows = bytes.get(from..)?.windows(length);
    let is_found = |at: usize| {
        let end = at + length;
        text.is_char_boundary(at)
            && text.is_char_boundary(end)
            && (place == Place::Anywhere || (is_edge(text, at) && is_edge(text, end)))
    };
    let mut at = from;
    loop {
        let ahead = windows.position(|window| window.eq_ignore_ascii_case(secret.as_bytes()))?;
        at += ahead;
        if is_found(at) {
            return Some(at);
        }
        at += 1;
    }
}

/// Whether a word may begin or end there: letters and digits do not stand on both sides.
fn is_edge(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at..].chars().next();
    let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !(within(before) && within(after))
}
