//! A request and its metadata become an [`UpdateCommand`], or an [`InvalidRequest`] that names every violation.
//!
//! Past this room nothing is checked again: a command can be sent as it is. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::deadline::parse_grpc_timeout;
use crate::names::{AUTHORIZATION, GRPC_TIMEOUT, PASSWORD};
use crate::proto::v1::UpdateStartedConfConfigRequest;
use crate::secret::{ControlToken, Password};
use crate::setting::{SETTINGS, UnknownNumber, Values};

const CONFERENCE_ID: &str = "conference_id";

const MAX_CONFERENCE_ID: usize = 128;
const MAX_TOKEN: usize = 4096;
const MAX_PASSWORD: usize = 128;

/// A change of settings that is ready to be sent.
#[derive(Debug)]
pub struct UpdateCommand {
    /// The running meeting: 1 to 128 bytes without control characters.
    pub conference_id: String,
    /// What to change; at least one value is given.
    pub settings: Values,
    /// The caller's right to change it.
    pub credential: Credential,
}

/// What gives a caller the right to change a meeting.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The meeting control token, to be passed on.
    Token(ControlToken),
    /// The host password, for which a token is obtained.
    Password(Password),
}

/// Why a request is not sent.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidRequest {
    /// The meeting, if nothing is wrong with that part of the request; for the log.
    pub conference_id: Option<String>,
    /// Neither a token nor a password came with the request.
    pub credential_missing: bool,
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
    /// [`InvalidRequest`] with all violations at once.
    pub fn read(
        metadata: &HeaderMap,
        request: UpdateStartedConfConfigRequest,
    ) -> Result<Self, InvalidRequest> {
        let mut violations = Violations::default();
        violations.check_conference_id(&request.conference_id);
        let settings = violations.read_settings(&request);
        violations.check_timeout(metadata);
        let sent = violations.read_credential(metadata);
        match &sent {
            Sent::Usable(Credential::Token(token)) if token.is_within(&request.conference_id) => {
                violations.add(CONFERENCE_ID, "must not hold the control token");
            }
            Sent::Usable(Credential::Password(password))
                if password.expose() == request.conference_id =>
            {
                violations.add(CONFERENCE_ID, "must not be the host password");
            }
            _ => {}
        }

        match sent {
            Sent::Usable(credential) if violations.0.is_empty() => Ok(Self {
                conference_id: request.conference_id,
                settings,
                credential,
            }),
            sent => Err(InvalidRequest {
                // Where a credential is unusable, the id cannot be told from it.
                conference_id: (!matches!(sent, Sent::Unusable)
                    && !violations.names(CONFERENCE_ID))
                .then_some(request.conference_id),
                credential_missing: matches!(sent, Sent::Nothing),
                violations: violations.0,
            }),
        }
    }
}

/// Whether an id can be one of a meeting: 1 to 128 bytes without control characters.
pub fn is_conference_id(id: &str) -> bool {
    let mut violations = Violations::default();
    violations.check_conference_id(id);
    violations.0.is_empty()
}

/// What came as a credential.
enum Sent {
    Usable(Credential),
    Nothing,
    /// Something that is a violation of its own.
    Unusable,
}

/// The violations found so far.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, field: &'static str, description: impl Into<String>) {
        self.0.push(Violation {
            field,
            description: description.into(),
        });
    }

    fn names(&self, field: &str) -> bool {
        self.0.iter().any(|violation| violation.field == field)
    }

    fn check_conference_id(&mut self, id: &str) {
        if id.is_empty() {
            self.add(CONFERENCE_ID, "must not be empty");
        }
        if id.len() > MAX_CONFERENCE_ID {
            self.add(
                CONFERENCE_ID,
                format!(
                    "must be at most {MAX_CONFERENCE_ID} bytes, not {}",
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
        if let Some(value) = metadata.get(&GRPC_TIMEOUT)
            && parse_grpc_timeout(value).is_none()
        {
            self.add(
                GRPC_TIMEOUT.as_str(),
                "must be one to eight digits and one of the units H, M, S, m, u, n",
            );
        }
    }

    fn read_credential(&mut self, metadata: &HeaderMap) -> Sent {
        let token = self.read_secret(metadata, &AUTHORIZATION, MAX_TOKEN);
        let password = self.read_secret(metadata, &PASSWORD, MAX_PASSWORD);
        match (token, password) {
            (None, None) => Sent::Nothing,
            (Some(Some(token)), None) => {
                Sent::Usable(Credential::Token(ControlToken::new(token.clone())))
            }
            (None, Some(Some(password))) => {
                // Its characters have been checked.
                let password = password.to_str().unwrap_or_default();
                Sent::Usable(Credential::Password(Password::new(password)))
            }
            (Some(_), Some(_)) => {
                let description = format!("must not be sent together with {AUTHORIZATION}");
                self.add(PASSWORD.as_str(), description);
                Sent::Unusable
            }
            (Some(None), None) | (None, Some(None)) => Sent::Unusable,
        }
    }

    /// The value that metadata holds under that key, if any; `Some(None)` where it is a violation.
    fn read_secret<'a>(
        &mut self,
        metadata: &'a HeaderMap,
        key: &'static HeaderName,
        max: usize,
    ) -> Option<Option<&'a HeaderValue>> {
        let mut values = metadata.get_all(key).iter();
        let value = values.next()?;
        let is_printable = |byte: &u8| (b' '..=b'~').contains(byte);
        let violations = self.0.len();
        if values.next().is_some() {
            self.add(key.as_str(), "must be given once");
        } else if value.as_bytes().trim_ascii().is_empty() {
            self.add(key.as_str(), "must not be empty");
        } else if value.len() > max {
            self.add(key.as_str(), format!("must be at most {max} bytes"));
        } else if !value.as_bytes().iter().all(is_printable) {
            self.add(key.as_str(), "must consist of printable ASCII characters");
        }
        Some((self.0.len() == violations).then_some(value))
    }
}

#[cfg(test)]
mod tests;
