use super::*;

const OK: u16 = 200;
const BAD_REQUEST: u16 = 400;

fn code(text: &str, status: u16) -> Option<String> {
    read(text, status)?.code
}

/// What is found in a refusal, as `code: message`.
fn found(text: &str) -> String {
    let envelope = read(text, BAD_REQUEST).unwrap_or_default();
    let code = envelope.code.unwrap_or_default();
    format!("{code}: {}", envelope.message.unwrap_or_default())
}

#[test]
fn a_code_is_found_in_every_shape() {
    for body in [
        r#"{"error_code":"MMC.1","error_msg":"SYMBOL"}"#,
        r#"{"error_code":"MMC.1","error_message":"SYMBOL"}"#,
        r#"{"errorCode":"MMC.1","errorMsg":"SYMBOL"}"#,
        r#"{"errorCode":"MMC.1","errorMessage":"SYMBOL"}"#,
        r#"{"ErrorCode":"MMC.1","Message":"SYMBOL"}"#,
        r#"{"code":"MMC.1","message":"SYMBOL"}"#,
        r#"{"code":"MMC.1","msg":"SYMBOL"}"#,
        r#"{"returnCode":"MMC.1","returnDesc":"SYMBOL"}"#,
        r#"{"error":{"code":"MMC.1","message":"SYMBOL"}}"#,
        r#"{"errors":[{"error_code":"MMC.1","error_msg":"SYMBOL"}]}"#,
        r#"[{"error_code":"MMC.1","error_msg":"SYMBOL"}]"#,
        r#"[[],[{},{"a":[{"error_code":"MMC.1","error_msg":"SYMBOL"}]}]]"#,
        r#"{"data":{"inner":{"error_code":"MMC.1","error_msg":"SYMBOL"}},"message":"x"}"#,
        r#"{"code":"other","message":"other","error_code":"MMC.1","error_msg":"SYMBOL"}"#,
        r#"{"error_code":" MMC.1 ","error_msg":"SYMBOL","encoded_authorization_message":"x"}"#,
        r#"{"error_msg":"SYMBOL","error_code":"MMC.1"}"#,
        r#"{"error_code":"MMC\u002e1","error_msg":"SYM\u0042OL"}"#,
    ] {
        assert_eq!(found(body), "MMC.1: SYMBOL", "{body}");
    }
    let numeric = r#"{"code":111072005,"message":"SYMBOL"}"#;
    assert_eq!(found(numeric), "111072005: SYMBOL");
}

#[test]
fn a_code_needs_no_text_and_a_text_is_only_that_of_its_own_object() {
    for body in [
        r#"{"error_code":"MMC.1"}"#,
        r#"{"error_code":"MMC.1","error_msg":null}"#,
        r#"{"error_code":"MMC.1","error_msg":7,"message":{"a":"x"}}"#,
        r#"{"message":"outer","error":{"error_code":"MMC.1"}}"#,
        r#"{"error_code":"MMC.1","error":{"message":"inner"}}"#,
    ] {
        assert_eq!(found(body), "MMC.1: ", "{body}");
    }
}

#[test]
fn a_body_without_a_usable_code_is_no_envelope() {
    for body in [
        "",
        "<html>502 Bad Gateway</html>",
        "null",
        "[]",
        "MMC.1",
        r#""error_code""#,
        r#"{"error_code":"MMC.1"#,
        r#"{"error_msg":"SYMBOL"}"#,
        r#"{"error_code":true,"error_msg":"SYMBOL"}"#,
        r#"{"error_code":NaN,"error_msg":"SYMBOL"}"#,
        r#"{"error_code":["MMC.1"],"error_msg":"SYMBOL"}"#,
        r#"{"error_code":{"value":"MMC.1"},"error_msg":"SYMBOL"}"#,
        r#"{"error_code":"","error_msg":"SYMBOL"}"#,
        r#"{"error_code":"  ","error_msg":"SYMBOL"}"#,
        r#"{"error_code":"zwölf","error_msg":"SYMBOL"}"#,
        r#"{"error_code":"not a code","error_msg":"SYMBOL"}"#,
        r#"{"error_code":0,"error_msg":"SYMBOL"}"#,
        r#"{"success":false,"message":"no"}"#,
    ] {
        assert_eq!(read(body, BAD_REQUEST), None, "{body}");
    }
}

