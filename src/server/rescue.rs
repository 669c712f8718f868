//! The rescue of a call that would otherwise end without an answer of ours: it panics, its request does not
//! arrive, a layer turns it away, or the framework refuses it.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::permits::Kept;
use super::record::Recorded;
use crate::call::{Call, Outcome};
use crate::status::Verdict;

/// How long after its deadline a call is given up here: the rooms below answer first, and in time,
/// unless the request itself has not arrived.
pub(super) const BACKSTOP: Duration = Duration::from_millis(10);

/// How long a request message may take to arrive: a permit is not held for those that never do.
pub(super) const MAX_ARRIVAL: Duration = Duration::from_secs(2);

/// Makes sure that each call has an answer.
#[derive(Debug, Clone)]
pub(super) struct Rescue<S> {
    pub(super) inner: S,
    /// Whether a status by the framework is put in our words, with details.
    pub(super) explain: bool,
}

impl<S, B> Service<Recorded<B>> for Rescue<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Box<Verdict>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Rescuing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What keeps the layers inside from being ready is told by the call's own error.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, recorded: Recorded<B>) -> Self::Future {
        let Recorded { call, mut request } = recorded;
        let permit = Kept::default();
        request.extensions_mut().insert(permit.clone());
        Rescuing {
            inner: Some(self.inner.call(request)),
            backstop: sleep(MAX_ARRIVAL.min(call.deadline.limit() + BACKSTOP)),
            explain: self.explain,
            call,
            permit,
        }
    }
}

pin_project! {
    /// A call under way.
    #[derive(Debug)]
    pub(super) struct Rescuing<F> {
        // Gone once it has answered or is given up.
        #[pin]
        inner: Option<F>,
        #[pin]
        backstop: Sleep,
        explain: bool,
        call: Arc<Call>,
        // The answer takes it along, whoever makes it.
        permit: Kept,
    }
}

impl<F> Future for Rescuing<F>
where
    F: Future<Output = Result<Response<Body>, Box<Verdict>>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            // Only after the answer, when nobody polls any more.
            return Poll::Pending;
        };
        // The future is dropped after a panic, so no broken state is ever seen.
        let response = match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(Poll::Ready(Ok(response))) => match by_framework(&response) {
                Some(status) if *this.explain => Err(Box::new(Verdict::unreadable(&status))),
                _ => Ok(response),
            },
            Ok(Poll::Ready(Err(verdict))) => Err(verdict),
            Err(panic) => {
                let cause = message_of(&*panic);
                // Nothing else that happened to the call can be relied upon.
                Err(Box::new(Verdict::broken(cause, Outcome::Unknown)))
            }
            Ok(Poll::Pending) => {
                if !is_overdue(this.backstop.as_mut(), this.call, cx) {
                    return Poll::Pending;
                }
                // What it was doing ends here, and is known to the call.
                this.inner.set(None);
                Err(Box::new(Verdict::late(this.call)))
            }
        };
        this.inner.set(None);
        let mut response =
            response.unwrap_or_else(|verdict| verdict.into_status(this.call).into_http());
        response.extensions_mut().insert(this.permit.clone());
        Poll::Ready(Ok(response))
    }
}

/// The status of an answer that is the framework's and not ours: it knows no details.
fn by_framework(response: &Response<Body>) -> Option<Status> {
    let is_ours = |status: &Status| Verdict::behind(status).is_some();
    if response.extensions().get().is_some_and(is_ours) {
        return None;
    }
    // Some of the framework's answers hold their status in the headers alone.
    let status = Status::from_header_map(response.headers());
    status.filter(|status| status.code() != Code::Ok)
}

/// Whether a call has to be given up: its request has not arrived, or its deadline is well past.
fn is_overdue(mut backstop: Pin<&mut Sleep>, call: &Call, cx: &mut Context<'_>) -> bool {
    while backstop.as_mut().poll(cx).is_ready() {
        let left = call.deadline.remaining();
        if !call.is_received() || left.is_zero() {
            return true;
        }
        backstop.as_mut().reset(Instant::now() + left + BACKSTOP);
    }
    false
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without words"))
}
