use std::net::SocketAddr;

use super::*;

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(line.split(' ').map(OsString::from))
}

#[test]
fn the_definition_is_sound() {
    Cli::definition().debug_assert();
}

#[test]
fn every_setting_has_an_environment_variable_of_its_name_and_a_help_text() {
    let definition = Cli::definition();
    for name in ["serve", "sandbox"] {
        let command = definition.find_subcommand(name).unwrap();
        for argument in command.get_arguments() {
            let flag = argument.get_long().unwrap();
            if flag == "help" {
                continue;
            }
            let variable = format!("MEETING_CONTROL_{}", flag.replace('-', "_").to_uppercase());
            let declared = argument.get_env().unwrap_or_default();
            assert_eq!(declared, variable.as_str(), "{name} --{flag}");
            assert!(argument.get_help().is_some(), "{name} --{flag}");
        }
    }
}

#[test]
fn a_sandbox_has_the_flags_of_serve_but_the_upstream_and_stays_on_loopback() {
    let definition = Cli::definition();
    let flags = |name: &str| -> Vec<String> {
        let command = definition.find_subcommand(name).unwrap();
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        flags.map(str::to_owned).collect()
    };
    let of_sandbox = flags("sandbox");
    for flag in flags("serve") {
        assert_eq!(of_sandbox.contains(&flag), flag != "upstream", "--{flag}");
    }
    let sandbox = definition.find_subcommand("sandbox").unwrap();
    for flag in ["listen", "admin-listen", "rest-listen"] {
        let mut arguments = sandbox.get_arguments();
        let argument = arguments.find(|argument| argument.get_long() == Some(flag));
        let [default] = argument.unwrap().get_default_values() else {
            panic!("--{flag} has one default");
        };
        let address: SocketAddr = default.to_str().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback(), "--{flag}");
    }
}

#[test]
fn a_bad_setting_is_named_in_the_message() {
    for (line, named) in [
        ("meeting-control serve --upstream ftp://x", "--upstream"),
        ("meeting-control serve --timeout 5", "--timeout"),
        (
            "meeting-control serve --attempt-timeout 0s",
            "--attempt-timeout",
        ),
        (
            "meeting-control serve --connect-timeout never",
            "--connect-timeout",
        ),
        ("meeting-control serve --listen nowhere", "--listen"),
        ("meeting-control serve --log-format xml", "--log-format"),
        ("meeting-control serve --log-filter =x=", "--log-filter"),
        ("meeting-control sandbox --upstream https://x", "--upstream"),
        (
            "meeting-control update --conference-id 1 --lock-sharing 7",
            "--lock-sharing",
        ),
        (
            "meeting-control update --conference-id 1 --address ftp://x",
            "--address",
        ),
        ("meeting-control update --conference-id 1 --cert x", "--key"),
        (
            "meeting-control serve --tls-client-allow a*b",
            "--tls-client-allow",
        ),
        ("meeting-control serve --drain-delay 5", "--drain-delay"),
        (
            "meeting-control update --lock-sharing locked",
            "--conference-id",
        ),
    ] {
        let message = read(line).unwrap_err().to_string();
        assert!(message.contains(named), "{line}: {message}");
    }
}
