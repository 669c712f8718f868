//! What each room costs on the way of a call: checking, translating, reading the answer, telling a failure,
//! counting.
//!
//! `cargo bench --bench rooms` runs all, `cargo bench --bench rooms -- answer` those of that name.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a benchmark stops where its own premises fail"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use divan::{Bencher, black_box};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use meeting_control::call::{Call, Peer};
use meeting_control::command::{Credential, UpdateCommand};
use meeting_control::deadline::Deadline;
use meeting_control::names::{AUTHORIZATION, REQUEST_ID};
use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::sandbox;
use meeting_control::status::Verdict;
use meeting_control::upstream::answer::{Accepted, Answer, Extent};
use meeting_control::upstream::pass::Pass;
use meeting_control::upstream::wire::{Read as _, RestCall, UPDATE_PATH, Update};
use meeting_control::upstream::{BaseUrl, UpstreamError};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::Divan::default()
        // Many at a time, as some take hardly longer than reading the clock.
        .sample_size(32)
        .min_time(Duration::from_millis(200))
        .config_with_args()
        .main();
}

/// Request and metadata become a command, or a list of faults.
mod command {
    use super::*;

    #[divan::bench]
    fn one_setting(bencher: Bencher<'_, '_>) {
        let metadata = metadata();
        bencher
            .with_inputs(request)
            .bench_values(|request| UpdateCommand::read(&metadata, request));
    }

    #[divan::bench]
    fn all_settings(bencher: Bencher<'_, '_>) {
        let metadata = metadata();
        bencher
            .with_inputs(all_settings_given)
            .bench_values(|request| UpdateCommand::read(&metadata, request));
    }

    #[divan::bench]
    fn four_faults(bencher: Bencher<'_, '_>) {
        let metadata = metadata();
        let request = || UpdateStartedConfConfigRequest {
            conference_id: "\n".repeat(200),
            lock_sharing: 9,
            call_in_restriction: -1,
            ..Default::default()
        };
        bencher
            .with_inputs(request)
            .bench_values(|request| UpdateCommand::read(&metadata, request));
    }
}

/// A command becomes a REST call.
mod put {
    use super::*;

    #[divan::bench]
    fn url_and_body(bencher: Bencher<'_, '_>) {
        write(bencher, request);
    }

    #[divan::bench]
    fn url_and_body_of_all_settings(bencher: Bencher<'_, '_>) {
        write(bencher, all_settings_given);
    }

    #[divan::bench]
    fn headers(bencher: Bencher<'_, '_>) {
        let (put, call) = (put_of(request()), call());
        let pass = pass();
        bencher.bench(|| put.headers(&pass, &call.request_id, None));
    }

    fn write(bencher: Bencher<'_, '_>, request: fn() -> UpdateStartedConfConfigRequest) {
        let endpoint = base().endpoint(UPDATE_PATH);
        bencher
            .with_inputs(|| command_of(request()))
            .bench_values(|command| {
                RestCall::update(&endpoint, &command.conference_id, &command.settings)
            });
    }
}

/// An HTTP answer becomes success or refusal.
mod answer {
    use super::*;

    #[divan::bench]
    fn success(bencher: Bencher<'_, '_>) {
        read(bencher, &success_answer());
    }

    #[divan::bench]
    fn refusal_with_a_known_code(bencher: Bencher<'_, '_>) {
        read(bencher, &refusal_answer());
    }

    #[divan::bench]
    fn page_of_a_gateway(bencher: Bencher<'_, '_>) {
        read(bencher, &gateway_answer());
    }

    fn read(bencher: Bencher<'_, '_>, answer: &Answer) {
        let put = put_of(request());
        bencher.bench(|| read_for(&put, black_box(answer)));
    }
}

/// A failure becomes a gRPC status with details. No log is written here.
mod status {
    use super::*;

    #[divan::bench]
    fn refusal_with_a_known_code(bencher: Bencher<'_, '_>) {
        tell(bencher, &refusal_answer());
    }

    #[divan::bench]
    fn page_of_a_gateway(bencher: Bencher<'_, '_>) {
        tell(bencher, &gateway_answer());
    }

    #[divan::bench]
    fn invalid_request(bencher: Bencher<'_, '_>) {
        let call = call();
        let invalid = || {
            let nothing = UpdateStartedConfConfigRequest::default();
            UpdateCommand::read(&metadata(), nothing).expect_err("it has no id and no setting")
        };
        bencher
            .with_inputs(invalid)
            .bench_values(|invalid| Verdict::invalid(invalid).into_status(&call));
    }

