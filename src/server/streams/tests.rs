use super::super::permits::Permits;
use super::all::MAX_HELD;
use super::state::MAX_HEAD;
use super::*;
use crate::call::Peer;

const LIMIT: Duration = Duration::from_secs(10);
const LIFE: Life = Life {
    charges: 1_000,
    resets: 100,
};
/// HTTP/2's reason of a reset for a call that is given up.
const CANCEL: u32 = 8;

fn streams() -> Arc<Streams> {
    let mut all = All::default();
    all.limit = LIMIT;
    all.max_resets = 10_000;
    Streams::new(Arc::new(all), LIFE)
}

impl Streams {
    fn open(&self, stream: u32) {
        self.received(Frame::Headers {
            stream,
            is_whole: true,
            ends: true,
        });
    }

    fn end(&self, stream: u32) {
        self.sent(Frame::Headers {
            stream,
            is_whole: true,
            ends: true,
        });
    }

    fn cancel(&self, stream: u32) {
        self.received(Frame::Resets {
            stream,
            reason: CANCEL,
        });
    }

    fn refuse(&self, stream: u32) {
        self.sent(Frame::Resets {
            stream,
            reason: PROTOCOL_ERROR,
        });
    }
}

fn permits() -> Permits {
    Permits::new(1, 0)
}

fn permit(permits: &Permits) -> Kept {
    let permit = permits.take(&Peer::anonymous(), Instant::now());
    let kept = Kept::default();
    kept.keep(permit.unwrap());
    kept
}

fn is_free(permits: &Permits) -> bool {
    permits.take(&Peer::anonymous(), Instant::now()).is_ok()
}

