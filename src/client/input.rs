//! What the command line and the environment name is read: tokens, certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use tonic::metadata::{Ascii, MetadataValue};

use crate::names::TOKEN_VARIABLE;

/// How much of a file is read: a token, or a few certificates.
const MAX_FILE: u64 = 1024 * 1024;

/// The command line asks for something impossible.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(String);

impl Misuse {
    /// `message` says what is impossible, and names the flag.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The token from the file, else from the environment; `None` leaves it to the façade to complain.
pub(super) fn read_token(file: Option<&Path>) -> Result<Option<MetadataValue<Ascii>>, Misuse> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a token is no flag: it would show in the list of processes"
    )]
    let from_environment = || std::env::var(TOKEN_VARIABLE).ok();
    let text = match file {
        Some(path) => Some(read_small(path).map_err(|error| {
            Misuse::new(format!(
                "--token-file: cannot read {}: {error}",
                path.display()
            ))
        })?),
        None => from_environment(),
    };
    let Some(text) = text else { return Ok(None) };
    let mut token = MetadataValue::try_from(text.trim())
        .map_err(|_| Misuse::new("the token holds characters that no header may carry"))?;
    token.set_sensitive(true);
    Ok(Some(token))
}

/// A small file, whole.
pub(super) fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}
