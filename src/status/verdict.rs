//! Why a call failed, as a value, and the gRPC status that is made of it.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::call::{Call, Outcome};
use crate::names::UPSTREAM_REQUEST_ID;

/// `ErrorInfo.domain` when the upstream said no.
pub const VENDOR_DOMAIN: &str = "meeting.huaweicloud.com";
/// `ErrorInfo.domain` when the façade did.
pub const OUR_DOMAIN: &str = "meeting-control";

/// What a caller is asked to wait when too much is under way.
pub(super) const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// Tells a caller that compresses what would be understood.
pub(super) const ENCODINGS: &str = "grpc-accept-encoding";

/// Why a call failed, told in full. A value: making it tells nobody.
#[derive(Debug)]
pub struct Verdict {
    pub(super) code: Code,
    pub(super) domain: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) outcome: Outcome,
    /// What `ErrorInfo` says beside the outcome and the attempts.
    pub(super) metadata: Vec<(&'static str, String)>,
    pub(super) violations: Vec<FieldViolation>,
    pub(super) retry_after: Option<Duration>,
    pub(super) encodings: Option<MetadataValue<Ascii>>,
    /// For the log alone.
    pub(super) cause: Option<String>,
    /// Whether someone must act, whatever the code says.
    pub(super) alarming: bool,
}

impl Verdict {
    /// The verdict of the façade itself on a call of which nothing was sent.
    pub(super) fn ours(code: Code, reason: &str, message: String) -> Self {
        Self {
            code,
            domain: OUR_DOMAIN,
            reason: reason.to_owned(),
            message,
            outcome: Outcome::NotApplied,
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
            encodings: None,
            cause: None,
            alarming: false,
        }
    }

    /// A bug: a call failed in a way that nothing is made for.
    pub fn broken(cause: String, outcome: Outcome) -> Self {
        let fate = fate(outcome);
        let message = format!("The façade failed unexpectedly, for this call alone; {fate}.");
        Self {
            outcome,
            cause: Some(cause),
            ..Self::ours(Code::Internal, "INTERNAL_FAULT", message)
        }
    }

    /// The verdict behind a status that this room made.
    pub fn behind(status: &Status) -> Option<&Self> {
        status.source()?.downcast_ref()
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the settings may have changed.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The status that the caller of `call` gets. The verdict stays [behind](Self::behind) it.
    pub fn into_status(self, call: &Call) -> Status {
        let mut headers = MetadataMap::new();
        if let Some(id) = self.value("upstream_request_id")
            && let Ok(id) = MetadataValue::try_from(id)
        {
            headers.insert(UPSTREAM_REQUEST_ID.as_str(), id);
        }
        if let Some(encodings) = &self.encodings {
            headers.insert(ENCODINGS, encodings.clone());
        }
        let own = [
            ("outcome", self.outcome.to_string()),
            ("attempts", call.attempts().to_string()),
        ];
        let metadata: HashMap<String, String> = own
            .into_iter()
            .chain(self.metadata.iter().cloned())
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(&self.reason, self.domain, metadata);
        details.set_request_info(call.request_id(), "");
        if !self.violations.is_empty() {
            details.set_bad_request(self.violations.clone());
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let mut status =
            Status::with_error_details_and_metadata(self.code, &self.message, details, headers);
        status.set_source(Arc::new(self));
        status
    }

    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.metadata.iter().find(|(name, _)| *name == key)?;
        Some(value)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Verdict {}

/// What an outcome means to the caller, to end a sentence.
pub(super) fn fate(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "nothing was changed",
        Outcome::Unknown => "the settings may have changed",
    }
}
