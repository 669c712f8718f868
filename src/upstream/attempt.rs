//! One attempt: held to its limit, counted, and settled whatever ends it, its caller's going away included.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tokio::time::{Instant, timeout};

use super::error::UpstreamError;
use super::gate::{Gate, Progress};
use super::metrics::{AttemptEnd, Metrics};
use super::pass::Pass;
use super::transport::{Request, Transport};
use super::wire::{Read, RestCall};
use crate::call::{Call, Outcome};
use crate::deadline::Deadline;
use crate::telemetry::trace::Span;

/// The time that an attempt has, and whose time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    time: Duration,
    /// What the caller was allowed, when its deadline comes first.
    deadline: Option<Duration>,
}

/// An attempt under way. Dropped without an end, it counts as cancelled.
pub(super) struct Attempt<'a> {
    call: &'a Call,
    metrics: &'a Metrics,
    gate: Arc<Gate>,
    span: Option<Span>,
    started: Instant,
    end: AttemptEnd,
    /// Whether it may have changed the settings without a success that says so; `None` until it has ended.
    in_doubt: Option<bool>,
}

// === impl Limit ===

impl Limit {
    /// The smaller of the limit of one attempt and what is left until the deadline.
    ///
    /// # Errors
    /// [`UpstreamError::DeadlineExceeded`] when nothing is left.
    pub(super) fn new(attempt: Duration, deadline: &Deadline) -> Result<Self, UpstreamError> {
        let remaining = deadline.remaining();
        let limit = Self {
            time: attempt.min(remaining),
            deadline: (remaining <= attempt).then(|| deadline.allowed()),
        };
        if remaining.is_zero() {
            return Err(limit.passed(Progress::NotSent));
        }
        Ok(limit)
    }

    fn passed(self, progress: Progress) -> UpstreamError {
        match self.deadline {
            Some(allowed) => UpstreamError::DeadlineExceeded { allowed, progress },
            None => UpstreamError::AttemptTimedOut {
                limit: self.time,
                progress,
            },
        }
    }
}

// === impl Attempt ===

impl<'a> Attempt<'a> {
    /// Begins an attempt at `rest` for `call`; nothing is sent yet.
    pub(super) fn start<R>(call: &'a Call, rest: &RestCall<R>, metrics: &'a Metrics) -> Self {
        let number = call.start_attempt();
        let span = call.span.as_ref();
        Self {
            call,
            metrics,
            gate: Arc::default(),
            span: span.map(|span| span.attempt(number, &rest.method, &rest.url)),
            started: Instant::now(),
            end: AttemptEnd::Cancelled,
            in_doubt: None,
        }
    }

    /// Sends the call and reads the answer, within `limit`. Returns what came of it, and how long it took.
    pub(super) fn run<R: Read>(
        mut self,
        rest: &RestCall<R>,
        pass: Pass,
        transport: &Transport,
        limit: Limit,
    ) -> impl Future<Output = (Result<R::Success, UpstreamError>, Duration)> {
        // Made here, so that nothing of it is kept in memory while the upstream is waited for.
        let request = Request {
            method: rest.method.clone(),
            url: rest.url.clone(),
            headers: rest.headers(&pass, &self.call.request_id, self.traceparent()),
            body: rest.body.clone(),
            gate: Arc::clone(&self.gate),
            due: self.started + limit.time,
        };
        let answer = timeout(limit.time, transport.send(request));
        async move {
            let result = match answer.await {
                Ok(Ok(answer)) => {
                    if let Some(span) = &self.span {
                        let status = i64::from(answer.status.as_u16());
                        span.set("http.response.status_code", status);
                    }
                    rest.reader.read(&answer, pass.secrets(), SystemTime::now())
                }
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => Err(limit.passed(self.gate.close())),
            };
            let took = self.started.elapsed();
            self.settle(&result);
            (result, took)
        }
    }

    /// The caller's own trace context, unless the attempt has a span.
    fn traceparent(&self) -> Option<HeaderValue> {
        match &self.span {
            Some(span) => span.traceparent(),
            None => self
                .call
                .traceparent
                .as_ref()
                .map(|own| own.header().clone()),
        }
    }

    fn settle<T>(&mut self, result: &Result<T, UpstreamError>) {
        let Err(error) = result else {
            self.end = AttemptEnd::Accepted;
            self.in_doubt = Some(false);
            return;
        };
        let in_doubt = error.outcome() == Outcome::Unknown;
        self.in_doubt = Some(in_doubt);
        self.end = match error {
            UpstreamError::Refused(refusal) => {
                self.metrics.refused(refusal.known().map(|row| row.code));
                AttemptEnd::Refused
            }
            _ if in_doubt => AttemptEnd::NoAnswer,
            _ => AttemptEnd::NotSent,
        };
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // However it ended, it must leave no body that could still depart.
        let progress = self.gate.close();
        if self.in_doubt.unwrap_or(progress != Progress::NotSent) {
            self.call.doubt();
        }
        self.metrics.attempt(self.end, self.started.elapsed());
        if let Some(span) = &self.span {
            let failed = self.end != AttemptEnd::Accepted;
            span.end_with(failed.then(|| self.end.label()));
        }
    }
}

#[cfg(test)]
mod tests;
