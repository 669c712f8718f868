use super::*;

fn at(permits: &Permits, address: &str) -> Peer {
    permits.peer(Identity::default(), address.parse().unwrap())
}

fn named(permits: &Permits, name: &str) -> Peer {
    let identity = Identity {
        name: Some(name.to_owned()),
        may_call: true,
    };
    permits.peer(identity, "10.0.0.9".parse().unwrap())
}

/// Takes permits for a peer until it gets no more. Returns them, and whose limit ended it.
fn fill(permits: &Permits, peer: &Peer) -> (Vec<Permit>, Shed) {
    let mut taken = Vec::new();
    loop {
        match permits.take(peer, Instant::now()) {
            Ok(permit) => taken.push(permit),
            Err(shed) => return (taken, shed),
        }
    }
}

#[test]
fn a_caller_over_its_share_is_refused_only_while_places_are_short() {
    // Three quarters of a hundred are taken when 25 are free; a caller alone gets no further than that.
    let permits = Permits::new(100, 50);
    let (greedy, shed) = fill(&permits, &at(&permits, "10.0.0.1"));
    assert_eq!((greedy.len(), shed), (76, Shed::Caller));
    let (rest, shed) = fill(&permits, &at(&permits, "10.0.0.2"));
    assert_eq!((rest.len(), shed), (24, Shed::All));
    drop(greedy);
    assert!(
        permits
            .take(&at(&permits, "10.0.0.3"), Instant::now())
            .is_ok()
    );
}

#[test]
fn a_share_of_zero_is_none() {
    let permits = Permits::new(100, 0);
    let (taken, shed) = fill(&permits, &at(&permits, "10.0.0.1"));
    assert_eq!((taken.len(), shed), (100, Shed::All));
    drop(taken);
    assert_eq!(permits.0.taken.load(Ordering::Relaxed), 0);
}

#[test]
fn connections_of_one_caller_count_together_by_name_or_by_address() {
    let permits = Permits::new(100, 1);
    for (one, other, together) in [
        (at(&permits, "10.0.0.1"), at(&permits, "10.0.0.1"), true),
        (
            at(&permits, "10.0.0.1"),
            at(&permits, "::ffff:10.0.0.1"),
            true,
        ),
        (at(&permits, "10.0.0.1"), at(&permits, "10.0.0.2"), false),
        (named(&permits, "a"), named(&permits, "a"), true),
        (named(&permits, "a"), named(&permits, "A"), false),
        (named(&permits, "a"), at(&permits, "10.0.0.9"), false),
    ] {
        let same = Arc::ptr_eq(one.in_flight(), other.in_flight());
        assert_eq!(same, together, "{one:?} {other:?}");
    }
}

#[test]
fn callers_that_have_gone_are_forgotten() {
    let permits = Permits::new(100, 50);
    let stays = at(&permits, "10.1.0.0");
    let _permit = permits.take(&stays, Instant::now()).unwrap();
    for number in 0..3 * MAX_CALLERS {
        at(&permits, &format!("10.0.{}.{}", number / 256, number % 256));
    }
    let known = permits.0.callers.lock().unwrap().len();
    assert!(known <= MAX_CALLERS, "{known}");
    let again = at(&permits, "10.1.0.0");
    assert!(Arc::ptr_eq(stays.in_flight(), again.in_flight()));
}
