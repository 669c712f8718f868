//! Who may call: the names in a client certificate against the list of allowed ones, and a permit for each
//! call.

use std::convert::Infallible;
use std::future::{self, Ready};
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::{Either, MapErr};
use http::Request;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use tower::Service;
use webpki::EndEntityCert;

use super::metrics::Calls;
use super::permits::{Kept, Permits};
use crate::call::{Call, Identity, Peer};
use crate::status::Verdict;

/// The most header fields of a request, as each costs several times what it travels in, and their bytes. A token that is
/// too long has room in them, to be told so.
const MAX_HEADERS: (usize, usize) = (64, 16 * 1024);
/// What HTTP/2 counts for a field beside its name and value.
const FIELD: usize = 32;

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

/// Lets calls in: those of peers that may call, as long as there are permits. The error is the verdict on
/// the others.
#[derive(Debug, Clone)]
pub(super) struct Admission<S> {
    pub(super) inner: S,
    pub(super) permits: Permits,
    /// Counts the calls that get no permit.
    pub(super) metrics: Option<Arc<Calls>>,
}

impl<S> Admission<S> {
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Box<Verdict>> {
        let peer = request.extensions().get::<Peer>();
        let Some(peer) = peer.filter(|peer| peer.may_call()) else {
            return Err(Box::new(Verdict::not_admitted()));
        };
        let headers = request.headers().iter();
        let bytes = headers.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
        let (fields, bytes) = (request.headers().len(), bytes.sum());
        if fields > MAX_HEADERS.0 || bytes > MAX_HEADERS.1 {
            let verdict = Verdict::too_many_headers(fields, bytes, MAX_HEADERS);
            return Err(Box::new(verdict));
        }
        // Every call has a record by now.
        let call = request.extensions().get::<Arc<Call>>();
        let due = call.map_or_else(Instant::now, |call| call.deadline.due());
        match self.permits.take(peer, due) {
            Ok(permit) => {
                if let Some(kept) = request.extensions().get::<Kept>() {
                    kept.keep(permit);
                }
                Ok(())
            }
            Err(shed) => {
                if let Some(metrics) = &self.metrics {
                    metrics.shed(shed);
                }
                Err(Box::new(Verdict::overloaded(shed)))
            }
        }
    }
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Box<Verdict>;
    type Future = Either<
        Ready<Result<S::Response, Box<Verdict>>>,
        MapErr<S::Future, fn(Infallible) -> Box<Verdict>>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Verdict>>> {
        self.inner.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.admit(&request) {
            Ok(()) => Either::Right(self.inner.call(request).map_err(|never| match never {})),
            Err(verdict) => Either::Left(future::ready(Err(verdict))),
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
        for (length, taken) in [(1_024, true), (1_025, false)] {
            let pattern = "x".repeat(length).parse::<NamePattern>();
            assert_eq!(pattern.is_ok(), taken, "{length} characters");
        }
    }
}
