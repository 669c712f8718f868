//! An error with all that caused it.

use std::error::Error;
use std::{io, iter};

/// The whole chain of causes in one line, outermost first, for the log. What repeats itself is said once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in chain(error).skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The first error of a type in the chain, also inside of I/O errors, which hide what they wrap.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let next = |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    };
    iter::successors(Some(error), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<dyn Error + Send + Sync>>);

    #[test]
    fn each_cause_is_told_once_and_found_inside_of_io_errors() {
        let deepest = Layer("refused", None);
        let wrapped = io::Error::other(deepest);
        let again = Layer("no connection", Some(wrapped.into()));
        let error = Layer("no connection", Some(again.into()));
        assert_eq!(causes(&error), "no connection: refused");
        assert!(find::<io::Error>(&error).is_some());
        assert!(find::<std::fmt::Error>(&error).is_none());
    }
}
