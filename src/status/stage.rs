//! Which of the REST calls a failure is about.

/// Which of the REST calls a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The one that obtains a token.
    Token,
    /// The one that changes settings.
    Settings,
}

impl Stage {
    /// As `ErrorInfo` says it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Settings => "settings",
        }
    }

    /// A sentence about what went wrong, with its end on what became of the settings.
    pub(super) fn tell(self, sentence: &str, fate: &str) -> String {
        match self {
            Self::Settings => format!("{sentence}; {fate}."),
            Self::Token => {
                let (first, rest) = sentence.split_at(sentence.len().min(1));
                let first = first.to_lowercase();
                format!("No control token could be obtained: {first}{rest}; {fate}.")
            }
        }
    }
}
