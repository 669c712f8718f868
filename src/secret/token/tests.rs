use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::*;

#[test]
fn a_token_is_taken_out_of_a_text_in_every_spelling() {
    const TOKEN_TEXT: &str = "cnr0123456789abcdef0";
    let encoded = STANDARD_NO_PAD.encode(TOKEN_TEXT);
    let padded = STANDARD.encode(TOKEN_TEXT);
    assert_ne!(encoded, padded);
    for sent in [
        TOKEN_TEXT.to_owned(),
        format!("Basic {encoded}"),
        format!("basic {padded}"),
        format!("BASIC  {}", URL_SAFE.encode(TOKEN_TEXT)),
    ] {
        let token = ControlToken::new(HeaderValue::from_str(&sent).unwrap());
        for echoed in [
            TOKEN_TEXT,
            &TOKEN_TEXT.to_uppercase(),
            &encoded,
            &padded,
            &sent,
        ] {
            // By itself too: no text is so short that it need not be searched.
            assert!(token.redact(echoed).contains(REDACTED));
            assert!(token.is_within(echoed));
            let text = token.redact(&format!("bad token {echoed}!")).into_owned();
            assert!(!text.to_lowercase().contains(TOKEN_TEXT), "{text}");
            assert!(!text.contains(&encoded), "{text}");
            assert!(text.contains(REDACTED), "{text}");
            assert!(
                text.starts_with("bad token ") && text.ends_with('!'),
                "{text}"
            );
        }
        assert!(matches!(token.redact("nothing here"), Cow::Borrowed(_)));
        let twice = token
            .redact(&format!("{TOKEN_TEXT} é {TOKEN_TEXT}"))
            .into_owned();
        assert_eq!(twice, "[redacted] é [redacted]");
    }
}

#[test]
fn a_text_that_is_the_token_is_taken_out_however_long_and_however_sent() {
    for length in MIN_SECRET..40 {
        let secret = "0123456789".repeat(4)[..length].to_owned();
        for sent in [
            secret.clone(),
            format!("Basic {}", STANDARD.encode(&secret)),
        ] {
            let token = ControlToken::new(HeaderValue::from_str(&sent).unwrap());
            assert_eq!(token.redact(&secret), "[redacted]", "{sent}");
        }
    }
}

#[test]
fn a_token_prints_as_redacted_and_its_header_is_sensitive() {
    let token = ControlToken::for_tests();
    assert_eq!(format!("{token:?}"), "[redacted]");
    assert!(token.to_header().is_sensitive());
}

#[test]
fn a_token_that_is_part_of_its_own_replacement_is_taken_out_once() {
    let token = ControlToken::new(HeaderValue::from_static("redacted"));
    assert_eq!(token.redact("a redacted b"), "a [redacted] b");
}

#[test]
fn what_is_too_short_for_a_token_hides_nothing() {
    let token = ControlToken::new(HeaderValue::from_static("1"));
    assert_eq!(token.redact("MMC.111072065"), "MMC.111072065");
}
