use std::path::Path;

use clap::Parser as _;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::telemetry::tests::capture;

fn settings(flags: &[&str]) -> FacadeSettings {
    #[derive(clap::Parser)]
    struct Serve {
        #[command(flatten)]
        settings: FacadeSettings,
    }
    let mut settings = Serve::parse_from([&["serve"], flags].concat()).settings;
    settings.threads = 4;
    settings
}

/// A certificate and its key.
fn write(folder: &Path) {
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key"), key.serialize_pem()).unwrap();
}

#[test]
fn passwords_that_may_come_in_clear_from_elsewhere_are_warned_of_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert"), path("key"));
    let everywhere = ["--listen", "[::]:50051"];
    for (flags, warnings) in [
        (everywhere.to_vec(), 1),
        (vec!["--listen", "192.0.2.1:50051"], 1),
        (vec!["--listen", "127.0.0.1:50051"], 0),
        (vec!["--listen", "[::1]:50051"], 0),
        (vec!["--listen", "[::ffff:127.0.0.1]:50051"], 0),
        ([&everywhere[..], &["--max-tokens", "0"]].concat(), 0),
        (
            [&everywhere[..], &["--tls-cert", &cert, "--tls-key", &key]].concat(),
            0,
        ),
    ] {
        let settings = settings(&flags);
        let lines = capture(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _within = runtime.enter();
            Facade::new(&"http://127.0.0.1:1".parse().unwrap(), settings).unwrap();
        });
        let told = lines.iter().filter(|line| line.contains("over plaintext"));
        assert_eq!(told.count(), warnings, "{flags:?} {lines:?}");
    }
}
