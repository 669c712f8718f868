//! TLS towards callers: certificate, key and client roots, read anew when their files change.
//!
//! A broken new file keeps what is in use and says so; no connection is dropped for a new one.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::{self, NamePattern};
use super::metrics::Connections;
use crate::call::Identity;

mod error;
mod files;

pub use error::TlsError;

use files::{Files, Fingerprint, Loaded};

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How long a handshake may take.
const MAX_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client whose handshake failed has to read why, and to close.
const MAX_LINGER: Duration = Duration::from_secs(1);
/// How many bytes of such a client are read meanwhile.
const MAX_UNREAD: u64 = 64 * 1024;

/// How callers are to come in.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct TlsSettings {
    /// PEM file with the certificate chain to serve gRPC over TLS; read anew when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// PEM file with the roots of client certificates; every caller then needs one (mTLS)
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Names that a client certificate may have, DNS or URI such as
    /// spiffe://cluster.local/ns/*/sa/caller, where * stands for one label or path part; others get
    /// PERMISSION_DENIED. Separate several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub tls_client_allow: Vec<NamePattern>,
}

/// The files of a TLS server, and what was made of them last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Arc<Files>,
    /// What the files held before they were read for the first time.
    first: Arc<Fingerprint>,
    loaded: Arc<RwLock<Loaded>>,
    allow: Arc<[NamePattern]>,
}

impl Tls {
    /// Reads the files that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// [`TlsError`] when the settings contradict each other or a file cannot be used.
    pub fn load(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
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
        let first = Arc::new(files.fingerprint());
        let loaded = files.load()?;
        Ok(Some(Self {
            first,
            files: Arc::new(files),
            loaded: Arc::new(RwLock::new(loaded)),
            allow: settings.tls_client_allow.clone().into(),
        }))
    }

    /// Shakes hands with a client, and says who it is.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Identity)> {
        let config = self.loaded().config;
        let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
        let accepted = timeout(MAX_HANDSHAKE, accepting)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"))?;
        let stream = match accepted {
            Ok(stream) => stream,
            Err((error, refused)) => {
                linger(refused).await;
                return Err(error);
            }
        };
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        let identity = certificate.map(|certificate| admission::identity(certificate, &self.allow));
        Ok((stream, identity.unwrap_or_default()))
    }

    fn loaded(&self) -> Loaded {
        // It is replaced whole, so it is usable even after a panic.
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }

    /// Looks at the files now and then, until the future is dropped. `metrics` shows when what is in use
    /// ends.
    pub(super) async fn watch(&self, metrics: &Connections) {
        metrics.use_certificate(self.loaded().not_after);
        let mut in_use = Arc::clone(&self.first);
        let mut refused = None;
        loop {
            sleep(RELOAD_INTERVAL).await;
            let now = self.files.fingerprint();
            if now == *in_use {
                continue;
            }
            match self.files.load() {
                Ok(loaded) => {
                    metrics.use_certificate(loaded.not_after);
                    *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
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

/// Ends a connection after the alert that tells the client why. Closed with bytes unread, it would be reset,
/// which can cost the client the alert.
async fn linger(mut refused: TcpStream) {
    let reading = async {
        refused.shutdown().await?;
        tokio::io::copy(&mut refused.take(MAX_UNREAD), &mut tokio::io::sink()).await
    };
    // The client may go as it likes: the connection ends here in any case.
    let _ = timeout(MAX_LINGER, reading).await;
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

#[cfg(test)]
mod tests;
