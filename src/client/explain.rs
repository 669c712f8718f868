//! What the client library says of a call that no façade answered, as a person can act on it: whether there
//! is a façade at all, whether the two speak the same language, and whether something may have changed.

use std::error::Error as _;

use tonic::transport::Endpoint;
use tonic::{ConnectError, Status, TimeoutExpired};

use crate::causes::{causes, find};

/// Says why no façade answered at `address`; a status that came from one stays as it is. `doubt` ends the
/// sentence where the call may have been carried out.
pub(super) fn explain(status: Status, address: &Endpoint, doubt: &str) -> Status {
    let Some(source) = status.source() else {
        return status;
    };
    let at = address.uri();
    if find::<TimeoutExpired>(source).is_some() {
        return Status::deadline_exceeded(format!(
            "The façade at {at} did not answer in time{doubt}."
        ));
    }
    if find::<tonic::transport::Error>(source).is_none() {
        return status;
    }
    let message = match find::<ConnectError>(source) {
        Some(error) => match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(_)) => format!(
                "The certificate of the façade at {at} is not trusted: {}; --ca names its root.",
                causes(error),
            ),
            Some(rustls::Error::InvalidMessage(_)) => {
                format!("What answers at {at} does not speak TLS; call it with http://.")
            }
            _ => format!("No façade answers at {at}: {}.", causes(error)),
        },
        None if find::<h2::Error>(source).is_some_and(is_another_language) => format!(
            "What answers at {at} does not speak HTTP/2 without TLS; a façade with TLS is called \
             with https://."
        ),
        None => format!("The connection to the façade at {at} broke before its answer{doubt}."),
    };
    Status::unavailable(message)
}

/// Whether the first bytes were no frame of HTTP/2, which says that nothing was understood.
fn is_another_language(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_library()
}
