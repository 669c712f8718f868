//! Certificates for both sides, in one folder: a root, a server's and a client's.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Failure;

/// The name in the servers' certificate.
pub const NAME: &str = "localhost";

pub const ROOT: &str = "root.pem";
pub const SERVER: &str = "server.pem";
pub const SERVER_KEY: &str = "server.key";
const CLIENT: &str = "client.pem";
const CLIENT_KEY: &str = "client.key";

/// Makes all files anew.
pub fn make(folder: &Path) -> Result<(), Failure> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Envoy takes a certificate for its own issuer where the two have the same name.
    params.distinguished_name.push(DnType::CommonName, "root");
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(ROOT), root.pem())?;
    for (names, certificate, key) in [
        ([NAME, "127.0.0.1"].as_slice(), SERVER, SERVER_KEY),
        (["caller"].as_slice(), CLIENT, CLIENT_KEY),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, certificate);
        fs::write(
            folder.join(certificate),
            params.signed_by(&pair, &root)?.pem(),
        )?;
        fs::write(folder.join(key), pair.serialize_pem())?;
    }
    Ok(())
}

/// TLS of the stand-in for the REST API, with HTTP/2 or HTTP/1.1 alone.
pub fn server(folder: &Path, http2: bool) -> Result<ServerConfig, Failure> {
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(folder.join(SERVER))?],
            PrivateKeyDer::from_pem_file(folder.join(SERVER_KEY))?,
        )?;
    if http2 {
        config.alpn_protocols.push(b"h2".into());
    }
    config.alpn_protocols.push(b"http/1.1".into());
    Ok(config)
}

/// TLS of a caller, with its certificate.
pub fn client(folder: &Path) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(ROOT))?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::new(roots))
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(folder.join(CLIENT))?],
            PrivateKeyDer::from_pem_file(folder.join(CLIENT_KEY))?,
        )?;
    config.alpn_protocols.push(b"h2".into());
    Ok(config)
}
