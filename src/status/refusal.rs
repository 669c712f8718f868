//! A refusal by the upstream as a verdict: its own code first, the HTTP status second.

use std::time::Duration;

use tonic::Code;

use super::stage::Stage;
use super::verdict::{OUR_DOMAIN, VENDOR_DOMAIN, Verdict, fate};
use crate::call::Outcome;
use crate::upstream::error_code::{self, PasswordDoubt, Retry};
use crate::upstream::refusal::{Basis, Refusal, Role};

/// What a caller is asked to wait when the upstream does not say.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest symbol that `ErrorInfo.reason` may hold.
const MAX_REASON: usize = 63;

impl Verdict {
    pub(super) fn refused(refusal: &Refusal, stage: Stage, outcome: Outcome) -> Self {
        let code = refusal.grpc_code();
        let pause_helps = refusal.retry() == Retry::Backoff
            // There, nobody is busy: a connection was closed.
            && refusal.status != 499
            && matches!(code, Code::Unavailable | Code::ResourceExhausted);
        let default_delay = pause_helps.then_some(DEFAULT_RETRY_DELAY);

        let mut metadata = vec![("http_status", refusal.status.to_string())];
        let texts = [
            ("error_code", &refusal.error_code),
            ("error_msg", &refusal.error_msg),
            ("upstream_request_id", &refusal.upstream_request_id),
        ];
        metadata.extend(
            texts
                .into_iter()
                .filter_map(|(key, text)| Some((key, text.clone()?))),
        );

        Self {
            domain: match refusal.basis {
                Basis::Code(_) | Basis::Status => VENDOR_DOMAIN,
                // The answer does not say no; that is how we take it.
                Basis::Page | Basis::Unreadable | Basis::NoToken => OUR_DOMAIN,
            },
            message: stage.tell(&sentence(refusal, stage), fate(outcome)),
            metadata,
            retry_after: refusal.retry_after.or(default_delay),
            // The upstream does not know the call that we are made for: wrong host, path or site.
            alarming: code == Code::Unimplemented,
            ..Self::ours(code, &reason(refusal), String::new())
        }
    }
}

fn sentence(refusal: &Refusal, stage: Stage) -> String {
    let status = refusal.status;
    let code = refusal.error_code.as_deref();
    if refusal.obtained == Some(Role::Host) && refusal.rejects_token() {
        let by = code.map_or_else(|| format!("HTTP {status}"), str::to_owned);
        return format!(
            "The REST API did not accept the token that it had issued for the password ({by})"
        );
    }
    let said = match refusal.basis {
        Basis::Code(known) => {
            let code = code.unwrap_or(known.code);
            let explanation = match (stage, known.password) {
                (Stage::Token, PasswordDoubt::Wrong) => "The host password is wrong",
                (Stage::Token, PasswordDoubt::Perhaps) if known.rejects_token => {
                    "The meeting is not in progress, or the host password is wrong"
                }
                // There, none is sent.
                (Stage::Token, PasswordDoubt::None) if known.rejects_token => {
                    "The REST API answered as if it had been sent a token"
                }
                _ => known.explanation,
            };
            format!("{explanation} ({code})")
        }
        Basis::Status => {
            let by_status = error_code::by_status(status);
            let said = match (stage, status) {
                (Stage::Token, _) if by_status.rejects_credential => "rejected the host password",
                (Stage::Token, 403) => "does not allow it",
                (Stage::Token, 409) => "found a conflict with another request",
                (Stage::Token, _) if by_status.grpc == Code::FailedPrecondition => {
                    "refused the request"
                }
                _ => by_status.explanation,
            };
            let code = code.map(|code| format!(", {code}")).unwrap_or_default();
            format!("The REST API {said} (HTTP {status}{code})")
        }
        Basis::Page => format!(
            "What answered is not the REST API: it sent a page, such as one for logging in \
             (HTTP {status})"
        ),
        Basis::Unreadable => format!("The REST API's answer cannot be read (HTTP {status})"),
        Basis::NoToken => {
            format!("The REST API's answer holds no token that can be used (HTTP {status})")
        }
    };
    match refusal.obtained {
        Some(Role::Guest) => format!("{said}; the password is a guest's, not the host's"),
        Some(Role::Host) | None => said,
    }
}

/// The symbol of a known code, else a symbol that stands where the vendor writes one, else the status.
fn reason(refusal: &Refusal) -> String {
    match (refusal.basis, &refusal.error_msg) {
        (Basis::Code(known), _) => known.symbol.to_owned(),
        (Basis::Status, Some(symbol)) if is_symbol(symbol) => symbol.clone(),
        (Basis::Status, _) => format!("HTTP_{}", refusal.status),
        (Basis::Page, _) => "UPSTREAM_NOT_THE_API".to_owned(),
        (Basis::Unreadable, _) => "UPSTREAM_UNREADABLE".to_owned(),
        (Basis::NoToken, _) => "UPSTREAM_NO_TOKEN".to_owned(),
    }
}

/// Whether a text may stand as `ErrorInfo.reason`: UPPER_SNAKE, 2 to 63 characters.
pub(super) fn is_symbol(text: &str) -> bool {
    let bytes = text.as_bytes();
    (2..=MAX_REASON).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes[bytes.len() - 1] != b'_'
        && bytes
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
}
