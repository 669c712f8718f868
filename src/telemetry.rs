//! Logs: JSON for machines, text for people, both on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub mod metrics;
mod process;
pub mod trace;
pub mod traceparent;

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct LogSettings {
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,

    /// Which log lines are written: a level (error, warn, info, debug, trace, off), or levels per
    /// module such as info,meeting_control=debug
    #[arg(long, value_name = "FILTER", default_value = "info")]
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
pub fn init(settings: &LogSettings) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let text = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = if text {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(terminal)
            .boxed()
    } else {
        json(std::io::stderr).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(calmed(&settings.log_filter)))
        .try_init()?;
    // A panic is a line like any other, and not a page of text between JSON.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "a panic: this is a bug");
    }));
    Ok(())
}

/// The filter, without the HTTP/2 library's own words about clients that flood: one line for each
/// connection would be a flood as well. Whoever asks for more than info gets them.
fn calmed(filter: &Targets) -> Targets {
    let filter = filter.clone();
    match filter.default_level() {
        Some(level) if level <= LevelFilter::INFO => filter.with_target("h2", LevelFilter::ERROR),
        _ => filter,
    }
}

/// One flat JSON object per line, values as fields of their own.
fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::io;
    use std::sync::Once;

    use super::*;

    thread_local! {
        static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Writes to the lines of the thread that logs.
    struct Lines;

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LINES.with_borrow_mut(|lines| lines.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `run` logs in this thread at info and above, one JSON object per line.
    pub(crate) fn capture(run: impl FnOnce()) -> Vec<String> {
        static START: Once = Once::new();
        // One for all threads: what a log line's place has been told first, "nobody listens", it keeps.
        START.call_once(|| {
            let lines = json(|| Lines).with_filter(LevelFilter::INFO);
            tracing_subscriber::registry().with(lines).init();
            tracing::callsite::rebuild_interest_cache();
        });
        LINES.take();
        run();
        let text = String::from_utf8(LINES.take()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_is_flat_and_readable_alone() {
        let lines = capture(|| tracing::warn!(answer = 42, missing = None::<u8>, "it passes"));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "it passes");
        assert_eq!(line["answer"], 42);
        assert!(line.get("missing").is_none(), "{line}");
    }
}
