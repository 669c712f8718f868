//! A root, and certificates of its making, in files of their own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;

/// A root certificate and the folder where its certificates lie.
pub struct Root {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, in two PEM files.
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Root {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            folder: TempDir::new().unwrap(),
        };
        std::fs::write(root.pem(), root.issuer.pem()).unwrap();
        root
    }

    /// The root itself.
    pub fn pem(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Makes a certificate with a name, a URI if it looks like one.
    pub fn issue(&self, name: &str) -> Files {
        let own = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let own = self.folder.path().join(own);
        std::fs::create_dir_all(&own).unwrap();
        let files = Files {
            cert: own.join("cert.pem"),
            key: own.join("key.pem"),
        };
        self.issue_into(name, &files.cert, &files.key);
        files
    }

    /// Makes a certificate with a URI, whatever it looks like.
    pub fn issue_uri(&self, name: &str) -> Files {
        let files = self.issue(name);
        self.sign(
            SanType::URI(name.try_into().unwrap()),
            &files.cert,
            &files.key,
        );
        files
    }

    /// Makes a certificate, in place of what lies at the two paths.
    pub fn issue_into(&self, name: &str, cert: &Path, key: &Path) {
        let name = if name.contains("://") {
            SanType::URI(name.try_into().unwrap())
        } else {
            SanType::DnsName(name.try_into().unwrap())
        };
        self.sign(name, cert, key);
    }

    fn sign(&self, name: SanType, cert: &Path, key: &Path) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let pair = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        std::fs::write(cert, certificate.pem()).unwrap();
        std::fs::write(key, pair.serialize_pem()).unwrap();
    }
}
