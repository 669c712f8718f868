//! Finds a secret in a text, and takes it out.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode};
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
/// before those that are parts of them. Each is wiped, whether it is looked for or not.
pub(super) fn spellings(secret: &str) -> impl Iterator<Item = Zeroizing<String>> + use<> {
    let length = secret.len();
    let percent = || secret.bytes().map(percent_encode_byte);
    let all = [
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        join(2 * length, percent().map(|byte| &byte[1..])),
        join(3 * length, percent()),
    ];
    let is_reserved = |byte: u8| !byte.is_ascii_alphanumeric();
    let escaped = secret.bytes().any(is_reserved).then(|| {
        let parts = utf8_percent_encode(secret, NON_ALPHANUMERIC);
        Zeroizing::new(join(3 * length, parts))
    });
    all.map(Zeroizing::new).into_iter().chain(escaped)
}

/// Parts of at most `length` bytes as one text. It never grows: that would leave copies behind.
fn join<'a>(length: usize, parts: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(length);
    text.extend(parts);
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_has_grown_while_it_was_made() {
        for (secret, escaped) in [
            ("4711", None),
            ("Pass.word-4711?x", Some(48)),
            ("\u{e9}t\u{e9}", Some(15)),
            ("x", None),
        ] {
            let n = secret.len();
            let padded = n.div_ceil(3) * 4;
            let bare = (n * 4).div_ceil(3);
            let sizes = spellings(secret).map(|text| text.capacity());
            let expected = [n, padded, bare, padded, bare, 2 * n, 3 * n];
            let expected = expected.into_iter().chain(escaped);
            assert!(sizes.eq(expected), "{secret}");
        }
    }
}
