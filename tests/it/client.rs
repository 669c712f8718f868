//! What `update` says of a façade that does not answer: whether there is one, whether both speak the same
//! language, and whether something may have changed.

use std::net::TcpListener as StdListener;
use std::process::{Output, Stdio};

use meeting_control::server::tls;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::kit::pki::Root;
use crate::kit::process::{Process, command};
use crate::kit::{Facade, MEETING, PATIENCE, Script, Settings, Step, TOKEN, eventually};

const DOUBT: &str = "the settings may have changed";

/// `update` towards an address, with more flags.
fn update(address: &str, more: &[&str]) -> Command {
    let mut update = Command::from(command(&["update", "--address", address]));
    update
        .args(["--conference-id", MEETING, "--lock-sharing", "locked"])
        .args(more)
        .env("MEETING_CONTROL_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    update
}

async fn ended(update: impl Future<Output = std::io::Result<Output>>) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, update).await.unwrap().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

#[tokio::test]
async fn a_call_that_never_reached_a_facade_says_why_and_raises_no_doubt() {
    let upstream = Script::start([Step::ok()]).await;
    let plain = Facade::over(&upstream.base).await;
    let root = Root::new();
    let files = root.issue("localhost");
    let settings = Settings {
        tls: tls::TlsSettings {
            tls_cert: Some(files.cert),
            tls_key: Some(files.key),
            ..tls::TlsSettings::default()
        },
        ..Settings::default()
    };
    let secure = Facade::with(&upstream.base, settings).await;
    let at = |facade: &Facade, scheme: &str| {
        let (_, port) = facade.address.rsplit_once(':').unwrap();
        format!("{scheme}://localhost:{port}")
    };
    let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr();
    let nobody = format!("http://{}", free.unwrap());
    let another = Root::new();
    let trusting = another.pem();
    for (address, more, expected) in [
        (nobody, vec![], "No façade answers at"),
        (at(&plain, "https"), vec![], "does not speak TLS"),
        (
            at(&secure, "http"),
            vec![],
            "does not speak HTTP/2 without TLS",
        ),
        (
            at(&secure, "https"),
            vec!["--ca", trusting.to_str().unwrap()],
            "is not trusted",
        ),
    ] {
        let (status, told) = ended(update(&address, &more).output()).await;
        assert_eq!(status, Some(78), "{told}");
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(!told.contains(DOUBT), "{told}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_facade_that_falls_silent_or_dies_leaves_doubt() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let (status, told) = ended(update(&address, &["--timeout", "1s"]).output()).await;
    assert_eq!(status, Some(68), "{told}");
    assert!(told.contains(DOUBT), "{told}");

    let upstream = Script::start([Step::Hang]).await;
    let process = Process::serve(&upstream.base, &[], &[]);
    let waiting = update(&format!("http://{}", process.grpc), &[]).spawn();
    let waiting = waiting.unwrap();
    eventually("the request arrives", || upstream.requests().len() == 1).await;
    process.signal("KILL");
    let (status, told) = ended(waiting.wait_with_output()).await;
    assert_eq!(status, Some(78), "{told}");
    assert!(told.contains(DOUBT), "{told}");
}
