use super::*;

#[test]
fn the_readme_shows_the_table_as_it_is() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("<!-- codes -->\n").unwrap();
    let (shown, _) = after.split_once("<!-- end of codes -->").unwrap();
    let rows: Vec<_> = TABLE.iter().collect();
    assert_eq!(
        shown.trim(),
        markdown(&rows).trim(),
        "replace it with what `meeting-control codes --markdown` prints"
    );
}

#[test]
fn a_code_is_explained_in_text_and_as_json() {
    let rows: Vec<_> = TABLE
        .iter()
        .filter(|row| row.is_called("111072065"))
        .collect();
    let page = text(&rows);
    for part in [
        "MMC.111072065",
        "CONF_NOT_FOUND_OR_AUTH_FAILED",
        "UNAUTHENTICATED",
        "not_applied",
        "seen in answers",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let parsed: Value = serde_json::from_str(&json(&rows)).unwrap();
    assert_eq!(parsed[0]["grpc_code"], "UNAUTHENTICATED");
    assert_eq!(parsed[0]["retried"], "no");
    assert_eq!(parsed[0]["http_status"], Value::Null);
}

#[test]
fn each_of_the_two_calls_is_told_what_a_code_means_for_it() {
    const CHANGE: &str = "  In answer to a change with a token that was obtained for a password: the token is \
                          replaced.\n";
    for (code, change, password, wrong) in [
        ("111072005", false, None, "no"),
        ("111072065", true, Some("password may be wrong"), "perhaps"),
        ("111071091", false, Some("password is wrong"), "yes"),
        ("111072064", false, Some("login is locked"), "locked"),
        ("206030015", false, Some("login is locked"), "locked"),
    ] {
        let rows: Vec<_> = TABLE.iter().filter(|row| row.is_called(code)).collect();
        let page = text(&rows);
        assert_eq!(page.contains(CHANGE), change, "{page}");
        let told = page.split_once("  In answer to the request for a token: the ");
        let told = told.map(|(_, told)| told.trim_end().trim_end_matches('.'));
        assert_eq!(told, password, "{page}");
        let parsed: Value = serde_json::from_str(&json(&rows)).unwrap();
        assert_eq!(parsed[0]["wrong_password"], wrong, "{code}");
    }
}

#[test]
fn a_code_that_refuses_one_setting_shows_what_it_means_among_several() {
    for (code, shown, several) in [
        (
            "111072045",
            "not_applied (unknown with several settings)",
            "unknown",
        ),
        ("111072083", "unknown", "unknown"),
        ("111072005", "not_applied", "not_applied"),
    ] {
        let rows: Vec<_> = TABLE.iter().filter(|row| row.is_called(code)).collect();
        assert!(
            text(&rows).contains(&format!("outcome {shown}, ")),
            "{code}"
        );
        assert!(markdown(&rows).contains(&format!("| {shown} |")), "{code}");
        let parsed: Value = serde_json::from_str(&json(&rows)).unwrap();
        assert_eq!(parsed[0]["outcome_with_several_settings"], several);
    }
}
