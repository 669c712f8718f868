//! The four commands and their settings. Each room declares its own settings; here they meet.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::net::TcpListener;

use crate::sandbox::Sandbox;
use crate::service::Service;
use crate::upstream::{BaseUrl, Upstream};
use crate::{client, deadline, server, telemetry, upstream};

mod greeting;

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

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the façade: gRPC in, REST calls to Huawei Cloud out
    Serve(Serve),
    /// Run the façade with a stand-in for Huawei Cloud, to try it out and to test against
    Sandbox(SandboxArguments),
    /// Change settings of a running meeting through a façade
    Update(client::Update),
    /// Ask whether a façade serves
    Health(client::Health),
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

    /// Run just the stand-in, without the façade
    #[arg(long, env = "MEETING_CONTROL_REST_ONLY")]
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
            sandbox.mut_arg("listen", |listen| listen.default_value("127.0.0.1:50051"))
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
    #[allow(clippy::print_stderr, reason = "logging may not have started")]
    fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        match self {
            Self::Setting(_) => ExitCode::from(EXIT_USAGE),
            Self::Run(_) => ExitCode::FAILURE,
        }
    }
}

impl Serve {
    async fn run(self) -> Result<(), Failure> {
        let service = self.settings.prepare(&self.upstream)?;
        let listener = bind("--listen", self.settings.server.listen).await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %address(&listener)?,
            upstream = %self.upstream,
            "serving gRPC",
        );
        self.settings.serve(listener, service).await
    }
}

impl SandboxArguments {
    async fn run(self) -> Result<(), Failure> {
        let rest = bind("--rest-listen", self.rest_listen).await?;
        let rest_address = address(&rest)?;
        let base: BaseUrl = format!("http://{}", greeting::reachable(rest_address))
            .parse()
            .map_err(Failure::Setting)?;
        let stand_in = Sandbox::new(greeting::change).serve(rest);

        if self.rest_only {
            greeting::rest_only(rest_address);
            return tokio::select! {
                ended = stand_in => ended.map_err(|error| stand_in_failed(&error)),
                () = stopped() => Ok(()),
            };
        }
        let service = self.settings.prepare(&base)?;
        let listener = bind("--listen", self.settings.server.listen).await?;
        greeting::sandbox(address(&listener)?, rest_address);
        tokio::select! {
            ended = stand_in => ended.map_err(|error| stand_in_failed(&error)),
            ended = self.settings.serve(listener, service) => ended,
        }
    }
}

impl Settings {
    /// All that can fail because of a setting, before any port is bound.
    fn prepare(&self, base: &BaseUrl) -> Result<Service, Failure> {
        let upstream = Upstream::new(base, &self.upstream)
            .map_err(|error| Failure::Setting(error.to_string()))?;
        telemetry::init(&self.telemetry).map_err(|error| Failure::Run(error.to_string()))?;
        Ok(Service::new(upstream))
    }

    async fn serve(&self, listener: TcpListener, service: Service) -> Result<(), Failure> {
        server::serve(listener, service, &self.deadline, stopped())
            .await
            .map_err(|error| Failure::Run(error.to_string()))
    }
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

fn stand_in_failed(error: &std::io::Error) -> Failure {
    Failure::Run(format!("the stand-in for the REST API failed: {error}"))
}

/// Resolves when the process is asked to stop, by SIGTERM or Ctrl-C.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};

    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler, SIGTERM ends the process at once, which is a stop as well.
            Err(_) => std::future::pending().await,
        }
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    tokio::select! {
        () = terminated => {}
        () = interrupted => {}
    }
}

#[cfg(test)]
mod tests;
