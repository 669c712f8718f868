//! TLS towards callers: certificate, key and client roots, read anew when their files change.
//!
//! A broken new file keeps what is in use and says so; no connection is dropped for a new one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::{self, NamePattern};
use crate::call::Peer;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How callers are to come in.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// PEM file with the certificate chain to serve gRPC over TLS; read anew when it changes
    #[arg(long, env = "MEETING_CONTROL_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, env = "MEETING_CONTROL_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// PEM file with the roots of client certificates; every caller then needs one (mTLS)
    #[arg(long, env = "MEETING_CONTROL_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Names that a client certificate may have, DNS or URI such as
    /// spiffe://cluster.local/ns/*/sa/caller, where * stands for one label or path part; others get
    /// PERMISSION_DENIED. Separate several with commas
    #[arg(
        long,
        env = "MEETING_CONTROL_TLS_CLIENT_ALLOW",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub tls_client_allow: Vec<NamePattern>,
}

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

/// The files of a TLS server, and what was made of them last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Arc<Files>,
    /// What the files held before they were read for the first time.
    loaded: Arc<Fingerprint>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
    allow: Arc<[NamePattern]>,
}

/// What each file holds, hashed: one of them is a key.
type Fingerprint = Vec<Option<u64>>;

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Tls {
    /// Reads the files that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// [`TlsError`] when the settings contradict each other or a file cannot be used.
    pub fn load(settings: &Settings) -> Result<Option<Self>, TlsError> {
        if !settings.tls_client_allow.is_empty() && settings.tls_client_ca.is_none() {
            return Err(TlsError::NamesWithoutRoots);
        }
        let (cert, key) = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) if settings.tls_client_ca.is_some() => {
                return Err(TlsError::RootsWithoutTls);
            }
            (None, None) => return Ok(None),
            _ => return Err(TlsError::HalfAPair),
        };
        let files = Files {
            cert,
            key,
            client_ca: settings.tls_client_ca.clone(),
        };
        let loaded = Arc::new(files.fingerprint());
        let config = Arc::new(files.config()?);
        Ok(Some(Self {
            loaded,
            files: Arc::new(files),
            config: Arc::new(RwLock::new(config)),
            allow: settings.tls_client_allow.clone().into(),
        }))
    }

    /// Shakes hands with a client, and says who it is.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Peer)> {
        let config = {
            // A configuration is replaced whole, so it is usable even after a panic.
            let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&config)
        };
        let stream = timeout(HANDSHAKE_LIMIT, TlsAcceptor::from(config).accept(stream))
            .await
            .map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")
            })??;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        let peer = match certificate {
            Some(certificate) => admission::peer(certificate, &self.allow),
            None => Peer::anonymous(),
        };
        Ok((stream, peer))
    }

    /// Looks at the files now and then, until the future is dropped.
    pub(super) async fn watch(self) {
        let mut in_use = Arc::clone(&self.loaded);
        let mut refused = None;
        loop {
            sleep(RELOAD_INTERVAL).await;
            let now = self.files.fingerprint();
            if now == *in_use {
                continue;
            }
            match self.files.config() {
                Ok(config) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    in_use = Arc::new(now);
                    tracing::info!("the new TLS files are in use");
                }
                // Tried again each time, for it may pass; told once for each content.
                Err(error) if refused.as_ref() != Some(&now) => {
                    tracing::error!(
                        cause = %error,
                        "the new TLS files cannot be used; the old ones are kept",
                    );
                    refused = Some(now);
                }
                Err(_) => {}
            }
        }
    }
}

impl Files {
    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates("--tls-cert", &self.cert)?;
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
        Ok(config)
    }

    /// What the files hold now; unreadable is a content of its own.
    fn fingerprint(&self) -> Fingerprint {
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

/// Why a handshake failed, in words for whoever reads the log.
pub(super) fn explain(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let hint = match cause {
        Some(rustls::Error::PeerIncompatible(_)) => "the client offers no TLS 1.2 or newer: ",
        Some(rustls::Error::InvalidMessage(_)) => "the client does not speak TLS: ",
        Some(rustls::Error::NoCertificatesPresented) => "the client has no certificate: ",
        Some(rustls::Error::InvalidCertificate(_)) => "the client's certificate is not trusted: ",
        _ => "",
    };
    format!("{hint}{error}")
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

#[cfg(test)]
mod tests;
