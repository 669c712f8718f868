//! The bytes of an answer as text, and the upstream's texts as they may be handed on.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::secret::Secrets;

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The text of a body, whatever its encoding: what is ASCII is read, though what stands beside it may not
/// be. There is no byte order mark before it.
pub(super) fn decode(mut body: &[u8]) -> Cow<'_, str> {
    while let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        body = rest;
    }
    match body {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        // Without its mark, it shows by the half of its first letter that is empty.
        [_, 0, ..] => utf16(body, u16::from_le_bytes).into(),
        [0, _, ..] => utf16(body, u16::from_be_bytes).into(),
        _ => {
            let text = String::from_utf8_lossy(body);
            match text {
                Cow::Owned(text) if !is_json(&text) => {
                    let pairs = of_pairs(body);
                    if is_json(&pairs) { pairs } else { text }.into()
                }
                text => text,
            }
        }
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = body.as_chunks().0.iter().map(|bytes| unit(*bytes));
    char::decode_utf16(units)
        .map(|decoded| decoded.unwrap_or(REPLACEMENT))
        .collect()
}

/// A text in GBK, Big5 or the like, where a character is a byte beyond ASCII and one more. That one may be a
/// backslash, which must not be taken for the beginning of an escape; any other ASCII stays.
fn of_pairs(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    let mut second = false;
    for byte in body {
        match (second, byte) {
            (true, b'\\' | 0x80..) => {}
            (_, 0x80..) => text.push(REPLACEMENT),
            (_, ascii) => text.push(char::from(*ascii)),
        }
        second = !second && !byte.is_ascii();
    }
    text
}

/// Whether a text is JSON from its beginning to its end.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether a text begins as a JSON object or list, and ends before that does.
pub(super) fn is_unfinished(text: &str) -> bool {
    text.starts_with(['{', '['])
        && serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

/// A text of the upstream's on one line of at most `max` characters: without the secrets, which an answer may
/// quote, and without what a reader cannot see, which could make a line look like another. It is cut last,
/// so that no part of a secret is left.
pub(super) fn tidy(text: &str, max: usize, secrets: Secrets<'_>) -> String {
    let visible = |c: char| if is_visible(c) { c } else { ' ' };
    let text = secrets.redact(text.trim());
    text.chars().take(max).map(visible).collect()
}

/// Whether a character shows. What does not is escaped in `Debug` output: controls, marks that turn the
/// direction of writing or pile up on a letter, line separators, blanks of other widths and of none.
fn is_visible(c: char) -> bool {
    const EMPTY_LETTERS: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];
    let is_escaped = c.is_control() || c.escape_debug().len() > 2;
    !is_escaped && !EMPTY_LETTERS.contains(&c)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::secret::ControlToken;

    fn secrets() -> Secrets<'static> {
        static TOKEN: LazyLock<ControlToken> = LazyLock::new(ControlToken::for_tests);
        Secrets {
            token: Some(&TOKEN),
            password: None,
        }
    }

    fn utf16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_body_is_read_in_each_encoding() {
        let text = r#"{"error_code":"MMC.1","error_msg":"失败 😀"}"#;
        let marked = format!("\u{feff}{text}");
        for (encoding, body) in [
            ("UTF-8", text.as_bytes().to_vec()),
            ("UTF-8, marked", marked.as_bytes().to_vec()),
            (
                "UTF-8, marked twice",
                format!("\u{feff}{marked}").into_bytes(),
            ),
            ("UTF-16LE, marked", utf16_of(&marked, u16::to_le_bytes)),
            ("UTF-16BE, marked", utf16_of(&marked, u16::to_be_bytes)),
            ("UTF-16LE", utf16_of(text, u16::to_le_bytes)),
            ("UTF-16BE", utf16_of(text, u16::to_be_bytes)),
        ] {
            assert_eq!(decode(&body), text, "{encoding}");
        }
    }

    #[test]
    fn what_is_in_no_such_encoding_does_not_hide_what_is_ascii() {
        for (body, expected) in [
            // GBK, and a backslash as the second half of a character.
            (
                &b"{\"m\":\"\xb2\xd9\xd7\xf7\",\"c\":1}"[..],
                "{\"m\":\"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\",\"c\":1}",
            ),
            (
                b"{\"m\":\"\xb2\xd9\x95\x5c\",\"c\":1}",
                "{\"m\":\"\u{fffd}\u{fffd}\",\"c\":1}",
            ),
            (
                b"{\"m\":\"\xb2\xd9\\\"\x95\x5c\",\"c\":1}",
                "{\"m\":\"\u{fffd}\\\"\u{fffd}\",\"c\":1}",
            ),
            // Latin-1, and UTF-8 that lost a byte: an escape after them is one.
            (
                b"{\"m\":\"caf\xe9\",\"c\":1}",
                "{\"m\":\"caf\u{fffd}\",\"c\":1}",
            ),
            (
                b"{\"m\":\"\xe9\\\"\",\"c\":1}",
                "{\"m\":\"\u{fffd}\\\"\",\"c\":1}",
            ),
            (
                b"{\"m\":\"\xe5\xa4\xb1\xe8\xb4\",\"c\":1}",
                "{\"m\":\"失\u{fffd}\",\"c\":1}",
            ),
            // Neither reading makes JSON of it.
            (b"{\"\xe5\xa4\xb1\xe8\xb4", "{\"失\u{fffd}"),
            (b"\xff", "\u{fffd}"),
            (b"\x00", "\0"),
            (b"\xff\xfe\x7b", ""),
            (b"", ""),
        ] {
            assert_eq!(decode(body), expected, "{body:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_becomes_a_blank_and_what_can_stays() {
        for (kind, characters) in [
            ("controls", "\0\n\r\t\u{1b}\u{7f}\u{85}\u{9b}"),
            (
                "direction",
                "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
            ),
            ("lines", "\u{2028}\u{2029}"),
            (
                "no width",
                "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{180e}",
            ),
            ("other widths", "\u{a0}\u{2003}\u{3000}"),
            (
                "tags, variants, private use",
                "\u{e0041}\u{fe0f}\u{fff9}\u{e000}\u{ffff}",
            ),
            ("piled on the letter before", "\u{301}\u{20dd}"),
            ("empty letters", "\u{115f}\u{1160}\u{2800}\u{3164}\u{ffa0}"),
        ] {
            for hidden in characters.chars() {
                let tidied = tidy(&format!("a{hidden}b"), 9, secrets());
                assert_eq!(tidied, "a b", "{kind}: {hidden:?}");
            }
        }
        assert_eq!(tidy(" \r\n a ", 9, secrets()), "a");
        let plain = r#"LOCK_SHARE_FAILED: it's "ü" \ 操作失败, 許 ソ é € 😀"#;
        assert_eq!(tidy(plain, 99, secrets()), plain);
    }

    #[test]
    fn the_token_goes_before_the_text_is_cut() {
        let token = "cnr0123456789abcdef";
        for text in [
            format!("  {token} "),
            format!("\u{202e}{token}"),
            format!("ab {token}"),
            format!("{token}{token}"),
            format!("{} {token}", token.to_uppercase()),
        ] {
            let tidied = tidy(&text, 8, secrets());
            assert!(!tidied.to_lowercase().contains("cnr"), "{tidied}");
            assert!(tidied.chars().count() <= 8);
        }
    }
}
