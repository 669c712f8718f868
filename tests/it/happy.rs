//! A good call reaches the REST side as the documented PUT, and nothing else does.

use meeting_control::proto::v1::UpdateStartedConfConfigRequest;

use crate::kit::{Facade, MEETING, Script, Step, TOKEN, lock, with_token};

const PATH: &str = "/v1/mmc/control/conferences/updateStartedConfConfig";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn settings(lock_sharing: i32, call_in_restriction: i32) -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: MEETING.to_owned(),
        lock_sharing,
        call_in_restriction,
    }
}

#[tokio::test]
async fn each_value_of_each_setting_becomes_its_documented_number() {
    for (request, body) in [
        (settings(1, 0), r#"{"lockSharing":0}"#),
        (settings(2, 0), r#"{"lockSharing":1}"#),
        (settings(0, 1), r#"{"callInRestriction":0}"#),
        (settings(0, 2), r#"{"callInRestriction":2}"#),
        (settings(0, 3), r#"{"callInRestriction":3}"#),
        (settings(1, 3), r#"{"lockSharing":0,"callInRestriction":3}"#),
    ] {
        let upstream = Script::start([Step::ok()]).await;
        let facade = Facade::over(&upstream.base).await;
        facade.call(with_token(request)).await.unwrap();
        let sent = upstream.request();
        assert_eq!(
            sent.line,
            format!("PUT {PATH}?conferenceID={MEETING} HTTP/1.1")
        );
        assert_eq!(String::from_utf8(sent.body).unwrap(), body);
    }
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
        (200, "<html>welcome</html>"),
        (200, &huge),
    ] {
        let upstream = Script::start([Step::answer(status, "", body)]).await;
        let facade = Facade::over(&upstream.base).await;
        facade.lock(MEETING).await.unwrap();
    }
}
