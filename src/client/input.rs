//! What the command line names is read: secrets, certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

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

/// A small file, whole.
pub(super) fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}
