//! What a proxy says of the way to the upstream.

use tower::BoxError;

use crate::upstream::egress::Proxy;

/// What the HTTP client says of a proxy that takes the request for a tunnel and refuses. It has no type for it.
const REFUSED: &str = "tunnel error: unsuccessful";
const UNAUTHORIZED: &str = "tunnel error: proxy authorization required";

/// The proxy does not let calls through.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} {fault}")]
pub(super) struct ProxyRefused {
    /// Without user and password.
    proxy: String,
    fault: &'static str,
    source: BoxError,
}

/// A failure to connect, by a proxy if there is one.
pub(super) fn explain(error: BoxError, proxy: Option<&Proxy>) -> BoxError {
    let Some(proxy) = proxy else { return error };
    let fault = match error.to_string().as_str() {
        REFUSED => "refuses a tunnel to the upstream",
        UNAUTHORIZED => "wants a user and a password, or others than it was given (407)",
        _ => return error,
    };
    ProxyRefused {
        proxy: proxy.to_string(),
        fault,
        source: error,
    }
    .into()
}
