//! Where `update` finds the token or the password that it sends.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use tonic::metadata::{Ascii, MetadataValue};

use super::input::{Misuse, read_small};
use crate::names::{AUTHORIZATION, PASSWORD, PASSWORD_VARIABLE, TOKEN_VARIABLE};

/// A secret, and the metadata key under which it is sent.
type Credential = (&'static str, MetadataValue<Ascii>);

/// The flags that name files.
#[derive(Debug, Args)]
#[group(skip)]
struct Flags {
    /// File with the meeting control token
    #[arg(long, env = "MEETING_CONTROL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<OsString>,

    /// File with the host password; the façade obtains the token
    #[arg(long, env = "MEETING_CONTROL_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<OsString>,
}

/// The file that holds the token or the password, if one does. A flag wins over variables.
#[derive(Debug)]
pub(super) struct CredentialFile(Option<(Kind, OsString)>);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Token,
    Password,
}

impl Kind {
    fn flag(self) -> &'static str {
        match self {
            Self::Token => "--token-file",
            Self::Password => "--password-file",
        }
    }

    /// The variable that holds the secret itself.
    fn variable(self) -> &'static str {
        match self {
            Self::Token => TOKEN_VARIABLE,
            Self::Password => PASSWORD_VARIABLE,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Token => AUTHORIZATION.as_str(),
            Self::Password => PASSWORD.as_str(),
        }
    }
}

impl Args for CredentialFile {
    fn augment_args(command: clap::Command) -> clap::Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for CredentialFile {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags {
            token_file,
            password_file,
        } = Flags::from_arg_matches(matches)?;
        for source in [ValueSource::CommandLine, ValueSource::EnvVariable] {
            let given = |id: &str, file: &Option<OsString>| {
                let file = file
                    .clone()
                    .filter(|_| matches.value_source(id) == Some(source));
                // An empty variable is none.
                file.filter(|file| source == ValueSource::CommandLine || !file.is_empty())
            };
            let token = given("token_file", &token_file);
            let password = given("password_file", &password_file);
            match (token, password) {
                (None, None) => {}
                (Some(file), None) => return Ok(Self(Some((Kind::Token, file)))),
                (None, Some(file)) => return Ok(Self(Some((Kind::Password, file)))),
                (Some(_), Some(_)) => {
                    let message = "--token-file and --password-file exclude each other\n";
                    return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
                }
            }
        }
        Ok(Self(None))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl CredentialFile {
    /// What the file holds, else all that the environment has; with none, or with both, it is left to the façade to
    /// complain.
    pub(super) fn read(&self) -> Result<Vec<Credential>, Misuse> {
        if let Some((kind, file)) = &self.0 {
            let (flag, file) = (kind.flag(), Path::new(file));
            let text = read_small(file).map_err(|error| {
                Misuse::new(format!("{flag}: cannot read {}: {error}", file.display()))
            })?;
            return Ok(vec![(kind.key(), secret(flag, &text)?)]);
        }
        let mut found = Vec::new();
        for kind in [Kind::Token, Kind::Password] {
            let variable = kind.variable();
            #[allow(
                clippy::disallowed_methods,
                reason = "a secret is no flag: it would show in the list of processes"
            )]
            let text = std::env::var(variable).unwrap_or_default();
            if !text.is_empty() {
                found.push((kind.key(), secret(variable, &text)?));
            }
        }
        Ok(found)
    }
}

fn secret(source: &str, text: &str) -> Result<MetadataValue<Ascii>, Misuse> {
    let mut secret = MetadataValue::try_from(text.trim()).map_err(|_| {
        Misuse::new(format!(
            "{source}: it holds characters that no header may carry"
        ))
    })?;
    secret.set_sensitive(true);
    Ok(secret)
}
