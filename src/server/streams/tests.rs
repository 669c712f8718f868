use super::super::permits::Permits;
use super::all::MAX_OPEN;
use super::state::MAX_CANCELS;
use super::*;
use crate::call::Peer;

fn streams() -> Arc<Streams> {
    Streams::new(Arc::default())
}

fn permits() -> Permits {
    Permits::new(1, 0)
}

fn permit(permits: &Permits) -> Arc<Permit> {
    let permit = permits.take(&Peer::anonymous(), Instant::now());
    Arc::new(permit.unwrap())
}

fn is_free(permits: &Permits) -> bool {
    permits.take(&Peer::anonymous(), Instant::now()).is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_last_frame_has_been_handed_over() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    let mut work = streams.begin(Kind::Ours).unwrap();
    work.answer(Some(permit(&permits)));
    drop(work);
    assert!(!is_free(&permits), "the answer is done, and not taken");
    streams.end(1);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_given_up_holds_nothing() {
    let (streams, permits) = (streams(), permits());
    streams.open(1);
    let mut work = streams.begin(Kind::Ours).unwrap();
    work.answer(Some(permit(&permits)));
    streams.end(1);
    drop(work);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn streams_that_end_before_anybody_answers_free_nobody_elses_permit() {
    let (streams, permits) = (streams(), permits());
    for stream in [1, 3, 5] {
        streams.open(stream);
        streams.reset(stream, PROTOCOL_ERROR);
    }
    assert_eq!(streams.all.malformed.get(), 3);
    streams.open(7);
    let mut work = streams.begin(Kind::Ours).unwrap();
    work.answer(Some(permit(&permits)));
    drop(work);
    streams.open(9);
    streams.end(9);
    assert!(!is_free(&permits));
    streams.end(7);
    streams.end(7);
    assert!(is_free(&permits));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_left_for_too_long_is_abuse() {
    // Its body waits for room, or is done, and waits in the library.
    for waits in [true, false] {
        let (streams, permits) = (streams(), permits());
        streams.open(1);
        let mut work = streams.begin(Kind::Ours).unwrap();
        work.answer(Some(permit(&permits)));
        let _body = waits.then_some(work);
        let started = Instant::now();
        streams.abused().await;
        let took = started.elapsed();
        assert!(took >= MAX_UNTAKEN, "{took:?}");
        assert!(took < MAX_UNTAKEN + 2 * LOOK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_are_too_many_streams_untaken_answers_are_abuse_at_once() {
    let streams = streams();
    streams.all.open.store(MAX_OPEN, Ordering::Relaxed);
    for number in 0..20 {
        streams.open(2 * number + 1);
        drop(streams.begin(Kind::Other));
    }
    let started = Instant::now();
    streams.abused().await;
    assert!(started.elapsed() <= LOOK);
}

#[tokio::test(start_paused = true)]
async fn streams_that_last_are_limited_by_kind_and_hold_no_permit() {
    for (kind, max) in [(Kind::Watch, 2), (Kind::Reflection, 4)] {
        let (streams, permits) = (streams(), permits());
        let mut lasting = Vec::new();
        for _ in 0..max {
            let mut work = streams.begin(kind).unwrap();
            work.answer(Some(permit(&permits)));
            lasting.push(work);
        }
        let TooMany(told) = streams.begin(kind).unwrap_err();
        assert_eq!(told.kind(), Kind::Other);
        lasting.pop();
        streams.begin(kind).unwrap();
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
async fn the_streams_of_all_connections_are_counted_until_they_are_gone() {
    let all = Arc::new(All::default());
    let streams = Streams::new(Arc::clone(&all));
    for stream in [1, 3, 3, 5] {
        streams.open(stream);
    }
    streams.end(5);
    assert_eq!(all.open.load(Ordering::Relaxed), 2);
    drop(streams);
    assert_eq!(all.open.load(Ordering::Relaxed), 0);
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
        let flood = streams.state().cancelled > MAX_CANCELS;
        assert_eq!(flood, is_flood, "{per_look}");
    }
}
