//! A timer that is exact to some 100 µs. tokio's own counts in whole milliseconds, and a latency of one
//! or two is what is to be measured.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A thread that sleeps for others, who come in the order of their moments. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Timer(Sender<(Instant, oneshot::Sender<()>)>);

impl Timer {
    pub fn start() -> Self {
        let (sender, waiting) = channel::<(Instant, oneshot::Sender<()>)>();
        thread::spawn(move || {
            for (moment, over) in waiting {
                thread::sleep(moment.saturating_duration_since(Instant::now()));
                // Whoever waited may be gone.
                let _ = over.send(());
            }
        });
        Self(sender)
    }

    /// Waits until `moment`, and not at all if that has passed.
    pub async fn until(&self, moment: Instant) {
        if moment <= Instant::now() {
            return;
        }
        let (over, waiting) = oneshot::channel();
        // The thread lives as long as there is somebody to wait, so neither can fail.
        let _ = self.0.send((moment, over));
        let _ = waiting.await;
    }
}
