//! The binary as its user sees it: what it prints, and how it exits.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use crate::kit::process::{BINARY, Process, command};
use crate::kit::{MEETING, Script, Step, TOKEN, eventually};

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A sandbox in a process of its own, killed when dropped.
struct Sandbox {
    child: Child,
    /// Reads what it logs, so that it never waits for a reader.
    log: Option<JoinHandle<String>>,
    /// What it printed until it was up.
    greeting: String,
    grpc: String,
    rest: String,
}

impl Sandbox {
    fn start(more: &[&str]) -> Self {
        Self::start_with(more, &[])
    }

    fn start_with(more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut arguments = vec![
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--rest-listen",
            "127.0.0.1:0",
        ];
        arguments.extend(more);
        let mut child = command(&arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line == "Changes:" {
                break;
            }
            greeting.push_str(&line);
            greeting.push('\n');
        }
        std::thread::spawn(move || lines.for_each(drop));
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let after = |label: &str| {
            let line = greeting.lines().find(|line| line.contains(label)).unwrap();
            let rest = line.split_once(label).unwrap().1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        Self {
            grpc: after("gRPC façade"),
            rest: after("REST stand-in"),
            greeting: greeting.clone(),
            log: Some(log),
            child,
        }
    }

    fn update(&self, arguments: &[&str]) -> Output {
        let address = format!("http://{}", self.grpc);
        command(&["update", "--address", &address])
            .args(arguments)
            .env("MEETING_CONTROL_TOKEN", TOKEN)
            .output()
            .unwrap()
    }

    /// Stops it and returns what it logged.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_printed_calls_work_when_pasted() {
    let sandbox = Sandbox::start(&[]);
    for (tool, expected) in [
        (BINARY, "OK: meeting 900244663"),
        ("curl", "\"lockSharing\":1"),
    ] {
        let printed = sandbox.greeting.lines().map(str::trim);
        let line = printed.clone().find(|line| {
            let first = line.split(' ').find(|word| !word.contains('='));
            first == Some(tool)
        });
        let output = Command::new("sh")
            .args(["-c", line.unwrap()])
            .output()
            .unwrap();
        let printed = text(&output.stdout);
        assert!(printed.contains(expected), "{line:?}: {output:?}");
    }
    assert!(sandbox.greeting.contains("grpcurl -plaintext"));
    assert!(sandbox.rest.starts_with("http://127.0.0.1:"));
}

#[test]
fn a_failed_update_prints_the_whole_error_and_exits_with_its_code() {
    let sandbox = Sandbox::start(&["--timeout", "3s"]);
    let lock = ["--lock-sharing", "locked"];
    for (arguments, status, printed) in [
        (
            vec!["--conference-id", "900003005", lock[0], lock[1]],
            73,
            vec![
                "FAILED_PRECONDITION",
                "CONF_NOT_STARTED",
                "not_applied",
                "MMC.111072005",
            ],
        ),
        (
            vec!["--conference-id", "900003065", lock[0], lock[1]],
            80,
            vec!["UNAUTHENTICATED", "CONF_NOT_FOUND_OR_AUTH_FAILED"],
        ),
        (
            vec!["--conference-id", "", "--request-id", "order-66"],
            67,
            vec![
                "INVALID_ARGUMENT",
                "conference_id",
                "at least one setting",
                "order-66",
            ],
        ),
        (
            vec!["--conference-id", "900002001", lock[0], lock[1]],
            68,
            vec!["DEADLINE_EXCEEDED", "unknown"],
        ),
    ] {
        let output = sandbox.update(&arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let error = text(&output.stderr);
        for expected in printed {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(!error.contains(TOKEN), "{error}");
    }
}

#[test]
fn an_expected_code_is_success_and_any_other_end_is_not() {
    let sandbox = Sandbox::start(&[]);
    for (meeting, expected, status) in [
        ("900003065", "UNAUTHENTICATED", 0),
        ("900003005", "UNAUTHENTICATED", 73),
        (MEETING, "UNAUTHENTICATED", 1),
        (MEETING, "OK", 0),
        (MEETING, "unauthenticated", 64),
    ] {
        let lock = ["--lock-sharing", "locked", "--expect", expected];
        let output = sandbox.update(&[&["--conference-id", meeting], &lock[..]].concat());
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}

#[test]
fn a_token_is_read_from_a_file_and_a_missing_one_is_said_by_the_facade() {
    let sandbox = Sandbox::start(&[]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{TOKEN}").unwrap();
    let address = format!("http://{}", sandbox.grpc);
    let arguments = |more: &[&str]| -> Vec<String> {
        [
            "update",
            "--address",
            &address,
            "--conference-id",
            MEETING,
            "--lock-sharing",
            "locked",
        ]
        .iter()
        .chain(more)
        .map(|argument| (*argument).to_owned())
        .collect()
    };
    let path = file.path().to_str().unwrap();
    let output = command(&[])
        .args(arguments(&["--token-file", path]))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = command(&[]).args(arguments(&[])).output().unwrap();
    assert_eq!(output.status.code(), Some(80), "{output:?}");
    assert!(text(&output.stderr).contains("TOKEN_MISSING"));
}

#[test]
fn health_says_whether_a_facade_serves() {
    let sandbox = Sandbox::start(&[]);
    let output = run(&["health", "--address", &sandbox.grpc]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "SERVING\n".to_owned())
    );
    let grpc = sandbox.grpc.clone();
    let unknown = run(&["health", "--address", &grpc, "--service", "other"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    sandbox.stop();
    let gone = run(&["health", "--address", &grpc]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}

#[test]
fn a_bad_setting_ends_with_one_sentence_and_64_and_a_failed_start_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let broken = tempfile::NamedTempFile::new().unwrap();
    let broken = broken.path().to_str().unwrap();
    let junk = tempfile::NamedTempFile::new().unwrap();
    let framed = "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n";
    std::fs::write(&junk, framed).unwrap();
    let junk = junk.path().to_str().unwrap();
    for (arguments, status, named) in [
        (vec!["serve", "--upstream", "ftp://x"], 64, "--upstream"),
        (
            vec!["serve", "--upstream", "http://example.com"],
            64,
            "--allow-plaintext-upstream",
        ),
        (vec!["serve", "--timeout", "5"], 64, "--timeout"),
        (
            vec!["serve", "--upstream-ca", "/does/not/exist"],
            64,
            "--upstream-ca",
        ),
        (vec!["serve", "--upstream-ca", broken], 64, "--upstream-ca"),
        (vec!["serve", "--upstream-ca", junk], 64, "--upstream-ca"),
        (vec!["sandbox", "--upstream-ca", junk], 64, "--upstream-ca"),
        (vec!["serve", "--unknown"], 64, "--unknown"),
        (vec!["sandbox", "--upstream", "https://x"], 64, "--upstream"),
        (
            vec![
                "update",
                "--conference-id",
                "1",
                "--token-file",
                "/does/not/exist",
            ],
            64,
            "--token-file",
        ),
        (vec!["serve", "--max-retries", "11"], 64, "--max-retries"),
        (vec!["serve", "--max-in-flight", "0"], 64, "--max-in-flight"),
        (vec!["serve", "--listen", &taken], 1, &taken),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", &taken],
            1,
            &taken,
        ),
        (vec!["sandbox", "--rest-listen", &taken], 1, &taken),
    ] {
        let output = run(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        let sentence = error.lines().find(|line| line.starts_with("error: "));
        assert!(
            sentence.is_some_and(|line| line.contains(named)),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn a_setting_from_the_environment_is_named_as_well() {
    let output = command(&["serve"])
        .env("MEETING_CONTROL_TIMEOUT", "5")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("--timeout"), "{output:?}");
}

#[test]
fn help_and_version_succeed() {
    for arguments in [
        vec!["--help"],
        vec!["--version"],
        vec!["serve", "--help"],
        vec!["sandbox", "--help"],
        vec!["update", "--help"],
        vec!["health", "--help"],
        vec!["codes", "--help"],
        vec!["codes"],
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn everything_logged_at_trace_holds_no_token() {
    let sandbox = Sandbox::start(&["--log-filter", "trace", "--log-format", "json"]);
    for id in [
        MEETING,
        "900003065",
        "900000503",
        "900002002",
        "900002003",
        "",
    ] {
        sandbox.update(&["--conference-id", id, "--lock-sharing", "locked"]);
    }
    // A caller may confuse its arguments.
    sandbox.update(&["--conference-id", TOKEN, "--lock-sharing", "locked"]);
    sandbox.update(&["--conference-id", "1", "--request-id", TOKEN]);
    let prefixed = format!("id-{TOKEN}");
    sandbox.update(&["--conference-id", &prefixed, "--request-id", &prefixed]);
    let log = sandbox.stop();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is complete");
    assert!(
        log.contains("CONF_NOT_FOUND_OR_AUTH_FAILED"),
        "the log is complete"
    );
    assert!(!log.contains(TOKEN), "{}", around(&log, TOKEN));
    assert!(!log.contains(&TOKEN[3..]), "{}", around(&log, &TOKEN[3..]));
}

#[test]
fn the_admin_port_says_alive_ready_and_what_was_counted() {
    let sandbox = Sandbox::start(&[]);
    sandbox.update(&["--conference-id", MEETING, "--lock-sharing", "locked"]);
    let line = sandbox
        .greeting
        .lines()
        .find(|line| line.contains("/metrics"));
    let page = line.unwrap().split_whitespace().last().unwrap().to_owned();
    let get = |path: &str| {
        let url = page.replace("/metrics", path);
        let output = Command::new("curl")
            .args(["-sS", "-i", &url])
            .output()
            .unwrap();
        text(&output.stdout)
    };
    assert!(
        get("/livez").starts_with("HTTP/1.1 200"),
        "{}",
        get("/livez")
    );
    assert!(
        get("/readyz").starts_with("HTTP/1.1 200"),
        "{}",
        get("/readyz")
    );
    assert!(get("/env").starts_with("HTTP/1.1 404"));
    let metrics = get("/metrics");
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("grpc_code=\"OK\"} 1\n"), "{metrics}");
    assert!(
        metrics.contains("\nprocess_resident_memory_bytes "),
        "{metrics}"
    );
    assert!(!metrics.contains(TOKEN));
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let limited = "ulimit -Sn 256; ulimit -Hn; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", limited, BINARY, "serve", "--log-format", "json"])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first_line = |output: &mut dyn Read| {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        line
    };
    let allowed = first_line(child.stdout.as_mut().unwrap());
    let serving = first_line(child.stderr.as_mut().unwrap());
    let serving: serde_json::Value = serde_json::from_str(&serving).unwrap();
    let page = format!(
        "http://{}/metrics",
        serving["admin_listen"].as_str().unwrap()
    );
    let metrics = Command::new("curl").args(["-sS", &page]).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = format!("\nprocess_max_fds {}.0\n", allowed.trim());
    let metrics = text(&metrics.stdout);
    assert!(metrics.contains(&expected), "{expected}: {metrics}");
}

#[test]
fn a_proxy_from_the_environment_is_used_but_never_for_this_machine() {
    use std::sync::mpsc;

    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let (seen, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = stream.write_all(b"HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n");
            if seen.send(line).is_err() {
                return;
            }
        }
    });
    let facade = Process::serve(
        "https://upstream.test",
        &["--max-retries", "0"],
        &[("HTTPS_PROXY", &proxy_url)],
    );
    let output = command(&["update", "--address", &facade.grpc])
        .args(["--conference-id", MEETING, "--lock-sharing", "locked"])
        .env("MEETING_CONTROL_TOKEN", TOKEN)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let line = lines.recv_timeout(crate::kit::PATIENCE).unwrap();
    assert!(line.starts_with("CONNECT upstream.test:443 "), "{line}");

    // The sandbox is on this machine, where no proxy could find it.
    let sandbox = Sandbox::start_with(
        &[],
        &[("HTTP_PROXY", &proxy_url), ("http_proxy", &proxy_url)],
    );
    let output = sandbox.update(&["--conference-id", MEETING, "--lock-sharing", "locked"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(lines.try_recv().is_err());
}

/// A proxy that gives this answer to everybody.
fn proxy(answer: &'static str) -> String {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut stream = stream.unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            while head
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let _ = write!(stream, "HTTP/1.1 {answer} X\r\ncontent-length: 0\r\n\r\n");
        }
    });
    format!("http://user:secret@{address}")
}

#[test]
fn a_proxy_that_refuses_is_told_as_such_and_not_asked_again() {
    for answer in ["403", "407", "502"] {
        let proxy = proxy(answer);
        let facade = Process::serve("https://upstream.test", &[], &[("HTTPS_PROXY", &proxy)]);
        let output = command(&["update", "--address", &facade.grpc])
            .args(["--conference-id", MEETING, "--lock-sharing", "locked"])
            .env("MEETING_CONTROL_TOKEN", TOKEN)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let told = text(&output.stderr);
        for expected in ["PROXY_REFUSED", "nothing was changed", "attempts"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        let log = facade.log().join("\n");
        let line = log.lines().find(|line| line.contains("PROXY_REFUSED"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["attempts"], 1, "{line}");
        let host = proxy.replace("user:secret@", "");
        assert!(line["cause"].as_str().unwrap().contains(&host), "{line}");
        assert!(!log.contains("secret"), "{log}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_keeps_it_from_starting() {
    for (variable, value) in [
        ("HTTPS_PROXY", "http://user:secret/x@proxy.test:3128"),
        ("https_proxy", "http://[bad"),
        ("ALL_PROXY", "socks5://proxy.test"),
    ] {
        let output = command(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .env(variable, value)
        .output()
        .unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let told = text(&output.stderr);
        assert!(told.starts_with(&format!("error: {variable}: ")), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

fn around<'a>(log: &'a str, secret: &str) -> &'a str {
    log.lines()
        .find(|line| line.contains(secret))
        .unwrap_or_default()
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_a_second_one_at_once() {
    let upstream = Script::start([Step::Hang]).await;
    let mut idle = Process::serve(&upstream.base, &[], &[]);
    idle.signal("TERM");
    assert_eq!(idle.ended().await.code(), Some(0));

    let mut busy = Process::serve(&upstream.base, &["--drain-timeout", "60s"], &[]);
    let address = busy.grpc.clone();
    let call = std::thread::spawn(move || {
        command(&["update", "--address", &address, "--timeout", "30s"])
            .args(["--conference-id", MEETING, "--lock-sharing", "locked"])
            .env("MEETING_CONTROL_TOKEN", TOKEN)
            .output()
    });
    eventually("a call is under way", || upstream.requests().len() == 1).await;
    busy.signal("TERM");
    eventually("it drains", || {
        busy.log()
            .iter()
            .any(|line| line.contains("draining: no new calls"))
    })
    .await;
    busy.signal("INT");
    assert_eq!(busy.ended().await.code(), Some(1));
    assert_ne!(call.join().unwrap().unwrap().status.code(), Some(0));
}
