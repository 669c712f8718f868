//! An error with all that caused it, for the log.

use std::error::Error;

/// The whole chain of causes in one line, outermost first.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
