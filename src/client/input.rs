//! What the command line and the environment name is read: secrets, certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};

use crate::names::{AUTHORIZATION, PASSWORD, PASSWORD_VARIABLE, TOKEN_VARIABLE};

/// How much of a file is read: a secret, or a few certificates.
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

/// A secret, and the metadata key under which it is sent.
type Credential = (&'static str, MetadataValue<Ascii>);

/// The token or the password from its file, else all that the environment has; with none, or with both, it is left
/// to the façade to complain.
pub(super) fn read_credentials(
    (token, password): (&Option<PathBuf>, &Option<PathBuf>),
) -> Result<Vec<Credential>, Misuse> {
    let (token_key, password_key) = (AUTHORIZATION.as_str(), PASSWORD.as_str());
    if let Some(path) = token {
        return Ok(vec![(token_key, from_file("--token-file", path)?)]);
    }
    if let Some(path) = password {
        return Ok(vec![(password_key, from_file("--password-file", path)?)]);
    }
    let mut found = Vec::new();
    for (key, variable) in [
        (token_key, TOKEN_VARIABLE),
        (password_key, PASSWORD_VARIABLE),
    ] {
        #[allow(
            clippy::disallowed_methods,
            reason = "a secret is no flag: it would show in the list of processes"
        )]
        if let Ok(text) = std::env::var(variable) {
            found.push((key, secret(variable, &text)?));
        }
    }
    Ok(found)
}

fn from_file(flag: &str, path: &Path) -> Result<MetadataValue<Ascii>, Misuse> {
    let text = read_small(path)
        .map_err(|error| Misuse::new(format!("{flag}: cannot read {}: {error}", path.display())))?;
    secret(flag, &text)
}

fn secret(source: &str, text: &str) -> Result<MetadataValue<Ascii>, Misuse> {
    let mut secret = MetadataValue::try_from(text.trim()).map_err(|_| {
        Misuse::new(format!(
            "{source}: it holds characters that no header may carry"
        ))
    })?;
    secret.set_sensitive(true);
    Ok(secret)
}

/// A small file, whole.
pub(super) fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}
