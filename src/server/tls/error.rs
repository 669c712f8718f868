//! Why callers cannot be served over TLS.

use std::path::PathBuf;

use rustls::pki_types::pem;

/// The settings for TLS cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two files is missing from the settings.
    #[error("--tls-cert and --tls-key belong together; give both or neither")]
    HalfAPair,
    /// Client certificates need TLS.
    #[error("--tls-client-ca needs --tls-cert and --tls-key")]
    RootsWithoutTls,
    /// Names can only be checked on certificates.
    #[error("--tls-client-allow needs --tls-client-ca")]
    NamesWithoutRoots,
    /// A file cannot be read, or holds nothing of its kind.
    #[error("{flag}: {path} cannot be used: {source}", path = path.display())]
    File {
        /// The flag that names the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate and the key cannot be used together.
    #[error("--tls-cert and --tls-key cannot be used: {0}")]
    Certificate(#[source] rustls::Error),
    /// No client certificate could be checked with these roots.
    #[error("--tls-client-ca cannot be used: {0}")]
    Roots(String),
}
