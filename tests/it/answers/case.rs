//! Cases: an answer and what must come of it.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;
use tonic::Status;

use crate::kit::{Facade, Failure, MEETING, Script, Settings, Step};

/// An answer, and what the caller must get.
pub struct Case {
    name: &'static str,
    answer: Vec<u8>,
    /// The connection stays open after the answer, which is not whole.
    held: bool,
    expected: Expected,
}

/// What has to be told; what is left out is left open.
#[derive(Default)]
pub struct Expected {
    /// A gRPC code, or `OK`.
    code: &'static str,
    outcome: Option<&'static str>,
    reason: Option<&'static str>,
    error_code: Option<&'static str>,
    retry_delay: Option<Duration>,
    /// How often the PUT may be sent at most.
    puts: usize,
}

/// The façade tries as often if it may try again at all.
pub const MAX_PUTS: usize = 3;

pub fn accepted(name: &'static str, answer: Vec<u8>) -> Case {
    Case {
        name,
        answer,
        held: false,
        expected: Expected::new("OK", None, 1),
    }
}

pub fn refused(
    name: &'static str,
    answer: Vec<u8>,
    code: &'static str,
    outcome: &'static str,
) -> Case {
    Case {
        expected: Expected::new(code, Some(outcome), MAX_PUTS),
        ..accepted(name, answer)
    }
}

impl Case {
    pub fn held(self) -> Self {
        Self { held: true, ..self }
    }

    pub fn reason(mut self, reason: &'static str) -> Self {
        self.expected.reason = Some(reason);
        self
    }

    pub fn error_code(mut self, code: &'static str) -> Self {
        self.expected.error_code = Some(code);
        self
    }

    pub fn retry_delay(mut self, seconds: u64) -> Self {
        self.expected.retry_delay = Some(Duration::from_secs(seconds));
        self
    }

    pub fn puts(mut self, most: usize) -> Self {
        self.expected.puts = most;
        self
    }

    pub fn once(self) -> Self {
        self.puts(1)
    }

    /// What is wrong with what the façade makes of the answer.
    async fn fault(self) -> Option<String> {
        let step = if self.held {
            Step::Raw(self.answer)
        } else {
            Step::Then(self.answer)
        };
        let upstream = Script::start([step]).await;
        let facade = Facade::with(&upstream.base, on_one_thread()).await;
        let told = facade.lock(MEETING).await.map(drop);
        let fault = self.expected.fault(&told, upstream.requests().len())?;
        Some(format!("{}: {fault}", self.name))
    }
}

impl Expected {
    pub fn new(code: &'static str, outcome: Option<&'static str>, puts: usize) -> Self {
        Self {
            code,
            outcome,
            puts,
            ..Self::default()
        }
    }

    /// What is wrong with what a caller was told after so many PUTs.
    pub fn fault(&self, told: &Result<(), Status>, puts: usize) -> Option<String> {
        let mut faults = String::new();
        let mut check = |what: &str, told: &str, expected: Option<&str>| {
            if expected.is_some_and(|expected| expected != told) {
                let expected = expected.unwrap_or_default();
                write!(faults, "{what} {told:?}, not {expected:?}; ").unwrap();
            }
        };
        match told {
            Ok(()) => check("code", "OK", Some(self.code)),
            Err(status) => {
                let failure = Failure::of(status);
                check("code", failure.code, Some(self.code));
                check("outcome", failure.outcome(), self.outcome);
                check("reason", &failure.reason, self.reason);
                let error_code = failure.metadata.get("error_code");
                let error_code = error_code.map(String::as_str).unwrap_or_default();
                check("error_code", error_code, self.error_code);
                let text = |delay| format!("{delay:?}");
                let expected = self.retry_delay.map(|delay| text(Some(delay)));
                check(
                    "retry delay",
                    &text(failure.retry_delay()),
                    expected.as_deref(),
                );
            }
        }
        if puts > self.puts {
            write!(faults, "{puts} PUTs").unwrap();
        }
        (!faults.is_empty()).then_some(faults)
    }
}

/// Enough for one call, and there are many façades here.
pub fn on_one_thread() -> Settings {
    Settings {
        threads: 1,
        ..Settings::default()
    }
}

/// A whole answer.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    part(status, headers, body, 0)
}

/// An answer of which the last bytes do not come.
pub fn part(status: &str, headers: &str, body: impl AsRef<[u8]>, missing: usize) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len() + missing;
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

pub async fn check(cases: impl IntoIterator<Item = Case>) {
    let faults = join_all(cases.into_iter().map(Case::fault)).await;
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
