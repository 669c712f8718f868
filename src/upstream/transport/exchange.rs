//! An exchange that was given up does not break what others share: a request that has left has a moment to
//! end by itself before its stream is reset or its connection closed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::upstream::answer::Answer;
use crate::upstream::error::UpstreamError;
use crate::upstream::gate::{Gate, Progress};

/// How long an exchange may go on by itself.
const MAX_LINGER: Duration = Duration::from_secs(1);
/// The most exchanges that go on by themselves at once.
pub(super) const MAX_LINGERING: usize = 1024;

type Running = Pin<Box<dyn Future<Output = Result<Answer, UpstreamError>> + Send>>;

/// A request under way.
pub(in crate::upstream) struct Exchange {
    /// Gone once the answer is there.
    running: Option<Running>,
    gate: Arc<Gate>,
    lingering: Arc<Semaphore>,
}

impl Exchange {
    /// `gate` tells whether the request has left; `lingering` has a permit for each exchange that may go on.
    pub(super) fn new(running: Running, gate: Arc<Gate>, lingering: Arc<Semaphore>) -> Self {
        Self {
            running: Some(running),
            gate,
            lingering,
        }
    }
}

impl Future for Exchange {
    type Output = Result<Answer, UpstreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = &mut self.running else {
            // Only after the answer, when nobody polls any more.
            return Poll::Pending;
        };
        let answer = running.as_mut().poll(cx);
        if answer.is_ready() {
            self.running = None;
        }
        answer
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        if self.gate.close() == Progress::NotSent {
            return;
        }
        let permit = Arc::clone(&self.lingering).try_acquire_owned();
        if let (Ok(permit), Ok(runtime)) = (permit, Handle::try_current()) {
            runtime.spawn(async move {
                let _permit = permit;
                // Nobody waits for the answer; it has told the breaker what it says.
                let _ = timeout(MAX_LINGER, running).await;
            });
        }
    }
}
