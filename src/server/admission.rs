//! Who may call: the names in a client certificate against the list of allowed ones.

use std::future::{Ready, ready};
use std::str::FromStr;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::Request;
use rustls::pki_types::CertificateDer;
use tower::{BoxError, Service};
use webpki::EndEntityCert;

use crate::call::{Identity, Peer};

/// A name that client certificates may have: DNS or URI, `*` standing for one label or path part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > 1024 || !printable {
            return Err("a name has 1 to 1024 visible ASCII characters".to_owned());
        }
        let stray = |part: &str| part.contains('*') && part != "*";
        if text.split(separator(text)).any(stray) {
            return Err("* stands for one whole label or path part".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        let separator = separator(&self.0);
        if self::separator(name) != separator {
            return false;
        }
        let mut parts = self.0.split(separator);
        let mut names = name.split(separator);
        loop {
            match (parts.next(), names.next()) {
                (None, None) => return true,
                (Some("*"), Some(name)) if !name.is_empty() => {}
                // DNS names know no case; paths do.
                (Some(part), Some(name)) if separator == '.' && part.eq_ignore_ascii_case(name) => {
                }
                (Some(part), Some(name)) if part == name => {}
                _ => return false,
            }
        }
    }
}

/// What parts a name: a URI has path parts, any other name has labels.
fn separator(name: &str) -> char {
    if name.contains("://") { '/' } else { '.' }
}

/// Who a client is by its certificate, which has been verified, and whether it may call.
pub(super) fn identity(certificate: &CertificateDer<'_>, allow: &[NamePattern]) -> Identity {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Identity {
            name: None,
            may_call: allow.is_empty(),
        };
    };
    // A name counts as what the certificate says that it is: a CA may vouch for DNS names alone.
    let uris = certificate.valid_uri_names().map(|name| (name, '/'));
    let dns = certificate.valid_dns_names().map(|name| (name, '.'));
    let names: Vec<(&str, char)> = uris.chain(dns).collect();
    let allowed = |(name, separator): &&(&str, char)| {
        let of_kind = |pattern: &&NamePattern| self::separator(&pattern.0) == *separator;
        allow
            .iter()
            .filter(of_kind)
            .any(|pattern| pattern.matches(name))
    };
    let admitting = names.iter().find(allowed);
    let name = admitting.or(names.first());
    Identity {
        name: name.map(|(name, _)| (*name).to_owned()),
        may_call: allow.is_empty() || admitting.is_some(),
    }
}

/// The peer has no name that may call.
#[derive(Debug, thiserror::Error)]
#[error("the peer may not call")]
pub(super) struct NotAdmitted;

/// Lets requests through whose peer may call; to others the error is [`NotAdmitted`].
#[derive(Debug, Clone)]
pub(super) struct Admission<S>(pub(super) S);

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<Ready<Result<S::Response, BoxError>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match request.extensions().get::<Peer>() {
            Some(peer) if peer.may_call() => Either::Right(self.0.call(request)),
            _ => Either::Left(ready(Err(NotAdmitted.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_exactly_or_with_a_star_for_one_part() {
        for (pattern, name, matches) in [
            ("caller.example.com", "caller.example.com", true),
            ("caller.example.com", "CALLER.example.COM", true),
            ("caller.example.com", "other.example.com", false),
            ("*.example.com", "caller.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", ".example.com", false),
            ("*", "localhost", true),
            ("*", "a.b", false),
            ("*", "spiffe://x", false),
            (
                "spiffe://c/ns/*/sa/caller",
                "spiffe://c/ns/team/sa/caller",
                true,
            ),
            (
                "spiffe://c/ns/*/sa/caller",
                "spiffe://c/ns/a/b/sa/caller",
                false,
            ),
            (
                "spiffe://c/ns/*/sa/caller",
                "spiffe://c/ns/team/sa/Caller",
                false,
            ),
            (
                "spiffe://c/ns/*/sa/caller",
                "spiffe://c/ns//sa/caller",
                false,
            ),
            ("spiffe://c/ns/team", "spiffe://c/ns/team/sa/caller", false),
            ("spiffe://*/ns", "spiffe://any.domain/ns", true),
        ] {
            let pattern: NamePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name), matches, "{pattern:?} {name}");
        }
    }

    #[test]
    fn a_pattern_that_would_not_do_what_it_seems_to_is_refused() {
        for text in [
            "",
            " ",
            "a*.example.com",
            "**",
            "spiffe://c/ns/te*m",
            "zwölf",
            "a b",
        ] {
            assert!(text.parse::<NamePattern>().is_err(), "{text:?}");
        }
    }
}
