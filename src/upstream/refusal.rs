//! An HTTP answer that says no, and what it is understood by.

use std::time::Duration;

use tonic::Code;

use super::error_code::{self, Known, PasswordDoubt, Retry};
use crate::call::Outcome;

/// An HTTP answer that is not a success.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status; 2xx when the answer only looks like a success.
    pub status: u16,
    /// What it is understood by.
    pub basis: Basis,
    /// Whether it met a pooled connection that the peer was closing.
    pub stale: bool,
    /// Whether the settings may have changed in spite of it.
    pub in_doubt: bool,
    /// The vendor's error code, at most 64 visible ASCII characters.
    pub error_code: Option<String>,
    /// The vendor's text or symbol beside the code, at most 256 characters on one line.
    pub error_msg: Option<String>,
    /// The upstream's own id of the request.
    pub upstream_request_id: Option<String>,
    /// How long the upstream asks to wait.
    pub retry_after: Option<Duration>,
    /// Whose token the request carried, where it was obtained for a password.
    pub obtained: Option<Role>,
}

/// Whose password a token was obtained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The host's.
    Host,
    /// A guest's, who may do little.
    Guest,
}

/// What a [`Refusal`] is understood by.
#[derive(Debug, Clone, Copy)]
pub enum Basis {
    /// A code of the table.
    Code(&'static Known),
    /// The HTTP status, as no code of the table came with it.
    Status,
    /// A 2xx that is a page, such as one for logging in: it came from something else than the API.
    Page,
    /// A 2xx whose body cannot be read: whatever it says, it may say no.
    Unreadable,
    /// A 2xx that should hold a token, and holds none that can be used.
    NoToken,
}

impl Refusal {
    /// A refusal of which the HTTP status is all that is known.
    pub fn of_status(status: u16) -> Self {
        Self {
            status,
            basis: Basis::Status,
            stale: false,
            in_doubt: error_code::by_status(status).outcome == Outcome::Unknown,
            error_code: None,
            error_msg: None,
            upstream_request_id: None,
            retry_after: None,
            obtained: None,
        }
    }

    /// The row of the code table that explains the refusal's code.
    pub fn known(&self) -> Option<&'static Known> {
        match self.basis {
            Basis::Code(known) => Some(known),
            Basis::Status | Basis::Page | Basis::Unreadable | Basis::NoToken => None,
        }
    }

    /// The gRPC code: by the vendor's code first, by HTTP status second.
    pub fn grpc_code(&self) -> Code {
        match self.known() {
            Some(known) => known.grpc,
            None => error_code::by_status(self.status).grpc,
        }
    }

    /// Whether a change was refused because its token is no longer good.
    pub fn rejects_token(&self) -> bool {
        let by_code = self.known().is_some_and(|known| known.rejects_token);
        by_code || error_code::by_status(self.status).rejects_credential
    }

    /// What the refusal of a token says of the password.
    pub fn password_doubt(&self) -> PasswordDoubt {
        match self.known() {
            Some(known) => known.password,
            None if error_code::by_status(self.status).rejects_credential => PasswordDoubt::Wrong,
            None => PasswordDoubt::None,
        }
    }

    /// Whether the settings may have changed in spite of the refusal.
    pub fn outcome(&self) -> Outcome {
        if self.in_doubt {
            Outcome::Unknown
        } else {
            Outcome::NotApplied
        }
    }

    /// Whether asking again can help. A code that allows one more try allows several where the
    /// status says that the trouble is passing.
    pub fn retry(&self) -> Retry {
        let by_status = error_code::by_status(self.status).retry;
        match self.known().map(|known| known.retry) {
            None | Some(Retry::Once) if by_status == Retry::Backoff => Retry::Backoff,
            None => by_status,
            Some(by_code) => by_code,
        }
    }
}
