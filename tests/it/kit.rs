//! Starts a façade in this process, clients for it, and an upstream that follows a script.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use meeting_control::admin::Readiness;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::proto::v1::{UpdateStartedConfConfigRequest, UpdateStartedConfConfigResponse};
use meeting_control::server::tls::{self as server_tls, Tls};
use meeting_control::server::{self, Server};
use meeting_control::service::Service;
use meeting_control::telemetry::metrics::Metrics;
use meeting_control::upstream::{self, Upstream};
use meeting_control::workers::Workers;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub mod pki;
pub mod process;
pub mod script;
pub mod tls;

pub use script::{Script, Step};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const TOKEN: &str = meeting_control::sandbox::TOKEN;
pub const MEETING: &str = meeting_control::sandbox::MEETING;

/// A façade on a free port, ended when dropped.
pub struct Facade {
    pub address: String,
    pub metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Settings that a test may want to change; the defaults are those of `serve`.
pub struct Settings {
    /// For connections, however many processors there are; with one, the test's own runtime serves them.
    pub threads: usize,
    pub timeout: Duration,
    pub server: server::Settings,
    pub tls: server_tls::Settings,
    pub upstream: upstream::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 2,
            timeout: Duration::from_secs(10),
            server: server::Settings {
                listen: "127.0.0.1:0".parse().unwrap(),
                max_in_flight: 2048,
                drain_delay: Duration::ZERO,
                drain_timeout: Duration::from_secs(20),
                max_connection_age: Duration::from_secs(30 * 60),
                max_connection_age_grace: Duration::from_secs(30),
            },
            tls: server_tls::Settings::default(),
            upstream: upstream::Settings {
                upstream_ca: None,
                allow_plaintext_upstream: false,
                attempt_timeout: Duration::from_secs(5),
                connect_timeout: Duration::from_secs(2),
                max_retries: 2,
            },
        }
    }
}

impl Facade {
    pub async fn over(base: &str) -> Self {
        Self::with(base, Settings::default()).await
    }

    pub async fn with(base: &str, settings: Settings) -> Self {
        upstream::use_crypto();
        let base = base.parse().unwrap();
        let metrics = Arc::new(Metrics::new(server::SERVICE, server::METHOD));
        let threads = settings.threads;
        let upstream =
            Upstream::new(&base, &settings.upstream, &metrics.upstream, threads).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::new(
            Service::new(upstream),
            settings.server,
            Tls::load(&settings.tls).unwrap(),
            settings.timeout,
            &metrics,
            None,
            Readiness::default(),
        );
        let server = server
            .unwrap()
            .with_workers(Workers::start(threads).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(listener, async {
            // A façade that is dropped ends like one that is told to stop.
            let _ = stopped.await;
        }));
        Self {
            address,
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

    /// Makes the call over a connection of its own, bounded by the tests' patience.
    pub async fn call(
        &self,
        request: Request<UpdateStartedConfConfigRequest>,
    ) -> Result<Response<UpdateStartedConfConfigResponse>, Status> {
        let mut client = self.client().await;
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
        let page = self.metrics.encode();
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
            code: meeting_control::status::code_name(status.code()),
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
