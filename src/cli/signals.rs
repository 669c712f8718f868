//! SIGTERM and Ctrl-C: the first asks for an orderly end, the second for an end at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Counts the signals that ask the process to stop.
#[derive(Debug, Clone)]
pub(super) struct Signals(watch::Receiver<u32>);

impl Signals {
    /// Takes over both signals from now on.
    pub(super) fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let (count, counted) = watch::channel(0);
        tokio::spawn(count_up(terminate, interrupt, count));
        Ok(Self(counted))
    }

    /// Resolves when the `nth` signal has come, counted from 1.
    pub(super) async fn nth(mut self, nth: u32) {
        if self.0.wait_for(|count| *count >= nth).await.is_err() {
            // The runtime is going away, and everything with it.
            std::future::pending().await
        }
    }
}

async fn count_up(mut terminate: Signal, mut interrupt: Signal, count: watch::Sender<u32>) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        count.send_modify(|count| *count += 1);
    }
}
