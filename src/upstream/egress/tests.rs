use super::*;

const PROXY: &str = "http://proxy.test:3128";

/// What the variables make of an upstream, as text.
fn proxy(upstream: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
    let given = |name: &str| {
        let (_, value) = variables.iter().find(|(other, _)| *other == name)?;
        Some(OsString::from(value))
    };
    Proxy::of(&upstream.parse().unwrap(), given)
        .map(|proxy| proxy.map(|proxy| proxy.to_string()))
        .map_err(|error| error.to_string())
}

#[test]
fn the_first_variable_that_is_set_for_the_upstreams_scheme_names_the_proxy() {
    let (https, http) = ("https://api.test", "http://api.test");
    for (upstream, variables, expected) in [
        (https, &[][..], None),
        (https, &[("HTTPS_PROXY", PROXY)][..], Some(PROXY)),
        (https, &[("https_proxy", PROXY)][..], Some(PROXY)),
        (
            https,
            &[("HTTPS_PROXY", ""), ("https_proxy", PROXY)][..],
            Some(PROXY),
        ),
        (
            https,
            &[("HTTPS_PROXY", PROXY), ("https_proxy", "http://other")][..],
            Some(PROXY),
        ),
        (https, &[("ALL_PROXY", PROXY)][..], Some(PROXY)),
        (
            https,
            &[("HTTPS_PROXY", " "), ("ALL_PROXY", PROXY)][..],
            Some(PROXY),
        ),
        (https, &[("all_proxy", PROXY)][..], Some(PROXY)),
        (
            https,
            &[("https_proxy", PROXY), ("ALL_PROXY", "http://other")][..],
            Some(PROXY),
        ),
        (https, &[("HTTP_PROXY", PROXY)][..], None),
        (http, &[("HTTP_PROXY", PROXY)][..], Some(PROXY)),
        (http, &[("http_proxy", PROXY)][..], Some(PROXY)),
        (http, &[("ALL_PROXY", PROXY)][..], Some(PROXY)),
        (http, &[("HTTPS_PROXY", PROXY)][..], None),
        ("https://127.0.0.1", &[("HTTPS_PROXY", PROXY)][..], None),
        (
            "http://localhost:1",
            &[("HTTP_PROXY", "nonsense://")][..],
            None,
        ),
    ] {
        let found = proxy(upstream, variables);
        assert_eq!(
            found,
            Ok(expected.map(str::to_owned)),
            "{upstream} {variables:?}"
        );
    }
}

#[test]
fn a_proxy_is_a_host_with_or_without_scheme_port_user_and_password() {
    for (value, expected) in [
        ("proxy.test", "http://proxy.test:80"),
        ("proxy.test:3128", "http://proxy.test:3128"),
        (" http://proxy.test:3128/ ", "http://proxy.test:3128"),
        ("https://proxy.test", "https://proxy.test:443"),
        (
            "http://user:p%2Fx@proxy.test:3128",
            "http://proxy.test:3128",
        ),
        ("user:word@proxy.test:3128", "http://proxy.test:3128"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
    ] {
        let found = proxy("https://api.test", &[("HTTPS_PROXY", value)]);
        assert_eq!(found, Ok(Some(expected.to_owned())), "{value}");
    }
}

#[test]
fn what_cannot_work_is_told_by_its_variable_and_never_with_its_password() {
    for (variable, value) in [
        ("HTTPS_PROXY", "http://user:secret/x@proxy.test:3128"),
        ("HTTPS_PROXY", "http://user:1234/secret@proxy.test:3128"),
        ("HTTPS_PROXY", "http://user:secret#@proxy.test:3128"),
        ("https_proxy", "http://[secret"),
        ("HTTPS_PROXY", "http://"),
        ("HTTPS_PROXY", "proxy.test:port"),
        ("all_proxy", "socks5://proxy.test:1080"),
        ("ALL_PROXY", "ftp://proxy.test"),
        ("HTTPS_PROXY", "http:user:secret@proxy.test"),
    ] {
        let error = proxy("https://api.test", &[(variable, value)]).unwrap_err();
        assert!(error.starts_with(&format!("{variable}: ")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for entry in [
        "10.0.0.0/99",
        "http://api.test",
        "a*b.test",
        "api.test:port",
        "[::1",
        "[::1]x",
        "*example.test",
        "*,10.0.0.0/99",
        "10.1",
    ] {
        let variables = [("HTTPS_PROXY", PROXY), ("no_proxy", entry)];
        let error = proxy("https://other.test", &variables).unwrap_err();
        assert!(error.starts_with("no_proxy: "), "{error}");
    }
}

#[test]
fn no_proxy_takes_names_addresses_networks_and_ports() {
    const NAME: &str = "https://api.example.test";
    for (upstream, entries, around) in [
        (NAME, "*", true),
        (NAME, "api.example.test", true),
        (NAME, "API.Example.Test.", true),
        (NAME, "example.test", true),
        (NAME, ".example.test", true),
        (NAME, "*.example.test", true),
        (NAME, "*.test", true),
        (NAME, ".api.example.test", true),
        (NAME, "other.test, ,api.example.test", true),
        (NAME, "other.test api.example.test", true),
        (NAME, "other.test\napi.example.test\n", true),
        (NAME, "ample.test", false),
        (NAME, "x.api.example.test", false),
        (NAME, "", false),
        (NAME, "10.0.0.0/8", false),
        (NAME, "api.example.test:443", true),
        (NAME, "*.example.test:443", true),
        (NAME, "api.example.test:8443", false),
        ("https://api.example.test:8443", "example.test:8443", true),
        ("https://10.1.2.3", "10.1.2.3", true),
        ("https://10.1.2.3", "10.1.2.3:443", true),
        ("https://10.1.2.3", "10.1.2.3:80", false),
        ("https://10.1.2.3", "10.0.0.0/8", true),
        ("https://10.1.2.3", "11.0.0.0/8", false),
        ("https://[2001:db8::1]", "2001:db8::1", true),
        ("https://[2001:db8::1]", "[2001:db8::1]", true),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", true),
        ("https://[2001:db8::1]", "2001:db8::/32", true),
        ("https://[2001:db8::1]", "2001:db8:1::/48", false),
    ] {
        let found = proxy(upstream, &[("HTTPS_PROXY", PROXY), ("NO_PROXY", entries)]).unwrap();
        assert_eq!(found.is_none(), around, "{upstream} {entries}");
    }
}
