//! The secrets that come with a request, and how they are kept out of everything but the REST call.

use std::borrow::Cow;

mod password;
mod redaction;
mod token;

pub use password::Password;
pub use redaction::REDACTED;
pub use token::ControlToken;

/// The secrets behind a REST call: an answer may quote them, and nobody else is to see them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Secrets<'a> {
    /// The control token that the call carries.
    pub token: Option<&'a ControlToken>,
    /// The password that it carries, or that its token was obtained for.
    pub password: Option<&'a Password>,
}

impl Secrets<'_> {
    /// The token alone.
    #[must_use]
    pub fn without_password(self) -> Self {
        Self {
            password: None,
            ..self
        }
    }

    /// Takes them out of a text that the upstream wrote, in each spelling they may have there.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = match self.token {
            Some(token) => token.redact(text),
            None => Cow::Borrowed(text),
        };
        match self.password {
            Some(password) => Cow::Owned(password.redact(&text).into_owned()),
            None => text,
        }
    }
}
