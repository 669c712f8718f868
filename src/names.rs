//! Names that callers, the upstream and several rooms rely on, each said once.

use http::HeaderName;
use tonic::Code;

/// Full name of the gRPC service.
pub const SERVICE: &str = "meeting.control.v1.MeetingControl";
/// Name of its one method.
pub const METHOD: &str = "UpdateStartedConfConfig";
/// Path of that method on the wire.
pub const METHOD_PATH: &str = "/meeting.control.v1.MeetingControl/UpdateStartedConfConfig";

/// Carries the meeting control token, from the caller and to the upstream.
pub static AUTHORIZATION: HeaderName = HeaderName::from_static("x-conference-authorization");
/// Carries the host password of a meeting, from the caller alone.
pub static PASSWORD: HeaderName = HeaderName::from_static("x-conference-password");
/// Carries the host password to the upstream, which gives a token for it.
pub static UPSTREAM_PASSWORD: HeaderName = HeaderName::from_static("x-password");
/// Says how one logs in to a meeting's control.
pub static LOGIN_TYPE: HeaderName = HeaderName::from_static("x-login-type");
/// Carries the id of a request: a caller's own in, the one that was used out, and on to the upstream, whose
/// answers carry its own under the same name.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Carries the upstream's id of the request to the caller.
pub static UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
/// Carries the W3C trace context.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Carries the time that a caller grants.
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Environment variable with the meeting control token, for `update`.
pub const TOKEN_VARIABLE: &str = "MEETING_CONTROL_TOKEN";
/// Environment variable with the host password, for `update`.
pub const PASSWORD_VARIABLE: &str = "MEETING_CONTROL_PASSWORD";

/// Each gRPC code by its number: its name in the specification, and in the metrics that dashboards read.
const CODES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("CANCELLED", "Canceled"),
    ("UNKNOWN", "Unknown"),
    ("INVALID_ARGUMENT", "InvalidArgument"),
    ("DEADLINE_EXCEEDED", "DeadlineExceeded"),
    ("NOT_FOUND", "NotFound"),
    ("ALREADY_EXISTS", "AlreadyExists"),
    ("PERMISSION_DENIED", "PermissionDenied"),
    ("RESOURCE_EXHAUSTED", "ResourceExhausted"),
    ("FAILED_PRECONDITION", "FailedPrecondition"),
    ("ABORTED", "Aborted"),
    ("OUT_OF_RANGE", "OutOfRange"),
    ("UNIMPLEMENTED", "Unimplemented"),
    ("INTERNAL", "Internal"),
    ("UNAVAILABLE", "Unavailable"),
    ("DATA_LOSS", "DataLoss"),
    ("UNAUTHENTICATED", "Unauthenticated"),
];

/// A gRPC code's name in the specification, such as `FAILED_PRECONDITION`.
pub fn code(code: Code) -> &'static str {
    CODES[code as usize].0
}

/// The gRPC code of that name in the specification.
pub fn code_named(name: &str) -> Option<Code> {
    all_codes().find(|known| code(*known) == name)
}

/// The names of all gRPC codes as metrics show them, such as `FailedPrecondition`, by number.
pub fn code_labels() -> [&'static str; 17] {
    CODES.map(|(_, label)| label)
}

/// All gRPC codes by number.
pub fn all_codes() -> impl Iterator<Item = Code> {
    (0..).map(Code::from_i32).take(CODES.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::meeting_control_server::SERVICE_NAME;

    #[test]
    fn the_path_is_made_of_the_names_in_the_contract() {
        assert_eq!(SERVICE, SERVICE_NAME);
        assert_eq!(METHOD_PATH, format!("/{SERVICE}/{METHOD}"));
    }

    #[test]
    fn each_code_has_its_names_and_is_found_by_the_first() {
        let expected = [
            (Code::Ok, "OK", "OK"),
            (Code::Cancelled, "CANCELLED", "Canceled"),
            (Code::Unknown, "UNKNOWN", "Unknown"),
            (Code::InvalidArgument, "INVALID_ARGUMENT", "InvalidArgument"),
            (
                Code::DeadlineExceeded,
                "DEADLINE_EXCEEDED",
                "DeadlineExceeded",
            ),
            (Code::NotFound, "NOT_FOUND", "NotFound"),
            (Code::AlreadyExists, "ALREADY_EXISTS", "AlreadyExists"),
            (
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                "PermissionDenied",
            ),
            (
                Code::ResourceExhausted,
                "RESOURCE_EXHAUSTED",
                "ResourceExhausted",
            ),
            (
                Code::FailedPrecondition,
                "FAILED_PRECONDITION",
                "FailedPrecondition",
            ),
            (Code::Aborted, "ABORTED", "Aborted"),
            (Code::OutOfRange, "OUT_OF_RANGE", "OutOfRange"),
            (Code::Unimplemented, "UNIMPLEMENTED", "Unimplemented"),
            (Code::Internal, "INTERNAL", "Internal"),
            (Code::Unavailable, "UNAVAILABLE", "Unavailable"),
            (Code::DataLoss, "DATA_LOSS", "DataLoss"),
            (Code::Unauthenticated, "UNAUTHENTICATED", "Unauthenticated"),
        ];
        assert!(all_codes().eq(expected.map(|(known, ..)| known)));
        assert_eq!(code_labels(), expected.map(|(.., label)| label));
        for (known, name, _) in expected {
            assert_eq!((code(known), code_named(name)), (name, Some(known)));
        }
        assert_eq!(code_named("Ok"), None);
    }
}