/// Makes an answer that is done at once.
fn answer(streams: &Arc<Streams>, permits: &Permits) {
    let mut work = streams.begin(Kind::Ours).unwrap();
    work.answer(permit(permits));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_last_frame_has_been_handed_over() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    answer(&streams, &permits);
    assert!(!is_free(&permits), "the answer is done, and not taken");
    streams.end(1);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_given_up_holds_nothing() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    let mut work = streams.begin(Kind::Ours).unwrap();
    work.answer(permit(&permits));
    streams.end(1);
    drop(work);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn streams_that_end_before_anybody_answers_free_nobody_elses_permit() {
    let (streams, permits) = (streams(), permits());
    for stream in [1, 3, 5] {
        streams.open(stream);
        streams.refuse(stream);
    }
    assert_eq!(streams.all.malformed.get(), 3);
    streams.open(7);
    answer(&streams, &permits);
    streams.open(9);
    streams.end(9);
    assert!(!is_free(&permits));
    streams.end(7);
    streams.end(7);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_free_nobody_elses_permit() {
    // Reset while it is answered, before we see it, and also refused, so that we never do.
    for is_brought in [true, false] {
        let (streams, permits) = (streams(), permits());
        streams.open(1);
        answer(&streams, &permits);
        let mut working = Vec::new();
        for stream in [3, 5, 7] {
            streams.open(stream);
            working.push(streams.begin(Kind::Ours).unwrap());
        }
        streams.end_turn();
        for stream in [3, 5, 7] {
            streams.cancel(stream);
        }
        for stream in [9, 11, 13] {
            streams.open(stream);
            streams.cancel(stream);
            if is_brought {
                working.push(streams.begin(Kind::Ours).unwrap());
            }
        }
        streams.open(15);
        let last = streams.begin(Kind::Ours).unwrap();
        streams.end_turn();
        drop(working);
        assert!(!is_free(&permits), "the first has not been taken");
        streams.end(1);
        assert!(is_free(&permits));
        let mut last = last;
        last.answer(permit(&permits));
        drop(last);
        assert!(!is_free(&permits), "nor has the last");
        streams.end(15);
        assert!(is_free(&permits));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_left_for_too_long_is_abuse() {
    // Its body waits for room, or is done, and waits in the library; others are taken meanwhile.
    for waits in [true, false] {
        let (streams, permits) = (streams(), Permits::new(2, 0));
        streams.open(1);
        let mut work = streams.begin(Kind::Ours).unwrap();
        work.answer(permit(&permits));
        let _body = waits.then_some(work);
        let taking = async {
            for number in 1.. {
                let stream = 2 * number + 1;
                streams.open(stream);
                answer(&streams, &permits);
                streams.end(stream);
                tokio::time::sleep(LOOK / 4).await;
            }
        };
        let started = Instant::now();
        tokio::select! {
            abuse = streams.abused() => assert_eq!(abuse, Closing::Untaken),
            () = taking => {}
        }
        let took = started.elapsed();
        assert!(took >= MAX_UNTAKEN, "{took:?}");
        assert!(took < MAX_UNTAKEN + 2 * LOOK, "{took:?}");
        assert!(streams.is_abused());
    }
}

#[tokio::test(start_paused = true)]
async fn reflection_has_its_time_and_ours_then_and_holds_its_permit_as_long() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    let mut work = streams.begin(Kind::Reflection).unwrap();
    work.answer(permit(&permits));
    let started = Instant::now();
    assert_eq!(streams.abused().await, Closing::Untaken);
    let took = started.elapsed();
    assert!(took >= MAX_REFLECTION + MAX_UNTAKEN, "{took:?}");
    assert!(took < MAX_REFLECTION + MAX_UNTAKEN + 2 * LOOK, "{took:?}");
    assert!(!is_free(&permits));
    streams.end(1);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn a_watch_lasts_and_holds_no_permit() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    let mut work = streams.begin(Kind::Watch).unwrap();
    work.answer(permit(&permits));
    assert!(is_free(&permits));
    let hour = Duration::from_secs(3600);
    let abused = tokio::time::timeout(hour, streams.abused()).await;
    assert!(abused.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_an_answer_of_ours_ends_in_the_time_of_calls() {
    let streams = streams();
    streams.open(1);
    let started = Instant::now();
    assert_eq!(streams.abused().await, Closing::Untaken);
    let took = started.elapsed();
    assert!(took >= LIMIT + MAX_UNTAKEN, "{took:?}");
    assert!(took < LIMIT + MAX_UNTAKEN + 2 * LOOK, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_end_are_abuse() {
    let streams = streams();
    let headers = |stream, is_whole| Frame::Headers {
        stream,
        is_whole,
        ends: true,
    };
    streams.received(headers(1, false));
    streams.received(Frame::Continues { is_whole: false });
    streams.received(Frame::Continues { is_whole: true });
    streams.end(1);
    let patience = tokio::time::timeout(2 * MAX_HEAD, streams.abused()).await;
    assert!(patience.is_err(), "they have ended");
    streams.received(headers(3, false));
    let started = Instant::now();
    assert_eq!(streams.abused().await, Closing::Headers);
    assert!(started.elapsed() < MAX_HEAD + 2 * LOOK);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_gets_no_time_does_not_judge() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    answer(&streams, &permits);
    let mut abused = Box::pin(streams.abused());
    assert!(futures_util::poll!(&mut abused).is_pending());
    tokio::time::advance(10 * MAX_UNTAKEN).await;
    assert!(futures_util::poll!(&mut abused).is_pending());
    // What was taken meanwhile is seen before the next look.
    streams.end(1);
    assert!(tokio::time::timeout(2 * LOOK, abused).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_several_answers_left_from_one_look_to_the_next_are_abuse() {
    for (answers, is_abuse) in [(8, false), (9, true)] {
        let streams = streams();
        streams.all.held.set(MAX_HELD);
        for number in 0..answers {
            streams.open(2 * number + 1);
            drop(streams.begin(Kind::Other));
        }
        let abused = tokio::time::timeout(3 * LOOK, streams.abused()).await;
        assert_eq!(abused.is_ok(), is_abuse, "{answers}");
    }
    // However many streams there are whose answers are being made.
    let streams = streams();
    let mut working = Vec::new();
    streams.all.held.set(MAX_HELD + 1);
    for number in 0..200 {
        streams.open(2 * number + 1);
        working.push(streams.begin(Kind::Ours).unwrap());
    }
    let abused = tokio::time::timeout(3 * LOOK, streams.abused()).await;
    assert!(abused.is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_that_last_are_limited_by_kind_and_make_room_when_they_are_reset() {
    for (kind, max) in [(Kind::Watch, 2), (Kind::Reflection, 4)] {
        let streams = streams();
        let mut lasting = Vec::new();
        for number in 0..max {
            streams.open(2 * number + 1);
            lasting.push(streams.begin(kind).unwrap());
        }
        streams.open(101);
        let TooMany(told) = streams.begin(kind).unwrap_err();
        assert_eq!(told.kind(), Kind::Other);
        // All are renewed at once, before the old ones have noticed.
        for number in 0..max {
            streams.cancel(2 * number + 1);
        }
        for number in 0..max {
            streams.open(201 + 2 * number);
            lasting.push(streams.begin(kind).unwrap());
        }
        assert!(streams.begin(kind).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn only_calls_of_ours_are_waited_for() {
    let streams = streams();
    for stream in [1, 3] {
        streams.open(stream);
    }
    let _watch = streams.begin(Kind::Watch).unwrap();
    let ours = streams.begin(Kind::Ours).unwrap();
    let mut done = Box::pin(streams.ours_done());
    assert!(futures_util::poll!(&mut done).is_pending());
    drop(ours);
    assert!(futures_util::poll!(&mut done).is_pending(), "not taken yet");
    streams.end(3);
    tokio::time::timeout(LOOK, done).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn streams_after_the_last_that_is_served_are_none() {
    let streams = streams();
    for stream in [1, 3] {
        streams.open(stream);
    }
    let _work = streams.begin(Kind::Ours).unwrap();
    // Said while the second came in.
    streams.sent(Frame::Leaves { last: 1 });
    for stream in [5, 7] {
        streams.open(stream);
    }
    assert!(streams.state().has_ours());
    streams.end(1);
    assert!(streams.state().is_idle());
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_all_connections_are_counted_until_they_are_taken_or_gone() {
    let all = Arc::new(All::default());
    let streams = Streams::new(Arc::clone(&all), LIFE);
    let held = || all.held.get();
    for stream in [1, 3, 5] {
        streams.open(stream);
        drop(streams.begin(Kind::Other));
    }
    assert_eq!(held(), 3);
    streams.end(5);
    assert_eq!(held(), 2);
    drop(streams);
    assert_eq!(held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_spent_its_life_is_told_of() {
    let streams = streams();
    let mut worn = Box::pin(streams.worn());
    for number in 0..LIFE.resets {
        assert!(futures_util::poll!(&mut worn).is_pending());
        streams.refuse(u32::try_from(2 * number + 1).unwrap());
    }
    worn.await;
}

#[tokio::test(start_paused = true)]
async fn as_many_resets_as_honest_callers_make_are_no_flood() {
    for (per_look, is_flood) in [(5_000, false), (10_000, false), (25_000, true)] {
        let streams = streams();
        for _ in 0..5 {
            for number in 0..per_look {
                streams.cancel(number);
            }
            tokio::time::advance(LOOK).await;
        }
        let abuse = streams.state().abuse(LIMIT, false, Instant::now());
        let flood = is_flood.then_some(Closing::Resets);
        assert_eq!(abuse, flood, "{per_look}");
    }
}
