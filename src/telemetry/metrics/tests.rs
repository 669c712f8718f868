use super::*;

fn metrics() -> Metrics {
    Metrics::new(
        "meeting.control.v1.MeetingControl",
        "UpdateStartedConfConfig",
    )
}

#[test]
fn a_call_is_counted_under_the_names_that_dashboards_read() {
    let metrics = metrics();
    metrics.calls.start();
    metrics.calls.start();
    metrics
        .calls
        .end(Code::FailedPrecondition, Duration::from_millis(3));
    let page = metrics.encode();
    let rpc = "grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"";
    for line in [
        format!("grpc_server_started_total{{{rpc}}} 2\n"),
        format!("grpc_server_handled_total{{{rpc},grpc_code=\"FailedPrecondition\"}} 1\n"),
        format!("grpc_server_handled_total{{{rpc},grpc_code=\"OK\"}} 0\n"),
        format!("grpc_server_in_flight{{{rpc}}} 1\n"),
        format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.0025\"}} 0\n"),
        format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.005\"}} 1\n"),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[test]
fn what_happens_upstream_is_counted_by_closed_sets() {
    let metrics = metrics();
    let upstream = &metrics.upstream;
    for end in AttemptEnd::ALL {
        upstream.attempt(end, Duration::from_millis(1));
    }
    for reason in RetryReason::ALL {
        upstream.retry(reason);
    }
    upstream.error(Some("MMC.111072005"));
    upstream.error(None);
    upstream.budget_spent();
    upstream.breaker(1);
    let page = metrics.encode();
    for line in [
        "meeting_control_upstream_attempts_total{outcome=\"accepted\"} 1\n",
        "meeting_control_upstream_attempts_total{outcome=\"cancelled\"} 1\n",
        "meeting_control_upstream_attempt_seconds_count 5\n",
        "meeting_control_upstream_retries_total{reason=\"stale_connection\"} 1\n",
        "meeting_control_upstream_retry_budget_exhausted_total 1\n",
        "meeting_control_upstream_errors_total{error_code=\"MMC.111072005\"} 1\n",
        "meeting_control_upstream_errors_total{error_code=\"other\"} 1\n",
        "meeting_control_breaker_state 1\n",
        concat!(
            "meeting_control_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        ),
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let metrics = metrics();
    let first = metrics.connections.open();
    let second = metrics.connections.open();
    drop(first);
    let page = metrics.encode();
    assert!(page.contains("meeting_control_connections 1\n"), "{page}");
    drop(second);
    let page = metrics.encode();
    assert!(page.contains("meeting_control_connections 0\n"), "{page}");
}

#[test]
fn no_certificate_is_shown_where_none_is_in_use() {
    let metrics = metrics();
    let shown = || metrics.encode().contains("certificate");
    assert!(!shown());
    metrics.connections.use_certificate(Some(1));
    assert!(shown());
    metrics.connections.use_certificate(None);
    assert!(!shown());
}
