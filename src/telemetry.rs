//! Logs: JSON for machines, text for people, both on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// How log lines look
    #[arg(
        long,
        env = "MEETING_CONTROL_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub log_format: LogFormat,

    /// Which log lines are written: a level (error, warn, info, debug, trace, off), or levels per
    /// module such as info,meeting_control=debug
    #[arg(
        long,
        env = "MEETING_CONTROL_LOG_FILTER",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log_filter: Targets,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Text when standard error is a terminal, JSON otherwise
    Auto,
    /// One line for people
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When logging has been started before.
pub fn init(settings: &Settings) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let text = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = if text {
        lines.with_ansi(terminal).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(settings.log_filter.clone()))
        .try_init()
}
