//! Whatever comes in, from either side, ends in a command or a status. `FUZZ_RUNS` sets how many
//! inputs of each kind are tried.
#![allow(
    clippy::disallowed_methods,
    reason = "the number of runs is no setting of the program"
)]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use meeting_control::call::{Call, Peer};
use meeting_control::command::{Credential, UpdateCommand};
use meeting_control::deadline::Deadline;
use meeting_control::proto::v1::UpdateStartedConfConfigRequest;
use meeting_control::secret::{ControlToken, Secrets};
use meeting_control::status::Verdict;
use meeting_control::upstream::answer::{self, Answer, Context, Extent};
use meeting_control::upstream::error_code::TABLE;
use prost::Message as _;
use tonic_types::StatusExt as _;

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"error_code",
    b"error_msg",
    b"errorCode",
    b"errorMsg",
    b"code",
    b"message",
    b"returnCode",
    b"returnDesc",
    b"request_id",
    b"MMC.111072005",
    b"APIG.0201",
    b"\xff\xfe",
    b"\x00",
    b"{\"error\":",
    b"\"error_code\":\"MMC.111072065\",",
    b"success",
    b"false",
    b"MMC.",
    b"<html>",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"\\",
    "\u{202e}".as_bytes(),
];

fn runs() -> usize {
    std::env::var("FUZZ_RUNS").map_or(20_000, |runs| runs.parse().unwrap())
}

/// Tokens of JSON in an order that is mostly wrong, with a stray byte here and there.
fn body(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..random.usize(0..24) {
        body.extend_from_slice(random.choice(TOKENS).unwrap());
    }
    if !body.is_empty() && random.bool() {
        let at = random.usize(0..body.len());
        body[at] = random.u8(..);
    }
    body
}

fn header(random: &mut fastrand::Rng, printable: bool) -> Option<HeaderValue> {
    let byte = |random: &mut fastrand::Rng| {
        if printable {
            random.u8(32..127)
        } else {
            random.u8(..)
        }
    };
    let length = random.usize(0..64);
    let bytes: Vec<_> = std::iter::repeat_with(|| byte(random))
        .take(length)
        .collect();
    HeaderValue::from_bytes(&bytes).ok()
}

fn headers(random: &mut fastrand::Rng, names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        for _ in 0..random.usize(0..3) {
            let printable = random.u8(..4) > 0;
            if let Some(value) = header(random, printable) {
                headers.append(*name, value);
            }
        }
    }
    headers
}

fn call(metadata: &HeaderMap) -> Call {
    let deadline = Deadline::start(None, Duration::from_secs(1));
    Call::arrive(metadata, deadline, Peer::anonymous(), None)
}

/// The token of a good request, to read answers to.
fn token() -> ControlToken {
    let token = HeaderValue::from_static("cnr0123456789abcdef");
    let metadata = HeaderMap::from_iter([("x-conference-authorization".parse().unwrap(), token)]);
    let request = UpdateStartedConfConfigRequest {
        conference_id: "900244663".to_owned(),
        lock_sharing: 1,
        ..Default::default()
    };
    match UpdateCommand::read(&metadata, request).unwrap().credential {
        Credential::Token(token) => token,
        other @ Credential::Password(_) => panic!("{other:?}"),
    }
}

fn secrets(token: &ControlToken) -> Secrets<'_> {
    Secrets {
        token: Some(token),
        password: None,
    }
}

#[test]
fn any_answer_is_success_or_a_status_with_details() {
    let mut random = fastrand::Rng::with_seed(63);
    let mut refusals = 0;
    let token = token();
    let context = Context {
        secrets: secrets(&token),
        settings: 1,
        now: SystemTime::UNIX_EPOCH,
    };
    for _ in 0..runs() {
        let answer = Answer {
            status: StatusCode::from_u16(random.u16(100..=999)).unwrap(),
            headers: headers(
                &mut random,
                &[
                    "x-request-id",
                    "retry-after",
                    "x-apig-ratelimit-api",
                    "date",
                    "content-type",
                    "content-encoding",
                ],
            ),
            body: Bytes::from(body(&mut random)),
            extent: *random
                .choice(&[Extent::Whole, Extent::Cut, Extent::Lost])
                .unwrap(),
            idle: random.bool(),
        };
        let Err(error) = answer::read(&answer, &context) else {
            assert!(answer.status.is_success(), "{answer:?}");
            continue;
        };
        refusals += 1;
        let call = call(&HeaderMap::new());
        let status = Verdict::failed(&error, call.outcome()).into_status(&call);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert!(matches!(
            info.metadata["outcome"].as_str(),
            "unknown" | "not_applied"
        ));
        assert!((2..=63).contains(&info.reason.len()), "{}", info.reason);
        assert!(status.message().len() < 500, "{}", status.message());
        assert!(!status.message().contains(char::is_control), "{answer:?}");
        let text = info.metadata.get("error_msg");
        assert!(
            text.is_none_or(|text| !text.contains('\u{202e}')),
            "{answer:?}"
        );
    }
    assert!(refusals > runs() / 2, "{refusals}");
}

/// A JSON text in an encoding, and as much of it as came.
fn dress(random: &mut fastrand::Rng, text: &str, cut: bool) -> Answer {
    let blanks = random.choice(&["", " ", "\r\n\t"]).unwrap();
    let after = random.choice(&["", "\n", "\0", "<!-- -->", "}"]).unwrap();
    let text = format!("{blanks}{text}{}", if cut { "" } else { after });
    let marked = format!("\u{feff}{text}");
    let body = match random.u8(..5) {
        0 => marked.into_bytes(),
        1 => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        2 => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        // As GBK has it.
        3 => text.split('失').collect::<Vec<_>>().join("~").into_bytes(),
        _ => text.into_bytes(),
    };
    let body = body
        .iter()
        .flat_map(|byte| match byte {
            b'~' => &b"\xb0\xdc"[..],
            other => std::slice::from_ref(other),
        })
        .copied()
        .collect::<Vec<_>>();
    let kind = random
        .choice(&["application/json", "text/plain", "x"])
        .unwrap();
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]),
        body: body.into(),
        extent: if cut { Extent::Cut } else { Extent::Whole },
        idle: false,
    }
}

