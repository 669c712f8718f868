use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PERHAPS: PasswordDoubt = PasswordDoubt::Perhaps;

fn caller(number: u8) -> Caller {
    Caller::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
}

fn key(number: u8) -> Key {
    Key::for_tests(number)
}

/// How long is left until a place is free, or `None` where one of those that are taken may become so.
fn refused(taken: Result<Taken, Full>) -> Option<Duration> {
    match taken {
        Ok(taken) => panic!("there is a place: {taken:?}"),
        Err(Full::Wait(_)) => None,
        Err(Full::Refuse(wait)) => Some(wait),
    }
}

#[tokio::test(start_paused = true)]
async fn a_meeting_has_three_places_a_minute_and_each_caller_its_own() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    for number in 0..3 {
        let place = all.take(&caller(1), "a", key(number), now + SECOND);
        place.unwrap().keep(PERHAPS, now + SECOND);
    }
    let later = now + 11 * SECOND;
    let fourth = || all.take(&caller(1), "a", key(3), later);
    assert_eq!(refused(fourth()), Some(50 * SECOND));
    let again = all.take(&caller(1), "a", key(2), later);
    again.expect("a password that may be wrong has its place");
    all.take(&caller(1), "b", key(4), later)
        .expect("of another meeting");
    all.take(&caller(2), "a", key(3), later)
        .expect("of another caller");
    all.take(&caller(1), "a", key(3), now + 61 * SECOND)
        .expect("a minute later");
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_twenty_places_over_all_meetings() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    for number in 0..20 {
        let meeting = number.to_string();
        all.take(&caller(1), &meeting, key(number), now)
            .unwrap()
            .keep(PERHAPS, now);
    }
    assert_eq!(
        refused(all.take(&caller(1), "x", key(99), now)),
        Some(60 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_not_kept_is_given_back_to_whoever_waits() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let mut places: Vec<_> = (0..3)
        .map(|number| all.take(&caller(1), "a", key(number), now).unwrap())
        .collect();
    let Err(Full::Wait(waiting)) = all.take(&caller(1), "a", key(3), now) else {
        panic!("one may be given back");
    };
    places.pop().unwrap().keep(PERHAPS, now);
    drop(places.pop());
    waiting.wait(SECOND).await.expect("one was given back");
    let place = all.take(&caller(1), "a", key(3), now).unwrap();
    place.keep(PERHAPS, now);
    places.pop().unwrap().keep(PERHAPS, now);
    assert!(
        refused(all.take(&caller(1), "a", key(4), now)).is_some(),
        "all are wrong"
    );
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_learn_that_no_place_is_given_back() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let places: Vec<_> = (0..20)
        .map(|number| {
            let meeting = number.to_string();
            all.take(&caller(1), &meeting, key(number), now).unwrap()
        })
        .collect();
    let waiting: Vec<_> = (0..2)
        .map(|_| match all.take(&caller(1), "x", key(99), now) {
            Err(Full::Wait(waiting)) => waiting,
            other => panic!("{other:?}"),
        })
        .collect();
    for place in places {
        place.keep(PERHAPS, now);
    }
    for waiting in waiting {
        waiting.wait(SECOND).await.expect("all are judged");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_wrong_before_stays_so_when_an_answer_says_nothing() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    for number in 0..3 {
        all.take(&caller(1), "a", key(number), now)
            .unwrap()
            .keep(PERHAPS, now);
    }
    drop(all.take(&caller(1), "a", key(0), now).unwrap());
    assert!(refused(all.take(&caller(1), "a", key(3), now)).is_some());
}

#[tokio::test(start_paused = true)]
async fn callers_are_forgotten_once_nothing_is_known_of_them() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    drop(all.take(&caller(1), "a", key(0), now).unwrap());
    assert!(all.lock().is_empty());
    let many = |number: usize| {
        let bytes = u32::try_from(number).unwrap().to_be_bytes();
        Caller::Address(IpAddr::V4(bytes.into()))
    };
    for number in 0..MAX_CALLERS + 10 {
        all.take(&many(number), "a", key(0), now)
            .unwrap()
            .keep(PERHAPS, now);
    }
    assert_eq!(all.lock().len(), MAX_CALLERS + 1, "the others are one");
    all.sweep(now + 59 * SECOND);
    assert_eq!(all.lock().len(), MAX_CALLERS + 1);
    all.sweep(now + 60 * SECOND);
    assert!(all.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_when_its_password_proves_right() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    for number in 0..3 {
        let place = all.take(&caller(1), "a", key(number), now).unwrap();
        place.keep(PERHAPS, now);
    }
    all.take(&caller(1), "a", key(0), now).unwrap().prove();
    all.take(&caller(1), "a", key(3), now)
        .expect("it has room for another");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_wrong_is_not_judged_again_within_its_minute() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let place = all.take(&caller(1), "a", key(0), now).unwrap();
    place.keep(PasswordDoubt::Wrong, now);
    let again = |later: u32| all.take(&caller(1), "a", key(0), now + later * SECOND);
    assert_eq!(refused(again(10)), Some(50 * SECOND));
    again(60).expect("a minute later");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_without_a_place_leaves_it_to_the_next() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let mut places: Vec<_> = (0..20)
        .map(|number| {
            let meeting = number.to_string();
            all.take(&caller(1), &meeting, key(number), now).unwrap()
        })
        .collect();
    let mut waiting: Vec<_> = (0..5)
        .map(|_| match all.take(&caller(1), "x", key(99), now) {
            Err(Full::Wait(waiting)) => waiting,
            other => panic!("{other:?}"),
        })
        .collect();
    places.pop();
    for waiting in waiting.drain(..) {
        let holder = waiting.wait(SECOND).await.expect("the one before left it");
        all.pass_on(&holder);
    }
}

#[tokio::test(start_paused = true)]
async fn the_bucket_of_all_the_others_is_passed_on_even_when_there_is_room_again() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let bytes = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let many: Vec<_> = (0..MAX_CALLERS)
        .map(|number| {
            let caller = Caller::Address(IpAddr::V4(bytes(number).into()));
            all.take(&caller, "a", key(0), now).unwrap()
        })
        .collect();
    let late = Caller::Address(IpAddr::V4(Ipv4Addr::BROADCAST));
    let mut places: Vec<_> = (0..20)
        .map(|number| {
            all.take(&late, &number.to_string(), key(number), now)
                .unwrap()
        })
        .collect();
    let mut waiting: Vec<_> = (0..2)
        .map(|_| match all.take(&late, "x", key(99), now) {
            Err(Full::Wait(waiting)) => waiting,
            other => panic!("{other:?}"),
        })
        .collect();
    drop(many);
    places.pop();
    for waiting in waiting.drain(..) {
        let holder = waiting.wait(SECOND).await.expect("the one before left it");
        all.pass_on(&holder);
    }
}

#[tokio::test(start_paused = true)]
async fn places_of_locked_logins_are_bounded_as_well() {
    let (all, now) = (Arc::<Allowances>::default(), Instant::now());
    let take = |number: u8| all.take(&caller(1), &number.to_string(), key(number), now);
    for number in 0..100 {
        take(number).unwrap().keep(PasswordDoubt::Locked, now);
    }
    assert_eq!(refused(take(100)), Some(60 * SECOND));
    let again: Vec<_> = (0..20).map(|number| take(number).unwrap()).collect();
    assert_eq!(refused(take(20)), None, "they may all be wrong by now");
    drop(again);
}
