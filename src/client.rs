//! The two commands that call a façade: `update` makes the RPC, `health` asks whether it serves.

use tonic::metadata::MetadataValue;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::names::{self, REQUEST_ID};
use crate::proto::v1::UpdateStartedConfConfigRequest;
use crate::proto::v1::meeting_control_client::MeetingControlClient;
use crate::setting::SETTINGS;

mod credential;
mod explain;
mod input;
mod report;
mod setting_flags;
mod target;

pub use input::Misuse;

use credential::CredentialFile;
use explain::explain;
use setting_flags::SettingFlags;
use target::Target;

/// Changes settings of a running meeting through a façade.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "\
All settings but the first two are documented for the Chinese mainland site alone.
The host password comes from --password-file or the variable MEETING_CONTROL_PASSWORD, or a control token
in its place from --token-file or MEETING_CONTROL_TOKEN. A flag wins over the variables, and a file over a secret.
Exit status: 0 when the settings were accepted, 64 for a mistake in the command line, else 64 plus
the gRPC code: 66 UNKNOWN, 67 INVALID_ARGUMENT, 68 DEADLINE_EXCEEDED, 69 NOT_FOUND, 70 ALREADY_EXISTS,
71 PERMISSION_DENIED, 72 RESOURCE_EXHAUSTED, 73 FAILED_PRECONDITION, 74 ABORTED, 76 UNIMPLEMENTED,
77 INTERNAL, 78 UNAVAILABLE, 80 UNAUTHENTICATED. With --expect, that code is 0, and success is 1.")]
pub struct Update {
    #[command(flatten)]
    target: Target,

    /// Id of the running meeting, such as 900244663
    #[arg(long, value_name = "ID")]
    conference_id: String,

    #[command(flatten)]
    credential: CredentialFile,

    /// Your own id of the request, to find it again in logs; without it, the façade makes one
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// The gRPC code that the call has to end with, such as UNAUTHENTICATED, for tests of a deployment
    #[arg(long, value_name = "CODE", default_value = "OK", value_parser = parse_code)]
    expect: Code,

    #[command(flatten)]
    settings: SettingFlags,
}

impl Update {
    /// Whether the caller asked for this end of the call.
    pub fn expects(&self, code: Code) -> bool {
        code == self.expect
    }
}

/// Asks a façade's health service; exit status 0 when it serves, else 1.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Health {
    #[command(flatten)]
    target: Target,

    /// Service to ask about; empty asks about the whole server
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
}

/// Makes the RPC and prints what came of it. Returns the gRPC code.
///
/// # Errors
/// [`Misuse`] when the token or the password cannot be read or sent.
pub async fn update(arguments: &Update) -> Result<Code, Misuse> {
    let mut request = Request::new(UpdateStartedConfConfigRequest {
        conference_id: arguments.conference_id.clone(),
        ..Default::default()
    });
    for (setting, name) in SETTINGS.iter().zip(&arguments.settings.0) {
        if let Some(name) = name {
            setting.write(request.get_mut(), name);
        }
    }
    for (key, secret) in arguments.credential.read()? {
        request.metadata_mut().insert(key, secret);
    }
    if let Some(id) = &arguments.request_id {
        let id = MetadataValue::try_from(id)
            .map_err(|_| Misuse::new("--request-id must be printable ASCII"))?;
        request.metadata_mut().insert(REQUEST_ID.as_str(), id);
    }
    request.set_timeout(arguments.target.timeout);

    let mut client = MeetingControlClient::new(arguments.target.channel()?);
    match client.update_started_conf_config(request).await {
        Ok(response) => {
            let changed = SETTINGS
                .iter()
                .zip(&arguments.settings.0)
                .filter_map(|(setting, name)| Some((setting.field, name.as_deref()?)));
            report::success(&arguments.conference_id, changed, response.metadata());
            Ok(Code::Ok)
        }
        Err(status) => {
            let doubt = "; the settings may have changed";
            let status = explain(status, &arguments.target.address, doubt);
            report::failure(&status);
            Ok(status.code())
        }
    }
}

/// Asks for health and prints the answer. Returns whether the façade serves.
///
/// # Errors
/// [`Misuse`] when a file for TLS cannot be read.
pub async fn health(arguments: &Health) -> Result<bool, Misuse> {
    let mut request = Request::new(HealthCheckRequest {
        service: arguments.service.clone(),
    });
    request.set_timeout(arguments.target.timeout);
    let mut client = HealthClient::new(arguments.target.channel()?);
    match client.check(request).await {
        Ok(response) => {
            let serving = response.get_ref().status();
            report::health(serving);
            Ok(serving == ServingStatus::Serving)
        }
        Err(status) => {
            report::failure(&explain(status, &arguments.target.address, ""));
            Ok(false)
        }
    }
}

/// A gRPC code by its name.
fn parse_code(name: &str) -> Result<Code, String> {
    names::code_named(name)
        .ok_or_else(|| "not a gRPC code, such as OK or UNAUTHENTICATED".to_owned())
}
