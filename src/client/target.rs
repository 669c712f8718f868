//! Which façade is called, and how: address, TLS and patience.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::input::{Misuse, read_small};
use crate::causes::causes;
use crate::duration::parse_limit;

/// Which façade is called, and for how long.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(super) struct Target {
    /// Address of the façade, such as 127.0.0.1:50051 or http://meeting-control:50051
    #[arg(long, env = "MEETING_CONTROL_ADDRESS", value_name = "ADDRESS",
          default_value = "http://127.0.0.1:50051", value_parser = parse_address)]
    pub(super) address: Endpoint,

    /// PEM file with the root of the façade's certificate, for an https:// address; without it, the
    /// system's roots are trusted
    #[arg(long, env = "MEETING_CONTROL_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// PEM file with our own certificate, where the façade asks for one
    #[arg(
        long,
        env = "MEETING_CONTROL_CERT",
        value_name = "FILE",
        requires = "key"
    )]
    pub(super) cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(
        long,
        env = "MEETING_CONTROL_KEY",
        value_name = "FILE",
        requires = "cert"
    )]
    pub(super) key: Option<PathBuf>,

    /// Longest time to wait for the answer
    #[arg(long, value_name = "DURATION",
          default_value = "10s", value_parser = parse_limit)]
    pub(super) timeout: Duration,
}

impl Target {
    pub(super) fn channel(&self) -> Result<Channel, Misuse> {
        let mut endpoint = self.address.clone().connect_timeout(self.timeout);
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(self.tls()?)
                .map_err(|error| Misuse::new(format!("TLS cannot start: {}", causes(&error))))?;
        }
        Ok(endpoint.connect_lazy())
    }

    fn tls(&self) -> Result<ClientTlsConfig, Misuse> {
        let read = |flag: &str, path: &Path| {
            read_small(path).map_err(|error| {
                Misuse::new(format!("{flag}: cannot read {}: {error}", path.display()))
            })
        };
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read("--ca", path)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(
                read("--cert", cert)?,
                read("--key", key)?,
            ));
        }
        Ok(tls)
    }
}

fn parse_address(text: &str) -> Result<Endpoint, String> {
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("the façade is called over http:// or https://".to_owned());
    }
    let endpoint =
        Endpoint::from_shared(url).map_err(|error| format!("not an address: {error}"))?;
    if endpoint.uri().host().is_none_or(str::is_empty) {
        return Err("not an address: the host is missing".to_owned());
    }
    Ok(endpoint)
}
