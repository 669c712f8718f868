//! The RPC, as a table of contents of its trip.

use std::sync::Arc;

use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::call::Call;
use crate::command::UpdateCommand;
use crate::names::UPSTREAM_REQUEST_ID;
use crate::proto::v1::meeting_control_server::MeetingControl;
use crate::proto::v1::{UpdateStartedConfConfigRequest, UpdateStartedConfConfigResponse};
use crate::status::{self, Verdict};
use crate::upstream::{Accepted, Upstream};

/// Implements `meeting.control.v1.MeetingControl` over the REST API.
#[derive(Debug, Clone)]
pub struct Service {
    upstream: Upstream,
}

impl Service {
    /// Serves calls from `upstream`.
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream }
    }
}

#[tonic::async_trait]
impl MeetingControl for Service {
    async fn update_started_conf_config(
        &self,
        request: Request<UpdateStartedConfConfigRequest>,
    ) -> Result<Response<UpdateStartedConfConfigResponse>, Status> {
        let (call, command) = read(request)?;
        let accepted = self
            .upstream
            .update(&call, command)
            .await
            .map_err(|error| Verdict::failed(&error, call.outcome()).into_status(&call))?;
        Ok(respond(accepted))
    }
}

/// Takes the request apart, so that its metadata is not kept in memory while the upstream is waited for.
fn read(
    request: Request<UpdateStartedConfConfigRequest>,
) -> Result<(Arc<Call>, UpdateCommand), Status> {
    let (metadata, mut extensions, request) = request.into_parts();
    let call = extensions
        .remove::<Arc<Call>>()
        .ok_or_else(status::unannounced)?;
    call.receive();
    let command = UpdateCommand::read(metadata.as_ref(), request);
    let conference_id = match &command {
        Ok(command) => Some(&command.conference_id),
        Err(invalid) => invalid.conference_id.as_ref(),
    };
    if let Some(id) = conference_id {
        call.set_conference_id(id);
    }
    match command {
        Ok(command) => Ok((call, command)),
        Err(invalid) => Err(Verdict::invalid(invalid).into_status(&call)),
    }
}

fn respond(accepted: Accepted) -> Response<UpdateStartedConfConfigResponse> {
    let mut response = Response::new(UpdateStartedConfConfigResponse {});
    if let Some(id) = accepted.upstream_request_id
        && let Ok(id) = MetadataValue::try_from(id)
    {
        response
            .metadata_mut()
            .insert(UPSTREAM_REQUEST_ID.as_str(), id);
    }
    response
}
