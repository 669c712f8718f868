//! Where REST calls go. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

/// All that RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Base URL of the REST API: `http` or `https`, with a host, perhaps with a path of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Where one kind of REST call goes: the base URL with the path of that kind.
#[derive(Debug, Clone)]
pub struct Endpoint(Url);

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme is {}, not https", url.scheme()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a base URL has no query and no fragment".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a base URL has no user name and no password".to_owned());
        }
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// Whether calls travel without TLS.
    pub fn is_plaintext(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether calls travel without TLS, and to another machine.
    pub fn is_exposed(&self) -> bool {
        self.is_plaintext() && !self.is_loopback()
    }

    /// Whether calls stay on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
    }

    /// The address, where there is one in place of a name.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.to_canonical()),
        }
    }

    /// The port, given or not.
    pub(super) fn port(&self) -> u16 {
        // There is none for other schemes alone.
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Whether the host has that name, in small letters, or one below it.
    pub(super) fn is_within(&self, name: &str) -> bool {
        let Some(Host::Domain(host)) = self.0.host() else {
            return false;
        };
        let host = host.trim_end_matches('.');
        host.strip_suffix(name)
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// Where the REST calls with this path go.
    pub fn endpoint(&self, path: &str) -> Endpoint {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        Endpoint(url)
    }
}

impl Endpoint {
    /// The URL for one meeting.
    pub(super) fn for_conference(&self, id: &str) -> Url {
        let mut url = self.0.clone();
        let id = utf8_percent_encode(id, RESERVED);
        url.set_query(Some(&format!("conferenceID={id}")));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_http_with_a_host_and_nothing_after_the_path() {
        for (text, good) in [
            ("https://api.meeting.huaweicloud.com", true),
            ("http://127.0.0.1:8080/prefix", true),
            ("ftp://x", false),
            ("api.meeting.huaweicloud.com", false),
            ("https://", false),
            ("https://h?x=1", false),
            ("https://h#x", false),
            ("https://user:password@h", false),
            ("https://user@h", false),
            ("https://:password@h", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<BaseUrl>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn plain_http_is_exposed_unless_it_stays_on_this_machine() {
        for (text, exposed) in [
            ("https://example.com", false),
            ("http://127.0.0.1:1", false),
            ("http://127.9.9.9", false),
            ("http://[::1]", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://localhost:80", false),
            ("http://example.com", true),
            ("http://10.0.0.1", true),
            ("http://localhost.example.com", true),
        ] {
            assert_eq!(
                text.parse::<BaseUrl>().unwrap().is_exposed(),
                exposed,
                "{text}"
            );
        }
    }
}
