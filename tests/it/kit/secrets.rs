//! Looks for a secret in what is told.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Every spelling of a secret that anybody might write.
pub fn spellings(secret: &str) -> Vec<String> {
    let encoded = BASE64_STANDARD.encode(secret);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let all = [secret.to_owned(), encoded, hex, percent];
    let bare = all
        .iter()
        .map(|text| text.trim_end_matches('=').to_lowercase());
    bare.collect()
}

/// The spelling of a secret that a text holds.
pub fn holds(text: &str, secret: &str) -> Option<String> {
    let text = text.to_lowercase();
    spellings(secret)
        .into_iter()
        .find(|secret| text.contains(secret))
}
