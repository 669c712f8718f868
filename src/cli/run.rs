//! `serve` and `sandbox`, from settings to servers that run until they are told to stop.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::signals::Signals;
use super::{Failure, SandboxArguments, Serve, greeting};
use crate::facade::{self, Facade, FacadeError, Listeners, bind};
use crate::sandbox::Sandbox;
use crate::server::tls::Tls;
use crate::telemetry;
use crate::upstream::BaseUrl;

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // First of all, so that no signal finds nobody there.
        let signals = Signals::listen().map_err(no_signals)?;
        telemetry::init(&self.telemetry).map_err(run)?;
        let facade = Facade::new(&self.upstream, self.facade.clone())?;
        let listeners = Listeners::bind(&self.facade).await.map_err(Failure::Run)?;
        self.announce(&listeners)?;
        serve(signals, facade, listeners).await
    }

    /// The first log line: what runs, where, and within which settings.
    fn announce(&self, listeners: &Listeners) -> Result<(), Failure> {
        let facade::Settings {
            server,
            tls,
            deadline,
            upstream,
            ..
        } = &self.facade;
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
        let signals = Signals::listen().map_err(no_signals)?;
        telemetry::init(&self.telemetry).map_err(run)?;
        // Before any port is bound, as far as it can be said without one.
        self.facade.upstream.check().map_err(FacadeError::from)?;
        Tls::load(&self.facade.tls).map_err(FacadeError::from)?;
        // Wherever the stand-in listens, it is ours.
        self.facade.upstream.allow_plaintext_upstream = true;
        let rest = bind("--rest-listen", self.rest_listen)
            .await
            .map_err(Failure::Run)?;
        let rest_address = address(&rest)?;
        let stand_in = Sandbox::new(greeting::change).serve(&rest);
        if self.rest_only {
            greeting::rest_only(rest_address);
            let ended = signals.run(|stop| async {
                tokio::select! {
                    () = stand_in => {}
                    _ = stop => {}
                }
            });
            // It is gone at the first signal.
            return ended.await.map_err(Failure::from);
        }
        let base: BaseUrl = format!("http://{}", greeting::reachable(rest_address))
            .parse()
            .map_err(Failure::Setting)?;
        let facade = Facade::new(&base, self.facade.clone())?;
        let listeners = Listeners::bind(&self.facade).await.map_err(Failure::Run)?;
        greeting::sandbox(&greeting::Addresses {
            grpc: address(&listeners.grpc)?,
            admin: address(&listeners.admin)?,
            rest: rest_address,
        });
        tokio::select! {
            () = stand_in => Ok(()),
            ended = serve(signals, facade, listeners) => ended,
        }
    }
}

async fn serve(signals: Signals, facade: Facade, listeners: Listeners) -> Result<(), Failure> {
    let ended = signals.run(|stop| {
        facade.serve(listeners, async {
            // An error means that no signal can come any more: the process ends.
            let _ = stop.await;
        })
    });
    ended
        .await?
        .map_err(|error| Failure::Run(format!("threads cannot start: {error}")))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::Run(format!("a listener has no address: {error}")))
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::Run(format!("signals cannot be received: {error}"))
}

fn run(error: impl std::error::Error) -> Failure {
    Failure::Run(error.to_string())
}
