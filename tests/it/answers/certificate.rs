//! An upstream that takes no request from whom it does not know.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::case::on_one_thread;
use crate::kit::pki::Root;
use crate::kit::{Facade, Failure, MEETING};

/// With TLS 1.3, the upstream says so when the client thinks that the handshake is over.
#[tokio::test]
async fn an_upstream_that_wants_a_client_certificate_has_not_read_the_request() {
    for protocol in ["h2", "http/1.1"] {
        let root = Root::new();
        let base = wanting_a_certificate(&root, protocol).await;
        let mut settings = on_one_thread();
        settings.upstream.upstream_ca = Some(root.pem());
        let facade = Facade::with(&base, settings).await;
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        assert_eq!(
            (
                failure.reason.as_str(),
                failure.outcome(),
                failure.attempts()
            ),
            ("UPSTREAM_TLS_FAILED", "not_applied", 1),
            "{protocol}"
        );
    }
}

async fn wanting_a_certificate(root: &Root, protocol: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root.pem()).unwrap())
        .unwrap();
    let files = root.issue("localhost");
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(files.cert).unwrap()],
            PrivateKeyDer::from_pem_file(files.key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![protocol.into()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let accepting = acceptor.accept(stream).into_fallible();
            tokio::spawn(async move {
                let (_, mut stream) = accepting.await.unwrap_err();
                // What is left unread would have the alert lost on its way.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    base
}
