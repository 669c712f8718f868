//! A stand-in for the upstream: a real HTTP server that checks each call as the vendor's page says,
//! keeps every meeting's settings, and misbehaves on request.
//!
//! For newcomers, for our tests and for the tests of callers, who rely on its test ids: each does the
//! same every time, on any thread, in any order, beside any other. A REST call is checked, then `answer`
//! does what its conference id asks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::accept;
use crate::call::is_request_id;
use crate::names::REQUEST_ID;
use crate::setting::SETTINGS;
use crate::upstream::wire::{TOKEN_PATH, UPDATE_PATH};

mod bounded;
mod check;
mod connection;
mod refusal;
mod state;
mod test_id;
mod tokens;

pub use tokens::{Many, PASSWORD, TOKEN, TokenSettings};

use test_id::{Behaviour, Fault, HUGE, Issuing};
use tokens::Tokens;

/// The meeting that the printed calls are about.
pub const MEETING: &str = "900244663";

/// The most connections at once; more are closed as they come.
const MAX_CONNECTIONS: usize = 4096;
/// The largest request body that is read.
const MAX_BODY: usize = 64 * 1024;
/// How long a request body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a call that hangs is held, if its caller stays: longer than any deadline.
const MAX_HANG: Duration = Duration::from_secs(60 * 60);

type Report = dyn Fn(&str) + Send + Sync;

/// The stand-in: what it remembers, and where changes are told. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    state: Arc<state::State>,
    tokens: Arc<Tokens>,
    report: Arc<Report>,
}

impl Sandbox {
    /// An empty sandbox that tells each change, such as `meeting 900244663: lockSharing 0 -> 1`, to
    /// `report`.
    pub fn new(tokens: TokenSettings, report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            state: Arc::default(),
            tokens: Arc::new(Tokens::new(tokens)),
            report: Arc::new(report),
        }
    }

    /// Serves HTTP/1.1 on `listener` until the future is dropped.
    pub async fn serve(self, listener: &TcpListener) {
        let router = self.router();
        let bounds = accept::Bounds {
            max: MAX_CONNECTIONS,
            share: MAX_CONNECTIONS,
        };
        accept::each(listener, bounds, |stream, _| {
            connection::serve(stream, router.clone())
        })
        .await;
    }

    fn router(self) -> Router {
        Router::new()
            .route(UPDATE_PATH, put(update).fallback(check::unknown_interface))
            .route(TOKEN_PATH, get(issue).fallback(check::unknown_interface))
            .route("/sandbox/meetings/{id}", get(show).delete(reset))
            .fallback(check::unknown_interface)
            .layer(map_response(with_request_id))
            .with_state(self)
    }

    /// Answers a checked change of meeting `id`, whose body of a success comes from `succeed`.
    async fn answer(
        &self,
        id: &str,
        headers: &HeaderMap,
        succeed: impl FnOnce() -> Value,
    ) -> Response {
        match test_id::behaviour(id) {
            Behaviour::Run => {}
            Behaviour::Refuse(refusal) => return refusal.into_response(),
            Behaviour::RefuseTwice(refusal) => {
                if self.refuses(id, headers) {
                    return refusal.into_response();
                }
            }
            Behaviour::Delay(delay) => sleep(delay).await,
            Behaviour::Huge => {
                let mut body = succeed().to_string();
                body.extend(std::iter::repeat_n(' ', HUGE.saturating_sub(body.len())));
                return ([(CONTENT_TYPE, "application/json")], body).into_response();
            }
            Behaviour::Hang => {
                sleep(MAX_HANG).await;
                return Fault::Cut.into_response();
            }
            Behaviour::Fault(fault) => return fault.into_response(),
        }
        Json(succeed()).into_response()
    }

    /// Whether a request is still to be refused. One without an id is always a new one.
    fn refuses(&self, id: &str, headers: &HeaderMap) -> bool {
        let request_id = headers
            .get(&REQUEST_ID)
            .filter(|request_id| is_request_id(request_id.as_bytes()))
            .and_then(|request_id| request_id.to_str().ok());
        request_id.is_none_or(|request_id| self.state.refuses(id, request_id))
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// The REST call that changes settings.
async fn update(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Ok(body)) = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (id, values) = match check::update(query.as_deref(), &headers, &body, &sandbox.tokens) {
        Ok(checked) => checked,
        Err(refusal) => return refusal.into_response(),
    };
    let succeed = || {
        for change in sandbox.state.change(&id, &values) {
            (sandbox.report)(&format!("meeting {id}: {change}"));
        }
        json!({"returnCode": 0, "returnDesc": "Success"})
    };
    sandbox.answer(&id, &headers, succeed).await
}

/// The REST call that obtains a token.
async fn issue(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let id = match check::issue(query.as_deref(), &headers) {
        Ok(id) => id,
        Err(refusal) => return refusal.into_response(),
    };
    let (mut life, mut displaced) = (sandbox.tokens.life(), false);
    match test_id::issuing(&id) {
        Issuing::Issue => {}
        Issuing::Delay(delay) => sleep(delay).await,
        Issuing::RefuseTwice(refusal) => {
            if sandbox.refuses(&id, &headers) {
                return refusal.into_response();
            }
        }
        Issuing::DisplaceFirst => displaced = true,
        Issuing::Short(short) => life = short,
        Issuing::Refuse(refusal) => return refusal.into_response(),
    }
    Json(issued(
        &id,
        &sandbox.tokens.issue(&id, life, displaced),
        life,
    ))
    .into_response()
}

/// The answer that brings a token, as it is documented.
fn issued(id: &str, token: &str, life: Duration) -> Value {
    let ends = SystemTime::now() + life;
    let ends = ends.duration_since(SystemTime::UNIX_EPOCH);
    let ends = ends.map_or(0, |ends| ends.as_millis() as u64);
    json!({
        "data": {
            "token": token,
            "tmpWsToken": "sandbox",
            "wsURL": "wss://sandbox.invalid/control",
            "role": 1,
            "expireTime": ends,
            "confTokenExpireTime": life.as_secs().max(1),
            "userID": "sandbox",
            "orgID": "sandbox",
            "participantID": "sandbox",
            "vmrCurrentConfID": id,
            "supportNotifyType": [],
        },
        "addressToken": "sandbox",
        "gloablPublicIP": "sandbox.invalid",
    })
}

/// Shows a meeting's settings, with their REST names and values.
async fn show(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Json<Map<String, Value>> {
    let settings = sandbox.state.settings(&id);
    let settings = SETTINGS.iter().zip(settings);
    let settings = settings.map(|(setting, value)| (setting.key.to_owned(), value.into()));
    let id = ("conferenceID".to_owned(), id.into());
    Json(settings.chain([id]).collect())
}

/// Makes a meeting as if it had never been used.
async fn reset(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> StatusCode {
    sandbox.tokens.reset(&id);
    if sandbox.state.reset(&id) {
        (sandbox.report)(&format!("meeting {id}: reset"));
    }
    StatusCode::NO_CONTENT
}

/// The gateway before the real service gives every request an id.
async fn with_request_id(mut response: Response) -> Response {
    if let Ok(id) = HeaderValue::from_str(&format!("{:032x}", fastrand::u128(..))) {
        response.headers_mut().insert(&REQUEST_ID, id);
    }
    response
}
