//! Starts a façade in this process, clients for it, and an upstream that follows a script.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meeting_control::facade::Listeners;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::proto::v1::{UpdateStartedConfConfigRequest, UpdateStartedConfConfigResponse};
use meeting_control::server::tls as server_tls;
use meeting_control::telemetry::metrics::Metrics;
use meeting_control::{admin, deadline, facade, server, upstream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::service_fn;

pub mod pki;
pub mod process;
pub mod raw;
pub mod script;
pub mod secrets;
pub mod tls;

pub use script::{Script, Step};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const TOKEN: &str = meeting_control::sandbox::TOKEN;
pub const PASSWORD: &str = meeting_control::sandbox::PASSWORD;
pub const MEETING: &str = meeting_control::sandbox::MEETING;

/// A façade on a free port, ended when dropped.
pub struct Facade {
    pub address: String,
    /// Of the admin port, without a scheme.
    pub admin: String,
    pub metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Settings that a test may want to change; the defaults are those of `serve`, but wait for a busy machine.
pub struct Settings {
    /// For connections, however many processors there are; with one, the test's own runtime serves them.
    pub threads: usize,
    pub timeout: Duration,
    pub server: server::ServerSettings,
    pub tls: server_tls::TlsSettings,
    pub admin: admin::AdminSettings,
    pub upstream: upstream::UpstreamSettings,
}

impl Default for Settings {
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Serve {
            #[command(flatten)]
            settings: facade::FacadeSettings,
        }
        let settings = Serve::parse_from(["serve"]).settings;
        Self {
            threads: 2,
            timeout: PATIENCE,
            server: server::ServerSettings {
                listen: "127.0.0.1:0".parse().unwrap(),
                drain_delay: Duration::ZERO,
                ..settings.server
            },
            tls: settings.tls,
            admin: admin::AdminSettings {
                admin_listen: "127.0.0.1:0".parse().unwrap(),
            },
            upstream: upstream::UpstreamSettings {
                attempt_timeout: PATIENCE,
                connect_timeout: PATIENCE,
                ..settings.upstream
            },
        }
    }
}

impl Facade {
    pub async fn over(base: &str) -> Self {
        Self::with(base, Settings::default()).await
    }

    pub async fn with(base: &str, settings: Settings) -> Self {
        let settings = facade::FacadeSettings {
            server: settings.server,
            tls: settings.tls,
            admin: settings.admin,
            deadline: deadline::DeadlineSettings {
                timeout: settings.timeout,
            },
            upstream: settings.upstream,
            threads: settings.threads,
        };
        let listeners = Listeners::bind(&settings).await.unwrap();
        let address = format!("http://{}", listeners.grpc.local_addr().unwrap());
        let admin = listeners.admin.local_addr().unwrap().to_string();
        let facade = facade::Facade::new(&base.parse().unwrap(), settings).unwrap();
        let metrics = facade.metrics();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = facade.serve(listeners, async {
            // A façade that is dropped ends like one that is told to stop.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async { serving.await.unwrap() });
        Self {
            address,
            admin,
            metrics,
            stop: Some(stop),
            task,
        }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.address.clone())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn client(&self) -> MeetingControlClient<Channel> {
        MeetingControlClient::new(self.channel().await)
    }

    /// Makes the call over a connection of its own, bounded by the tests' patience. Nobody but the façade
    /// heeds its `grpc-timeout`: a [`Channel`] has a timer of its own, and would now and then be first.
    pub async fn call(
        &self,
        request: Request<UpdateStartedConfConfigRequest>,
    ) -> Result<Response<UpdateStartedConfConfigResponse>, Status> {
        let address = self.address.strip_prefix("http://").unwrap();
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let connection = service_fn(move |request| sender.clone().send_request(request));
        let origin = self.address.parse().unwrap();
        let mut client = MeetingControlClient::with_origin(connection, origin);
        timeout(PATIENCE, client.update_started_conf_config(request))
            .await
            .expect("the façade answers in time")
    }

    /// Asks the façade to stop, and returns the task that ends when it has.
    pub fn stop(&mut self) -> JoinHandle<()> {
        drop(self.stop.take());
        std::mem::replace(&mut self.task, tokio::spawn(async {}))
    }

    /// The value of a metric, by its name and labels as they stand on the page.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.metrics.page();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("no {series} in {page}"));
        value.trim().parse().unwrap()
    }

    /// Locks sharing in meeting `id` with the good token.
    pub async fn lock(
        &self,
        id: &str,
    ) -> Result<Response<UpdateStartedConfConfigResponse>, Status> {
        self.call(lock(id)).await
    }
}

impl Drop for Facade {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request that locks sharing in meeting `id`, with the good token.
pub fn lock(id: &str) -> Request<UpdateStartedConfConfigRequest> {
    with_token(UpdateStartedConfConfigRequest {
        conference_id: id.to_owned(),
        lock_sharing: 2,
        ..Default::default()
    })
}

/// The same with a password in place of the token.
pub fn lock_by_password(id: &str, password: &str) -> Request<UpdateStartedConfConfigRequest> {
    let mut request = lock(id);
    let metadata = request.metadata_mut();
    metadata.remove("x-conference-authorization");
    metadata.insert("x-conference-password", password.parse().unwrap());
    request
}

pub fn with_token(
    request: UpdateStartedConfConfigRequest,
) -> Request<UpdateStartedConfConfigRequest> {
    let mut request = Request::new(request);
    let metadata = request.metadata_mut();
    metadata.insert("x-conference-authorization", TOKEN.parse().unwrap());
    request
}

/// What a caller learns from an error, in a form that is easy to compare.
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    pub reason: String,
    pub domain: String,
    pub metadata: HashMap<String, String>,
    pub details: ErrorDetails,
}

impl Failure {
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().expect("every error has an ErrorInfo");
        Self {
            code: meeting_control::names::code(status.code()),
            message: status.message().to_owned(),
            reason: info.reason.clone(),
            domain: info.domain.clone(),
            metadata: info.metadata.clone(),
            details: details.clone(),
        }
    }

    pub fn outcome(&self) -> &str {
        &self.metadata["outcome"]
    }

    pub fn attempts(&self) -> u32 {
        self.metadata["attempts"].parse().unwrap()
    }

    pub fn retry_delay(&self) -> Option<Duration> {
        self.details.retry_info()?.retry_delay
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
