//! A stand-in for the upstream: a real HTTP server that checks each call as the vendor's page says,
//! keeps every meeting's settings, and misbehaves on request.
//!
//! For newcomers, for our tests and for the tests of callers, who rely on its test ids.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::accept;
use crate::setting::{SETTINGS, Values};
use crate::upstream::wire::UPDATE_PATH;

mod check;
mod test_id;

pub use check::TOKEN;

use check::Refused;
use test_id::{Behaviour, Fault};

/// The meeting that the printed calls are about.
pub const MEETING: &str = "900244663";

/// The most connections at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// The most meetings that are kept.
const MOST_MEETINGS: usize = 10_000;
/// The largest request body that is read.
const LARGEST_BODY: usize = 64 * 1024;
/// How long a request body may take.
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// How long a connection may take over its request headers, and stay idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

type Report = dyn Fn(&str) + Send + Sync;

/// The meetings, and where their changes are told. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    meetings: Arc<Mutex<HashMap<String, Meeting>>>,
    report: Arc<Report>,
}

/// One running meeting.
#[derive(Debug, Clone)]
struct Meeting {
    born: Instant,
    /// REST values in the order of [`SETTINGS`].
    settings: [u8; SETTINGS.len()],
    /// Calls so far, for ids that fail twice.
    calls: u64,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            settings: SETTINGS.each_ref().map(|setting| setting.default),
            calls: 0,
        }
    }
}

impl Sandbox {
    /// An empty sandbox that tells each change, such as `meeting 900244663: lockSharing 0 -> 1`, to
    /// `report`.
    pub fn new(report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            meetings: Arc::default(),
            report: Arc::new(report),
        }
    }

    /// Serves HTTP/1.1 on `listener` until the future is dropped.
    pub async fn serve(self, listener: &TcpListener) {
        let router = self.router();
        accept::each(listener, MOST_CONNECTIONS, |stream, _| {
            converse(stream, router.clone())
        })
        .await;
    }

    fn router(self) -> Router {
        Router::new()
            .route(UPDATE_PATH, put(update).fallback(check::unknown_interface))
            .route("/sandbox/meetings/{id}", get(show))
            .fallback(check::unknown_interface)
            .with_state(self)
    }

    fn change(&self, id: &str, values: &Values) {
        let mut changes = Vec::new();
        self.meeting(id, |meeting| {
            for ((setting, current), new) in SETTINGS.iter().zip(&mut meeting.settings).zip(values)
            {
                if let Some(new) = *new
                    && new != *current
                {
                    changes.push(format!("meeting {id}: {} {current} -> {new}", setting.key));
                    *current = new;
                }
            }
        });
        for change in changes {
            (self.report)(&change);
        }
    }

    /// Counts a call; every third one comes through.
    fn is_third_call(&self, id: &str) -> bool {
        self.meeting(id, |meeting| {
            meeting.calls += 1;
            meeting.calls % 3 == 0
        })
    }

    /// A meeting, which comes into being when it is first used; the oldest makes room for it.
    fn meeting<T>(&self, id: &str, use_it: impl FnOnce(&mut Meeting) -> T) -> T {
        let mut meetings = self.meetings.lock().unwrap_or_else(PoisonError::into_inner);
        if meetings.len() >= MOST_MEETINGS && !meetings.contains_key(id) {
            let oldest = meetings.iter().min_by_key(|(_, meeting)| meeting.born);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                meetings.remove(&oldest);
            }
        }
        use_it(meetings.entry(id.to_owned()).or_default())
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// One connection: HTTP, until a test id asks for something else.
async fn converse(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            match response.extensions_mut().remove::<Fault>() {
                Some(fault) => Err(fault),
                None => Ok(response),
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let fault = ended.as_ref().err().and_then(|error| error.source());
    if let Some(Fault::NotHttp) = fault.and_then(|error| error.downcast_ref()) {
        let mut stream = connection.into_parts().io.into_inner();
        // Whether the garbage still arrives is the caller's affair.
        let _ = stream.write_all(b"\x00\x01SSH-2.0-sandbox\r\n\r\n").await;
    }
}

async fn update(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Ok(body)) = timeout(BODY_LIMIT, to_bytes(body, LARGEST_BODY)).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut response = match check::request(query.as_deref(), &headers, &body) {
        Ok((id, values)) => sandbox.answer(&id, &values).await,
        Err(refused) => refused.into_response(),
    };
    let id = format!("{:032x}", fastrand::u128(..));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

impl Sandbox {
    async fn answer(&self, id: &str, values: &Values) -> Response {
        match test_id::behaviour(id) {
            Behaviour::Run => {}
            Behaviour::Status(status) => return status.into_response(),
            Behaviour::StatusTwice(status) => {
                if !self.is_third_call(id) {
                    return status.into_response();
                }
            }
            Behaviour::Code(code) => return Refused::with_code(code).into_response(),
            Behaviour::Delay(delay) => tokio::time::sleep(delay).await,
            Behaviour::Huge(size) => {
                self.change(id, values);
                return vec![b' '; size].into_response();
            }
            Behaviour::Fault(fault) => {
                let mut response = Response::default();
                response.extensions_mut().insert(fault);
                return response;
            }
        }
        self.change(id, values);
        axum::Json(json!({"returnCode": 0, "returnDesc": "Success"})).into_response()
    }
}

async fn show(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let meetings = sandbox
        .meetings
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let settings = meetings.get(&id).cloned().unwrap_or_default().settings;
    let mut shown = Map::new();
    shown.insert("conferenceID".to_owned(), Value::from(id));
    for (setting, value) in SETTINGS.iter().zip(settings) {
        shown.insert(setting.key.to_owned(), Value::from(value));
    }
    axum::Json(Value::Object(shown)).into_response()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "error_msg": self.message});
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, axum::Json(body)).into_response()
    }
}