    fn tell(bencher: Bencher<'_, '_>, answer: &Answer) {
        let put = put_of(request());
        let error = read_for(&put, answer).expect_err("it is a refusal");
        let call = call();
        bencher.bench(|| Verdict::failed(&error, call.outcome()).into_status(&call));
    }
}

/// The record of a call, and the counters that it moves.
mod record {
    use meeting_control::server::metrics::Calls;
    use meeting_control::telemetry::metrics::Metrics;
    use tonic::Code;

    use super::*;

    const ELAPSED: Duration = Duration::from_millis(200);

    #[divan::bench]
    fn arrival(bencher: Bencher<'_, '_>) {
        let (metadata, peer) = (metadata(), Peer::anonymous());
        let limit = Duration::from_secs(10);
        bencher.bench(|| Call::arrive(&metadata, Deadline::start(None, limit), peer.clone(), None));
    }

    #[divan::bench]
    fn start_and_end(bencher: Bencher<'_, '_>) {
        let calls = Calls::register(Metrics::default().registry());
        bencher.bench(|| {
            calls.start();
            calls.end(black_box(Code::Ok), black_box(ELAPSED));
        });
    }

    #[divan::bench]
    fn page(bencher: Bencher<'_, '_>) {
        let mut metrics = Metrics::default();
        Calls::register(metrics.registry());
        bencher.bench(|| metrics.page());
    }
}

fn read_for(put: &RestCall<Update>, answer: &Answer) -> Result<Accepted, UpstreamError> {
    let pass = pass();
    put.reader
        .read(answer, pass.secrets(), SystemTime::UNIX_EPOCH)
}

fn request() -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: sandbox::MEETING.to_owned(),
        lock_sharing: 2,
        ..Default::default()
    }
}

fn all_settings_given() -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: sandbox::MEETING.to_owned(),
        lock_sharing: 2,
        call_in_restriction: 3,
        is_lock: 2,
        allow_unmute_by_oneself: 2,
        chat_permission: 4,
        audience_call_in_restriction: 2,
        client_rec_mode: 2,
        allow_open_camera: 2,
        allow_rename: 2,
        free_share: 2,
    }
}

fn metadata() -> HeaderMap {
    let mut metadata = HeaderMap::new();
    metadata.insert(&AUTHORIZATION, HeaderValue::from_static(sandbox::TOKEN));
    metadata.insert("grpc-timeout", HeaderValue::from_static("10S"));
    metadata
}

fn call() -> Arc<Call> {
    let deadline = Deadline::start(None, Duration::from_secs(10));
    Arc::new(Call::arrive(&metadata(), deadline, Peer::anonymous(), None))
}

fn base() -> BaseUrl {
    let base = "https://api.meeting.huaweicloud.com".parse();
    base.expect("it is a URL")
}

fn command_of(request: UpdateStartedConfConfigRequest) -> UpdateCommand {
    UpdateCommand::read(&metadata(), request).expect("nothing is wrong with it")
}

fn put_of(request: UpdateStartedConfConfigRequest) -> RestCall<Update> {
    let command = command_of(request);
    let endpoint = base().endpoint(UPDATE_PATH);
    RestCall::update(&endpoint, &command.conference_id, &command.settings)
}

fn pass() -> Pass {
    match command_of(request()).credential {
        Credential::Token(token) => Pass::Token(token),
        Credential::Password(password) => Pass::Password(password),
    }
}

fn success_answer() -> Answer {
    answer_of(
        StatusCode::OK,
        "application/json;charset=UTF-8",
        r#"{"returnCode":0,"returnDesc":"Success"}"#,
    )
}

fn refusal_answer() -> Answer {
    answer_of(
        StatusCode::BAD_REQUEST,
        "application/json;charset=UTF-8",
        r#"{"error_code":"MMC.111072005","error_msg":"CONF_NOT_STARTED"}"#,
    )
}

fn gateway_answer() -> Answer {
    answer_of(
        StatusCode::BAD_GATEWAY,
        "text/html",
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
         <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>",
    )
}

fn answer_of(status: StatusCode, content_type: &'static str, body: &'static str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        &REQUEST_ID,
        HeaderValue::from_static("4836358e037348f1b78c5562a4c35dee"),
    );
    Answer {
        status,
        headers,
        body: Bytes::from_static(body.as_bytes()),
        extent: Extent::Whole,
        idle: false,
    }
}
