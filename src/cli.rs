//! The commands and their settings. Each room declares its own settings; here they meet.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{client, codes};

mod failure;
mod greeting;
mod sandbox;
mod serve;
mod signals;

pub use failure::EXIT_USAGE;

use failure::Failure;
use sandbox::Sandbox;
use serve::Serve;

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
    Sandbox(Sandbox),
    /// Change settings of a running meeting through a façade
    Update(client::Update),
    /// Ask whether a façade serves
    Health(client::Health),
    /// Explain the error codes of the REST API
    Codes(codes::Codes),
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
        let definition = Self::command().mut_subcommand("serve", with_variables);
        definition.mut_subcommand("sandbox", |sandbox| {
            // Nobody but the newcomer needs to reach a sandbox.
            with_variables(sandbox)
                .mut_arg("listen", |flag| flag.default_value("127.0.0.1:50051"))
                .mut_arg("admin_listen", |flag| flag.default_value("127.0.0.1:9090"))
                .mut_arg("drain_delay", |flag| flag.default_value("0s"))
                .mut_arg("max_in_flight_per_caller", |flag| flag.default_value("0"))
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

/// Gives each flag an environment variable of its name: `--max-tokens` is `MEETING_CONTROL_MAX_TOKENS`.
fn with_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|flag| match flag.get_long() {
        Some(name) => {
            let variable = name.replace('-', "_").to_uppercase();
            flag.env(format!("MEETING_CONTROL_{variable}"))
        }
        None => flag,
    })
}

#[cfg(test)]
mod tests;
