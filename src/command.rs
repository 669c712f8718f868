//! A request and its metadata become an [`UpdateCommand`], or a [`Rejection`] that names every fault.
//!
//! Past this room nothing is checked again: a command can be sent as it is. Pure.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue};

use crate::deadline;
use crate::proto::v1::UpdateStartedConfConfigRequest;
use crate::setting::{SETTINGS, UnknownNumber, Values};

/// Metadata key of the meeting control token.
pub const TOKEN: &str = "x-conference-authorization";

const LONGEST_CONFERENCE_ID: usize = 128;
const LONGEST_TOKEN: usize = 4096;

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

        match token {
            Some(token) if faults.0.is_empty() => Ok(Self {
                conference_id: request.conference_id,
                settings,
                token,
            }),
            _ => Err(Rejection {
                token_missing: !has_token(metadata),
                violations: faults.0,
            }),
        }
    }
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
        const FIELD: &str = "conference_id";
        if id.is_empty() {
            self.add(FIELD, "must not be empty");
        }
        if id.len() > LONGEST_CONFERENCE_ID {
            self.add(
                FIELD,
                format!(
                    "must be at most {LONGEST_CONFERENCE_ID} bytes, not {}",
                    id.len()
                ),
            );
        }
        if id.chars().any(char::is_control) {
            self.add(FIELD, "must not contain control characters");
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

    fn read_token(&mut self, metadata: &HeaderMap) -> Option<ControlToken> {
        let mut values = metadata.get_all(TOKEN).iter();
        let token = values.next().filter(|token| !is_blank(token))?;
        if values.next().is_some() {
            self.add(TOKEN, "must be given once");
            return None;
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
        Some(ControlToken::new(token.clone()))
    }
}

fn has_token(metadata: &HeaderMap) -> bool {
    metadata.get(TOKEN).is_some_and(|token| !is_blank(token))
}

fn is_blank(token: &HeaderValue) -> bool {
    token.as_bytes().trim_ascii().is_empty()
}

// === impl ControlToken ===

impl ControlToken {
    /// What stands in for the token wherever it must not appear.
    pub const REDACTED: &'static str = "[redacted]";

    fn new(mut token: HeaderValue) -> Self {
        token.set_sensitive(true);
        Self(token)
    }

    /// The header value to send, byte for byte as the caller gave it, marked sensitive.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Takes the token out of a text that the REST side wrote, in each spelling it may have.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        let spoken = self.0.to_str().unwrap_or_default().trim();
        let bare = spoken.strip_prefix("Basic ").unwrap_or(spoken).trim();
        let decoded = BASE64_STANDARD
            .decode(bare)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let encoded = BASE64_STANDARD.encode(bare);
        for secret in [Some(bare), decoded.as_deref(), Some(&encoded)] {
            if let Some(secret) = secret.filter(|secret| !secret.is_empty())
                && text.contains(secret)
            {
                text = Cow::Owned(text.replace(secret, Self::REDACTED));
            }
        }
        text
    }
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::REDACTED)
    }
}

#[cfg(test)]
mod tests;
