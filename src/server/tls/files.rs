//! What the files hold: a configuration for handshakes, and until when it will do.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::error::TlsError;

/// What each file holds, hashed: one of them is a key.
pub(super) type Fingerprint = Vec<Option<u64>>;

/// The files that the settings name.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

/// What was made of the files.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    /// How to shake hands.
    pub(super) config: Arc<ServerConfig>,
    /// When the chain ends, its earliest certificate, in seconds since 1970; `None` when none says so.
    pub(super) not_after: Option<i64>,
}

impl Files {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] when a file cannot be used.
    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let chain = certificates("--tls-cert", &self.cert)?;
        let not_after = chain.iter().filter_map(not_after).min();
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| file("--tls-key", &self.key, error))?;
        let builder = ServerConfig::builder();
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates("--tls-client-ca", path)? {
                    roots
                        .add(root)
                        .map_err(|error| TlsError::Roots(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                    .build()
                    .map_err(|error| TlsError::Roots(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Loaded {
            config: Arc::new(config),
            not_after,
        })
    }

    /// What the files hold now; unreadable is a content of its own.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| std::fs::read(path).ok().map(hash))
            .collect()
    }
}

fn hash(content: Vec<u8>) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(flag, path, error))?;
    if certificates.is_empty() {
        return Err(file(flag, path, pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn file(flag: &'static str, path: &Path, source: pem::Error) -> TlsError {
    TlsError::File {
        flag,
        path: path.to_owned(),
        source,
    }
}

/// When a certificate ends, in seconds since 1970.
fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    i64::try_from(end.to_unix_duration().as_secs()).ok()
}
