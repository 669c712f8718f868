use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::telemetry::metrics::Metrics;

/// 2100-01-01T00:00:00Z.
const END: i64 = 4_102_444_800;

fn write(folder: &Path) {
    write_until(folder, 2100);
}

/// A certificate that ends with the first day of `year`.
fn write_until(folder: &Path, year: i32) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key"), key.serialize_pem()).unwrap();
}

fn settings(folder: &Path) -> TlsSettings {
    TlsSettings {
        tls_cert: Some(folder.join("cert")),
        tls_key: Some(folder.join("key")),
        ..TlsSettings::default()
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let whole = settings(folder.path());
    let root = Some(folder.path().join("cert"));
    let nowhere = Some(folder.path().join("nowhere"));
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    for (settings, named) in [
        (
            TlsSettings {
                tls_key: None,
                ..whole.clone()
            },
            "--tls-cert and --tls-key",
        ),
        (
            TlsSettings {
                tls_cert: None,
                ..whole.clone()
            },
            "--tls-cert and --tls-key",
        ),
        (
            TlsSettings {
                tls_cert: nowhere,
                ..whole.clone()
            },
            "--tls-cert",
        ),
        (
            TlsSettings {
                tls_cert: Some(empty.clone()),
                ..whole.clone()
            },
            "--tls-cert",
        ),
        (
            TlsSettings {
                tls_key: root.clone(),
                ..whole.clone()
            },
            "--tls-key",
        ),
        (
            TlsSettings {
                tls_client_ca: Some(empty),
                ..whole.clone()
            },
            "--tls-client-ca",
        ),
        (
            TlsSettings {
                tls_client_ca: root,
                ..TlsSettings::default()
            },
            "--tls-client-ca",
        ),
        (
            TlsSettings {
                tls_client_allow: vec!["a.b".parse().unwrap()],
                ..whole
            },
            "--tls-client-allow",
        ),
    ] {
        let error = Tls::load(&settings).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
    assert!(Tls::load(&TlsSettings::default()).unwrap().is_none());
}

#[test]
fn a_broken_new_file_keeps_the_old_one_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let tls = Tls::load(&settings(folder.path())).unwrap().unwrap();
    let in_use = || tls.loaded().config;
    let mut metrics = Metrics::default();
    let connections = Connections::register(metrics.registry());
    let ends = |at: i64| {
        let line = format!("_not_after_timestamp_seconds {at}\n");
        metrics.page().contains(&line)
    };
    let first = in_use();
    let lines = crate::telemetry::tests::capture(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let watching = tls.watch(&connections);
            let changes = async {
                sleep(RELOAD_INTERVAL / 2).await;
                std::fs::write(folder.path().join("cert"), "broken").unwrap();
                sleep(3 * RELOAD_INTERVAL).await;
                assert!(Arc::ptr_eq(&first, &in_use()), "the old one is kept");
                assert!(ends(END), "{}", metrics.page());
                write_until(folder.path(), 2101);
                sleep(2 * RELOAD_INTERVAL).await;
            };
            tokio::select! {
                () = watching => {}
                () = changes => {}
            }
        });
    });
    assert!(
        !Arc::ptr_eq(&first, &in_use()),
        "the repaired one is in use"
    );
    assert!(ends(END + 365 * 24 * 60 * 60), "{}", metrics.page());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("the old ones are kept"), "{lines:?}");
    assert!(lines[1].contains("in use"), "{lines:?}");
}

#[test]
fn a_failed_handshake_is_explained_in_words_for_the_log() {
    use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible};

    for (cause, words) in [
        (
            Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired),
            "TLS 1.2",
        ),
        (
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "does not speak TLS",
        ),
        (Error::NoCertificatesPresented, "no certificate"),
        (
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            "not trusted",
        ),
    ] {
        let text = explain(&io::Error::new(io::ErrorKind::InvalidData, cause));
        assert!(text.contains(words), "{text}");
    }
    let other = io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
    assert_eq!(explain(&other), "the handshake took too long");
}
