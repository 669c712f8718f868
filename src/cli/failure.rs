//! Why a command ended without success, and the exit status that says so.

use std::process::ExitCode;

use super::signals::Interrupted;
use crate::facade::FacadeError;
use crate::print;

/// Exit status for a mistake in the settings, and base of the exit statuses of `update`.
pub const EXIT_USAGE: u8 = 64;

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Setting(String),
    #[error("{0}")]
    Run(String),
}

impl From<FacadeError> for Failure {
    fn from(error: FacadeError) -> Self {
        match error {
            FacadeError::Upstream(_) | FacadeError::Tls(_) | FacadeError::Environment(_) => {
                Self::Setting(error.to_string())
            }
            FacadeError::Reflection(_) => Self::Run(error.to_string()),
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Self {
        Self::Run("stopped at once by a second signal".to_owned())
    }
}

impl Failure {
    /// Whatever keeps a server from starting or going on.
    pub(super) fn run(error: impl std::error::Error) -> Self {
        Self::Run(error.to_string())
    }

    /// The system refuses signals.
    pub(super) fn no_signals(error: std::io::Error) -> Self {
        Self::Run(format!("signals cannot be received: {error}"))
    }

    /// Says what is wrong. Returns the exit status.
    pub(super) fn report(&self) -> ExitCode {
        print::error_line(&format!("error: {self}"));
        match self {
            Self::Setting(_) => ExitCode::from(EXIT_USAGE),
            Self::Run(_) => ExitCode::FAILURE,
        }
    }
}