#[test]
fn of_several_codes_the_one_that_says_most_counts() {
    for (body, expected) in [
        // The outermost, and there the order of the names.
        (
            r#"{"a":{"error_code":"X.1","error_msg":"in"},"code":"Y.1","msg":"out"}"#,
            "Y.1: out",
        ),
        (
            r#"{"code":"Y.1","returnCode":7,"errorCode":"X.1","message":"m"}"#,
            "X.1: m",
        ),
        // One that looks like the vendor's.
        (
            r#"{"code":400,"message":"Bad Request","error":{"code":"MMC.1","msg":"in"}}"#,
            "MMC.1: in",
        ),
        // One of the table.
        (
            r#"{"error_code":"MMC.1","errors":[{"code":"MMC.111072005","msg":"in"}]}"#,
            "MMC.111072005: in",
        ),
        // One of the table that leaves it open what happened, or may.
        (
            r#"{"error_code":"MMC.111072005","errors":[{"code":"111070003","msg":"in"}]}"#,
            "111070003: in",
        ),
        (
            r#"{"error_code":"MMC.111072005","errors":[{"code":"111072205","msg":"in"}]}"#,
            "111072205: in",
        ),
        // A key that comes twice.
        (
            r#"{"error_code":"0","error_code":"MMC.1","error_msg":"first","error_msg":"second"}"#,
            "MMC.1: first",
        ),
    ] {
        assert_eq!(found(body), expected, "{body}");
    }
}

