//! A request and its metadata become an [`UpdateCommand`], or a [`Rejection`] that names every fault.
//!
//! Past this room nothing is checked again: a command can be sent as it is. Pure.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue};

use crate::deadline;
use crate::proto::v1::UpdateStartedConfConfigRequest;
use crate::setting::{SETTINGS, UnknownNumber, Values};

pub use crate::call::TOKEN;

const CONFERENCE_ID: &str = "conference_id";

const LONGEST_CONFERENCE_ID: usize = 128;
const LONGEST_TOKEN: usize = 4096;
/// Real tokens have some 50 characters.
const SHORTEST_SECRET: usize = 8;

const BASIC: &str = "basic ";
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A change of settings that is ready to be sent.
#[derive(Debug)]
pub struct UpdateCommand {
    /// The running meeting: 1 to 128 bytes without control characters.
    pub conference_id: String,
    /// What to change; at least one value is given.
    pub settings: Values,
    /// The caller's right to change it.
    pub token: ControlToken,
}

/// The meeting control token, a secret: it prints as `[redacted]` and is marked sensitive.
#[derive(Clone)]
pub struct ControlToken(HeaderValue);

/// Why a request is not sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejection {
    /// No token came with the request.
    pub token_missing: bool,
    /// Every rule that the request breaks.
    pub violations: Vec<Violation>,
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// Field of the request, metadata key, or [`Violation::WHOLE_REQUEST`].
    pub field: &'static str,
    /// What is wrong, as a sentence without the value itself.
    pub description: String,
}

impl Violation {
    /// Stands for the request as a whole where a field is named.
    pub const WHOLE_REQUEST: &str = "*";
}

impl UpdateCommand {
    /// Checks a request and the metadata that came with it.
    ///
    /// # Errors
    /// A [`Rejection`] with all faults at once.
    pub fn read(
        metadata: &HeaderMap,
        request: UpdateStartedConfConfigRequest,
    ) -> Result<Self, Rejection> {
        let mut faults = Faults::default();
        faults.check_conference_id(&request.conference_id);
        let settings = faults.read_settings(&request);
        faults.check_timeout(metadata);
        let token = faults.read_token(metadata);
        if let Sent::Token(token) = &token
            && token.is_within(&request.conference_id)
        {
            faults.add(CONFERENCE_ID, "must not hold the control token");
        }

        match token {
            Sent::Token(token) if faults.0.is_empty() => Ok(Self {
                conference_id: request.conference_id,
                settings,
                token,
            }),
            token => Err(Rejection {
                token_missing: matches!(token, Sent::Nothing),
                violations: faults.0,
            }),
        }
    }
}

/// Whether an id can be one of a meeting: 1 to 128 bytes without control characters.
pub fn is_conference_id(id: &str) -> bool {
    let mut faults = Faults::default();
    faults.check_conference_id(id);
    faults.0.is_empty()
}

/// What came in place of a token.
enum Sent {
    Token(ControlToken),
    Nothing,
    /// Something that is a fault of its own.
    Nonsense,
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<Violation>);

impl Faults {
    fn add(&mut self, field: &'static str, description: impl Into<String>) {
        self.0.push(Violation {
            field,
            description: description.into(),
        });
    }

    fn check_conference_id(&mut self, id: &str) {
        if id.is_empty() {
            self.add(CONFERENCE_ID, "must not be empty");
        }
        if id.len() > LONGEST_CONFERENCE_ID {
            self.add(
                CONFERENCE_ID,
                format!(
                    "must be at most {LONGEST_CONFERENCE_ID} bytes, not {}",
                    id.len()
                ),
            );
        }
        if id.chars().any(char::is_control) {
            self.add(CONFERENCE_ID, "must not contain control characters");
        }
    }

    fn read_settings(&mut self, request: &UpdateStartedConfConfigRequest) -> Values {
        let mut given = 0;
        let values = SETTINGS.each_ref().map(|setting| {
            let value = setting.read(request);
            given += usize::from(value != Ok(None));
            value.unwrap_or_else(|UnknownNumber(number)| {
                self.add(
                    setting.field,
                    format!(
                        "{number} is not defined; known are 0 to {}",
                        setting.values.len()
                    ),
                );
                None
            })
        });
        if given == 0 {
            self.add(
                Violation::WHOLE_REQUEST,
                "at least one setting must be given",
            );
        }
        values
    }

    fn check_timeout(&mut self, metadata: &HeaderMap) {
        const FIELD: &str = "grpc-timeout";
        if let Some(value) = metadata.get(FIELD)
            && deadline::parse_grpc_timeout(value).is_none()
        {
            self.add(
                FIELD,
                "must be one to eight digits and one of the units H, M, S, m, u, n",
            );
        }
    }

    fn read_token(&mut self, metadata: &HeaderMap) -> Sent {
        let mut values = metadata.get_all(TOKEN).iter();
        let Some(token) = values.next() else {
            return Sent::Nothing;
        };
        if values.next().is_some() {
            self.add(TOKEN, "must be given once");
            return Sent::Nonsense;
        }
        if is_blank(token) {
            return Sent::Nothing;
        }
        if token.len() > LONGEST_TOKEN {
            self.add(TOKEN, format!("must be at most {LONGEST_TOKEN} bytes"));
        }
        if !token
            .as_bytes()
            .iter()
            .all(|byte| (b' '..=b'~').contains(byte))
        {
            self.add(TOKEN, "must consist of printable ASCII characters");
        }
        Sent::Token(ControlToken::new(token.clone()))
    }
}

fn is_blank(token: &HeaderValue) -> bool {
    token.as_bytes().trim_ascii().is_empty()
}

// === impl ControlToken ===

impl ControlToken {
    /// What stands in for the token wherever it must not appear.
    pub const REDACTED: &'static str = "[redacted]";

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(HeaderValue::from_static("cnr0123456789abcdef"))
    }

    fn new(mut token: HeaderValue) -> Self {
        token.set_sensitive(true);
        Self(token)
    }

    /// The header value to send, byte for byte as the caller gave it, marked sensitive.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Takes the token out of a text that the REST side wrote, in each spelling it may have there.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.spellings().fold(Cow::Borrowed(text), |text, secret| {
            match take_out(&text, &secret) {
                Some(clean) => Cow::Owned(clean),
                None => text,
            }
        })
    }

    /// Whether a text holds the token, in any spelling.
    fn is_within(&self, text: &str) -> bool {
        let within = |secret: String| find_ignoring_case(text, &secret).is_some();
        self.spellings().any(within)
    }

    /// The token as it was sent without its scheme, and with one layer of Base64 more and less. What is
    /// shorter than a token can be is left out: it would hide more than it protects.
    fn spellings(&self) -> impl Iterator<Item = String> {
        let sent = self.0.to_str().unwrap_or_default().trim();
        let bare = match sent.split_at_checked(BASIC.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(BASIC) => rest.trim(),
            _ => sent,
        };
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
        .filter(|secret| secret.len() >= SHORTEST_SECRET)
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
