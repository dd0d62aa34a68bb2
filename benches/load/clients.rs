//! The load: many clients on one thread, each with a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::net::TcpStream;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::now;
use super::upstream::content_length;

/// What a client got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Got {
    /// Status; 0 when the connection ended before it.
    pub(crate) status: u16,
    /// The body came to its end.
    pub(crate) complete: bool,
}

impl Got {
    pub(crate) fn is_good(self) -> bool {
        self.status == 200 && self.complete
    }
}

/// Asks again as soon as an answer is there, for `time`, on `connections` connections. Gives the time of each
/// request.
pub(crate) fn saturate(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Vec<Duration> {
    let start = now();
    let client = || async {
        let mut conn = Client::open(address).await;
        let mut times = Vec::new();
        while start.elapsed() < time {
            let sent = now();
            let got = conn.ask(request).await;
            assert!(got.is_good(), "{got:?} of {address}");
            times.push(sent.elapsed());
        }
        times
    };
    let all = System::new().block_on(join_all((0..connections).map(|_| client())));
    all.into_iter().flatten().collect()
}

/// Asks every `pause`, one after the other. Gives the time of each request.
pub(crate) fn trickle(
    address: SocketAddr,
    request: &[u8],
    pause: Duration,
    count: usize,
) -> Vec<Duration> {
    System::new().block_on(async {
        let mut conn = Client::open(address).await;
        let mut times = Vec::new();
        for _ in 0..count {
            actix_web::rt::time::sleep(pause).await;
            let sent = now();
            let got = conn.ask(request).await;
            assert!(got.is_good(), "{got:?} of {address}");
            times.push(sent.elapsed());
        }
        times
    })
}

/// Opens `connections` connections with one request each, calls `midway` after `wait` and gives what came.
pub(crate) fn hold(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    wait: Duration,
    midway: impl FnOnce(),
) -> Vec<Got> {
    System::new().block_on(async {
        let client = |nth: usize| async move {
            // Not all in one instant: a backlog has its length.
            let lead = Duration::from_micros(u64::try_from(nth).unwrap() * 200);
            actix_web::rt::time::sleep(lead).await;
            Client::open(address).await.ask(request).await
        };
        let all = join_all((0..connections).map(client));
        let look = async {
            actix_web::rt::time::sleep(wait).await;
            midway();
        };
        futures_util::future::join(all, look).await.0
    })
}

/// `rounds` requests on each of `connections` connections.
pub(crate) fn bursts(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    rounds: usize,
) -> Vec<Got> {
    let client = || async {
        let mut conn = Client::open(address).await;
        let mut got = Vec::new();
        for _ in 0..rounds {
            got.push(conn.ask(request).await);
        }
        got
    };
    let all = System::new().block_on(join_all((0..connections).map(|_| client())));
    all.into_iter().flatten().collect()
}

/// One connection.
struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request and reads its whole answer, of which nothing is kept.
    async fn ask(&mut self, request: &[u8]) -> Got {
        self.buffer.clear();
        let mut got = Got { status: 0, complete: false };
        if self.socket.write_all(request).await.is_err() {
            return got;
        }
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return got;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        got.status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        self.buffer.drain(..end);
        got.complete = if head.contains("transfer-encoding: chunked") {
            self.chunks().await
        } else {
            self.sized(content_length(&head)).await
        };
        got
    }

    async fn sized(&mut self, length: usize) -> bool {
        let mut left = length.saturating_sub(self.buffer.len());
        while left > 0 {
            self.buffer.clear();
            if !self.more().await {
                return false;
            }
            left = left.saturating_sub(self.buffer.len());
        }
        true
    }

    async fn chunks(&mut self) -> bool {
        loop {
            let line = loop {
                if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n") {
                    break at;
                }
                if !self.more().await {
                    return false;
                }
            };
            let size = std::str::from_utf8(&self.buffer[..line]).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
            let whole = line + 2 + size + 2;
            while self.buffer.len() < whole {
                if !self.more().await {
                    return false;
                }
            }
            self.buffer.drain(..whole);
            if size == 0 {
                return true;
            }
        }
    }

    async fn more(&mut self) -> bool {
        self.socket.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0)
    }
}
