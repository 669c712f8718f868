//! What `update` and `health` print: results on standard output, errors on standard error.

use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

use crate::names::{self, REQUEST_ID, UPSTREAM_REQUEST_ID};
use crate::print;

/// The settings were accepted.
pub(super) fn success<'a>(
    conference_id: &str,
    changed: impl Iterator<Item = (&'a str, &'a str)>,
    metadata: &MetadataMap,
) {
    let changed: Vec<_> = changed
        .map(|(setting, value)| format!("{setting} = {value}"))
        .collect();
    print::line(&format!(
        "OK: meeting {conference_id}: {}",
        changed.join(", ")
    ));
    for key in [REQUEST_ID.as_str(), UPSTREAM_REQUEST_ID.as_str()] {
        if let Some(id) = metadata.get(key).and_then(|id| id.to_str().ok()) {
            line(key, id, print::line);
        }
    }
}

/// The whole error: code, message and every detail.
pub(super) fn failure(status: &Status) {
    print::error_line(&format!(
        "{}: {}",
        names::code(status.code()),
        status.message()
    ));
    let print = print::error_line;
    let details = status.get_error_details();
    if let Some(info) = details.error_info() {
        line("reason", &info.reason, print);
        line("domain", &info.domain, print);
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (key, value) in metadata {
            line(key, value, print);
        }
    }
    if let Some(bad_request) = details.bad_request() {
        for violation in &bad_request.field_violations {
            let text = format!("{}: {}", violation.field, violation.description);
            line("violation", &text, print);
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        line(
            "retry after",
            &humantime::format_duration(delay).to_string(),
            print,
        );
    }
    if let Some(request) = details.request_info() {
        line(REQUEST_ID.as_str(), &request.request_id, print);
    }
}

/// What the health service said.
pub(super) fn health(status: ServingStatus) {
    print::line(status.as_str_name());
}

fn line(name: &str, value: &str, print: impl Fn(&str)) {
    print(&format!("  {name:<22} {value}"));
}
