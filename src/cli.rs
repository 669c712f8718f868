//! The commands and their settings. Each room declares its own settings; here they meet.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::facade::FacadeError;
use crate::upstream::BaseUrl;
use crate::{client, codes, facade, print, telemetry};

mod greeting;
mod run;
mod signals;

use signals::Interrupted;

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
    facade: facade::Settings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
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
    facade: facade::Settings,
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
                Ok(code) if update.expects(code) => Ok(()),
                Ok(tonic::Code::Ok) => return ExitCode::FAILURE,
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

impl From<FacadeError> for Failure {
    fn from(error: FacadeError) -> Self {
        match error {
            FacadeError::Upstream(_) | FacadeError::Tls(_) | FacadeError::Environment(_) => {
                Self::Setting(error.to_string())
            }
            FacadeError::Reflection(_) => Self::Run(error.to_string()),
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Self {
        Self::Run("stopped at once by a second signal".to_owned())
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

#[cfg(test)]
mod tests;
