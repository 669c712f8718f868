use tokio::time::timeout;

use super::*;
use crate::upstream::use_crypto;

fn settings() -> Settings {
    Settings {
        upstream_ca: None,
        allow_plaintext_upstream: false,
        attempt_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        max_retries: 2,
    }
}

fn clients() -> Clients {
    use_crypto();
    Clients::new(&"http://127.0.0.1:1".parse().unwrap(), &settings(), 1).unwrap()
}

fn calls(clients: &Clients) -> Vec<usize> {
    let own = read(&clients.workers[0]);
    own.all().map(|client| client.calls()).collect()
}

#[tokio::test]
async fn a_client_carries_so_many_calls_and_then_there_is_another() {
    let clients = clients();
    let mut lent: Vec<_> = (0..MOST_CALLS).map(|_| clients.lend()).collect();
    assert_eq!(calls(&clients), [MOST_CALLS]);
    lent.push(clients.lend());
    lent.push(clients.lend());
    assert_eq!(calls(&clients), [MOST_CALLS, 2]);
    lent.swap_remove(0);
    lent.push(clients.lend());
    assert_eq!(calls(&clients), [MOST_CALLS, 2], "the first has room again");
    drop(lent);
    assert_eq!(calls(&clients), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn clients_are_replaced_while_calls_keep_theirs() {
    let clients = clients();
    let lent = clients.lend();
    let replaced = async {
        while calls(&clients) != [0] {
            sleep(RENEWAL / 10).await;
        }
    };
    timeout(2 * RENEWAL, replaced).await.unwrap();
    assert_eq!(lent.0.calls(), 1);
}

#[test]
fn roots_are_read_anew_and_kept_when_the_file_is_broken() {
    use_crypto();
    let file = tempfile::NamedTempFile::new().unwrap();
    let [root, another] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed([]).unwrap().cert.pem());
    std::fs::write(&file, &root).unwrap();
    let settings = Settings {
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
            let clients = Clients::new(&base, &settings, 1).unwrap();
            // It tells how many roots there are.
            let in_use = || format!("{:?}", read(&clients.workers[0]).recipe.tls);
            let first = in_use();
            std::fs::write(&file, "broken").unwrap();
            sleep(RENEWAL * 3 / 2).await;
            assert_eq!(in_use(), first);
            std::fs::write(&file, format!("{root}{another}")).unwrap();
            sleep(RENEWAL).await;
            assert_ne!(in_use(), first);
        });
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("the roots in use are kept"), "{lines:?}");
    assert!(lines[0].contains("--upstream-ca"), "{lines:?}");
}
