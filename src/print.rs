//! Standard output and standard error, for the commands that talk to people. A reader that has gone
//! away, such as the end of a pipe, is no reason to panic.

use std::io::{Write as _, stderr, stdout};

/// Writes a line to standard output.
pub fn line(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// Writes a line to standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
