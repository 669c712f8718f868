//! What gives a REST call its right.

use http::{HeaderName, HeaderValue};

use crate::command::Credential;
use crate::names::{AUTHORIZATION, UPSTREAM_PASSWORD};
use crate::secret::{ControlToken, Password, Secrets};

/// What gives a REST call its right, over all its attempts.
pub(super) enum Authority {
    /// Every attempt shows the same.
    Pass(Pass),
    /// A token for the password of this meeting, looked up anew for each attempt.
    TokenFor(Password, String),
}

/// What one attempt shows the upstream as its right.
#[derive(Debug, Clone)]
pub enum Pass {
    /// The control token that the caller brought.
    Token(ControlToken),
    /// One that was obtained for this password.
    Obtained(ControlToken, Password),
    /// The host password, to obtain a token for it.
    Password(Password),
}

impl Authority {
    /// Of a change of that meeting, by what its caller sent.
    pub(super) fn of(credential: Credential, conference_id: String) -> Self {
        match credential {
            Credential::Token(token) => Self::Pass(Pass::Token(token)),
            Credential::Password(password) => Self::TokenFor(password, conference_id),
        }
    }
}

impl Pass {
    /// Where it stands in a request; marked sensitive.
    pub(super) fn header(&self) -> (HeaderName, HeaderValue) {
        match self {
            Self::Token(token) | Self::Obtained(token, _) => {
                (AUTHORIZATION.clone(), token.to_header())
            }
            Self::Password(password) => (UPSTREAM_PASSWORD.clone(), password.to_header()),
        }
    }

    /// What the answer must not hand on.
    pub fn secrets(&self) -> Secrets<'_> {
        match self {
            Self::Token(token) => Secrets {
                token: Some(token),
                password: None,
            },
            Self::Obtained(token, password) => Secrets {
                token: Some(token),
                password: Some(password),
            },
            Self::Password(password) => Secrets {
                token: None,
                password: Some(password),
            },
        }
    }
}
