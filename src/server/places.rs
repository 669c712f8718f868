//! How many calls may be under way at once: in all, and of one caller while places are short.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::{BoxError, Service};

use crate::call::{Identity, Peer};
use crate::status::Shed;

/// A caller over its share is refused while less than this part of all places is free.
const SHORT: usize = 4;
/// Above so many callers, those that have gone are forgotten.
const MAX_CALLERS: usize = 4096;

/// The places for calls, for all threads. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    /// Each caller's share.
    share: usize,
    taken: AtomicUsize,
    /// How many places each caller has taken, as long as it has a connection.
    callers: Mutex<HashMap<Caller, Weak<AtomicUsize>>>,
}

/// Who counts as one caller: the name in its certificate, else its address.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Caller {
    Name(String),
    Address(IpAddr),
}

/// A place that a call has taken, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    of_caller: Arc<AtomicUsize>,
}

impl Places {
    /// `max` places, of which one caller may have `share` while they are short; 0 sets no share.
    pub(super) fn new(max: u32, share: u32) -> Self {
        let share = if share == 0 { max } else { share };
        Self(Arc::new(Shared {
            max: max as usize,
            share: share as usize,
            taken: AtomicUsize::new(0),
            callers: Mutex::default(),
        }))
    }

    /// The peer at `address` with that identity; it counts with all peers that are the same caller.
    pub(super) fn peer(&self, identity: Identity, address: IpAddr) -> Peer {
        let caller = match &identity.name {
            Some(name) => Caller::Name(name.clone()),
            None => Caller::Address(address.to_canonical()),
        };
        let mut callers = self
            .0
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MAX_CALLERS {
            callers.retain(|_, count| count.strong_count() > 0);
        }
        let count = callers.entry(caller).or_default();
        let in_flight = count.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *count = Arc::downgrade(&new);
            new
        });
        Peer::new(identity, in_flight)
    }

    /// Takes a place for a call of `peer`.
    ///
    /// # Errors
    /// [`Shed`] says whose limit is reached.
    pub(super) fn take(&self, peer: &Peer) -> Result<Place, Shed> {
        let before = self.0.taken.fetch_add(1, Ordering::Relaxed);
        let of_caller = peer.in_flight().fetch_add(1, Ordering::Relaxed);
        // Given back at once if there is none.
        let place = Place {
            shared: Arc::clone(&self.0),
            of_caller: Arc::clone(peer.in_flight()),
        };
        let free = self.0.max.saturating_sub(before);
        if free == 0 {
            Err(Shed::All)
        } else if of_caller >= self.0.share && free * SHORT < self.0.max {
            Err(Shed::Caller)
        } else {
            Ok(place)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.taken.fetch_sub(1, Ordering::Relaxed);
        self.of_caller.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Holds a place for each call; the error of one that gets none is [`Shed`].
#[derive(Debug, Clone)]
pub(super) struct Limit<S> {
    pub(super) inner: S,
    pub(super) places: Places,
}

impl<S, B> Service<Request<B>> for Limit<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Either<Ready<Result<Response<Body>, BoxError>>, UnderWay<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        // Without a peer, there is no connection that it could have come over: not in the product.
        let place = peer.map_or(Err(Shed::All), |peer| self.places.take(peer));
        match place {
            Ok(place) => Either::Right(UnderWay {
                answer: self.inner.call(request),
                _place: place,
            }),
            Err(shed) => Either::Left(ready(Err(shed.into()))),
        }
    }
}

pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct UnderWay<F> {
        #[pin]
        answer: F,
        _place: Place,
    }
}

impl<F> Future for UnderWay<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.project().answer.poll(cx);
        answer.map_err(|never| match never {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &Places, address: &str) -> Peer {
        places.peer(Identity::default(), address.parse().unwrap())
    }

    fn named(places: &Places, name: &str) -> Peer {
        let identity = Identity {
            name: Some(name.to_owned()),
            may_call: true,
        };
        places.peer(identity, "10.0.0.9".parse().unwrap())
    }

    /// Takes places for a peer until it gets no more. Returns them, and whose limit ended it.
    fn fill(places: &Places, peer: &Peer) -> (Vec<Place>, Shed) {
        let mut taken = Vec::new();
        loop {
            match places.take(peer) {
                Ok(place) => taken.push(place),
                Err(shed) => return (taken, shed),
            }
        }
    }

    #[test]
    fn a_caller_over_its_share_is_refused_only_while_places_are_short() {
        // Three quarters of a hundred are taken when 25 are free; a caller alone gets no further than that.
        let places = Places::new(100, 50);
        let (greedy, shed) = fill(&places, &at(&places, "10.0.0.1"));
        assert_eq!((greedy.len(), shed), (76, Shed::Caller));
        let (rest, shed) = fill(&places, &at(&places, "10.0.0.2"));
        assert_eq!((rest.len(), shed), (24, Shed::All));
        drop(greedy);
        assert!(places.take(&at(&places, "10.0.0.3")).is_ok());
    }

    #[test]
    fn a_share_of_zero_is_none() {
        let places = Places::new(100, 0);
        let (taken, shed) = fill(&places, &at(&places, "10.0.0.1"));
        assert_eq!((taken.len(), shed), (100, Shed::All));
        drop(taken);
        assert_eq!(places.0.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_of_one_caller_count_together_by_name_or_by_address() {
        let places = Places::new(100, 1);
        for (one, other, together) in [
            (at(&places, "10.0.0.1"), at(&places, "10.0.0.1"), true),
            (
                at(&places, "10.0.0.1"),
                at(&places, "::ffff:10.0.0.1"),
                true,
            ),
            (at(&places, "10.0.0.1"), at(&places, "10.0.0.2"), false),
            (named(&places, "a"), named(&places, "a"), true),
            (named(&places, "a"), named(&places, "A"), false),
            (named(&places, "a"), at(&places, "10.0.0.9"), false),
        ] {
            let same = Arc::ptr_eq(one.in_flight(), other.in_flight());
            assert_eq!(same, together, "{one:?} {other:?}");
        }
    }

    #[test]
    fn callers_that_have_gone_are_forgotten() {
        let places = Places::new(100, 50);
        let stays = at(&places, "10.1.0.0");
        let _place = places.take(&stays).unwrap();
        for number in 0..3 * MAX_CALLERS {
            at(&places, &format!("10.0.{}.{}", number / 256, number % 256));
        }
        let known = places.0.callers.lock().unwrap().len();
        assert!(known <= MAX_CALLERS, "{known}");
        let again = at(&places, "10.1.0.0");
        assert!(Arc::ptr_eq(stays.in_flight(), again.in_flight()));
    }
}
