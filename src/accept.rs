//! Accepts connections for as long as the process wants them: within a limit, and undeterred by faults
//! that pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// The pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that too many connections are open.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Serves each connection in a task of its own; while `max` are open, more are closed as they come.
/// Ends when it is dropped, and leaves the connections to themselves.
pub async fn each<F>(
    listener: &TcpListener,
    max: usize,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(max));
    let mut told: Option<Instant> = None;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(cause = %error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                told = Some(Instant::now());
                tracing::warn!(%address, max, "connections are closed: too many are open");
            }
            continue;
        };
        // Small answers must not wait for each other; without it, they are just slower.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream, address).map(|()| drop(permit)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_excess_is_closed_and_a_freed_place_is_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            each(&listener, 1, |mut stream, _| async move {
                // Greeted, and held until the client closes.
                stream.write_all(b"!").await.unwrap();
                let _ = stream.read(&mut [0]).await;
            })
            .await;
        });
        let is_greeted = async |stream: &mut TcpStream| {
            let read = timeout(PATIENCE, stream.read(&mut [0])).await;
            matches!(read.expect("greeted or closed"), Ok(1))
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(is_greeted(&mut first).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(!is_greeted(&mut second).await);
        drop(first);
        let reused = async {
            loop {
                let mut third = TcpStream::connect(address).await.unwrap();
                if is_greeted(&mut third).await {
                    return;
                }
            }
        };
        timeout(PATIENCE, reused).await.unwrap();
    }
}
