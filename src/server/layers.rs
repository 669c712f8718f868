//! The layers around the services, and which service a request is for.

use std::sync::Arc;
use std::time::Duration;

use tonic::service::Routes;
use tower::ServiceBuilder;

use super::admission::Admission;
use super::metrics::Calls;
use super::permits::Permits;
use super::record::Record;
use super::rescue::{MAX_ARRIVAL, Rescue};
use super::settings::ServerSettings;
use crate::health::Health;
use crate::proto::v1::meeting_control_server::MeetingControlServer;
use crate::service::Service;
use crate::telemetry::trace::Tracing;

mod services;

pub(super) use services::Services;

use services::Stack;

/// The largest request message; a real one is well under 200 bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// The largest request message of health and reflection: the name of a service or a symbol.
const MAX_NAME: usize = 4 * 1024;
/// The most calls of health at once whose answers have not been taken; watches are not counted.
const MAX_HEALTH: u32 = 1024;
/// The most reflection streams at once. They last, and may keep no health check out.
const MAX_REFLECTION: u32 = 256;
/// One caller may have so many, one part of all, while they are short.
const SHARE: u32 = 4;

/// The layers around the services, and what is the same for those of every thread.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The longest time for a call.
    pub(super) limit: Duration,
    /// For the calls of all connections of all threads.
    pub(super) permits: Permits,
    calls: Arc<Calls>,
    tracing: Option<Tracing>,
    health: Stack<Routes>,
    reflection: Stack<Routes>,
}

impl Layers {
    /// `limit` is the longest time for a call. Calls are counted by `calls`, and have spans where there is
    /// `tracing`.
    ///
    /// # Errors
    /// When the descriptor set that reflection serves is broken: a bug in the build.
    pub fn new(
        settings: &ServerSettings,
        limit: Duration,
        calls: Arc<Calls>,
        tracing: Option<Tracing>,
        health: &Health,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let v1 = reflection().build_v1()?.max_decoding_message_size(MAX_NAME);
        let v1alpha = reflection().build_v1alpha()?;
        let health = health.service().max_decoding_message_size(MAX_NAME);
        let reflection = Routes::new(v1)
            .add_service(v1alpha.max_decoding_message_size(MAX_NAME))
            .prepare();
        // Not limited by our own service's load, yet bounded as well.
        let beside = |max| Rules {
            limit: limit.min(MAX_ARRIVAL),
            permits: Permits::new(max, max / SHARE),
            calls: None,
            tracing: None,
            explain: false,
        };
        Ok(Self {
            limit,
            permits: Permits::new(settings.max_in_flight, settings.share()),
            calls,
            tracing,
            health: beside(MAX_HEALTH).around(Routes::new(health).prepare()),
            reflection: beside(MAX_REFLECTION).around(reflection),
        })
    }

    /// Puts the layers around the service of one thread.
    pub(super) fn around(&self, service: Service) -> Services {
        let service = MeetingControlServer::new(service).max_decoding_message_size(MAX_MESSAGE);
        let rules = Rules {
            limit: self.limit,
            permits: self.permits.clone(),
            calls: None,
            tracing: None,
            explain: true,
        };
        Services {
            unknown: rules.clone().around(service.clone()),
            ours: Rules {
                calls: Some(Arc::clone(&self.calls)),
                tracing: self.tracing.clone(),
                ..rules
            }
            .around(service),
            health: self.health.clone(),
            reflection: self.reflection.clone(),
        }
    }
}

/// What the layers around a service are to do.
#[derive(Debug, Clone)]
struct Rules {
    /// The longest time for a call.
    limit: Duration,
    permits: Permits,
    /// Where calls are counted, if they are.
    calls: Option<Arc<Calls>>,
    tracing: Option<Tracing>,
    /// Whether a status by the framework is put in our words.
    explain: bool,
}

impl Rules {
    fn around<S>(self, service: S) -> Stack<S> {
        // Outermost first.
        ServiceBuilder::new()
            // The record of the call sees every end, a caller's going away included.
            .layer_fn(|inner| Record {
                inner,
                limit: self.limit,
                metrics: self.calls.clone(),
                tracing: self.tracing.clone(),
            })
            // Answers where nobody inside does: after a panic, a late request, a refusal to let it in.
            .layer_fn(|inner| Rescue {
                inner,
                explain: self.explain,
            })
            // Innermost, so that nothing is spent on a call that may not come in.
            .layer_fn(|inner| Admission {
                inner,
                permits: self.permits.clone(),
                metrics: self.calls.clone(),
            })
            .service(service)
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that a client with reflection alone can read the details of our errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}
