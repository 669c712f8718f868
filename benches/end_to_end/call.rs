//! One call over an HTTP/2 connection, by hand: a client library would cost more than the façade.

use std::future::poll_fn;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Method, Request, StatusCode};
use meeting_control::names::{AUTHORIZATION, METHOD_PATH};
use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::sandbox;
use meeting_control::upstream::wire::UPDATE_PATH;
use percent_encoding::percent_decode;
use prost::Message as _;

use crate::{Failure, upstream};

/// A call that can be made again and again.
#[derive(Debug, Clone)]
pub struct Call {
    head: Request<()>,
    body: Bytes,
}

impl Call {
    /// Sends `message`, an encoded protobuf, with the token that everything accepts.
    pub fn new(authority: &str, tls: bool, message: &[u8]) -> Result<Self, Failure> {
        let scheme = if tls { "https" } else { "http" };
        let head = Request::post(format!("{scheme}://{authority}{METHOD_PATH}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header(&AUTHORIZATION, sandbox::TOKEN)
            .body(())?;
        let mut frame = BytesMut::new();
        frame.put_u8(0); // not compressed
        frame.put_u32(message.len().try_into()?);
        frame.put_slice(message);
        Ok(Self {
            head,
            body: frame.freeze(),
        })
    }

    /// The REST call that the façade makes of it.
    pub fn direct(authority: &str) -> Result<Self, Failure> {
        let (path, meeting) = (UPDATE_PATH, sandbox::MEETING);
        let head = Request::put(format!("http://{authority}{path}?conferenceID={meeting}"))
            .header(CONTENT_TYPE, "application/json")
            .header(&AUTHORIZATION, sandbox::TOKEN)
            .body(())?;
        Ok(Self {
            head,
            body: Bytes::from_static(upstream::EXPECTED),
        })
    }

    /// Makes the call and reads the answer to its end.
    pub async fn make(&self, connection: &mut SendRequest<Bytes>) -> Result<(), CallError> {
        poll_fn(|context| connection.poll_ready(context)).await?;
        let (response, mut stream) = connection.send_request(self.head.clone(), false)?;
        stream.send_data(self.body.clone(), true)?;
        let (head, mut body) = response.await?.into_parts();
        if head.headers.contains_key("grpc-status") {
            return status(&head.headers);
        }
        while let Some(data) = body.data().await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
        }
        match body.trailers().await? {
            Some(trailers) => status(&trailers),
            // Not gRPC, but what was asked for.
            None if self.head.method() == Method::PUT && head.status == StatusCode::OK => Ok(()),
            None => Err(CallError::Refused(format!("HTTP {}", head.status))),
        }
    }
}

/// The message that the façade understands: lock sharing in the sandbox's meeting.
pub fn message() -> Vec<u8> {
    let request = UpdateStartedConfConfigRequest {
        conference_id: sandbox::MEETING.to_owned(),
        lock_sharing: 2,
        ..Default::default()
    };
    request.encode_to_vec()
}

/// Why a call was not OK.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection cannot be used any more.
    #[error("{0}")]
    Broken(#[from] h2::Error),
    /// There was an answer.
    #[error("{0}")]
    Refused(String),
}

fn status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name| {
        let value = headers.get(name).map(|value| value.as_bytes());
        percent_decode(value.unwrap_or_default()).decode_utf8_lossy()
    };
    match text("grpc-status") {
        ok if ok == "0" => Ok(()),
        code => {
            let message = text("grpc-message");
            Err(CallError::Refused(format!("status {code}, {message}")))
        }
    }
}
