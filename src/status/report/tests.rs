use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::call::{Outcome, Peer};
use crate::deadline::Deadline;
use crate::telemetry::tests::capture;
use crate::upstream::UpstreamError;

fn call() -> Call {
    let deadline = Deadline::start(None, std::time::Duration::from_secs(1));
    let call = Call::arrive(&HeaderMap::new(), deadline, Peer::anonymous(), None);
    call.set_conference_id("900244663");
    call
}

fn told(verdict: &Verdict, call: &Call) -> serde_json::Value {
    let lines = capture(|| verdict.report(call));
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[test]
fn the_line_tells_all_that_is_known() {
    let call = call();
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let error = UpstreamError::ConnectFailed(refused.into());
    let line = told(&Verdict::failed(&error, Outcome::NotApplied), &call);
    for (field, expected) in [
        ("level", "WARN"),
        ("request_id", call.request_id()),
        ("conference_id", "900244663"),
        ("grpc_code", "UNAVAILABLE"),
        ("reason", "UPSTREAM_UNREACHABLE"),
        ("domain", "meeting-control"),
        ("outcome", "not_applied"),
        ("cause", "no connection to the upstream: connection refused"),
        (
            "message",
            "UNAVAILABLE: The REST API could not be reached; nothing was changed.",
        ),
    ] {
        assert_eq!(line[field], expected, "{field} in {line}");
    }
    assert_eq!(line["attempts"], 0);
    assert!(line["elapsed_ms"].is_number(), "{line}");
}

#[test]
fn how_loud_a_failure_is_follows_from_who_must_act() {
    let call = call();
    let failed = |error: UpstreamError| Verdict::failed(&error, Outcome::NotApplied);
    for (verdict, level) in [
        (
            Verdict::broken("a bug".to_owned(), Outcome::Unknown),
            Level::ERROR,
        ),
        (failed(UpstreamError::NotHttp("x".into())), Level::ERROR),
        (failed(UpstreamError::TlsFailed("x".into())), Level::ERROR),
        (
            failed(UpstreamError::ConnectFailed("x".into())),
            Level::WARN,
        ),
        (Verdict::overloaded(crate::status::Shed::All), Level::WARN),
        (Verdict::cut_off(&call), Level::WARN),
        (Verdict::late(&call), Level::WARN),
        (Verdict::cancelled(&call), Level::INFO),
        (Verdict::not_admitted(), Level::INFO),
    ] {
        assert_eq!(verdict.level(), level, "{verdict:?}");
        assert_eq!(told(&verdict, &call)["level"], level.as_str());
    }
}

#[test]
fn a_call_that_waited_for_a_token_leaves_the_cause_to_the_requests_own_line() {
    let call = call();
    for (error, reason, message) in [
        (
            UpstreamError::ConnectFailed("refused".into()),
            "UPSTREAM_UNREACHABLE",
            "the REST API could not be reached",
        ),
        (
            UpstreamError::TokensUnusable,
            "UPSTREAM_TOKENS_UNUSABLE",
            "each token that the REST API issued was over or displaced before it could be used",
        ),
    ] {
        let error = UpstreamError::NoToken(Arc::new(error));
        let line = told(&Verdict::failed(&error, Outcome::NotApplied), &call);
        let message = format!(
            "UNAVAILABLE: No control token could be obtained: {message}; nothing was changed."
        );
        assert_eq!(line["message"], message);
        assert_eq!(
            (&line["reason"], &line["stage"]),
            (&reason.into(), &"token".into())
        );
        assert!(line.get("cause").is_none(), "{line}");
    }
}
