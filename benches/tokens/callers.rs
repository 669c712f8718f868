//! Callers with passwords, and the façade that they call.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use meeting_control::names::{self, AUTHORIZATION, PASSWORD};
use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::sandbox::TOKEN;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::Failure;
use crate::process::Process;
use crate::runner::Bench;

/// A running façade, killed when dropped.
#[derive(Debug)]
pub struct Facade {
    pub process: Process,
    pub grpc: String,
    pub admin: String,
}

/// One connection of a caller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller(MeetingControlClient<Channel>);

/// What a caller sends as its credential.
#[derive(Debug, Clone)]
pub enum Credential {
    Token,
    Password(String),
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// `OK`, or code and reason.
    pub end: String,
    pub outcome: String,
    pub took: Duration,
}

impl Facade {
    pub fn start(bench: &Bench, arguments: &[String]) -> Result<Self, Failure> {
        // Starting pins the thread that does it.
        let (binary, cpus) = (&bench.binary, &bench.cpus);
        let started = std::thread::scope(|scope| {
            let start = || Process::facade(binary, arguments, cpus);
            scope.spawn(start).join()
        });
        let (process, said) = started.map_err(|_| "no façade was started")??;
        let address = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            process,
            grpc: format!("http://{}", address("listen")),
            admin: address("admin_listen"),
        })
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.grpc.clone()
    }

    /// A caller at 127.0.0.0 plus `number`.
    pub async fn caller(&self, number: u32) -> Result<Caller, Failure> {
        Caller::connect(&self.grpc, number).await
    }

    /// The value of a metric.
    pub async fn metric(&self, series: &str) -> Result<f64, Failure> {
        let mut stream = TcpStream::connect(&self.admin).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        let value = page.lines().find_map(|line| line.strip_prefix(series));
        Ok(value
            .ok_or_else(|| format!("no {series}"))?
            .trim()
            .parse()?)
    }
}

impl Credential {
    pub fn password(text: impl Into<String>) -> Self {
        Self::Password(text.into())
    }
}

impl Caller {
    /// Connects from 127.0.0.0 plus `number`.
    pub async fn connect(grpc: &str, number: u32) -> Result<Self, Failure> {
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + number);
        let endpoint = Endpoint::from_shared(grpc.to_owned())?;
        let endpoint = endpoint.local_address(Some(IpAddr::V4(from)));
        Ok(Self(MeetingControlClient::new(endpoint.connect().await?)))
    }

    pub async fn call(&self, id: &str, credential: &Credential, deadline: Duration) -> Ended {
        let mut request = Request::new(UpdateStartedConfConfigRequest {
            conference_id: id.to_owned(),
            lock_sharing: 2,
            ..Default::default()
        });
        let (key, secret) = match credential {
            Credential::Token => (&AUTHORIZATION, TOKEN),
            Credential::Password(password) => (&PASSWORD, password.as_str()),
        };
        if let Ok(secret) = secret.parse() {
            request.metadata_mut().insert(key.as_str(), secret);
        }
        request.set_timeout(deadline);
        let started = Instant::now();
        let answer = self.0.clone().update_started_conf_config(request).await;
        let (end, outcome) = match answer {
            Ok(_) => ("OK".to_owned(), String::new()),
            Err(status) => {
                let code = names::code(status.code());
                match status.get_details_error_info() {
                    None => {
                        let mut cause: &dyn std::error::Error = &status;
                        while let Some(deeper) = cause.source() {
                            cause = deeper;
                        }
                        (format!("{code} by the client ({cause})"), String::new())
                    }
                    Some(info) => {
                        let outcome = info.metadata.get("outcome").cloned();
                        let end = format!("{code} {}", info.reason);
                        (end, outcome.unwrap_or_default())
                    }
                }
            }
        };
        Ended {
            end,
            outcome,
            took: started.elapsed(),
        }
    }
}

/// Makes `count` calls, one each `period`, as `make` says by their numbers, and waits for all.
pub async fn paced<F>(count: u32, period: Duration, make: impl Fn(u32) -> F) -> Vec<Ended>
where
    F: Future<Output = Ended> + Send + 'static,
{
    let mut ticks = interval(period);
    let mut calls = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        calls.spawn(make(number));
    }
    calls.join_all().await
}

/// How many ended so.
pub fn count(calls: &[Ended], end: &str) -> usize {
    calls.iter().filter(|call| call.end == end).count()
}

/// How many ended in which way.
pub fn describe(calls: &[Ended]) -> String {
    let mut ends = std::collections::BTreeMap::<&str, usize>::new();
    for call in calls {
        *ends.entry(&call.end).or_default() += 1;
    }
    let ends = ends.iter().map(|(end, count)| format!("{count} {end}"));
    ends.collect::<Vec<_>>().join(", ")
}
