use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use std::time::Duration;

use tokio::time::sleep;

use super::recipe::RENEWAL;
use super::*;
use crate::upstream::UpstreamSettings;
use crate::upstream::breaker::Breaker;

fn settings() -> UpstreamSettings {
    UpstreamSettings {
        upstream_ca: None,
        allow_plaintext_upstream: false,
        attempt_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        max_retries: 2,
        max_tokens: 0,
        unguarded: false,
    }
}

fn clients() -> (Clients, Renewal) {
    let base = "http://127.0.0.1:1".parse().unwrap();
    let (renewal, recipe) = Recipe::new(&base, &settings(), None, Breaker::for_tests()).unwrap();
    (Clients::new(recipe).unwrap(), renewal)
}

fn carried(clients: &Clients) -> Vec<usize> {
    clients.pool().clients.iter().map(calls).collect()
}

#[tokio::test]
async fn a_client_carries_so_many_calls_and_then_there_is_another() {
    let (clients, _renewal) = clients();
    let mut lent: Vec<_> = (0..MAX_CALLS).map(|_| clients.lend()).collect();
    assert_eq!(carried(&clients), [MAX_CALLS]);
    lent.push(clients.lend());
    lent.push(clients.lend());
    assert_eq!(carried(&clients), [MAX_CALLS, 2]);
    lent.swap_remove(0);
    lent.push(clients.lend());
    assert_eq!(
        carried(&clients),
        [MAX_CALLS, 2],
        "the first has room again"
    );
    drop(lent);
    assert_eq!(carried(&clients), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn clients_are_replaced_on_every_thread_while_calls_keep_theirs() {
    let (clients, renewal) = clients();
    let elsewhere = clients.for_thread().unwrap();
    tokio::spawn(renewal.run());
    for clients in [clients, elsewhere] {
        let lent = clients.lend();
        let replaced = async {
            while Arc::ptr_eq(&clients.lend(), &lent) {
                sleep(RENEWAL / 10).await;
            }
        };
        timeout(2 * RENEWAL, replaced).await.unwrap();
        assert_eq!(carried(&clients), [0]);
    }
}

/// A certificate that is its own root, in PEM, and a server that shows it.
fn server() -> (String, TlsAcceptor) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key);
    let pem = issued.cert.pem();
    (pem, TlsAcceptor::from(Arc::new(config.unwrap())))
}

/// Whether new clients would trust the server.
async fn trusts(recipe: &watch::Receiver<Recipe>, server: &TlsAcceptor) -> bool {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let connector = TlsConnector::from(Arc::new(recipe.borrow().tls.clone()));
    let name = ServerName::try_from("localhost").unwrap();
    let (trusted, _) = tokio::join!(connector.connect(name, ours), server.accept(theirs));
    trusted.is_ok()
}

#[tokio::test(start_paused = true)]
async fn roots_are_read_anew() {
    let ((one, of_one), (other, of_other)) = (server(), server());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, &one).unwrap();
    let settings = UpstreamSettings {
        upstream_ca: Some(file.path().to_owned()),
        ..settings()
    };
    let base = "https://localhost".parse().unwrap();
    let (renewal, mut recipe) = Recipe::new(&base, &settings, None, Breaker::for_tests()).unwrap();
    tokio::spawn(renewal.run());
    for (roots, trusted) in [
        (None, [true, false]),
        (Some(one.clone() + &other), [true, true]),
        (Some("broken".to_owned()), [true, true]),
        (Some(other), [false, true]),
    ] {
        if let Some(roots) = roots {
            std::fs::write(&file, roots).unwrap();
            let renewed = timeout(2 * RENEWAL, recipe.changed()).await;
            renewed.unwrap().unwrap();
        }
        assert_eq!(
            [
                trusts(&recipe, &of_one).await,
                trusts(&recipe, &of_other).await
            ],
            trusted
        );
    }
}

#[test]
fn roots_that_cannot_be_read_any_more_are_kept_and_that_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let root = rcgen::generate_simple_self_signed([]).unwrap().cert.pem();
    std::fs::write(&file, &root).unwrap();
    let settings = UpstreamSettings {
        upstream_ca: Some(file.path().to_owned()),
        ..settings()
    };
    let lines = crate::telemetry::tests::capture(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let base = "https://localhost".parse().unwrap();
            let (renewal, mut recipe) =
                Recipe::new(&base, &settings, None, Breaker::for_tests()).unwrap();
            tokio::spawn(renewal.run());
            for content in ["broken", &root] {
                std::fs::write(&file, content).unwrap();
                timeout(2 * RENEWAL, recipe.changed())
                    .await
                    .unwrap()
                    .unwrap();
            }
        });
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("the roots in use are kept"), "{lines:?}");
    assert!(lines[0].contains("--upstream-ca"), "{lines:?}");
}
