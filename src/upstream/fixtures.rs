//! Requests for the tests of the layers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::wire::{Content, Put};
use crate::call::{Call, Peer};
use crate::command::ControlToken;
use crate::deadline::Deadline;

/// A request of a call that may take `limit`.
pub(super) fn put(limit: Duration) -> Put {
    let deadline = Deadline::start(None, limit);
    Put {
        call: Arc::new(Call::arrive(&HeaderMap::new(), deadline, Peer::anonymous())),
        content: Arc::new(Content {
            url: "https://h/".parse().unwrap(),
            body: Bytes::new(),
            settings: 1,
            token: ControlToken::for_tests(),
        }),
        traceparent: None,
        retry_of: None,
        gate: Arc::default(),
    }
}
