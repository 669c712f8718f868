//! `sandbox`: the façade over a stand-in for the REST API, or the stand-in alone.

use std::net::SocketAddr;

use clap::builder::FalseyValueParser;

use super::failure::Failure;
use super::greeting;
use super::serve::{address, serve};
use super::signals::Signals;
use crate::facade::{self, Facade, FacadeError, Listeners, bind};
use crate::sandbox::{Sandbox as StandIn, TokenSettings};
use crate::server::tls::Tls;
use crate::telemetry;
use crate::upstream::{self, BaseUrl};

const HELP: &str = "\
The token cnr followed by 48 zeros is accepted, and the password 100001. Some conference ids misbehave:
  900000NNN  HTTP status NNN (400 to 599)        900002003  an answer that is not HTTP
  900001NNN  the same twice, then success,       900002004  a success with a body of 1 MiB
             counted by x-request-id             900002005  a success after 1 s
  900002001  no answer                           900003NNN  error code MMC.111072NNN
  900002002  the connection is cut               900004001 to 005  requests for a token: after 1 s;
             503 twice; the first token is displaced; a life of 2 s; locked
  CODE, CODE@STATUS, CODE@200  an error code, such as APIG.0308@429; with 200, in a success
  ...+SECONDS                  a status or code with Retry-After, such as 900000429+3
  ...-NAME                     the same as another meeting, such as 900001503-mine
Any other meeting is running. GET and DELETE /sandbox/meetings/ID show and reset a meeting.
A DURATION is a number and a unit, such as 250ms, 10s or 1m 30s, at most 24h.";

/// The façade and the stand-in.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = HELP)]
pub(super) struct Sandbox {
    /// Address and port of the stand-in for the REST API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    rest_listen: SocketAddr,

    /// Run just the stand-in, without the façade; the flags of the façade then mean nothing
    #[arg(long, value_parser = FalseyValueParser::new())]
    rest_only: bool,

    #[command(flatten)]
    tokens: TokenSettings,
    #[command(flatten)]
    facade: facade::FacadeSettings,
    #[command(flatten)]
    telemetry: telemetry::LogSettings,
}

impl Sandbox {
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let signals = Signals::listen().map_err(Failure::no_signals)?;
        telemetry::init(&self.telemetry).map_err(Failure::run)?;
        // Before any port is bound, as far as it can be said without one.
        upstream::check_roots(&self.facade.upstream).map_err(FacadeError::from)?;
        Tls::load(&self.facade.tls).map_err(FacadeError::from)?;
        // Wherever the stand-in listens, it is ours.
        self.facade.upstream.allow_plaintext_upstream = true;
        // What one test does must not reach another.
        self.facade.upstream.unguarded = true;
        let rest = bind("--rest-listen", self.rest_listen)
            .await
            .map_err(Failure::Run)?;
        let rest_address = address(&rest)?;
        let stand_in = StandIn::new(self.tokens.clone(), greeting::change).serve(&rest);
        if self.rest_only {
            greeting::rest_only(rest_address);
            let ended = signals.run(|stop| async {
                tokio::select! {
                    () = stand_in => {}
                    _ = stop => {}
                }
            });
            // It is gone at the first signal.
            return ended.await.map_err(Failure::from);
        }
        let base: BaseUrl = format!("http://{}", greeting::reachable(rest_address))
            .parse()
            .map_err(Failure::Setting)?;
        let facade = Facade::new(&base, self.facade.clone())?;
        let listeners = Listeners::bind(&self.facade).await.map_err(Failure::Run)?;
        greeting::sandbox(&greeting::Addresses {
            grpc: address(&listeners.grpc)?,
            admin: address(&listeners.admin)?,
            rest: rest_address,
        });
        tokio::select! {
            () = stand_in => Ok(()),
            ended = serve(signals, facade, listeners) => ended,
        }
    }
}
