//! Sorts what the HTTP client reports by phase: not connected, not taken on, not answered, not HTTP.

use std::io;

use rustls::AlertDescription;

use super::connect::TooLong;
use super::proxied::ProxyRefused;
use crate::causes::find;
use crate::upstream::error::UpstreamError;
use crate::upstream::gate::Progress;

/// Names a failure of an attempt that came as far as `progress`; `reused` says that its connection had
/// served before.
pub(super) fn classify(error: reqwest::Error, progress: Progress, reused: bool) -> UpstreamError {
    // The URL holds the conference id, which the log line has already.
    let error = error.without_url();
    if error.is_dns() {
        return UpstreamError::NameNotFound(error.into());
    }
    if error.is_connect() {
        return if find::<ProxyRefused>(&error).is_some() {
            UpstreamError::ProxyRefused(error.into())
        } else if find::<rustls::Error>(&error).is_some() {
            UpstreamError::TlsFailed(error.into())
        } else if error.is_timeout() || find::<TooLong>(&error).is_some() {
            UpstreamError::ConnectTimedOut(error.into())
        } else {
            UpstreamError::ConnectFailed(error.into())
        };
    }
    // With TLS 1.3, a server says only after the handshake that it wants a certificate, and then takes nothing.
    if !reused && progress != Progress::Answered && wants_certificate(&error) {
        return UpstreamError::TlsFailed(error.into());
    }
    if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
        return UpstreamError::NotHttp(error.into());
    }
    let http2 = find::<h2::Error>(&error);
    // The peer's GOAWAY is the error of the streams alone that it says it has not processed; those that it
    // covers end with the connection. A refused stream proves nothing: gateways say so of requests that they
    // have passed on, too.
    let uncovered = http2.is_some_and(|error| error.is_go_away() && error.is_remote());
    if uncovered && progress != Progress::Answered {
        return UpstreamError::NotTaken {
            source: error.into(),
            stale: reused,
        };
    }
    // A stream that is reset leaves its connection alive, so that was not stale.
    let stream_alone = http2.is_some_and(h2::Error::is_reset);
    UpstreamError::ConnectionLost {
        source: error.into(),
        progress,
        stale: reused && !stream_alone && progress != Progress::Answered,
    }
}

/// An answer's body ended before it was complete.
pub(super) fn cut_short() -> UpstreamError {
    UpstreamError::ConnectionLost {
        source: "the stream ended before the answer did".into(),
        progress: Progress::Answered,
        stale: false,
    }
}

fn wants_certificate(error: &reqwest::Error) -> bool {
    let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    // Over HTTP/2, nothing but the words of the alert is left.
    find::<io::Error>(error).is_some_and(|error| error.to_string().contains(&alert.to_string()))
}
