//! How the upstream is reached.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;

use crate::duration::parse_limit;

/// How the upstream is reached.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct UpstreamSettings {
    /// PEM file with root certificates to trust beside the system's; read anew every five minutes
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// Allow an http:// upstream that is not on this machine; tokens and passwords then travel in clear
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub allow_plaintext_upstream: bool,

    /// Longest time for one attempt, from connecting to the last byte of the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_limit)]
    pub attempt_timeout: Duration,

    /// Longest time for making a connection: name, TCP and TLS
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_limit)]
    pub connect_timeout: Duration,

    /// Most attempts after the first, for failures that can pass, up to 10; 0 turns retries off. A
    /// pooled connection that turns out to be closed is replaced once all the same, without counting
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(..=10)
    )]
    pub max_retries: u32,

    /// Most control tokens that are kept for callers' passwords at once; 0 refuses passwords
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(..=1_000_000)
    )]
    pub max_tokens: u32,

    /// Leave out the breaker, the retry budget and the limits on wrong passwords, so that no call is touched by another: for a sandbox.
    #[arg(skip)]
    pub unguarded: bool,
}
