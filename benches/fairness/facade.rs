//! The façade under test: the release binary in a process of its own, and what can be seen of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use meeting_control::names::SERVICE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Failure;
use crate::caller::Caller;
use crate::pin::Cpus;
use crate::process::Process;

/// How often health and memory are asked for.
const SAMPLING: Duration = Duration::from_millis(100);
/// How long the façade may take to tell.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where callers come from.
pub const ONE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The binary that is measured.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    cpus: Cpus,
    help: String,
}

/// A running façade, killed when dropped.
#[derive(Debug)]
pub struct Facade {
    _process: Process,
    grpc: String,
    admin: String,
}

/// The façade at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub serving: bool,
    /// Bytes.
    pub memory: u64,
}

impl Binary {
    pub fn new(path: PathBuf, cpus: Cpus) -> Result<Self, Failure> {
        let help = Command::new(&path).args(["serve", "--help"]).output();
        let help = help.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self {
            help: String::from_utf8_lossy(&help.stdout).into_owned(),
            path,
            cpus,
        })
    }

    /// `flag` with its value, if the binary has it.
    pub fn flag(&self, flag: &str, value: u32) -> Option<String> {
        let has_it = self.help.contains(&format!("{flag} "));
        has_it.then(|| format!("{flag}={value}"))
    }

    /// Starts a façade.
    pub fn start(&self, arguments: &[String]) -> Result<Facade, Failure> {
        // Starting pins the thread that does it.
        let started = thread::scope(|scope| {
            let start = || Process::facade(&self.path, arguments, &self.cpus);
            scope.spawn(start).join()
        });
        let (process, said) = started.map_err(|_| "no façade was started")??;
        let address = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        Ok(Facade {
            _process: process,
            grpc: format!("http://{}", address("listen")),
            admin: address("admin_listen"),
        })
    }
}

impl Facade {
    /// Connects `count` callers from the address `from`.
    pub async fn callers(&self, count: u32, from: IpAddr) -> Result<Vec<Caller>, Failure> {
        let mut callers = Vec::new();
        for _ in 0..count {
            callers.push(Caller::connect(&self.grpc, from).await?);
        }
        Ok(callers)
    }

    /// Does `work`, and looks at health and memory meanwhile.
    pub async fn watched<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<(T, Vec<Sample>), Failure> {
        let channel = Endpoint::from_shared(self.grpc.clone())?.connect().await?;
        let admin = self.admin.clone();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        // Ends also when `work` is dropped.
        let mut sampling = JoinSet::new();
        sampling.spawn(async move {
            let mut ticks = interval(SAMPLING);
            let mut samples = Vec::new();
            while !is_over.load(Relaxed) {
                ticks.tick().await;
                samples.push(Sample {
                    serving: serving(&channel, "").await && serving(&channel, SERVICE).await,
                    memory: timeout(PATIENCE, memory(&admin)).await.unwrap_or_default(),
                });
            }
            samples
        });
        let result = work.await;
        over.store(true, Relaxed);
        Ok((result, sampling.join_all().await.concat()))
    }
}

async fn serving(channel: &Channel, service: &str) -> bool {
    let mut request = tonic::Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    request.set_timeout(PATIENCE);
    let answer = HealthClient::new(channel.clone()).check(request).await;
    answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving)
}

/// Bytes of memory that the process holds, as its admin page tells; 0 where it does not.
async fn memory(admin: &str) -> u64 {
    let read = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        Ok::<_, std::io::Error>(page)
    };
    let page = read.await.unwrap_or_default();
    let value = |line: &str| {
        let value = line.strip_prefix("process_resident_memory_bytes ")?;
        value.parse::<f64>().ok()
    };
    page.lines().find_map(value).unwrap_or_default() as u64
}
