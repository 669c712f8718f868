//! The processes of one round: started on their processors, read with patience, ended when dropped.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::CpuSet;
use serde_json::Value;

use crate::Failure;
use crate::pin::Cpus;

/// How long a process may take to say that it is there.
pub const START: Duration = Duration::from_secs(20);

/// Allows as many open files as the system lets us have.
pub fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Where that is refused, fewer connections can be made, which shows.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// A process whose lines are read as they come.
#[derive(Debug)]
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts the façade on free ports, without a setting from the environment. Returns also the line of
    /// its log that tells where it listens.
    pub fn facade(
        binary: &Path,
        arguments: &[String],
        cpus: &Cpus,
    ) -> Result<(Self, Value), Failure> {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MEETING_CONTROL_") || name.starts_with("OTEL_") {
                command.env_remove(&*name);
            }
        }
        command
            .args(["serve", "--log-format=json"])
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped());
        let facade = Self::start(&mut command, &cpus.facade, cpus)?;
        loop {
            let line = facade.line(START)?;
            let said: Value = serde_json::from_str(&line).map_err(|_| line)?;
            if said["listen"].is_string() {
                return Ok((facade, said));
            }
        }
    }

    /// Starts `command`, and reads the output that it pipes.
    pub fn start(command: &mut Command, on: &CpuSet, cpus: &Cpus) -> Result<Self, Failure> {
        let mut child = cpus.start(command, on)?;
        let stdout = child.stdout.take().map(lines);
        let lines = stdout.or_else(|| child.stderr.take().map(lines));
        let lines = lines.unwrap_or_else(|| channel().1);
        Ok(Self { child, lines })
    }

    /// The next line, if it comes within `limit`.
    pub fn line(&self, limit: Duration) -> Result<String, Failure> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("a process said nothing for {limit:?}").into(),
            RecvTimeoutError::Disconnected => "a process ended too early".into(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // When nobody wants to know any more, reading on keeps the process from blocking.
            let _ = sender.send(line);
        }
    });
    lines
}