#[test]
fn the_gateways_request_id_is_kept_if_it_can_be_one() {
    for (id, expected) in [
        (r#""acbc548a""#, Some("acbc548a")),
        (r#""with blanks""#, None),
        ("7", None),
    ] {
        let body = format!(r#"{{"error_code":"APIG.0101","error_msg":"x","request_id":{id}}}"#);
        let envelope = read(&body, 404).unwrap();
        assert_eq!(envelope.request_id.as_deref(), expected);
    }
}

#[test]
fn a_success_is_one_unless_something_in_it_speaks_of_a_failure() {
    for body in [
        "",
        " \n",
        "OK",
        "null",
        "7",
        "{}",
        r#"{"returnCode":0,"returnDesc":"Success"}"#,
        r#"{"returnCode":"0","returnDesc":"Success"}"#,
        r#"{"returnCode":" 0 "}"#,
        r#"{"returnCode":"000"}"#,
        r#"{"returnCode":0.0}"#,
        r#"{"returnCode":-0}"#,
        r#"{"returnCode":0e9}"#,
        r#"{"returnCode":"0.00"}"#,
        r#"{"returnCode":7.5}"#,
        r#"{"returnCode":null}"#,
        r#"{"returnCode":true}"#,
        r#"{"returnCode":""}"#,
        r#"{"returnCode":"SUCCESS"}"#,
        r#"{"returnCode":[7]}"#,
        r#"{"returnCode":"#,
        r#"{"returnCode":7"#,
        r#"{"code":0,"message":"ok"}"#,
        r#"{"code":200,"message":"ok"}"#,
        r#"{"code":"200","success":true}"#,
        r#"{"code":"OK","success":"true","msg":null}"#,
        r#"{"code":500,"success":1}"#,
        r#"{"success":null}"#,
        r#"{"success":""}"#,
        r#"{"success":{"code":200}}"#,
        r#"{"error_code":0,"error_msg":""}"#,
        r#"{"errorCode":"0","errorMsg":"success"}"#,
        r#"{"error_code":"","error_msg":""}"#,
        r#"{"error_code":null,"error_msg":null}"#,
        r#"{"error_code":false}"#,
        r#"{"error_msg":"","message":"no code"}"#,
        r#"{"data":[{"error_code":"00000"}]}"#,
        r#"{"note":"returnCode: 7, error_code: MMC.1"}"#,
        r#"{"note":"{\"returnCode\":7}"}"#,
    ] {
        assert_eq!(read(body, OK), None, "{body}");
    }
}

#[test]
fn a_failure_is_found_in_a_success() {
    for (body, expected) in [
        (r#"{"returnCode":111072083,"returnDesc":"x"}"#, "111072083"),
        (r#"{"returnCode":"111072083"}"#, "111072083"),
        (r#"{"returnCode":" 111072083 "}"#, "111072083"),
        (r#"{"returnCode":111072083.0}"#, "111072083"),
        (r#"{"returnCode":"111072083.0"}"#, "111072083"),
        (r#"{"returnCode":1.11072083e8}"#, "111072083"),
        (r#"{"returnCode":"MMC.111072083"}"#, "MMC.111072083"),
        (r#"{"returnCode":"USG.1"}"#, "USG.1"),
        (r#"{"returnCode":-1}"#, "-1"),
        (r#"{"returnCode":"-1"}"#, "-1"),
        (r#"{"returnCode":"007"}"#, "007"),
        (
            r#"{"returnCode":18446744073709551616}"#,
            "18446744073709551616",
        ),
        (r#"{"returnCode":1e999}"#, "1e999"),
        (r#"{"return_code":7}"#, "7"),
        (r#"{"data":{"returnCode":7}}"#, "7"),
        (r#"[{"returnCode":7}]"#, "7"),
        (r#"{"returnCode":0,"returnCode":7}"#, "7"),
        (r#"{"returnCode":0,"data":{"error_code":"X.1"}}"#, "X.1"),
        (r#"{"error_code":"MMC.1","error_msg":"SYMBOL"}"#, "MMC.1"),
        (r#"{"error_code":"FAIL"}"#, "FAIL"),
        (r#"{"error_code":1}"#, "1"),
        (r#"{"error_code":0.5}"#, "0.5"),
        (r#"{"errorCode":"X.1","errorMsg":null}"#, "X.1"),
        (r#"{"errors":[{"a":1},{"error_code":"X.1"}]}"#, "X.1"),
        (r#"{"code":"MMC.1","message":"x"}"#, "MMC.1"),
        (r#"{"code":"mmc.1"}"#, "mmc.1"),
        (r#"{"code":"APIG.0101"}"#, "APIG.0101"),
        (r#"{"code":"APIGW.0308"}"#, "APIGW.0308"),
        (r#"{"code":"USG.206020000"}"#, "USG.206020000"),
        (r#"{"code":111072083}"#, "111072083"),
        (r#"{"error":{"code":"111072083"}}"#, "111072083"),
        (r#"{"code":401,"msg":"x","success":false}"#, "401"),
        (r#"{"success":"FALSE","code":"E1"}"#, "E1"),
        (r#"{"success":false,"error":{"code":7}}"#, "7"),
        (
            r#"{"returnCode":111072083,"returnDesc":"cut o"#,
            "111072083",
        ),
        (r#"{"returnCode":111072083} and more"#, "111072083"),
    ] {
        assert_eq!(code(body, OK).as_deref(), Some(expected), "{body}");
    }
}

#[test]
fn a_success_that_is_denied_is_none_even_without_a_code() {
    for body in [
        r#"{"success":false,"message":"no"}"#,
        r#"{"success":"false","msg":"no"}"#,
        r#"{"success":" False ","message":"no"}"#,
        r#"{"success":0,"message":"no"}"#,
        r#"{"success":" 0 ","message":"no"}"#,
        r#"{"code":0,"success":false,"message":"no"}"#,
        r#"{"returnCode":0,"result":{"success":false,"message":"no"}}"#,
        r#"[{"success":true},{"success":false,"message":"no"}]"#,
    ] {
        let envelope = read(body, OK).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(envelope.code, None, "{body}");
        assert_eq!(envelope.message.as_deref(), Some("no"), "{body}");
    }
}

#[test]
fn nesting_of_any_depth_is_no_crash_and_hides_nothing() {
    let deep = |inner: &str| format!("{}{inner}{}", "{\"a\":".repeat(9_000), "}".repeat(9_000));
    assert_eq!(read(&deep("1"), BAD_REQUEST), None);
    assert_eq!(code(&deep(r#"{"returnCode":7}"#), OK).unwrap(), "7");
}
