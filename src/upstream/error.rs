//! Why the upstream did not do what it was asked, by phase: not sent, no answer, refused.

use std::sync::Arc;
use std::time::Duration;

use super::error_code::{PasswordDoubt, Retry};
use super::gate::Progress;
use super::refusal::{Refusal, Role};
use crate::call::Outcome;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A call to the REST API that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host name could not be resolved. Nothing was sent.
    #[error("the upstream's name was not found")]
    NameNotFound(#[source] Source),
    /// No connection could be made. Nothing was sent.
    #[error("no connection to the upstream")]
    ConnectFailed(#[source] Source),
    /// The connection was not up in time. Nothing was sent.
    #[error("connecting to the upstream took too long")]
    ConnectTimedOut(#[source] Source),
    /// The proxy on the way refused to let calls through. Nothing was sent.
    #[error("the proxy does not let calls through to the upstream")]
    ProxyRefused(#[source] Source),
    /// The TLS handshake failed, or the certificate is not trusted. Nothing was sent.
    #[error("no TLS with the upstream")]
    TlsFailed(#[source] Source),
    /// The connection broke before the whole answer had arrived.
    #[error("the connection to the upstream was lost")]
    ConnectionLost {
        /// What broke it.
        source: Source,
        /// How far the attempt had come.
        progress: Progress,
        /// The connection had served before, and no answer came: it may well have been closed while it
        /// lay idle.
        stale: bool,
    },
    /// The upstream closed the connection and said that it had not processed the request.
    #[error("the upstream did not take the request on")]
    NotTaken {
        /// What the connection said.
        source: Source,
        /// The connection had served before, so it may well have been closed while it lay idle.
        stale: bool,
    },
    /// What came back is not HTTP.
    #[error("the upstream's answer is not HTTP")]
    NotHttp(#[source] Source),
    /// An attempt got no answer within its limit.
    #[error("no answer within the attempt limit of {limit:?}")]
    AttemptTimedOut {
        /// The limit of the attempt.
        limit: Duration,
        /// How far the attempt had come.
        progress: Progress,
    },
    /// The call as a whole ran out of time.
    #[error("no answer within the deadline of {allowed:?}")]
    DeadlineExceeded {
        /// The time that the call had.
        allowed: Duration,
        /// How far the attempt had come.
        progress: Progress,
    },
    /// The upstream could not be reached for a while, so nothing was sent. It is tried again in so long.
    #[error("the upstream is known to be down")]
    KnownDown(Duration),
    /// The upstream answered, and said no.
    #[error("the upstream refused: HTTP {}", .0.status)]
    Refused(Box<Refusal>),
    /// No token could be obtained for the caller's password, so nothing was sent. Several calls may have
    /// waited for it.
    #[error("no token was obtained")]
    NoToken(#[source] Arc<UpstreamError>),
    /// Tokens were issued, and each was over, or rejected elsewhere, before it could be sent.
    #[error("no token could be used")]
    TokensUnusable,
    /// A token was not even asked for.
    #[error("no token was asked for: {0}")]
    Withheld(Withheld),
}

/// Why a token is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// No passwords are taken here.
    #[error("passwords are not taken")]
    PasswordsOff,
    /// The caller has sent too many wrong passwords; after so long, it may send another.
    #[error("too many wrong passwords")]
    TooManyPasswords(Duration),
    /// Too many other passwords of the caller are being judged, and none was until the deadline.
    #[error("too many passwords are being judged")]
    NoPlace,
    /// Too many tokens are being obtained.
    #[error("too many tokens are being obtained")]
    Busy,
    /// The task that was to obtain it has ended without a word: a bug, or the end of its thread.
    #[error("its task has ended")]
    TaskLost,
}

impl UpstreamError {
    /// What this failure alone says about the settings.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NameNotFound(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimedOut(_)
            | Self::ProxyRefused(_)
            | Self::TlsFailed(_)
            | Self::NotTaken { .. }
            | Self::KnownDown(_)
            | Self::NoToken(_)
            | Self::TokensUnusable
            | Self::Withheld(_) => Outcome::NotApplied,
            Self::NotHttp(_) => Outcome::Unknown,
            Self::ConnectionLost { progress, .. }
            | Self::AttemptTimedOut { progress, .. }
            | Self::DeadlineExceeded { progress, .. } => match progress {
                Progress::NotSent => Outcome::NotApplied,
                Progress::Sent | Progress::Answered => Outcome::Unknown,
            },
            Self::Refused(refusal) => refusal.outcome(),
        }
    }

    /// Whether the attempt met a pooled connection that the peer had closed.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::ConnectionLost { stale, .. } | Self::NotTaken { stale, .. } => *stale,
            Self::Refused(refusal) => refusal.stale,
            _ => false,
        }
    }

    /// What a failure to obtain a token says of the password.
    pub fn password_doubt(&self) -> PasswordDoubt {
        match self {
            Self::NoToken(error) => error.password_doubt(),
            Self::Refused(refusal) => refusal.password_doubt(),
            _ => PasswordDoubt::None,
        }
    }

    /// Whether it is the token, obtained for the caller, that the upstream did not accept.
    pub fn rejects_token(&self) -> bool {
        self.refusal().is_some_and(Refusal::rejects_token)
    }

    /// Whether time ran out for the call as a whole.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::DeadlineExceeded { .. })
    }

    /// Whether the upstream refused to give a token.
    pub fn is_refused_token(&self) -> bool {
        matches!(self, Self::NoToken(error) if error.refusal().is_some())
    }

    /// What to tell of a call that cannot go on because of this: as a rule the failure before says more.
    #[must_use]
    pub fn after(self, previous: Option<Self>) -> Self {
        match previous {
            // A rejected token was to be replaced, and this is why it was not.
            Some(failure) if !failure.rejects_token() && !self.is_refused_token() => failure,
            _ => self,
        }
    }

    /// The failure of an attempt whose token was obtained for a password with that role, if it was.
    #[must_use]
    pub fn after_token(mut self, role: Option<Role>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.obtained = role;
        }
        self
    }

    /// Whether asking again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NameNotFound(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimedOut(_)
            | Self::ConnectionLost { .. }
            | Self::NotTaken { .. }
            | Self::AttemptTimedOut { .. } => Retry::Backoff,
            Self::ProxyRefused(_)
            | Self::TlsFailed(_)
            | Self::NotHttp(_)
            | Self::DeadlineExceeded { .. }
            | Self::KnownDown(_)
            | Self::NoToken(_)
            | Self::TokensUnusable
            | Self::Withheld(_) => Retry::Never,
            Self::Refused(refusal) => refusal.retry(),
        }
    }

    /// The refusal behind this failure, if the upstream answered at all.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
