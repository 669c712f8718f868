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
    Call::arrive(&metadata, deadline, Peer::anonymous())
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
        let call = arrive(&[(REQUEST_ID, sent)]);
        assert_eq!(call.request_id() == sent, kept, "{sent:?}");
        assert!(!call.request_id().is_empty());
    }
    for (id, token) in [
        ("cnr123456", "cnr123456"),
        ("CNR123456", "cnr123456"),
        ("id-cnr123456", "cnr123456"),
        ("Y25yMTIz", "Basic Y25yMTIz"),
    ] {
        let confused = arrive(&[(REQUEST_ID, id), (TOKEN, token)]);
        assert_ne!(confused.request_id(), id, "{token}");
    }
    let short = arrive(&[(REQUEST_ID, "order-66"), (TOKEN, "6")]);
    assert_eq!(short.request_id(), "order-66");
    let new = arrive(&[]);
    assert!(Uuid::parse_str(new.request_id()).is_ok());
}

#[test]
fn only_a_valid_traceparent_travels_on() {
    for (sent, valid) in [
        (PARENT, true),
        (
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            false,
        ),
        (
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            false,
        ),
        (
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            false,
        ),
        (
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            false,
        ),
        (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            false,
        ),
        (
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            true,
        ),
        (
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            false,
        ),
        (
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            false,
        ),
        ("", false),
    ] {
        let call = arrive(&[(TRACEPARENT, sent)]);
        assert_eq!(call.traceparent.is_some(), valid, "{sent:?}");
    }
    let call = arrive(&[(TRACEPARENT, PARENT)]);
    assert_eq!(
        call.trace_id().as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
}

#[test]
fn an_attempt_that_ended_unknown_leaves_the_call_in_doubt_for_good() {
    let call = arrive(&[]);
    assert_eq!(call.outcome(), Outcome::NotApplied);
    call.end_attempt(Outcome::NotApplied, Duration::ZERO);
    assert_eq!(call.outcome(), Outcome::NotApplied);
    call.end_attempt(Outcome::Unknown, Duration::ZERO);
    call.end_attempt(Outcome::NotApplied, Duration::from_millis(7));
    assert_eq!(call.outcome(), Outcome::Unknown);
    assert_eq!(call.last_attempt(), Duration::from_millis(7));
}
