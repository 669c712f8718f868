use super::*;

const TOKEN: &str = "x-conference-authorization";
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
    (invalid.token_missing, fields)
}

#[test]
fn a_good_request_becomes_a_command() {
    let metadata = metadata(&[(TOKEN, TOKEN_TEXT.as_bytes()), ("grpc-timeout", b"5S")]);
    let command = UpdateCommand::read(&metadata, request()).unwrap();
    assert_eq!(command.conference_id, "900244663");
    assert_eq!(command.settings[0], Some(1));
    assert_eq!(command.settings[1], None);
    assert_eq!(command.token.to_header(), TOKEN_TEXT);
    assert!(command.token.to_header().is_sensitive());
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
    assert!(UpdateCommand::read(&metadata(&[(TOKEN, &long_token)]), request).is_ok());
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
fn a_missing_or_blank_token_is_told_from_a_malformed_one() {
    for entries in [&[][..], &[(TOKEN, &b""[..])], &[(TOKEN, &b"   "[..])]] {
        assert_eq!(faults(entries, request()), (true, vec![]), "{entries:?}");
    }
}

#[test]
fn a_token_never_prints() {
    let metadata = metadata(&[(TOKEN, TOKEN_TEXT.as_bytes())]);
    let command = UpdateCommand::read(&metadata, request()).unwrap();
    for printed in [
        format!("{command:?}"),
        format!("{command:#?}"),
        format!("{:?}", command.token),
    ] {
        assert!(!printed.contains(TOKEN_TEXT), "{printed}");
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
}
