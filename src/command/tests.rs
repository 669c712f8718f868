use super::*;

const TOKEN: &str = "x-conference-authorization";
const PASSWORD: &str = "x-conference-password";
const TOKEN_TEXT: &str = "cnr000000000000000000000000000000000000000000000000";

fn metadata(entries: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        map.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    map
}

fn request() -> UpdateStartedConfConfigRequest {
    UpdateStartedConfConfigRequest {
        conference_id: "900244663".to_owned(),
        lock_sharing: 2,
        ..Default::default()
    }
}

fn faults(
    entries: &[(&'static str, &[u8])],
    request: UpdateStartedConfConfigRequest,
) -> (bool, Vec<&'static str>) {
    let invalid = UpdateCommand::read(&metadata(entries), request).unwrap_err();
    let fields = invalid.violations.iter().map(|v| v.field).collect();
    (invalid.credential_missing, fields)
}

#[test]
fn a_good_request_becomes_a_command() {
    let metadata = metadata(&[(TOKEN, TOKEN_TEXT.as_bytes()), ("grpc-timeout", b"5S")]);
    let command = UpdateCommand::read(&metadata, request()).unwrap();
    assert_eq!(command.conference_id, "900244663");
    assert_eq!(command.settings[0], Some(1));
    assert_eq!(command.settings[1], None);
    let Credential::Token(token) = command.credential else {
        panic!("{:?}", command.credential);
    };
    assert_eq!(token.to_header(), TOKEN_TEXT);
    assert!(token.to_header().is_sensitive());
}

#[test]
fn a_password_takes_the_place_of_a_token() {
    let command = UpdateCommand::read(&metadata(&[(PASSWORD, b"100001")]), request()).unwrap();
    let Credential::Password(password) = command.credential else {
        panic!("{:?}", command.credential);
    };
    assert_eq!(password.expose(), "100001");
}

#[test]
fn each_broken_rule_is_named() {
    let token: (&str, &[u8]) = (TOKEN, TOKEN_TEXT.as_bytes());
    let with_id = |id: &str| UpdateStartedConfConfigRequest {
        conference_id: id.to_owned(),
        ..request()
    };
    let with_settings = |lock_sharing, call_in_restriction| UpdateStartedConfConfigRequest {
        lock_sharing,
        call_in_restriction,
        ..request()
    };
    let too_long = "9".repeat(129);
    let long_token = vec![b'x'; MAX_TOKEN + 1];
    let long_password = vec![b'1'; MAX_PASSWORD + 1];

    type Entries<'a> = &'a [(&'static str, &'a [u8])];
    let cases: &[(Entries<'_>, UpdateStartedConfConfigRequest, &[&str])] = &[
        (&[token], with_id(""), &["conference_id"]),
        (&[token], with_id(&too_long), &["conference_id"]),
        (&[token], with_id("9002\n44663"), &["conference_id"]),
        (&[token], with_id("9002\u{85}44663"), &["conference_id"]),
        (&[token], with_settings(3, 0), &["lock_sharing"]),
        (&[token], with_settings(-1, 0), &["lock_sharing"]),
        (&[token], with_settings(2, 4), &["call_in_restriction"]),
        (
            &[token],
            with_settings(9, 9),
            &["lock_sharing", "call_in_restriction"],
        ),
        (&[token], with_settings(0, 0), &["*"]),
        (
            &[token, ("grpc-timeout", b"5 seconds")],
            request(),
            &["grpc-timeout"],
        ),
        (&[token, token], request(), &[TOKEN]),
        (&[(TOKEN, b""), token], request(), &[TOKEN]),
        (&[(TOKEN, b"caf\xe9")], request(), &[TOKEN]),
        (&[(TOKEN, b"a\tb")], request(), &[TOKEN]),
        (&[(TOKEN, &long_token)], request(), &[TOKEN]),
        (&[(TOKEN, b"")], request(), &[TOKEN]),
        (&[(TOKEN, b"   ")], request(), &[TOKEN]),
        (&[token, (PASSWORD, b"100001")], request(), &[PASSWORD]),
        (
            &[(PASSWORD, b"1"), (PASSWORD, b"1")],
            request(),
            &[PASSWORD],
        ),
        (&[(PASSWORD, b"")], request(), &[PASSWORD]),
        (&[(PASSWORD, b" ")], request(), &[PASSWORD]),
        (&[(PASSWORD, b"caf\xe9")], request(), &[PASSWORD]),
        (&[(PASSWORD, &long_password)], request(), &[PASSWORD]),
        (
            &[(TOKEN, b""), (PASSWORD, b"")],
            request(),
            &[TOKEN, PASSWORD, PASSWORD],
        ),
    ];
    for (entries, request, expected) in cases {
        let (token_missing, fields) = faults(entries, request.clone());
        assert_eq!(fields, *expected, "{request:?}");
        assert!(!token_missing, "{request:?}");
    }
}

#[test]
fn the_longest_allowed_values_pass() {
    let long_token = vec![b'x'; MAX_TOKEN];
    let request = UpdateStartedConfConfigRequest {
        conference_id: "9".repeat(MAX_CONFERENCE_ID),
        ..request()
    };
    let long_password = vec![b'1'; MAX_PASSWORD];
    for credential in [(TOKEN, &long_token), (PASSWORD, &long_password)] {
        let metadata = metadata(&[(credential.0, credential.1)]);
        assert!(UpdateCommand::read(&metadata, request.clone()).is_ok());
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let broken = UpdateStartedConfConfigRequest {
        conference_id: format!("\n{}", "9".repeat(128)),
        lock_sharing: 7,
        call_in_restriction: -7,
        ..Default::default()
    };
    let (token_missing, fields) = faults(&[("grpc-timeout", b"x")], broken);
    assert!(token_missing);
    assert_eq!(
        fields,
        [
            "conference_id",
            "conference_id",
            "lock_sharing",
            "call_in_restriction",
            "grpc-timeout"
        ]
    );
}

#[test]
fn a_missing_credential_is_told_from_a_malformed_one() {
    assert_eq!(faults(&[], request()), (true, vec![]));
}

#[test]
fn a_credential_never_prints() {
    for key in [TOKEN, PASSWORD] {
        let metadata = metadata(&[(key, TOKEN_TEXT.as_bytes())]);
        let command = UpdateCommand::read(&metadata, request()).unwrap();
        for printed in [
            format!("{command:?}"),
            format!("{command:#?}"),
            format!("{:?}", command.credential),
        ] {
            assert!(!printed.contains(TOKEN_TEXT), "{printed}");
        }
    }
}

#[test]
fn a_token_in_the_wrong_place_is_a_violation() {
    let request = UpdateStartedConfConfigRequest {
        conference_id: TOKEN_TEXT.to_owned(),
        ..request()
    };
    let token: (&str, &[u8]) = (TOKEN, TOKEN_TEXT.as_bytes());
    assert_eq!(faults(&[token], request), (false, vec!["conference_id"]));
    let request = UpdateStartedConfConfigRequest {
        conference_id: "100001".to_owned(),
        ..self::request()
    };
    let password: (&str, &[u8]) = (PASSWORD, b"100001");
    assert_eq!(faults(&[password], request), (false, vec!["conference_id"]));
}
