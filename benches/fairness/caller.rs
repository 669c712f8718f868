//! Callers: real gRPC calls, at one of two paces.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use meeting_control::names::AUTHORIZATION;
use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use meeting_control::sandbox;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::calls::{Calls, End, Ended};

/// How many meetings steady calls are spread over.
const MEETINGS: u32 = 50;
/// How long beyond its deadline a caller waits, to see that it was kept waiting.
const TOO_LONG: Duration = Duration::from_secs(1);
/// The deadline of calls that are cancelled before.
const FAR: Duration = Duration::from_secs(10);

/// One client, on a connection of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller(MeetingControlClient<Channel>);

/// How long a caller waits for each of its calls.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// It says how long: its deadline.
    Deadline(Duration),
    /// It cancels the call after so long, and does not say so before.
    Cancel(Duration),
}

/// Calls that start whatever becomes of those before.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What the stand-in is to do with them.
    pub manner: &'static str,
    pub patience: Patience,
    /// Each period, so many start at once.
    pub period: Duration,
    pub at_once: u32,
}

/// Callers that make one call after the other, until stopped.
#[derive(Debug)]
pub struct Loops {
    tasks: JoinSet<()>,
    ended: Arc<Mutex<Calls>>,
}

impl Caller {
    /// Connects from the address `from`.
    pub async fn connect(facade: &str, from: IpAddr) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(facade.to_owned())?.local_address(Some(from));
        Ok(Self(MeetingControlClient::new(endpoint.connect().await?)))
    }

    /// Makes one call for a meeting, of which the stand-in knows by `manner` what to do.
    pub async fn call(&self, manner: &str, number: u32, patience: Patience) -> Ended {
        let mut request = Request::new(UpdateStartedConfConfigRequest {
            conference_id: format!("{manner}-{number}"),
            lock_sharing: 2,
            ..Default::default()
        });
        let token = MetadataValue::from_static(sandbox::TOKEN);
        request.metadata_mut().insert(AUTHORIZATION.as_str(), token);
        let (deadline, limit, given_up) = match patience {
            Patience::Deadline(deadline) => (deadline, deadline + TOO_LONG, End::Unanswered),
            Patience::Cancel(after) => (FAR, after, End::Cancelled),
        };
        request.set_timeout(deadline);
        let mut client = self.0.clone();
        let started = Instant::now();
        let answer = timeout(limit, client.update_started_conf_config(request)).await;
        let end = match answer {
            Ok(Ok(_)) => End::Ok,
            Ok(Err(status)) => End::of(&status),
            Err(_elapsed) => given_up,
        };
        Ended {
            started,
            took: started.elapsed(),
            end,
        }
    }
}

impl Load {
    /// Single calls.
    pub const fn new(manner: &'static str, patience: Patience, period: Duration) -> Self {
        Self {
            manner,
            patience,
            period,
            at_once: 1,
        }
    }

    /// Makes calls for `span`, by `callers` in turn, and waits for all of them.
    pub async fn make(self, callers: &[Caller], span: Duration) -> Calls {
        let mut ticks = interval(self.period);
        let mut calls = JoinSet::new();
        let count = span.div_duration_f64(self.period).ceil() as u32 * self.at_once;
        for (number, caller) in (0..count).zip(callers.iter().cycle()) {
            if number % self.at_once == 0 {
                ticks.tick().await;
            }
            let (caller, meeting) = (caller.clone(), number % MEETINGS);
            calls.spawn(async move { caller.call(self.manner, meeting, self.patience).await });
        }
        calls.join_all().await.into_iter().collect()
    }
}

/// Has each of `callers` make one call after the other, all for the same meeting, at most one in `period`.
/// They begin spread over that time, or they would all come back in one wave.
pub fn looping(
    callers: &[Caller],
    manner: &'static str,
    patience: Patience,
    period: Duration,
) -> Loops {
    let ended = Arc::new(Mutex::new(Calls::default()));
    let mut tasks = JoinSet::new();
    let spacing = period.div_f64(callers.len() as f64);
    for (number, caller) in (0..).zip(callers) {
        let (caller, noting) = (caller.clone(), Arc::clone(&ended));
        tasks.spawn(async move {
            sleep(spacing * number).await;
            loop {
                let ended = caller.call(manner, 0, patience).await;
                let next = ended.started + period;
                let calls = noting.lock();
                calls.unwrap_or_else(PoisonError::into_inner).push(ended);
                sleep_until(next).await;
            }
        });
    }
    Loops { tasks, ended }
}

impl Loops {
    /// Cancels what is under way, and tells what became of the calls before.
    pub async fn stop(mut self) -> Calls {
        self.tasks.shutdown().await;
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *ended)
    }
}
