//! Where gRPC is served, and within which bounds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::duration::{parse_limit, parse_pause};

/// Calls whose callers have given up, in a second and in the time in which a process had none.
const MAX_RESETS: u32 = 10_000;

/// Where gRPC is served, and within which bounds.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct ServerSettings {
    /// Address and port of the gRPC service
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:50051")]
    pub listen: SocketAddr,

    /// Most calls under way at once, up to 1000000; more are refused with RESOURCE_EXHAUSTED
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_in_flight: u32,

    /// Most calls under way at once of one caller, by its certificate's name or its address, while less
    /// than a quarter of all permits is free; 0 for none, where a proxy speaks for everybody. Half of
    /// --max-in-flight if it is not given
    #[arg(long, value_name = "NUMBER")]
    pub max_in_flight_per_caller: Option<u32>,

    /// Time between SIGTERM and closing the door, for load balancers to notice
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_pause)]
    pub drain_delay: Duration,

    /// Longest time after that for open calls to end
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse_pause)]
    pub drain_timeout: Duration,

    /// Age at which a client is asked to connect anew, ±10 %, so that calls spread over replicas
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_limit)]
    pub max_connection_age: Duration,

    /// Longest time after that for the connection's open calls to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_pause)]
    pub max_connection_age_grace: Duration,

    /// Streams that a client may reset in a second, and at once beyond that; with more, it is flooding
    #[arg(skip = MAX_RESETS)]
    pub max_resets: u32,
}

impl ServerSettings {
    /// The limit of one caller; 0 for none.
    pub fn share(&self) -> u32 {
        let half = self.max_in_flight.div_ceil(2);
        self.max_in_flight_per_caller.unwrap_or(half)
    }
}
