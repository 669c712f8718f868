//! A good call reaches the upstream as the documented PUT, and nothing else does.

use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::setting::SETTINGS;
use prost::Message as _;

use crate::kit::{Facade, MEETING, Script, Step, TOKEN, lock, with_token};

const PATH: &str = "/v1/mmc/control/conferences/updateStartedConfConfig";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request() -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: MEETING.to_owned(),
        ..Default::default()
    }
}

/// As the vendor documents them: each key of the body, and its values in the order of ours.
const DOCUMENTED: [(&str, &[u8]); 10] = [
    ("lockSharing", &[0, 1]),
    ("callInRestriction", &[0, 2, 3]),
    ("isLock", &[0, 1]),
    ("allowUnmuteByOneself", &[0, 1]),
    ("chatPermission", &[1, 2, 3, 4]),
    ("audienceCallInRestriction", &[0, 2]),
    ("clientRecMode", &[0, 1, 2]),
    ("allowOpenCamera", &[0, 1]),
    ("allowRename", &[0, 1]),
    ("freeShare", &[0, 1]),
];

#[tokio::test]
async fn each_value_of_each_setting_becomes_its_documented_number() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut expected = Vec::new();
    assert_eq!(SETTINGS.len(), DOCUMENTED.len());
    // The first field is the conference id.
    for ((field, setting), (key, values)) in (2..).zip(&SETTINGS).zip(DOCUMENTED) {
        assert_eq!(setting.values.len(), values.len(), "{key}");
        for (number, value) in (1..).zip(values) {
            let mut bytes = Vec::new();
            prost::encoding::int32::encode(field, &number, &mut bytes);
            let mut request = request();
            request.merge(&bytes[..]).unwrap();
            facade.call(with_token(request)).await.unwrap();
            expected.push(format!("{{\"{key}\":{value}}}"));
        }
    }
    let sent = upstream.requests();
    let line = format!("PUT {PATH}?conferenceID={MEETING} HTTP/1.1");
    assert!(sent.iter().all(|sent| sent.line == line), "{sent:?}");
    let bodies: Vec<_> = sent
        .into_iter()
        .map(|sent| String::from_utf8(sent.body).unwrap())
        .collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn all_settings_travel_together() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let request = UpdateStartedConfConfigRequest {
        lock_sharing: 1,
        call_in_restriction: 3,
        is_lock: 2,
        allow_unmute_by_oneself: 1,
        chat_permission: 4,
        audience_call_in_restriction: 2,
        client_rec_mode: 3,
        allow_open_camera: 2,
        allow_rename: 1,
        free_share: 2,
        ..request()
    };
    facade.call(with_token(request)).await.unwrap();
    assert_eq!(
        String::from_utf8(upstream.request().body).unwrap(),
        concat!(
            r#"{"lockSharing":0,"callInRestriction":3,"isLock":1,"allowUnmuteByOneself":0,"#,
            r#""chatPermission":4,"audienceCallInRestriction":2,"clientRecMode":2,"#,
            r#""allowOpenCamera":1,"allowRename":0,"freeShare":1}"#
        )
    );
}

#[tokio::test]
async fn a_strange_conference_id_and_a_base_with_a_path_are_joined_safely() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&format!("{}/gateway/", upstream.base)).await;
    facade.lock("a b&c=d/é?#%").await.unwrap();
    let encoded = "a%20b%26c%3Dd%2F%C3%A9%3F%23%25";
    assert_eq!(
        upstream.request().line,
        format!("PUT /gateway{PATH}?conferenceID={encoded} HTTP/1.1")
    );
}

#[tokio::test]
async fn only_the_documented_headers_travel_on() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    for (name, value) in [
        ("x-request-id", "order-66"),
        ("traceparent", PARENT),
        ("tracestate", "vendor=1"),
        ("baggage", "user=7"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("authorization", "Bearer other"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    facade.call(request).await.unwrap();

    let mut sent = upstream.request().headers;
    sent.sort();
    let host = upstream.base.strip_prefix("http://").unwrap();
    let expected = [
        ("accept", "application/json"),
        ("content-length", "17"),
        ("content-type", "application/json"),
        ("host", host),
        ("traceparent", PARENT),
        (
            "user-agent",
            concat!("meeting-control/", env!("CARGO_PKG_VERSION")),
        ),
        ("x-conference-authorization", TOKEN),
        ("x-request-id", "order-66"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_token_in_its_basic_form_is_passed_on_byte_for_byte() {
    let upstream = Script::start([Step::ok()]).await;
    let facade = Facade::over(&upstream.base).await;
    let mut request = lock(MEETING);
    let metadata = request.metadata_mut();
    metadata.insert(
        "x-conference-authorization",
        "Basic Y25yMA==".parse().unwrap(),
    );
    facade.call(request).await.unwrap();
    let headers = upstream.request().headers;
    assert!(headers.contains(&(
        "x-conference-authorization".to_owned(),
        "Basic Y25yMA==".to_owned()
    )));
}

#[tokio::test]
async fn request_ids_come_back_the_callers_own_or_a_new_one() {
    let upstream = Script::start([Step::answer(200, "x-request-id: up-1\r\n", "")]).await;
    let facade = Facade::over(&upstream.base).await;

    let mut request = lock(MEETING);
    let metadata = request.metadata_mut();
    metadata.insert("x-request-id", "order-66".parse().unwrap());
    let response = facade.call(request).await.unwrap();
    assert_eq!(response.metadata().get("x-request-id").unwrap(), "order-66");
    assert_eq!(
        response.metadata().get("x-upstream-request-id").unwrap(),
        "up-1"
    );

    let response = facade.lock(MEETING).await.unwrap();
    let id = response.metadata().get("x-request-id").unwrap();
    let id = id.to_str().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
    let sent = &upstream.requests()[1].headers;
    assert!(sent.contains(&("x-request-id".to_owned(), id)), "{sent:?}");
}

#[tokio::test]
async fn any_body_of_a_2xx_is_success_but_a_refusing_envelope() {
    let huge = "x".repeat(1 << 20);
    for (status, body) in [
        (200, ""),
        (204, ""),
        (200, r#"{"returnCode":0,"returnDesc":"Success"}"#),
        (201, r#"{"anything":[1,2,3]}"#),
        (200, "welcome > to <html>"),
        (200, &huge),
    ] {
        let upstream = Script::start([Step::answer(status, "", body)]).await;
        let facade = Facade::over(&upstream.base).await;
        facade.lock(MEETING).await.unwrap();
    }
}
