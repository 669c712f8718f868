//! `serve` and `sandbox`, from settings to servers that run until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::signals::Signals;
use super::{Failure, SandboxArguments, Serve, Settings, greeting};
use crate::admin::{self, Readiness};
use crate::sandbox::Sandbox;
use crate::server::tls::Tls;
use crate::server::{self, Server};
use crate::service::Service;
use crate::telemetry;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracing;
use crate::upstream::{BaseUrl, SetupError, Upstream};
use crate::workers::{self, Workers};

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let facade = self.settings.prepare(&self.upstream)?;
        let listeners = self.settings.bind().await?;
        self.announce(&listeners)?;
        self.settings.serve(listeners, facade).await
    }
}

impl Serve {
    /// The first log line: what runs, where, and within which settings.
    fn announce(&self, listeners: &Listeners) -> Result<(), Failure> {
        let Settings {
            server,
            tls,
            deadline,
            upstream,
            ..
        } = &self.settings;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %address(&listeners.grpc)?,
            admin_listen = %address(&listeners.admin)?,
            upstream = %self.upstream,
            timeout = ?deadline.timeout,
            attempt_timeout = ?upstream.attempt_timeout,
            connect_timeout = ?upstream.connect_timeout,
            max_retries = upstream.max_retries,
            max_in_flight = server.max_in_flight,
            max_connection_age = ?server.max_connection_age,
            max_connection_age_grace = ?server.max_connection_age_grace,
            drain_delay = ?server.drain_delay,
            drain_timeout = ?server.drain_timeout,
            tls = tls.tls_cert.is_some(),
            client_certificates = tls.tls_client_ca.is_some(),
            client_names = tls.tls_client_allow.len(),
            "serving gRPC",
        );
        Ok(())
    }
}

impl SandboxArguments {
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        // Before any port is bound, as far as it can be said without one.
        self.settings.upstream.check().map_err(setting)?;
        Tls::load(&self.settings.tls).map_err(|error| Failure::Setting(error.to_string()))?;
        // Wherever the stand-in listens, it is ours.
        self.settings.upstream.allow_plaintext_upstream = true;
        let rest = bind("--rest-listen", self.rest_listen).await?;
        let rest_address = address(&rest)?;
        let stand_in = Sandbox::new(greeting::change).serve(&rest);
        if self.rest_only {
            let signals = Signals::listen().map_err(no_signals)?;
            greeting::rest_only(rest_address);
            tokio::select! {
                () = stand_in => {}
                () = signals.nth(1) => {}
            }
            return Ok(());
        }
        let base: BaseUrl = format!("http://{}", greeting::reachable(rest_address))
            .parse()
            .map_err(Failure::Setting)?;
        let facade = self.settings.prepare(&base)?;
        let listeners = self.settings.bind().await?;
        greeting::sandbox(&greeting::Addresses {
            grpc: address(&listeners.grpc)?,
            admin: address(&listeners.admin)?,
            rest: rest_address,
        });
        tokio::select! {
            () = stand_in => Ok(()),
            ended = self.settings.serve(listeners, facade) => ended,
        }
    }
}

/// The façade, ready to serve.
struct Facade {
    server: Server,
    metrics: Arc<Metrics>,
    tracing: Option<Tracing>,
    readiness: Readiness,
}

struct Listeners {
    grpc: TcpListener,
    admin: TcpListener,
}

impl Settings {
    /// All that can fail because of a setting, before any port is bound.
    fn prepare(&self, base: &BaseUrl) -> Result<Facade, Failure> {
        let metrics = Arc::new(Metrics::new(server::SERVICE, server::METHOD));
        let threads = workers::count();
        let upstream =
            Upstream::new(base, &self.upstream, &metrics.upstream, threads).map_err(setting)?;
        let tls = Tls::load(&self.tls).map_err(|error| Failure::Setting(error.to_string()))?;
        let tracing = Tracing::from_environment().map_err(Failure::Setting)?;
        let readiness = Readiness::default();
        let server = Server::new(
            Service::new(upstream),
            self.server.clone(),
            tls,
            self.deadline.timeout,
            &metrics,
            tracing.clone(),
            readiness.clone(),
        )
        .map_err(|error| Failure::Run(error.to_string()))?;
        let workers = Workers::start(threads)
            .map_err(|error| Failure::Run(format!("threads cannot start: {error}")))?;
        let server = server.with_workers(workers);
        telemetry::init(&self.telemetry).map_err(|error| Failure::Run(error.to_string()))?;
        Ok(Facade {
            server,
            metrics,
            tracing,
            readiness,
        })
    }

    async fn bind(&self) -> Result<Listeners, Failure> {
        Ok(Listeners {
            grpc: bind("--listen", self.server.listen).await?,
            admin: bind("--admin-listen", self.admin.admin_listen).await?,
        })
    }

    async fn serve(&self, listeners: Listeners, facade: Facade) -> Result<(), Failure> {
        let signals = Signals::listen().map_err(no_signals)?;
        let admin = admin::serve(&listeners.admin, facade.metrics, facade.readiness);
        let spans = facade.tracing.clone();
        let serving = async {
            facade
                .server
                .serve(listeners.grpc, signals.clone().nth(1))
                .await;
            // Last, so that the calls which ended while draining are told as well.
            if let Some(tracing) = facade.tracing {
                tracing.flush().await;
            }
        };
        tokio::select! {
            () = serving => Ok(()),
            () = signals.clone().nth(2) => {
                if let Some(tracing) = spans {
                    tracing.abandon();
                }
                Err(Failure::Run("stopped at once by a second signal".to_owned()))
            }
            () = admin => Ok(()),
        }
    }
}

fn setting(error: SetupError) -> Failure {
    Failure::Setting(error.to_string())
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Run(format!("{flag}: cannot listen on {address}: {error}")))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::Run(format!("a listener has no address: {error}")))
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::Run(format!("signals cannot be received: {error}"))
}
