//! Callers: hurried, patient, or soon gone.

use std::time::Duration;

use fastrand::Rng;
use meeting_control::names;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::kit::{MEETING, PATIENCE, lock};

/// What a caller was told.
#[derive(Debug)]
pub enum Told {
    Success,
    Failure {
        code: &'static str,
        reason: String,
        outcome: String,
        attempts: usize,
        retry_delay: Option<Duration>,
    },
    /// A failure without details, though the caller was still there.
    Bare(String),
    /// The caller gave up first: by its deadline, or because it went away.
    Nothing,
}

/// How patient the caller of one call is.
#[derive(Debug)]
pub struct Caller {
    deadline: Option<Duration>,
    /// When it goes away without a word.
    leaves: Option<Duration>,
}

impl Caller {
    pub fn any(random: &mut Rng) -> Self {
        let kind = random.u8(..10);
        let mut milliseconds = |range| Some(Duration::from_millis(random.u64(range)));
        Self {
            deadline: match kind {
                0 => milliseconds(1..10),
                1 => milliseconds(10..100),
                2..6 => milliseconds(100..800),
                _ => None,
            },
            leaves: if kind == 6 {
                milliseconds(0..150)
            } else {
                None
            },
        }
    }

    /// Makes a call with one or `several` settings, and says what it was told.
    pub async fn call(
        &self,
        client: &mut MeetingControlClient<Channel>,
        call: u64,
        several: bool,
    ) -> Told {
        let mut request = lock(MEETING);
        if several {
            request.get_mut().is_lock = 1;
        }
        let id = call.to_string().parse().unwrap();
        request.metadata_mut().insert("x-request-id", id);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        let started = Instant::now();
        let answer = client.update_started_conf_config(request);
        match timeout(self.leaves.unwrap_or(PATIENCE), answer).await {
            Ok(Ok(_)) => Told::Success,
            Ok(Err(status)) => match Told::failure(&status) {
                Told::Bare(_) if self.deadline.is_some_and(|due| started.elapsed() >= due) => {
                    Told::Nothing
                }
                told => told,
            },
            Err(_) if self.leaves.is_some() => Told::Nothing,
            Err(_) => panic!("call {call} has no answer"),
        }
    }
}

impl Told {
    fn failure(status: &Status) -> Self {
        let code = names::code(status.code());
        let details = status.get_error_details();
        match details.error_info() {
            Some(info) => Self::Failure {
                code,
                reason: info.reason.clone(),
                outcome: info.metadata["outcome"].clone(),
                attempts: info.metadata["attempts"].parse().unwrap(),
                retry_delay: details.retry_info().and_then(|info| info.retry_delay),
            },
            None => Self::Bare(format!("{code}, {}", status.message())),
        }
    }

    /// How long to wait where the façade does not ask the upstream for a while.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Failure {
                reason,
                retry_delay,
                ..
            } if reason == "UPSTREAM_DOWN" => *retry_delay,
            _ => None,
        }
    }
}
