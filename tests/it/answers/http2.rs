//! Answers over HTTP/2, and streams that end without one.

use std::time::Duration;

use futures_util::future::join_all;
use h2::Reason;
use tonic::Status;

use super::NOT_STARTED;
use super::case::{Expected, MAX_PUTS, on_one_thread};
use crate::kit::{Facade, MEETING, lock};
use crate::model::behaviour::{Act, Behaviour, Framing, Loss, Wire};
use crate::model::reply::{Reply, Truth, reply};
use crate::model::upstream::Upstream;

static SUCCESS: Reply = reply(
    200,
    ("content-type", "application/json"),
    br#"{"returnCode":0,"returnDesc":"Success"}"#,
    Truth::Accepted,
);
/// The code that decides is in the second half.
static REFUSAL: Reply = reply(
    400,
    ("content-type", "application/json"),
    br#"{"error_msg":"CONF_NOT_STARTED","error_code":"MMC.111072005"}"#,
    Truth::Refused,
);
static FORBIDDEN: Reply = reply(403, ("x-none", ""), b"forbidden", Truth::Refused);

fn half(reply: &'static Reply, loss: Loss) -> Act {
    Act::Half {
        reply,
        framing: Framing::Length,
        // The head is to be there before the loss.
        pause: Duration::from_millis(50),
        loss,
    }
}

fn whole(reply: &'static Reply) -> Act {
    Act::Whole {
        reply,
        framing: Framing::Length,
        pause: Duration::ZERO,
        stray: false,
    }
}

fn go_away(covers: bool, closes: bool) -> Loss {
    Loss::GoAway {
        covers,
        reason: Reason::NO_ERROR,
        closes,
    }
}

/// What the façade makes of an upstream over HTTP/2 that always does the same, and how often it was asked.
async fn told_over_http_2(act: Act) -> (Result<(), Status>, usize) {
    const CALL: u64 = 1;
    let choose = move |_, _| Behaviour {
        early: false,
        applies: false,
        before: Duration::ZERO,
        after: Duration::ZERO,
        act: act.clone(),
    };
    let upstream = Upstream::start(Wire::Http2, Box::new(choose)).await;
    let mut settings = on_one_thread();
    settings.upstream.upstream_ca = Some(upstream.root.pem());
    let facade = Facade::with(&upstream.base, settings).await;
    let mut request = lock(MEETING);
    let id = CALL.to_string().parse().unwrap();
    request.metadata_mut().insert("x-request-id", id);
    let told = facade.call(request).await.map(drop);
    (told, upstream.ledger().puts(CALL).len())
}

#[tokio::test]
async fn a_lost_http_2_stream_is_told_apart_by_how_it_was_lost() {
    let reset = |reason| Act::Nothing(Loss::Reset(reason));
    let gone = |covers, closes| Act::Nothing(go_away(covers, closes));
    let reset_after = |reply, reason| half(reply, Loss::Reset(reason));
    #[rustfmt::skip]
    let rows = [
        // Gateways say it of requests that they had passed on.
        ("refused", reset(Reason::REFUSED_STREAM), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("no error", reset(Reason::NO_ERROR), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("not covered", gone(false, false), "UNAVAILABLE", "not_applied", MAX_PUTS),
        ("not covered, closed", gone(false, true), "UNAVAILABLE", "not_applied", MAX_PUTS),
        ("covered, closed", gone(true, true), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("refused after 200", reset_after(&SUCCESS, Reason::REFUSED_STREAM), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("cancelled after 200", reset_after(&SUCCESS, Reason::CANCEL), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("no error after 200", reset_after(&SUCCESS, Reason::NO_ERROR), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("not covered after 200", half(&SUCCESS, go_away(false, false)), "UNAVAILABLE", "unknown", MAX_PUTS),
        ("refused after 400", reset_after(&REFUSAL, Reason::REFUSED_STREAM), "INVALID_ARGUMENT", "unknown", 1),
        ("no error after 400", reset_after(&REFUSAL, Reason::NO_ERROR), "INVALID_ARGUMENT", "unknown", 1),
        ("refused after 403", reset_after(&FORBIDDEN, Reason::REFUSED_STREAM), "PERMISSION_DENIED", "not_applied", 1),
    ];
    let told = rows.map(|(name, act, code, outcome, puts)| async move {
        let expected = Expected::new(code, Some(outcome), puts);
        let (told, puts) = told_over_http_2(act).await;
        Some(format!("{name}: {}", expected.fault(&told, puts)?))
    });
    let faults: Vec<_> = join_all(told).await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn headers_of_40_kib_are_no_fault_over_http_2() {
    let header = ("x-long", &*"v".repeat(40 * 1024).leak());
    let kept = |reply| -> &'static Reply { Box::leak(Box::new(reply)) };
    let accepted = kept(reply(200, header, b"", Truth::Accepted));
    let refused = kept(reply(400, header, NOT_STARTED.as_bytes(), Truth::Refused));
    for (reply, code, outcome) in [
        (accepted, "OK", None),
        (refused, "FAILED_PRECONDITION", Some("not_applied")),
    ] {
        let expected = Expected::new(code, outcome, 1);
        let (told, puts) = told_over_http_2(whole(reply)).await;
        assert_eq!(expected.fault(&told, puts), None, "{}", reply.status);
    }
}
