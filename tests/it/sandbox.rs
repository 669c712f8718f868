//! The façade over the sandbox: what a newcomer and a caller's own tests see.

use std::sync::{Arc, Mutex};

use meeting_control::sandbox::Sandbox;
use tokio::net::TcpListener;

use crate::kit::{Facade, Failure, MEETING, lock};

type Changes = Arc<Mutex<Vec<String>>>;

async fn sandbox() -> (String, Changes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let changes = Changes::default();
    let told = Arc::clone(&changes);
    let sandbox = Sandbox::new(move |line| told.lock().unwrap().push(line.to_owned()));
    tokio::spawn(async move { sandbox.serve(&listener).await });
    (base, changes)
}

async fn get(url: String) -> serde_json::Value {
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_change_is_kept_shown_and_told_once() {
    let (base, changes) = sandbox().await;
    let facade = Facade::over(&base).await;
    let url = format!("{base}/sandbox/meetings/{MEETING}");
    assert_eq!(get(url.clone()).await["lockSharing"], 0);
    facade.lock(MEETING).await.unwrap();
    facade.lock(MEETING).await.unwrap();
    let shown = get(url).await;
    assert_eq!(shown["lockSharing"], 1);
    assert_eq!(shown["callInRestriction"], 0);
    assert_eq!(shown["conferenceID"], MEETING);
    let told = changes.lock().unwrap().clone();
    assert_eq!(told, ["meeting 900244663: lockSharing 0 -> 1"]);
}

#[tokio::test]
async fn each_test_id_gives_the_documented_answer() {
    let (base, _) = sandbox().await;
    let facade = Facade::over(&base).await;
    for (id, code, reason) in [
        ("900000400", "INVALID_ARGUMENT", "HTTP_400"),
        ("900000403", "PERMISSION_DENIED", "HTTP_403"),
        ("900000599", "INTERNAL", "HTTP_599"),
        ("900002002", "UNAVAILABLE", "UPSTREAM_CONNECTION_LOST"),
        ("900002003", "INTERNAL", "UPSTREAM_NOT_HTTP"),
        ("900003005", "FAILED_PRECONDITION", "CONF_NOT_STARTED"),
        (
            "900003065",
            "UNAUTHENTICATED",
            "CONF_NOT_FOUND_OR_AUTH_FAILED",
        ),
        (
            "900003070",
            "PERMISSION_DENIED",
            "GUEST_NO_PERMISSION_OPERATION",
        ),
    ] {
        let failure = Failure::of(&facade.lock(id).await.unwrap_err());
        assert_eq!(
            (failure.code, failure.reason.as_str()),
            (code, reason),
            "{id}"
        );
    }
    for id in ["900002004", "900002005"] {
        facade.lock(id).await.unwrap();
    }
    let mut hanging = lock("900002001");
    hanging.set_timeout(std::time::Duration::from_millis(300));
    let failure = Failure::of(&facade.call(hanging).await.unwrap_err());
    assert_eq!(failure.code, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn an_id_that_fails_twice_succeeds_at_the_third_call() {
    let (base, _) = sandbox().await;
    let facade = Facade::over(&base).await;
    for _ in 0..2 {
        for expected in ["INVALID_ARGUMENT", "INVALID_ARGUMENT", "OK"] {
            let answer = facade.lock("900001400").await;
            let code = answer.map_or_else(|status| Failure::of(&status).code, |_| "OK");
            assert_eq!(code, expected);
        }
    }
}

#[tokio::test]
async fn another_token_is_refused_as_the_real_service_does() {
    let (base, changes) = sandbox().await;
    let facade = Facade::over(&base).await;
    let mut request = lock(MEETING);
    let metadata = request.metadata_mut();
    metadata.insert("x-conference-authorization", "cnr1".parse().unwrap());
    let failure = Failure::of(&facade.call(request).await.unwrap_err());
    assert_eq!(failure.code, "UNAUTHENTICATED");
    assert_eq!(failure.metadata["error_code"], "MMC.111072065");
    assert!(changes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_path_or_method_answers_as_the_gateway_does() {
    let (base, _) = sandbox().await;
    for path in ["/", "/v1/mmc/control/conferences/updateStartedConfConfig"] {
        let answer = get(format!("{base}{path}")).await;
        assert_eq!(answer["error_code"], "APIG.0101", "{path}");
    }
    let facade = Facade::over(&format!("{base}/wrong")).await;
    let failure = Failure::of(&facade.lock(MEETING).await.unwrap_err());
    assert_eq!(failure.code, "UNIMPLEMENTED");
}
