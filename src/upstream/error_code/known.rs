//! What is known of an error code: one row of the table.

use tonic::Code;

use crate::call::Outcome;

/// One error code and what a caller should make of it.
#[derive(Debug)]
pub struct Known {
    /// The code with its prefix, such as `MMC.111072005`.
    pub code: &'static str,
    /// The HTTP status for which the row holds; `None` for any.
    pub status: Option<u16>,
    /// The vendor's symbol, or ours where the vendor has none.
    pub symbol: &'static str,
    /// The gRPC code.
    pub grpc: Code,
    /// Whether the settings may have changed, if the code is about all that was asked for.
    pub outcome: Outcome,
    /// Whether asking again can help.
    pub retry: Retry,
    /// Where the row comes from.
    pub evidence: Evidence,
    /// One sentence for the caller, without a full stop.
    pub explanation: &'static str,
    /// Whether the code refuses one setting and says nothing of others in the same request, which may
    /// have been changed before.
    pub of_one_setting: bool,
    /// Whether an answer to a change of settings that has the code says that the token is no longer good.
    pub rejects_token: bool,
    /// What the code says of the password in a request for a token.
    pub password: PasswordDoubt,
}

/// What a refusal says of the password that a token was to be obtained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordDoubt {
    /// Nothing.
    None,
    /// It was not looked at: the login is locked.
    Locked,
    /// It may be wrong, or there is no such meeting.
    Perhaps,
    /// It is wrong.
    Wrong,
}

/// Whether the façade asks again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request would fail again.
    Never,
    /// A second try may succeed, a third would not.
    Once,
    /// It passes; ask again after a pause, as often as allowed.
    Backoff,
}

/// How a row is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Seen in answers of the REST API.
    Seen,
    /// Written in the documentation of the API gateway.
    Documented,
    /// Taken over from the client SDK's table, where the same numbers appear.
    Inferred,
}

impl Known {
    /// Whether `code` means this row, in any case: with its prefix, `APIGW.` for `APIG.`, or as nine
    /// digits alone. The gateway's four digits are too common to be taken for its own.
    pub fn is_called(&self, code: &str) -> bool {
        let Some((prefix, digits)) = self.code.split_once('.') else {
            return false;
        };
        match code.split_once('.') {
            None => code == digits && digits.len() == 9,
            Some((sent, rest)) => {
                let of_gateway = prefix == "APIG" && sent.eq_ignore_ascii_case("APIGW");
                rest == digits && (of_gateway || sent.eq_ignore_ascii_case(prefix))
            }
        }
    }

    /// Whether the settings may have changed when a request with so many of them got this code. Whether the
    /// API applies several as one is not known.
    pub fn outcome_of(&self, settings: usize) -> Outcome {
        if self.of_one_setting && settings > 1 {
            Outcome::Unknown
        } else {
            self.outcome
        }
    }
}
