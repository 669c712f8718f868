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

/// Which credential the upstream saw first.
fn sent(upstream: &Script) -> String {
    let request = &upstream.requests()[0];
    let header = |name| request.headers.iter().find(|(key, _)| key == name);
    match (header("x-conference-authorization"), header("x-password")) {
        (Some((_, token)), None) => format!("token {token}"),
        (None, Some((_, password))) => format!("password {password}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_credential_comes_from_a_flag_before_a_variable_and_from_a_file_before_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{name}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (token, password) = (file("token-f"), file("password-f"));
    let (token_flag, password_flag) = (["--token-file", &token], ["--password-file", &password]);
    let both_flags = [token_flag, password_flag].concat();
    let token_file = ("MEETING_CONTROL_TOKEN_FILE", token.as_str());
    let password_file = ("MEETING_CONTROL_PASSWORD_FILE", password.as_str());
    let token_variable = ("MEETING_CONTROL_TOKEN", "token-v");
    let password_variable = ("MEETING_CONTROL_PASSWORD", "password-v");
    let no_token_file = ("MEETING_CONTROL_TOKEN_FILE", "");
    let no_password = ("MEETING_CONTROL_PASSWORD", "");
    // Flags and variables, and what is sent or the exit status.
    type Case<'a> = (
        &'a [&'a str],
        &'a [(&'a str, &'a str)],
        Result<&'a str, i32>,
    );
    let cases: &[Case<'_>] = &[
        (&token_flag, &[], Ok("token token-f")),
        (&password_flag, &[], Ok("password password-f")),
        (&both_flags, &[], Err(64)),
        (&password_flag, &[token_file], Ok("password password-f")),
        (&token_flag, &[password_file], Ok("token token-f")),
        (&password_flag, &[token_variable], Ok("password password-f")),
        (&[], &[token_file], Ok("token token-f")),
        (&[], &[password_file], Ok("password password-f")),
        (&[], &[token_file, password_file], Err(64)),
        (
            &[],
            &[no_token_file, password_file],
            Ok("password password-f"),
        ),
        (
            &[],
            &[password_file, token_variable],
            Ok("password password-f"),
        ),
        (&[], &[token_variable], Ok("token token-v")),
        (&[], &[password_variable], Ok("password password-v")),
        (&[], &[token_variable, no_password], Ok("token token-v")),
        (
            &[],
            &[no_token_file, password_variable],
            Ok("password password-v"),
        ),
        (&[], &[token_variable, password_variable], Err(67)),
        (&[], &[no_token_file, no_password], Err(80)),
        (&["--token-file", ""], &[], Err(64)),
    ];
    for (flags, variables, expected) in cases {
        let issued = r#"{"data":{"token":"cnr1","confTokenExpireTime":1800,"role":1}}"#;
        let upstream = Script::start([Step::answer(200, "", issued)]).await;
        let facade = Facade::over(&upstream.base).await;
        let mut update = update(&facade.address, flags);
        update.env_remove("MEETING_CONTROL_TOKEN");
        update.envs(variables.iter().copied());
        let (status, told) = ended(update.output()).await;
        let given = format!("{flags:?} {variables:?}: {told}");
        match expected {
            Ok(credential) => assert_eq!(sent(&upstream), *credential, "{given}"),
            Err(code) => assert_eq!(status, Some(*code), "{given}"),
        }
    }
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
