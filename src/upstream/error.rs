//! Why the upstream did not do what it was asked, by phase: not sent, no answer, refused.

use std::time::Duration;

use tonic::Code;

use super::error_code::{self, Known, Retry};
use super::gate::Progress;
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
}

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
}

impl UpstreamError {
    /// What this failure alone says about the settings.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NameNotFound(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimedOut(_)
            | Self::TlsFailed(_)
            | Self::NotTaken { .. }
            | Self::KnownDown(_) => Outcome::NotApplied,
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

    /// Whether asking again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NameNotFound(_)
            | Self::ConnectFailed(_)
            | Self::ConnectTimedOut(_)
            | Self::ConnectionLost { .. }
            | Self::NotTaken { .. }
            | Self::AttemptTimedOut { .. } => Retry::Backoff,
            Self::TlsFailed(_)
            | Self::NotHttp(_)
            | Self::DeadlineExceeded { .. }
            | Self::KnownDown(_) => Retry::Never,
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
        }
    }

    /// The row of the code table that explains the refusal's code.
    pub fn known(&self) -> Option<&'static Known> {
        match self.basis {
            Basis::Code(known) => Some(known),
            Basis::Status | Basis::Page | Basis::Unreadable => None,
        }
    }

    /// The gRPC code: by the vendor's code first, by HTTP status second.
    pub fn grpc_code(&self) -> Code {
        match self.known() {
            Some(known) => known.grpc,
            None => error_code::by_status(self.status).grpc,
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
