//! Threads for connections, one per processor, each with a runtime of its own: a call stays on the thread
//! of its connection, and never waits for another processor.
//!
//! A runtime that shares its work among threads costs a call a third more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, process, thread};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

/// The most threads for connections: plenty for any load there may be, and each has upstream connections
/// of its own, which are of use only while they are warm.
const MAX_THREADS: usize = 8;

/// The most names that a runtime looks up at once. When the name server does not answer, each keeps a
/// thread for as long as the system waits.
const MAX_LOOKUPS: usize = 32;

/// How many tasks run before sockets and timers are looked at again, if there are so many. tokio's own 61
/// has a busy thread ask the system four times as often, and a call cost 7 % more.
const TASKS_BETWEEN_LOOKS: u32 = 251;

/// Threads that serve connections until this is dropped. Each has an `S` of its own to serve them with.
#[derive(Debug)]
pub struct Workers<S> {
    workers: Vec<Worker<S>>,
    /// The threads end when it is gone.
    _running: watch::Sender<()>,
}

#[derive(Debug)]
struct Worker<S> {
    own: S,
    /// `None` for the thread of whoever serves.
    runtime: Option<Handle>,
    connections: Arc<AtomicUsize>,
}

/// A connection's share of its thread's load.
struct Share(Arc<AtomicUsize>);

/// As many threads as there are processors for us, within reason.
pub fn count() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().min(MAX_THREADS))
}

/// A runtime that works on the one thread that calls it.
///
/// # Errors
/// When the system grants no more files.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_LOOKUPS)
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build()
}

impl<S: Clone + Send + 'static> Workers<S> {
    /// Starts a thread for each of `owns`; with a single one, the caller's own thread does the work.
    ///
    /// # Errors
    /// When the system grants no thread.
    pub fn start(owns: Vec<S>) -> io::Result<Self> {
        let (running, stopped) = watch::channel(());
        let alone = owns.len() == 1;
        let workers = owns.into_iter().enumerate().map(|(number, own)| {
            Ok(Worker {
                own,
                runtime: match alone {
                    true => None,
                    false => Some(start_thread(number, stopped.clone())?),
                },
                connections: Arc::default(),
            })
        });
        Ok(Self {
            workers: workers.collect::<io::Result<_>>()?,
            _running: running,
        })
    }

    /// Has the thread with the fewest connections `serve` a new one; resolves when that has ended.
    pub fn serve<F>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream, S) -> F + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send,
    {
        let connections = |worker: &&Worker<S>| worker.connections.load(Ordering::Relaxed);
        let worker = self.workers.iter().min_by_key(connections);
        let worker =
            worker.map(|worker| (worker.runtime.clone(), worker.own.clone(), worker.share()));
        async move {
            let Some((runtime, own, share)) = worker else {
                // There is always one.
                return;
            };
            let Some(runtime) = runtime else {
                serve(stream, own).await;
                return drop(share);
            };
            // A stream belongs to the runtime that it was made in.
            let stream = match stream.into_std() {
                Ok(stream) => stream,
                Err(error) => return lost(&error),
            };
            let conversation = runtime.spawn(async move {
                let _share = share;
                match TcpStream::from_std(stream) {
                    Ok(stream) => serve(stream, own).await,
                    Err(error) => lost(&error),
                }
            });
            // An error means that the connection met a bug of ours, which the panic has told.
            let _ = conversation.await;
        }
    }
}

impl<S> Worker<S> {
    fn share(&self) -> Share {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Share(Arc::clone(&self.connections))
    }
}

fn start_thread(number: usize, mut stopped: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || {
            // Nothing is ever sent: it ends with the sender.
            let work = AssertUnwindSafe(|| runtime.block_on(stopped.changed()));
            if catch_unwind(work).is_err() {
                // All connections here are lost, and new ones would be: better a process anew.
                tracing::error!("the process ends, as a thread for connections has");
                process::abort();
            }
            runtime.shutdown_background();
        })?;
    Ok(handle)
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lost(error: &io::Error) {
    tracing::warn!(cause = %error, "a connection was lost on its way to its thread");
}

#[cfg(test)]
mod tests;
