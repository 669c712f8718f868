//! The host password of a meeting.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::redaction::{Place, REDACTED, find, redact, spellings};

/// The host password of a meeting, a secret: it prints as `[redacted]`, and is wiped from memory with its last
/// clone. Cheap to clone.
#[derive(Clone)]
pub struct Password(Arc<SecretString>);

impl Password {
    /// Copies a password, which came with a request, to where it is wiped.
    pub fn new(text: &str) -> Self {
        Self(Arc::new(text.into()))
    }

    /// The password itself. It goes into the REST call that obtains a token, and into a keyed hash, and
    /// nowhere else.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The header value to send, marked sensitive; empty for what no header may carry.
    pub fn to_header(&self) -> HeaderValue {
        let header = HeaderValue::from_str(self.expose());
        let mut header = header.unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// Takes the password out of a text, in each spelling it may have there. It may have four digits, so it is
    /// found as a whole word only.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        redact(text, self.spellings(), Place::WholeWord)
    }

    /// Whether a text holds the password as a word, in any spelling.
    pub fn is_within(&self, text: &str) -> bool {
        self.spellings()
            .any(|secret| find(text, 0, &secret, Place::WholeWord).is_some())
    }

    fn spellings(&self) -> impl Iterator<Item = Zeroizing<String>> {
        spellings(self.expose())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_in_every_spelling_but_not_out_of_other_words() {
        let password = Password::new("4711:x");
        for spelled in [
            "4711:x",
            "4711:X",
            "NDcxMTp4",
            "343731313a78",
            "343731313A78",
            "%34%37%31%31%3a%78",
            "4711%3Ax",
        ] {
            let text = format!("bad password '{spelled}'!");
            assert_eq!(password.redact(&text), "bad password '[redacted]'!");
            assert!(password.is_within(spelled), "{spelled}");
        }
        let digits = Password::new("1110");
        for kept in ["MMC.111072065", "x1110", "11101", "id-91110", ""] {
            assert!(matches!(digits.redact(kept), Cow::Borrowed(_)), "{kept}");
            assert!(!digits.is_within(kept), "{kept}");
        }
        let found = digits.redact("1110,x1110 1110é é1110 =1110");
        assert_eq!(found, "[redacted],x1110 1110é é1110 =[redacted]");
    }

    #[test]
    fn a_password_prints_as_redacted_and_its_header_is_sensitive() {
        let password = Password::new("4711");
        assert_eq!(format!("{password:?}"), "[redacted]");
        assert_eq!(password.to_header(), "4711");
        assert!(password.to_header().is_sensitive());
    }
}
