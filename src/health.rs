//! Whether calls should be sent here: one truth for the gRPC health service and for `/readyz`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::names::SERVICE;

/// The names under which health is asked for: the whole server, and our service.
const NAMES: [&str; 2] = ["", SERVICE];

/// Not before the listeners are up, not while draining. It does not depend on the upstream, or all
/// replicas would leave at once. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
    reporter: HealthReporter,
}

impl Health {
    /// Says whether calls should be sent here.
    pub async fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Whether calls should be sent here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The gRPC health service.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Ends every watch. Whoever watched has been told that we are not ready any more.
    pub async fn end_watches(mut self) {
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.is_ready()).finish()
    }
}
