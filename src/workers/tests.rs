use std::sync::mpsc;
use std::thread::ThreadId;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is open until it is closed.
struct Open {
    client: TcpStream,
    serving: JoinHandle<()>,
    /// Where it is served.
    number: usize,
    thread: ThreadId,
}

impl Open {
    async fn with(workers: &Workers<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let client = client.await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (tell, told) = mpsc::channel();
        let serving = tokio::spawn(workers.serve(stream, async move |stream, number| {
            let thread = thread::current().id();
            tell.send((number, thread)).unwrap();
            let mut first = [0];
            // Nothing comes before the client closes, but for what makes it fail.
            stream.readable().await.unwrap();
            assert_eq!(stream.try_read(&mut first).unwrap(), 0);
        }));
        let told = tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE));
        let (number, thread) = told.await.unwrap().unwrap();
        Self {
            client,
            serving,
            number,
            thread,
        }
    }

    async fn close(self) {
        drop(self.client);
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .unwrap()
            .unwrap();
    }

    async fn fail(self) {
        self.client.try_write(b"!").unwrap();
        self.close().await;
    }
}

#[tokio::test]
async fn a_connection_goes_where_the_fewest_are() {
    let workers = Workers::start(vec![0, 1, 2]).unwrap();
    let mut open = Vec::new();
    for expected in [0, 1, 2, 0, 1, 2] {
        open.push(Open::with(&workers).await);
        assert_eq!(open[open.len() - 1].number, expected);
    }
    open.remove(4).close().await;
    open.push(Open::with(&workers).await);
    assert_eq!(open[5].number, 1, "where one was closed");
    open.remove(2).fail().await;
    open.push(Open::with(&workers).await);
    assert_eq!(open[5].number, 2, "where one failed");
}

#[tokio::test]
async fn without_threads_the_callers_own_does_the_work() {
    let workers = Workers::start(vec![0]).unwrap();
    let open = Open::with(&workers).await;
    assert_eq!(open.thread, thread::current().id());
}

#[tokio::test]
async fn threads_end_with_their_owner() {
    let workers = Workers::start(vec![0, 1]).unwrap();
    let runtime = workers.workers[0].runtime.clone().unwrap();
    drop(workers);
    let ended = async {
        while runtime.spawn(std::future::ready(())).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
}
