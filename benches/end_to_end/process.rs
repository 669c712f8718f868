//! The processes of one round: started on their processors, read with patience, ended when dropped.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::thread::CpuSet;

use crate::Failure;
use crate::pin::Cpus;

/// How long a process may take to say that it is there.
pub const START: Duration = Duration::from_secs(20);

/// A process whose lines are read as they come.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts another role of this binary, and reads what it prints.
    pub fn role(arguments: &[String], on: &CpuSet, cpus: &Cpus) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdout(Stdio::piped());
        let mut child = cpus.start(&mut command, on)?;
        let lines = child.stdout.take().map(lines);
        Ok(Self::new(child, lines))
    }

    /// Starts the façade without a setting from the environment, and reads its log.
    pub fn facade(arguments: &[String], cpus: &Cpus) -> Result<Self, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meeting-control"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MEETING_CONTROL_") || name.starts_with("OTEL_") {
                command.env_remove(&*name);
            }
        }
        command.arg("serve").args(arguments).stderr(Stdio::piped());
        let mut child = cpus.start(&mut command, &cpus.facade)?;
        let lines = child.stderr.take().map(lines);
        Ok(Self::new(child, lines))
    }

    fn new(child: Child, lines: Option<Receiver<String>>) -> Self {
        let lines = lines.unwrap_or_else(|| channel().1);
        Self { child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
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
