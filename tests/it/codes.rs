//! Every code of the table through a real call, and bodies that nobody would expect.

use meeting_control::upstream::error_code::TABLE;

use crate::kit::{Facade, Failure, MEETING, Script, Settings, Step};

#[tokio::test]
async fn each_code_reaches_the_caller_with_its_explanation() {
    let answers = TABLE.iter().map(|row| {
        let body = format!(
            r#"{{"error_code":"{}","error_msg":"{}"}}"#,
            row.code, row.symbol
        );
        Step::answer(row.status.unwrap_or(400), "", &body)
    });
    let upstream = Script::start(answers).await;
    let mut settings = Settings::default();
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    assert!(TABLE.len() >= 150, "{}", TABLE.len());
    for row in TABLE {
        let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
        let code = row.code;
        assert_eq!(
            failure.code,
            meeting_control::names::code(row.grpc),
            "{code}"
        );
        assert_eq!(failure.reason, row.symbol, "{code}");
        let fate = match failure.outcome() {
            "not_applied" => "nothing was changed",
            _ => "the settings may have changed",
        };
        let sentence = format!("{} ({code}); {fate}.", row.explanation);
        assert_eq!(failure.message, sentence);
        assert_eq!(failure.outcome(), row.outcome.to_string(), "{code}");
        assert_eq!(failure.metadata["error_code"], code);
        assert_eq!(failure.domain, "meeting.huaweicloud.com", "{code}");
        let series = format!("meeting_control_upstream_errors_total{{error_code=\"{code}\"}} ");
        assert!(facade.metric(&series) >= 1.0, "{code}");
    }
}

#[tokio::test]
async fn a_body_of_any_kind_gets_a_status_and_never_a_panic() {
    let mut random = fastrand::Rng::with_seed(6);
    let mut bodies: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            let length = random.usize(0..600);
            std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect()
        })
        .collect();
    bodies.extend([
        "{\"error\":".repeat(10_000).into_bytes(),
        "[".repeat(70_000).into_bytes(),
        format!(r#"{{"error_code":{},"error_msg":"x"}}"#, "9".repeat(400)).into_bytes(),
        br#"{"error_code":1e999,"error_msg":"x"}"#.to_vec(),
        br#"{"error_code":{"code":[]},"error_msg":{}}"#.to_vec(),
        br#"{"code":-0,"message":null}"#.to_vec(),
        br#"{"error_code":"\u0000\ud800","error_msg":"x"}"#.to_vec(),
        br#"{"code":"MMC.1","message":"\u0007\u001b[31m"}"#.to_vec(),
    ]);
    let calls = bodies.len();
    let answers = bodies
        .into_iter()
        .zip([400, 500, 200, 418, 302].into_iter().cycle());
    let upstream = Script::start(answers.map(|(body, status)| {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Step::Raw([head.into_bytes(), body].concat())
    }))
    .await;
    let mut settings = Settings::default();
    settings.upstream.max_retries = 0;
    let facade = Facade::with(&upstream.base, settings).await;
    for _ in 0..calls {
        if let Err(status) = facade.lock(MEETING).await {
            let failure = Failure::of(&status);
            assert_ne!(failure.reason, "INTERNAL_FAULT");
            assert!(failure.message.len() < 500, "{}", failure.message);
            assert!(
                !failure.message.contains(char::is_control),
                "{}",
                failure.message
            );
        }
    }
}
