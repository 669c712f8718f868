use super::*;
use crate::command::UpdateCommand;
use crate::names::{AUTHORIZATION, UPSTREAM_PASSWORD};
use crate::proto::v1::UpdateStartedConfConfigRequest;
use crate::secret::{ControlToken, Password};
use crate::upstream::address::BaseUrl;

const TOKEN: HeaderValue = HeaderValue::from_static("Basic Y25y");

fn put(base: &str, request: UpdateStartedConfConfigRequest) -> RestCall<Update> {
    let metadata = HeaderMap::from_iter([(AUTHORIZATION.clone(), TOKEN)]);
    let command = UpdateCommand::read(&metadata, request).unwrap();
    let endpoint = base.parse::<BaseUrl>().unwrap().endpoint(UPDATE_PATH);
    RestCall::update(&endpoint, &command.conference_id, &command.settings)
}

fn request(
    id: &str,
    lock_sharing: i32,
    call_in_restriction: i32,
) -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: id.to_owned(),
        lock_sharing,
        call_in_restriction,
        ..Default::default()
    }
}

#[test]
fn the_url_joins_base_and_path_and_encodes_the_conference_id() {
    for (base, id, expected) in [
        (
            "https://h",
            "900244663",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=900244663",
        ),
        (
            "https://h/",
            "1",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=1",
        ),
        (
            "https://h:8443/a/b/",
            "1",
            "https://h:8443/a/b/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=1",
        ),
        (
            "http://[::1]:80",
            "a b",
            "http://[::1]/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=a%20b",
        ),
        (
            "https://h",
            "a&b=c#d?e/f%+;é",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=a%26b%3Dc%23d%3Fe%2Ff%25%2B%3B%C3%A9",
        ),
        (
            "https://h",
            "A-z.0_9~",
            "https://h/v1/mmc/control/conferences/updateStartedConfConfig?conferenceID=A-z.0_9~",
        ),
    ] {
        assert_eq!(put(base, request(id, 1, 0)).url.as_str(), expected);
    }
}

#[test]
fn the_body_holds_just_the_settings_that_are_given() {
    for (lock, restriction, expected) in [
        (1, 0, r#"{"lockSharing":0}"#),
        (2, 0, r#"{"lockSharing":1}"#),
        (0, 1, r#"{"callInRestriction":0}"#),
        (0, 2, r#"{"callInRestriction":2}"#),
        (0, 3, r#"{"callInRestriction":3}"#),
        (2, 3, r#"{"lockSharing":1,"callInRestriction":3}"#),
    ] {
        assert_eq!(
            put("https://h", request("1", lock, restriction)).body,
            expected
        );
    }
}

#[test]
fn only_the_documented_headers_are_sent() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let put = put("https://h", request("1", 1, 0));
    let id = HeaderValue::from_static("id-1");
    let pass = Pass::Token(ControlToken::new(TOKEN));
    let headers = put.headers(&pass, &id, Some(HeaderValue::from_static(PARENT)));
    let mut sent: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    sent.sort();
    assert_eq!(
        sent,
        [
            "accept: application/json",
            "content-type: application/json",
            &format!("traceparent: {PARENT}"),
            &format!("user-agent: meeting-control/{}", env!("CARGO_PKG_VERSION")),
            "x-conference-authorization: Basic Y25y",
            "x-request-id: id-1",
        ]
    );
    assert!(headers[&AUTHORIZATION].is_sensitive());
}

#[test]
fn a_token_is_asked_for_with_the_password_in_a_header() {
    let endpoint = "https://h/a"
        .parse::<BaseUrl>()
        .unwrap()
        .endpoint(TOKEN_PATH);
    let get = RestCall::issue(&endpoint, "9/1");
    assert_eq!(get.method, Method::GET);
    assert_eq!(
        get.url.as_str(),
        "https://h/a/v1/mmc/control/conferences/token?conferenceID=9%2F1"
    );
    assert!(get.body.is_empty());
    let id = HeaderValue::from_static("id-1");
    let pass = Pass::Password(Password::new("100001"));
    let headers = get.headers(&pass, &id, None);
    let mut sent: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    sent.sort();
    assert_eq!(
        sent,
        [
            "accept: application/json",
            &format!("user-agent: meeting-control/{}", env!("CARGO_PKG_VERSION")),
            "x-login-type: 1",
            "x-password: 100001",
            "x-request-id: id-1",
        ]
    );
    assert!(headers[&UPSTREAM_PASSWORD].is_sensitive());
}
