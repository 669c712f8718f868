//! What `sandbox` prints: where it is, and calls that can be pasted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::print;
use crate::sandbox::{MEETING, PASSWORD, TOKEN};

/// Where everything is.
pub(super) struct Addresses {
    pub(super) grpc: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) rest: SocketAddr,
}

/// The façade and the stand-in are up.
pub(super) fn sandbox(addresses: &Addresses) {
    let grpc = reachable(addresses.grpc);
    let admin = reachable(addresses.admin);
    let rest = reachable(addresses.rest);
    let program = program();
    print::line(&format!(
        "\
The sandbox is up; Ctrl-C ends it.

  gRPC façade     {grpc}  meeting.control.v1.MeetingControl
  admin           http://{admin}/metrics
  REST stand-in   http://{rest}
  host password   {PASSWORD}
  control token   {TOKEN}

Lock sharing in meeting {MEETING}, from another terminal:

  MEETING_CONTROL_PASSWORD={PASSWORD} {program} update --address http://{grpc} --conference-id {MEETING} --lock-sharing locked

The same with grpcurl:

  grpcurl -plaintext -H 'x-conference-password: {PASSWORD}' -d '{{\"conference_id\": \"{MEETING}\", \"lock_sharing\": \"LOCK_SHARING_LOCKED\"}}' {grpc} meeting.control.v1.MeetingControl/UpdateStartedConfConfig

Look at the meeting:

  curl http://{rest}/sandbox/meetings/{MEETING}

Changes:"
    ));
}

/// Just the stand-in is up.
pub(super) fn rest_only(rest: SocketAddr) {
    print::line(&format!(
        "\
The stand-in for the REST API is up; Ctrl-C ends it.

  REST stand-in   http://{rest}
  host password   {PASSWORD}
  control token   {TOKEN}

Lock sharing in meeting {MEETING}, from another terminal:

  curl -X PUT -H 'Content-Type: application/json' -H 'X-Conference-Authorization: {TOKEN}' -d '{{\"lockSharing\": 1}}' 'http://{rest}/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID={MEETING}'

Look at the meeting:

  curl http://{rest}/sandbox/meetings/{MEETING}

Changes:",
        rest = reachable(rest),
    ));
}

/// One change of a meeting.
pub(super) fn change(line: &str) {
    print::line(&format!("  {line}"));
}

/// An address that a client on this machine can use: a wildcard becomes loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// This program as the user called it.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "meeting-control".to_owned())
}
