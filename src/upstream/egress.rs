//! Whether calls leave by a proxy, by the variables that are customary. Pure.
//!
//! There is one upstream, so this is decided once, at the start: what a variable asks for either works or keeps
//! the façade from starting. Calls never go out directly when a proxy was asked for.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::address::BaseUrl;

/// For an upstream over TLS, the first that is set; their small spelling holds as well.
const FOR_HTTPS: [&str; 2] = ["HTTPS_PROXY", "ALL_PROXY"];
/// For an upstream in plaintext.
const FOR_HTTP: [&str; 2] = ["HTTP_PROXY", "ALL_PROXY"];
/// The hosts that are reached without.
const EXCEPT: &str = "NO_PROXY";

/// A proxy, with the user and password that it may want: its `Debug` and `Display` leave them out.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

/// A variable asks for what cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {fault}")]
pub struct BadVariable {
    /// Its name, as it was spelt.
    pub variable: String,
    /// What is wrong with it. Its value may hold a password, so it is not repeated.
    pub fault: String,
}

impl Proxy {
    /// The proxy for the API at `base`, if `variable` gives one; the environment's variables, by name.
    ///
    /// # Errors
    /// [`BadVariable`] when what is asked for cannot work.
    pub fn of(
        base: &BaseUrl,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, BadVariable> {
        // No proxy can reach this machine's own loopback.
        if base.is_loopback() {
            return Ok(None);
        }
        let names = match base.is_plaintext() {
            true => FOR_HTTP,
            false => FOR_HTTPS,
        };
        let mut given = names.iter().map(|name| read(name, &variable));
        let Some((name, value)) = given.find_map(Result::transpose).transpose()? else {
            return Ok(None);
        };
        let bad = |variable: &str, fault: String| BadVariable {
            variable: variable.to_owned(),
            fault,
        };
        let proxy = parse(&value).map_err(|fault| bad(&name, fault))?;
        let (name, entries) = read(EXCEPT, &variable)?.unwrap_or_default();
        let is_separator = |c: char| c == ',' || c.is_whitespace();
        // All of them are read, so that a bad one is told whichever comes first.
        let excepted: Vec<bool> = entries
            .split(is_separator)
            .map(|entry| matches(entry, base))
            .collect::<Result<_, _>>()
            .map_err(|fault| bad(&name, fault))?;
        Ok((!excepted.contains(&true)).then_some(Self(proxy)))
    }

    /// The port to connect to.
    pub(super) fn port(&self) -> u16 {
        // There is none for other schemes alone.
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// The URL, with the secrets that it may hold.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}:{}", self.0.scheme(), self.port())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A variable that is not empty, with its name as it was spelt.
fn read(
    name: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(String, String)>, BadVariable> {
    let spellings = [name.to_owned(), name.to_ascii_lowercase()];
    let given = spellings.into_iter().find_map(|name| {
        let value = variable(&name)?;
        let is_blank = value.to_str().is_some_and(|value| value.trim().is_empty());
        (!is_blank).then_some((name, value))
    });
    given
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value.trim().to_owned())),
            Err(_) => Err(BadVariable {
                variable: name,
                fault: "it is not UTF-8".to_owned(),
            }),
        })
        .transpose()
}

/// Reads where a proxy is: `http://` or `https://`, which may be left out, perhaps with a user and a password.
fn parse(value: &str) -> Result<Url, String> {
    if !value.contains("://") && (value.starts_with("http:") || value.starts_with("https:")) {
        return Err("// is missing after the scheme".to_owned());
    }
    let value = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let url = Url::parse(&value).map_err(|error| {
        format!("not a URL: {error}; in a user or a password, write / : @ ? # with a percent sign")
    })?;
    match url.scheme() {
        "http" | "https" => {}
        scheme => {
            return Err(format!(
                "no proxy by {scheme}:// is spoken to, but http:// and https://"
            ));
        }
    }
    let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    match plain {
        true => Ok(url),
        false => Err(
            "something stands after the host; in a user or a password, write / : @ ? # with a percent sign"
                .to_owned(),
        ),
    }
}

/// Whether an entry of `NO_PROXY` is about the API at `base`.
fn matches(entry: &str, base: &BaseUrl) -> Result<bool, String> {
    if matches!(entry, "" | "*") {
        return Ok(entry == "*");
    }
    let fault = || format!("{entry:?} is no host, address or network");
    if entry.contains('/') {
        let network: IpNet = entry.parse().map_err(|_| fault())?;
        return Ok(base.ip().is_some_and(|ip| network.contains(&ip)));
    }
    let (host, port) = split_port(entry).ok_or_else(fault)?;
    let is_there = port.is_none_or(|port| port == base.port());
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(is_there && base.ip() == Some(ip.to_canonical()));
    }
    let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
    match Host::parse(below.unwrap_or(host).trim_end_matches('.')) {
        Ok(Host::Domain(name)) if !name.contains('*') => Ok(is_there && base.is_within(&name)),
        _ => Err(fault()),
    }
}

/// A host, and the port after it.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    // An IPv6 address stands in brackets if a port follows.
    if let Some((address, after)) = entry
        .strip_prefix('[')
        .and_then(|entry| entry.split_once(']'))
    {
        return match after.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok()?))),
            None => after.is_empty().then_some((address, None)),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port.parse().ok()?))),
        _ => Some((entry, None)),
    }
}

#[cfg(test)]
mod tests;
