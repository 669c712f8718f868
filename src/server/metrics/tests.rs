use super::*;
use crate::telemetry::metrics::Metrics;

#[test]
fn a_call_is_counted_under_the_names_that_dashboards_read() {
    let mut metrics = Metrics::default();
    let calls = Calls::register(metrics.registry());
    calls.start();
    calls.start();
    calls.end(Code::FailedPrecondition, Duration::from_millis(3));
    calls.shed(Shed::Caller);
    let page = metrics.page();
    let rpc = "grpc_service=\"meeting.control.v1.MeetingControl\",grpc_method=\"UpdateStartedConfConfig\",grpc_type=\"unary\"";
    for line in [
        format!("grpc_server_started_total{{{rpc}}} 2\n"),
        format!("grpc_server_handled_total{{{rpc},grpc_code=\"FailedPrecondition\"}} 1\n"),
        format!("grpc_server_handled_total{{{rpc},grpc_code=\"OK\"}} 0\n"),
        format!("grpc_server_in_flight{{{rpc}}} 1\n"),
        format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.0025\"}} 0\n"),
        format!("grpc_server_handling_seconds_bucket{{{rpc},le=\"0.005\"}} 1\n"),
        "meeting_control_shed_total{limit=\"all\"} 0\n".to_owned(),
        "meeting_control_shed_total{limit=\"caller\"} 1\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let mut metrics = Metrics::default();
    let connections = Connections::register(metrics.registry());
    let first = connections.open();
    let second = connections.open();
    drop(first);
    let page = metrics.page();
    assert!(page.contains("meeting_control_connections 1\n"), "{page}");
    drop(second);
    let page = metrics.page();
    assert!(page.contains("meeting_control_connections 0\n"), "{page}");
}

#[test]
fn no_certificate_is_shown_where_none_is_in_use() {
    let mut metrics = Metrics::default();
    let connections = Connections::register(metrics.registry());
    let shown = || metrics.page().contains("certificate");
    assert!(!shown());
    connections.use_certificate(Some(1));
    assert!(shown());
    connections.use_certificate(None);
    assert!(!shown());
}
