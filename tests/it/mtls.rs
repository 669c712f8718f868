//! Strangers stay outside, and new certificates come in without disturbing anybody.

use std::sync::Arc;

use meeting_control::proto::v1::meeting_control_client::MeetingControlClient;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::kit::pki::{Files, Root};
use crate::kit::{Facade, Failure, MEETING, PATIENCE, Script, Settings, Step, eventually, lock};

const CALLER: &str = "spiffe://cluster.local/ns/team/sa/caller";

struct Setup {
    upstream: Script,
    facade: Facade,
    root: Root,
    server: Files,
}

async fn facade(ask_for_certificates: bool, allow: &[&str]) -> Setup {
    let upstream = Script::start([Step::ok()]).await;
    let root = Root::new();
    let server = root.issue("localhost");
    let mut settings = Settings::default();
    settings.tls.tls_cert = Some(server.cert.clone());
    settings.tls.tls_key = Some(server.key.clone());
    settings.tls.tls_client_ca = ask_for_certificates.then(|| root.pem());
    settings.tls.tls_client_allow = allow.iter().map(|name| name.parse().unwrap()).collect();
    let facade = Facade::with(&upstream.base, settings).await;
    Setup {
        upstream,
        facade,
        root,
        server,
    }
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

impl Setup {
    fn port(&self) -> &str {
        self.facade.address.rsplit(':').next().unwrap()
    }

    fn channel(&self, certificate: Option<&Files>) -> Channel {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&self.root.pem())))
            .domain_name("localhost");
        if let Some(files) = certificate {
            tls = tls.identity(Identity::from_pem(read(&files.cert), read(&files.key)));
        }
        Channel::from_shared(format!("https://127.0.0.1:{}", self.port()))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect_lazy()
    }

    async fn call(&self, certificate: Option<&Files>) -> Result<(), tonic::Status> {
        let mut client = MeetingControlClient::new(self.channel(certificate));
        let answer = client.update_started_conf_config(lock(MEETING)).await;
        answer.map(drop)
    }

    /// The certificate that a new handshake sees.
    async fn certificate(&self) -> CertificateDer<'static> {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(self.root.pem()).unwrap() {
            roots.add(root.unwrap()).unwrap();
        }
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = format!("127.0.0.1:{}", self.port());
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }
}

#[tokio::test]
async fn metrics_show_open_connections_and_the_certificates_end() {
    let setup = facade(false, &[]).await;
    let open = || setup.facade.metric("meeting_control_connections ");
    let end = "meeting_control_tls_certificate_not_after_timestamp_seconds ";
    let channel = setup.channel(None);
    let mut client = MeetingControlClient::new(channel.clone());
    client
        .update_started_conf_config(lock(MEETING))
        .await
        .unwrap();
    assert_eq!(open(), 1.0);
    assert!(setup.facade.metric(end) > 0.0);
    drop((client, channel));
    eventually("the connection is gone", || open() == 0.0).await;
}

#[tokio::test]
async fn a_call_over_tls_needs_no_client_certificate_unless_asked_for() {
    let setup = facade(false, &[]).await;
    setup.call(None).await.unwrap();
    let setup = facade(true, &[]).await;
    let caller = setup.root.issue("caller.example.com");
    setup.call(Some(&caller)).await.unwrap();
    assert_eq!(setup.upstream.requests().len(), 1);
}

#[tokio::test]
async fn without_a_certificate_or_with_a_stranger_s_no_connection_comes_about() {
    let setup = facade(true, &[]).await;
    let other_root = Root::new();
    let stranger = other_root.issue("caller.example.com");
    for certificate in [None, Some(&stranger)] {
        let status = setup.call(certificate).await.unwrap_err();
        assert!(
            status.details().is_empty(),
            "not an answer of ours: {status:?}"
        );
    }
    assert!(setup.upstream.requests().is_empty());
}

#[tokio::test]
async fn only_names_on_the_list_may_call() {
    let setup = facade(
        true,
        &["spiffe://cluster.local/ns/*/sa/caller", "*.example.com"],
    )
    .await;
    for name in [CALLER, "caller.example.com"] {
        setup.call(Some(&setup.root.issue(name))).await.unwrap();
    }
    assert_eq!(setup.upstream.requests().len(), 2);
    // A URI that reads like an allowed DNS name is none.
    let disguised = setup.root.issue_uri("caller.example.com");
    let status = setup.call(Some(&disguised)).await.unwrap_err();
    assert_eq!(Failure::of(&status).code, "PERMISSION_DENIED");
    let other = setup.root.issue("spiffe://cluster.local/ns/team/sa/other");
    let failure = Failure::of(&setup.call(Some(&other)).await.unwrap_err());
    assert_eq!(failure.code, "PERMISSION_DENIED");
    assert_eq!(failure.reason, "CLIENT_NOT_ALLOWED");
    assert_eq!(failure.outcome(), "not_applied");
    let mut health = HealthClient::new(setup.channel(Some(&other)));
    let status = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert_eq!(setup.upstream.requests().len(), 2);
}

#[tokio::test]
async fn plaintext_at_the_tls_port_gets_nowhere() {
    let setup = facade(false, &[]).await;
    let plain = Channel::from_shared(setup.facade.address.clone())
        .unwrap()
        .connect_lazy();
    let mut client = MeetingControlClient::new(plain);
    client
        .update_started_conf_config(lock(MEETING))
        .await
        .unwrap_err();
    assert!(setup.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_client_without_tls_can_read_the_alert_but_not_stay() {
    const ALERT: u8 = 21;
    let setup = facade(false, &[]).await;
    let (_, address) = setup.facade.address.split_once("://").unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&[b'!'; 16 * 1024]).await.unwrap();
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.expect("no reset");
    assert_eq!(told.first(), Some(&ALERT), "{told:?}");

    eventually("closed", || client.try_write(b"!").is_err()).await;
}

#[tokio::test]
async fn a_new_certificate_is_used_for_new_handshakes_and_open_connections_live_on() {
    let setup = facade(false, &[]).await;
    let first = setup.certificate().await;
    let mut open = MeetingControlClient::new(setup.channel(None));
    open.update_started_conf_config(lock(MEETING))
        .await
        .unwrap();

    setup
        .root
        .issue_into("localhost", &setup.server.cert, &setup.server.key);
    let started = tokio::time::Instant::now();
    while setup.certificate().await == first {
        assert!(started.elapsed() < PATIENCE, "never replaced");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    open.update_started_conf_config(lock(MEETING))
        .await
        .expect("the old connection lives");
}

#[tokio::test]
async fn who_may_not_call_is_told_so_on_every_path_and_does_not_stay() {
    let setup = facade(true, &["*.example.com"]).await;
    let other = setup.root.issue("spiffe://cluster.local/ns/team/sa/other");
    let channel = setup.channel(Some(&other));
    let mut client = tonic::client::Grpc::new(channel.clone());
    for path in [
        meeting_control::names::METHOD_PATH,
        "/unknown.Service/Method",
        "/grpc.health.v1.Health/Check",
    ] {
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let request = tonic::Request::new(HealthCheckRequest::default());
        let status = client
            .unary(request, path.parse().unwrap(), codec)
            .await
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{path}");
    }
    eventually("the connection is closed", || {
        setup.facade.metric("meeting_control_connections ") == 0.0
    })
    .await;
    drop(channel);
}
