use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::call::Peer;
use crate::secret::Secrets;
use crate::telemetry::metrics::Metrics as Page;
use crate::upstream::answer::Answer;
use crate::upstream::refusal::Refusal;

const SECOND: Duration = Duration::from_secs(1);

/// A REST call whose answer is never read.
fn rest() -> RestCall<Unread> {
    RestCall {
        method: http::Method::PUT,
        url: "https://h/".parse().unwrap(),
        own_header: (http::header::ACCEPT, HeaderValue::from_static("*/*")),
        body: Bytes::new(),
        idempotent: true,
        reader: Unread,
    }
}

struct Unread;

impl Read for Unread {
    type Success = ();

    fn read(&self, _: &Answer, _: Secrets<'_>, _: SystemTime) -> Result<(), UpstreamError> {
        Ok(())
    }
}

/// One attempt, and what it is part of.
struct Bench {
    call: Call,
    metrics: Metrics,
    page: Page,
}

impl Bench {
    fn new() -> Self {
        let mut page = Page::default();
        Self {
            call: Call::arrive(
                &HeaderMap::new(),
                Deadline::start(None, SECOND),
                Peer::anonymous(),
                None,
            ),
            metrics: Metrics::register(page.registry()),
            page,
        }
    }

    fn start(&self) -> Attempt<'_> {
        Attempt::start(&self.call, &rest(), &self.metrics)
    }

    /// The ends that were counted.
    fn ends(&self) -> Vec<&'static str> {
        let page = self.page.page();
        let counted =
            |end: &&str| page.contains(&format!("attempts_total{{outcome=\"{end}\"}} 1\n"));
        let ends = ["accepted", "refused", "not_sent", "no_answer", "cancelled"];
        ends.into_iter().filter(counted).collect()
    }
}

fn refused(status: u16) -> UpstreamError {
    UpstreamError::Refused(Box::new(Refusal::of_status(status)))
}

fn lost(progress: Progress) -> UpstreamError {
    UpstreamError::ConnectionLost {
        source: "cut".into(),
        progress,
        stale: false,
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_limit_and_the_deadline_are_told_apart() {
    for (left, expected) in [
        (10 * SECOND, "no answer within the attempt limit of 5s"),
        (5 * SECOND, "no answer within the deadline of 5s"),
        (2 * SECOND, "no answer within the deadline of 2s"),
    ] {
        let limit = Limit::new(5 * SECOND, &Deadline::start(None, left)).unwrap();
        assert_eq!(limit.passed(Progress::Sent).to_string(), expected);
        assert_eq!(limit.time, left.min(5 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_after_the_deadline() {
    let deadline = Deadline::start(None, SECOND);
    tokio::time::advance(SECOND).await;
    let error = Limit::new(5 * SECOND, &deadline).unwrap_err();
    assert!(matches!(
        error,
        UpstreamError::DeadlineExceeded {
            progress: Progress::NotSent,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_leaves_behind_follows_from_its_end() {
    for (result, end, outcome) in [
        (Ok(()), "accepted", Outcome::NotApplied),
        (Err(refused(400)), "refused", Outcome::NotApplied),
        (Err(refused(503)), "refused", Outcome::Unknown),
        (
            Err(UpstreamError::ConnectFailed("x".into())),
            "not_sent",
            Outcome::NotApplied,
        ),
        (
            Err(lost(Progress::NotSent)),
            "not_sent",
            Outcome::NotApplied,
        ),
        (Err(lost(Progress::Sent)), "no_answer", Outcome::Unknown),
    ] {
        let bench = Bench::new();
        let mut attempt = bench.start();
        // Whether the body has left no longer matters where the end is known.
        attempt.gate.pass();
        attempt.settle(&result);
        drop(attempt);
        assert_eq!(bench.ends(), [end], "{result:?}");
        assert_eq!(bench.call.outcome(), outcome, "{result:?}");
        assert_eq!(bench.call.attempts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_midway_leaves_the_call_in_doubt_if_its_body_has_left() {
    for (leaves, outcome) in [(true, Outcome::Unknown), (false, Outcome::NotApplied)] {
        let bench = Bench::new();
        let attempt = bench.start();
        let gate = Arc::clone(&attempt.gate);
        if leaves {
            gate.pass();
        }
        drop(attempt);
        assert!(!gate.pass(), "nothing leaves any more");
        assert_eq!(bench.call.outcome(), outcome);
        assert_eq!(bench.ends(), ["cancelled"]);
    }
}
