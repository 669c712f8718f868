use super::*;

const LATE: Behaviour = Behaviour::Delay(Duration::from_secs(1));

/// A refusal with that status and, unless empty, code and text.
fn refusal(status: u16, code: &'static str, message: &'static str) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap();
    if code.is_empty() {
        Refusal::bare(status)
    } else {
        Refusal::new(status, code.into(), message)
    }
}

fn after(seconds: u16, refusal: Refusal) -> Refusal {
    Refusal {
        retry_after: Some(seconds),
        ..refusal
    }
}

#[test]
fn a_status_is_refused_always_or_twice() {
    for status in [400, 429, 503, 599] {
        let refusal = refusal(status, "", "");
        for (id, expected) in [
            (
                format!("900000{status}"),
                Behaviour::Refuse(refusal.clone()),
            ),
            (
                format!("900000{status}+3600"),
                Behaviour::Refuse(after(3600, refusal.clone())),
            ),
            (
                format!("900001{status}"),
                Behaviour::RefuseTwice(refusal.clone()),
            ),
            (
                format!("900001{status}+0"),
                Behaviour::RefuseTwice(after(0, refusal.clone())),
            ),
        ] {
            assert_eq!(behaviour(&id), expected, "{id}");
        }
    }
}

#[test]
fn each_way_to_fail_without_an_error_has_its_id() {
    for (id, expected) in [
        ("900002001", Behaviour::Hang),
        ("900002002", Behaviour::Fault(Fault::Cut)),
        ("900002003", Behaviour::Fault(Fault::NotHttp)),
        ("900002004", Behaviour::Huge),
        ("900002005", LATE),
    ] {
        assert_eq!(behaviour(id), expected, "{id}");
    }
}

#[test]
#[rustfmt::skip] // one row per line
fn a_code_comes_with_the_status_and_the_pause_that_are_asked_for() {
    for (id, expected) in [
        ("900003005", refusal(400, "MMC.111072005", "CONF_NOT_STARTED")),
        ("900003000", refusal(400, "MMC.111072000", "SANDBOX_CODE")),
        ("900003999+1", after(1, refusal(400, "MMC.111072999", "SANDBOX_CODE"))),
        ("MMC.111072005", refusal(400, "MMC.111072005", "CONF_NOT_STARTED")),
        ("MMC.111072005@403", refusal(403, "MMC.111072005", "CONF_NOT_STARTED")),
        ("MMC.111072083@200", refusal(200, "MMC.111072083", "LOCK_SHARE_FAILED")),
        ("MMC.111072083@200+2", after(2, refusal(200, "MMC.111072083", "LOCK_SHARE_FAILED"))),
        ("USG.200000001@503", refusal(503, "USG.200000001", "USG_SERVER_BUSY")),
        ("APIG.0308", refusal(400, "APIG.0308", "APIG_THROTTLED")),
        ("APIG.0308@429+3", after(3, refusal(429, "APIG.0308", "APIG_THROTTLED"))),
        ("APIGW.0101@404", refusal(404, "APIGW.0101", "APIG_API_NOT_FOUND")),
        // A code with a row for some statuses.
        ("APIG.0201", refusal(400, "APIG.0201", "APIG_INVALID_REQUEST")),
        ("APIG.0201@504", refusal(504, "APIG.0201", "APIG_REQUEST_BACKEND_TIMEOUT")),
        ("APIG.0201@503", refusal(503, "APIG.0201", "SANDBOX_CODE")),
        // No code of the table.
        ("MMC.1", refusal(400, "MMC.1", "SANDBOX_CODE")),
        ("MMC.999999999+3600", after(3600, refusal(400, "MMC.999999999", "SANDBOX_CODE"))),
    ] {
        assert_eq!(behaviour(id), Behaviour::Refuse(expected), "{id}");
    }
}

#[test]
fn a_name_changes_nothing_else() {
    let longest = "n".repeat(MAX_NAME);
    for id in [
        "900000503",
        "900001503+3",
        "900002001",
        "900002005",
        "900003005",
        "APIG.0308@429+3",
        "900244663",
    ] {
        for name in ["a", "Suite_1.case-2", "-", &longest] {
            let named = format!("{id}-{name}");
            assert_eq!(behaviour(&named), behaviour(id), "{named}");
        }
    }
}

#[test]
fn any_other_id_is_one_of_a_running_meeting() {
    let too_long = format!("900000503-{}", "n".repeat(MAX_NAME + 1));
    for id in [
        "",
        "-",
        "-a",
        crate::sandbox::MEETING,
        // Statuses out of range, or not written as one.
        "900000399",
        "900000600",
        "900001200",
        "90000040",
        "9000000400",
        "90000040x",
        "90000é400",
        "900000+50",
        // No such number.
        "900002000",
        "900002006",
        "900002001+3",
        "900003",
        "90000305",
        "9000030055",
        "90000300x",
        "900003005@503",
        "900004006",
        // Pauses out of range, or not written as one.
        "900000503+",
        "900000503+3601",
        "900000503+65537",
        "900000503+03",
        "900000503++3",
        "900000503+-3",
        "900000503+3s",
        "900000503+1+2",
        "900000503 +3",
        // Codes that are none.
        "MMC",
        "MMC.",
        "MMC.0",
        "MMC.000000000@200",
        "MMC.1110720050",
        "MMC.11107200x",
        "MMC.+11072005",
        "mmc.111072005",
        "XYZ.111072005",
        "111072005",
        ".111072005",
        "MMC.1.2",
        "MMC.111072005@",
        "MMC.111072005@201",
        "MMC.111072005@302",
        "MMC.111072005@399",
        "MMC.111072005@600",
        "MMC.111072005@0200",
        "MMC.111072005@+400",
        "MMC.111072005@400@400",
        "APIG.0308+3@429",
        // Names that are none.
        "900000503-",
        "900000503-a b",
        "900000503-ä",
        "900000503-a/b",
        &too_long,
    ] {
        assert_eq!(behaviour(id), Behaviour::Run, "{id:?}");
    }
}
