//! SIGTERM and Ctrl-C: the first asks for an orderly end, the second for an end at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The signals that ask the process to stop, from the moment of [`Signals::listen`].
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A second signal came before the end.
#[derive(Debug)]
pub(super) struct Interrupted;

impl Signals {
    /// Takes over both signals from now on; one that comes before [`Signals::run`] is not lost.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Runs what `start` makes of the first signal, a future that resolves when it comes, to its end.
    ///
    /// # Errors
    /// [`Interrupted`] when a second signal came first; what ran is dropped.
    pub(super) async fn run<F: Future>(
        mut self,
        start: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> Result<F::Output, Interrupted> {
        let (stop, stopped) = oneshot::channel();
        tokio::select! {
            ended = start(stopped) => Ok(ended),
            () = async {
                self.next().await;
                // An error means that it ends already.
                let _ = stop.send(());
                self.next().await;
            } => Err(Interrupted),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
