//! A refusal by the upstream as a verdict: its own code first, the HTTP status second.

use std::time::Duration;

use tonic::Code;

use super::verdict::{VENDOR_DOMAIN, Verdict, fate};
use crate::call::Outcome;
use crate::upstream::error::Refusal;
use crate::upstream::error_code::{self, Retry};

/// What a caller is asked to wait when the upstream does not say.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest symbol that `ErrorInfo.reason` may hold.
const MAX_REASON: usize = 63;

impl Verdict {
    pub(super) fn refused(refusal: &Refusal, outcome: Outcome) -> Self {
        let code = refusal.grpc_code();
        let pause_helps = refusal.retry() == Retry::Backoff
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
            domain: VENDOR_DOMAIN,
            message: sentence(refusal, outcome),
            metadata,
            retry_after: refusal.retry_after.or(default_delay),
            // The upstream does not know the call that we are made for: wrong host, path or site.
            alarming: code == Code::Unimplemented,
            ..Self::ours(code, &reason(refusal), String::new())
        }
    }
}

fn sentence(refusal: &Refusal, outcome: Outcome) -> String {
    let fate = fate(outcome);
    let status = refusal.status;
    match (refusal.known, &refusal.error_code) {
        (Some(known), Some(code)) => format!("{} ({code}); {fate}.", known.explanation),
        (Some(known), None) => format!("{} ({}); {fate}.", known.explanation, known.code),
        (None, code) => {
            let said = error_code::by_status(status).explanation;
            let code = code.as_ref().map(|code| format!(", {code}"));
            let code = code.unwrap_or_default();
            format!("The REST API {said} (HTTP {status}{code}); {fate}.")
        }
    }
}

/// The symbol of a known code, else a symbol that stands where the vendor writes one, else the status.
fn reason(refusal: &Refusal) -> String {
    if let Some(known) = refusal.known {
        return known.symbol.to_owned();
    }
    match &refusal.error_msg {
        Some(symbol) if is_symbol(symbol) => symbol.clone(),
        _ => format!("HTTP_{}", refusal.status),
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
