//! The commands and their settings. Each room declares its own settings; here they meet.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::net::TcpListener;

use crate::admin::Readiness;
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::server::tls::Tls;
use crate::service::Service;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracing;
use crate::upstream::{BaseUrl, SetupError, Upstream};
use crate::{admin, client, codes, deadline, print, server, telemetry, upstream};

mod greeting;
mod signals;

use signals::Signals;

/// Exit status for a mistake in the settings, and base of the exit statuses of `update`.
pub const EXIT_USAGE: u8 = 64;

/// Changes the settings of running Huawei Cloud meetings, over gRPC.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Start here: `meeting-control sandbox` runs everything on this machine and prints a call to paste.
Every flag of serve has an environment variable, shown in its help.
Exit status: 0 for success, 64 for a mistake in the settings, 1 when a server cannot start or go on."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const SERVE_HELP: &str = "\
A DURATION is a number and a unit, such as 250ms, 10s or 1m 30s, at most 24h.
HTTPS_PROXY and NO_PROXY are honoured; SSL_CERT_FILE and SSL_CERT_DIR say where the system's roots are.
Traces are exported where OTEL_EXPORTER_OTLP_ENDPOINT names a collector (OTLP over gRPC); the other
OTEL_* variables hold as well.
SIGTERM drains and exits with 0; a second signal exits at once.";

const SANDBOX_HELP: &str = "\
The one token that is accepted is cnr followed by 48 zeros. Some conference ids misbehave:
  900000NNN  HTTP status NNN (400 to 599)        900002003  an answer that is not HTTP
  900001NNN  the same twice, then success        900002004  a success with a body of 1 MiB
  900002001  no answer                           900002005  an answer after 1 s
  900002002  the connection is cut               900003NNN  error code MMC.111072NNN
A DURATION is a number and a unit, such as 250ms, 10s or 1m 30s, at most 24h.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the façade: gRPC in, REST calls to Huawei Cloud out
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Run the façade with a stand-in for Huawei Cloud, to try it out and to test against
    #[command(after_help = SANDBOX_HELP)]
    Sandbox(SandboxArguments),
    /// Change settings of a running meeting through a façade
    Update(client::Update),
    /// Ask whether a façade serves
    Health(client::Health),
    /// Explain the error codes of the REST API
    Codes(codes::Codes),
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Serve {
    /// Base URL of the REST API
    #[arg(
        long,
        env = "MEETING_CONTROL_UPSTREAM",
        value_name = "URL",
        default_value = "https://api.meeting.huaweicloud.com"
    )]
    upstream: BaseUrl,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct SandboxArguments {
    /// Address and port of the stand-in for the REST API
    #[arg(
        long,
        env = "MEETING_CONTROL_REST_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    rest_listen: SocketAddr,

    /// Run just the stand-in, without the façade; the flags of the façade then mean nothing
    #[arg(long, env = "MEETING_CONTROL_REST_ONLY", value_parser = FalseyValueParser::new())]
    rest_only: bool,

    #[command(flatten)]
    settings: Settings,
}

/// The settings that `serve` and `sandbox` share.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Settings {
    #[command(flatten)]
    server: server::Settings,
    #[command(flatten)]
    tls: server::tls::Settings,
    #[command(flatten)]
    admin: admin::Settings,
    #[command(flatten)]
    deadline: deadline::Settings,
    #[command(flatten)]
    upstream: upstream::Settings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Setting(String),
    #[error("{0}")]
    Run(String),
}

impl Cli {
    /// Reads a command line, `arguments` beginning with the program's name, and the environment.
    ///
    /// # Errors
    /// What to print instead, and where; see [`clap::Error::print`].
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::definition().try_get_matches_from(arguments)?)
    }

    /// The command line's definition, with all flags and help texts.
    pub fn definition() -> clap::Command {
        Self::command().mut_subcommand("sandbox", |sandbox| {
            // Nobody but the newcomer needs to reach a sandbox.
            sandbox
                .mut_arg("listen", |listen| listen.default_value("127.0.0.1:50051"))
                .mut_arg("admin_listen", |listen| {
                    listen.default_value("127.0.0.1:9090")
                })
                .mut_arg("drain_delay", |delay| delay.default_value("0s"))
        })
    }

    /// Runs the command to its end. Returns the process's exit status.
    pub async fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Sandbox(sandbox) => sandbox.run().await,
            Command::Update(update) => match client::update(&update).await {
                Ok(tonic::Code::Ok) => Ok(()),
                Ok(code) => return ExitCode::from(EXIT_USAGE + code as u8),
                Err(misuse) => Err(Failure::Setting(misuse.to_string())),
            },
            Command::Health(health) => match client::health(&health).await {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::FAILURE,
                Err(misuse) => Err(Failure::Setting(misuse.to_string())),
            },
            Command::Codes(arguments) => match codes::print(&arguments) {
                true => Ok(()),
                false => return ExitCode::FAILURE,
            },
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }
}

impl Failure {
    fn report(&self) -> ExitCode {
        print::error_line(&format!("error: {self}"));
        match self {
            Self::Setting(_) => ExitCode::from(EXIT_USAGE),
            Self::Run(_) => ExitCode::FAILURE,
        }
    }
}

impl Serve {
    async fn run(self) -> Result<(), Failure> {
        let facade = self.settings.prepare(&self.upstream)?;
        let listeners = self.settings.bind().await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %address(&listeners.grpc)?,
            admin_listen = %address(&listeners.admin)?,
            upstream = %self.upstream,
            "serving gRPC",
        );
        self.settings.serve(listeners, facade).await
    }
}

impl SandboxArguments {
    async fn run(mut self) -> Result<(), Failure> {
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
        let upstream = Upstream::new(base, &self.upstream, &metrics.upstream).map_err(setting)?;
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
            () = signals.clone().nth(2) => Err(Failure::Run("stopped at once by a second signal".to_owned())),
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

#[cfg(test)]
mod tests;
