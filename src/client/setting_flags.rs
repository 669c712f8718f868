//! The flags of `update` that name settings: one per row of the table.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};

use crate::setting::SETTINGS;

/// The value that each flag was given, in the order of [`SETTINGS`].
#[derive(Debug)]
pub(super) struct SettingFlags(pub(super) Vec<Option<String>>);

impl clap::Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        SETTINGS.iter().fold(command, |command, setting| {
            let names = setting.values.iter().map(|(name, _)| *name);
            command.arg(
                Arg::new(setting.field)
                    .long(setting.flag)
                    .help(setting.about)
                    .value_name("VALUE")
                    .value_parser(PossibleValuesParser::new(names)),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let names = SETTINGS
            .iter()
            .map(|setting| matches.get_one::<String>(setting.field).cloned());
        Ok(Self(names.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
