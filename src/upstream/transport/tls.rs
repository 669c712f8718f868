//! Whom to trust: the system's roots, and those of a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::error::SetupError;
use crate::upstream::address::BaseUrl;
use crate::upstream::settings::UpstreamSettings;

/// Where the roots are.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    /// With roots to trust beside the system's.
    file: Option<PathBuf>,
    /// Those of the system are left out: reading them takes time, and a bare image has none.
    file_alone: bool,
}

impl Roots {
    pub(super) fn new(base: &BaseUrl, settings: &UpstreamSettings) -> Self {
        Self {
            file: settings.upstream_ca.clone(),
            file_alone: base.is_plaintext(),
        }
    }
}

/// Reads the roots. The result offers HTTP/2 and HTTP/1.1, over TLS 1.2 or newer.
///
/// # Errors
/// [`SetupError`] when the file cannot be used, or there is no root at all.
pub(super) fn config(roots: &Roots) -> Result<ClientConfig, SetupError> {
    let extra = match &roots.file {
        Some(file) => read(file)?,
        None => Vec::new(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    let mut config = if roots.file_alone {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(extra);
        builder.with_root_certificates(store).with_no_client_auth()
    } else {
        let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(SetupError::Tls)?;
        builder
            // How rustls calls any verifier that is not its own; this one checks everything.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The roots in a file.
///
/// # Errors
/// [`SetupError`] when it cannot be read, or holds none or what is no certificate.
pub(super) fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let none = || SetupError::NoRoots(file.to_owned());
    let roots = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| match error {
            pem::Error::Io(error) => SetupError::UnreadableRoots(file.to_owned(), error),
            _ => none(),
        })?;
    let mut store = RootCertStore::empty();
    for root in &roots {
        store.add(root.clone()).map_err(|_| none())?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    Ok(roots)
}
