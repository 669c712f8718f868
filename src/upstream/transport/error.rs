//! Why the way to the upstream cannot be prepared.

use std::io;
use std::path::PathBuf;

use crate::causes::causes;
use crate::upstream::egress::BadVariable;

/// The settings for the upstream cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Secrets would cross a network in clear.
    #[error(
        "--upstream is plain http:// to another machine, which would send tokens and passwords \
         in clear; use https:// or give --allow-plaintext-upstream"
    )]
    Plaintext,
    /// The file with extra roots cannot be read.
    #[error("--upstream-ca: cannot read {path}: {source}", path = .0.display(), source = .1)]
    UnreadableRoots(PathBuf, #[source] io::Error),
    /// The file with extra roots holds none.
    #[error("--upstream-ca: {path} holds no PEM certificate that can be used", path = .0.display())]
    NoRoots(PathBuf),
    /// No root can be used.
    #[error(
        "no TLS towards the upstream: {0}; --upstream-ca or SSL_CERT_FILE name root certificates"
    )]
    Tls(#[source] rustls::Error),
    /// A variable asks for a proxy that cannot work.
    #[error(transparent)]
    Proxy(#[from] BadVariable),
    /// The system has no random numbers, which tokens are kept by.
    #[error("the system has no random numbers")]
    NoRandomNumbers,
    /// The HTTP client cannot start.
    #[error("the HTTP client cannot start: {}", causes(.0))]
    Client(#[source] reqwest::Error),
}