/// A field of an object, or an object in another or in a list.
fn nest(random: &mut fastrand::Rng, fields: &str, cut: bool) -> String {
    let (before, after) = *random
        .choice(&[
            ("{", "}"),
            (r#"{"error":{"#, "}}"),
            ("[{", "}]"),
            (
                r#"{"message":"失","errors":[null,{},{"#,
                r#"}],"request_id":"1"}"#,
            ),
            (
                r#"{"data":{"code":200,"list":[[{"#,
                r#"}]]},"success":true}"#,
            ),
        ])
        .unwrap();
    format!("{before}{fields}{}", if cut { "" } else { after })
}

#[test]
fn a_known_code_is_found_in_any_dress() {
    let mut random = fastrand::Rng::with_seed(111);
    let token = token();
    let context = Context {
        secrets: secrets(&token),
        settings: 1,
        now: SystemTime::UNIX_EPOCH,
    };
    for _ in 0..runs() {
        let row = random.choice(TABLE).unwrap();
        let (prefix, digits) = row.code.split_once('.').unwrap();
        let code = match (random.u8(..5), prefix) {
            (0, "APIG") => format!("\"APIGW.{digits}\""),
            (1, "MMC" | "USG") => digits.to_owned(),
            (2, "MMC" | "USG") => format!("{digits}.0"),
            (3, "MMC" | "USG") => format!("\" {digits} \""),
            (4, _) => format!("\"{}\"", row.code.to_lowercase()),
            _ => format!("\"{}\"", row.code),
        };
        let name = random
            .choice(&["error_code", "errorCode", "code", "returnCode"])
            .unwrap();
        let mut fields = [
            format!("\"{name}\" : {code}"),
            r#""error_msg":"失败 \"so\" \\""#.to_owned(),
            format!("\"msg\":\"one\ntwo\",\"{name}\":0"),
        ];
        random.shuffle(&mut fields);
        let cut = random.bool();
        let rest = if cut { ",\"message\":\"half" } else { "" };
        let text = nest(&mut random, &format!("{}{rest}", fields.join(",")), cut);
        let status = row
            .status
            .unwrap_or_else(|| *random.choice(&[200, 302, 400, 404, 409, 500, 503]).unwrap());
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            ..dress(&mut random, &text, cut)
        };
        let refusal = answer::refusal(&answer, &context).unwrap();
        let found = refusal.known().map(|known| known.symbol);
        assert_eq!(found, Some(row.symbol), "{text}");
        assert_eq!(refusal.outcome(), row.outcome, "{text}");
        assert_eq!(refusal.grpc_code(), row.grpc, "{text}");
    }
}

#[test]
fn a_success_is_accepted_in_any_dress() {
    let mut random = fastrand::Rng::with_seed(200);
    let token = token();
    let context = Context {
        secrets: secrets(&token),
        settings: 2,
        now: SystemTime::UNIX_EPOCH,
    };
    for _ in 0..runs() {
        let mut fields = vec![
            r#""returnCode":0"#,
            r#""returnCode":"0""#,
            r#""returnCode":0.0"#,
            r#""returnCode":null"#,
            r#""code":200"#,
            r#""code":"OK""#,
            r#""success":true"#,
            r#""error_code":"""#,
            r#""errorCode":0"#,
            r#""error_msg":"失败""#,
            r#""message":"returnCode: 7""#,
            r#""data":{"x":[1,2,{"y":null}]}"#,
        ];
        random.shuffle(&mut fields);
        let some = fields[..random.usize(..fields.len())].join(",");
        let cut = random.bool();
        let text = nest(&mut random, &some, cut);
        let answer = dress(&mut random, &text, cut);
        let accepted = answer::read(&answer, &context);
        assert!(accepted.is_ok(), "{text}: {accepted:?}");
    }
}

#[test]
fn any_request_is_a_command_or_names_its_violations() {
    let mut random = fastrand::Rng::with_seed(36);
    let mut commands = 0;
    for _ in 0..runs() {
        let mut bytes = UpdateStartedConfConfigRequest {
            conference_id: "900244663"
                .chars()
                .cycle()
                .take(random.usize(0..140))
                .collect(),
            lock_sharing: random.i32(-1..5),
            is_lock: if random.bool() { 0 } else { random.i32(..) },
            ..Default::default()
        }
        .encode_to_vec();
        if random.bool() && !bytes.is_empty() {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        // What is no protobuf ends before our rooms, in the framework.
        let Ok(request) = UpdateStartedConfConfigRequest::decode(bytes.as_slice()) else {
            continue;
        };
        let metadata = headers(
            &mut random,
            &[
                "x-conference-authorization",
                "x-request-id",
                "traceparent",
                "grpc-timeout",
            ],
        );
        let call = call(&metadata);
        assert!(!call.request_id().is_empty());
        match UpdateCommand::read(&metadata, request) {
            Ok(command) => {
                commands += 1;
                assert!((1..=128).contains(&command.conference_id.len()));
                assert!(command.settings.iter().any(Option::is_some));
            }
            Err(invalid) => {
                let status = Verdict::invalid(invalid).into_status(&call);
                assert!(status.get_error_details().error_info().is_some());
            }
        }
    }
    assert!(commands > 0);
}
