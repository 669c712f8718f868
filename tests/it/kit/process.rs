//! `serve` in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{PATIENCE, eventually};

pub const BINARY: &str = env!("CARGO_BIN_EXE_meeting-control");

/// The binary with `arguments`, and with no setting from the environment of the tests.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars() {
        if name.starts_with("MEETING_CONTROL_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// A façade in a process of its own, killed when dropped.
pub struct Process {
    child: Child,
    /// Address of the gRPC service, as the log told it.
    pub grpc: String,
    /// Address of the admin port.
    pub admin: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `serve` on free ports.
    pub fn serve(upstream: &str, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(&["serve", "--upstream", upstream])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--drain-delay", "0s"])
            .args(more)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let grpc = lines.by_ref().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let address = |key: &str| Some(line[key].as_str()?.to_owned());
            Some((address("listen")?, address("admin_listen")?))
        });
        let (grpc, admin) = grpc.expect("it says where it listens");
        let writing = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writing.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            grpc,
            admin,
            log,
        }
    }

    /// What was logged after the start.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    /// How long it takes to end.
    pub async fn time_to_end(&mut self) -> (ExitStatus, Duration) {
        let started = tokio::time::Instant::now();
        let status = self.ended().await;
        assert!(started.elapsed() < PATIENCE);
        (status, started.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
