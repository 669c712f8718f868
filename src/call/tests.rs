use std::time::Duration;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn arrive(headers: &[(&'static str, &'static str)]) -> Call {
    let metadata = headers
        .iter()
        .map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect();
    let deadline = Deadline::start(None, Duration::from_secs(1));
    Call::arrive(&metadata, deadline, Peer::anonymous(), None)
}

#[test]
fn a_usable_request_id_is_kept_and_any_other_is_replaced() {
    let long: &str = "x".repeat(129).leak();
    for (sent, kept) in [
        ("order-66/3", true),
        ("", false),
        ("two words", false),
        (long, false),
        (&long[..128], true),
    ] {
        let call = arrive(&[("x-request-id", sent)]);
        assert_eq!(call.request_id() == sent, kept, "{sent:?}");
        assert!(!call.request_id().is_empty());
    }
    for (id, token) in [
        ("cnr123456", "cnr123456"),
        ("CNR123456", "cnr123456"),
        ("id-cnr123456", "cnr123456"),
        ("Y25yMTIz", "Basic Y25yMTIz"),
    ] {
        let confused = arrive(&[("x-request-id", id), ("x-conference-authorization", token)]);
        assert_ne!(confused.request_id(), id, "{token}");
    }
    let short = arrive(&[
        ("x-request-id", "order-66"),
        ("x-conference-authorization", "6"),
    ]);
    assert_eq!(short.request_id(), "order-66");
    let new = arrive(&[]);
    assert!(Uuid::parse_str(new.request_id()).is_ok());
}

#[test]
fn the_trace_of_the_caller_is_told() {
    let call = arrive(&[("traceparent", PARENT)]);
    assert_eq!(
        call.trace_id().as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
    assert_eq!(arrive(&[]).trace_id(), None);
}

#[test]
fn the_meeting_is_told_once_it_is_known() {
    let call = arrive(&[]);
    assert_eq!(call.conference_id(), None);
    call.set_conference_id("900244663");
    assert_eq!(call.conference_id(), Some("900244663"));
}

#[tokio::test(start_paused = true)]
async fn the_time_since_the_arrival_is_told_in_milliseconds_to_the_microsecond() {
    let call = arrive(&[]);
    assert_eq!(call.elapsed_ms(), 0.0);
    for (more, elapsed) in [
        (Duration::from_micros(1_234_500), 1_234.5),
        (Duration::from_micros(1), 1_234.501),
        (Duration::from_nanos(499), 1_234.501),
        (Duration::from_nanos(2), 1_234.502),
    ] {
        tokio::time::advance(more).await;
        assert_eq!(call.elapsed_ms(), elapsed);
    }
}

#[test]
fn a_doubt_stays_with_the_call_for_good_and_attempts_are_numbered() {
    let call = arrive(&[]);
    assert_eq!((call.outcome(), call.attempts()), (Outcome::NotApplied, 0));
    assert_eq!(call.start_attempt(), 1);
    assert_eq!(call.outcome(), Outcome::NotApplied);
    call.doubt();
    assert_eq!(call.start_attempt(), 2);
    assert_eq!((call.outcome(), call.attempts()), (Outcome::Unknown, 2));
}
