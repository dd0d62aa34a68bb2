//! A raw TCP upstream that misbehaves exactly as its script says, and remembers what it was sent.
//!
//! For tests: blocking sockets, a thread per connection, no HTTP library in between, so that
//! every byte on the wire is the script's own.

mod play;
mod receive;
pub mod reply;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

pub use receive::Received;

/// Longest wait of a step that waits for the client, and a good limit for the `wait_` methods of [`Chaos`].
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One thing the upstream does after it has read a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes the bytes at once.
    Send(Bytes),
    /// Writes the bytes in pieces of `size`, each with a write of its own.
    Pieces {
        /// All bytes.
        bytes: Bytes,
        /// Bytes per write.
        size: usize,
    },
    /// Writes one byte after each pause, until done or the client is gone.
    Drip {
        /// All bytes.
        bytes: Bytes,
        /// Before each byte.
        pause: Duration,
    },
    /// Writes the bytes again and again, until done or the client is gone.
    Repeat {
        /// Written each time.
        bytes: Bytes,
        /// How often at most.
        times: u64,
    },
    /// Does nothing until [`Chaos::release`] or until the client is gone.
    Hold,
    /// Does nothing until the client is gone.
    AwaitClient,
    /// Closes with RST.
    Reset,
    /// Closes with FIN.
    Close,
}

impl Step {
    /// [`Step::Send`] of anything that turns into bytes.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::Send(bytes.into())
    }
}

/// What is read of a request before the script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Head and body.
    Whole,
    /// The head only; the body is left in the socket.
    Head,
    /// Nothing: the script runs as soon as the connection is accepted.
    Nothing,
}

type Plan = dyn Fn(&Received) -> Vec<Step> + Send + Sync;

/// A running chaos upstream. Dropping it closes every socket.
pub struct Chaos {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Chaos {
    /// Starts on a free loopback port. `plan` says what is done about each request; when its steps
    /// end without a close, the connection stays open for the next request.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(
        reading: Reading,
        plan: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            reading,
            plan: Box::new(plan),
            stopping: AtomicBool::new(false),
            log: Mutex::default(),
            changed: Condvar::new(),
        });
        let for_accept = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("chaos-accept".to_owned())
            .spawn(move || accept(&listener, &for_accept))?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// An upstream that reads each request whole and answers it with the same bytes.
    ///
    /// # Errors
    /// As [`Chaos::start`].
    pub fn always(reply: impl Into<Bytes>) -> io::Result<Self> {
        let reply = reply.into();
        Self::start(Reading::Whole, move |_| vec![Step::Send(reply.clone())])
    }

    /// Address of its socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port` followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests read so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.log().requests.clone()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.log().connections.len()
    }

    /// Bytes that the sockets took from the scripts so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.log().connections.iter().map(|c| c.written).sum()
    }

    /// Connections whose end by the client was seen.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.shared.log().connections.iter().filter(|c| c.client_gone).count()
    }

    /// Lets every [`Step::Hold`] go on, those to come included.
    pub fn release(&self) {
        self.shared.log().released = true;
        self.shared.changed.notify_all();
    }

    /// Waits until so many requests were read. False when they were not in `limit`.
    #[must_use]
    pub fn wait_requests(&self, count: usize, limit: Duration) -> bool {
        self.shared.wait(limit, |log| log.requests.len() >= count)
    }

    /// Waits until the end of so many connections by the client was seen, within `limit`.
    #[must_use]
    pub fn wait_gone(&self, count: usize, limit: Duration) -> bool {
        self.shared
            .wait(limit, |log| log.connections.iter().filter(|c| c.client_gone).count() >= count)
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.release();
        for socket in self.shared.log().connections.iter().filter_map(|c| c.socket.as_ref()) {
            // It may be closed already.
            let _closed = socket.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            let _ended = thread.join();
        }
    }
}

struct Shared {
    reading: Reading,
    plan: Box<Plan>,
    stopping: AtomicBool,
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Default)]
struct Log {
    connections: Vec<Connection>,
    requests: Vec<Received>,
    released: bool,
}

struct Connection {
    /// A second handle, to end the connection from outside; gone when its thread has ended.
    socket: Option<TcpStream>,
    client_gone: bool,
    written: u64,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the entry of one connection and tells those who wait.
    fn note(&self, connection: usize, change: impl FnOnce(&mut Connection)) {
        if let Some(entry) = self.log().connections.get_mut(connection) {
            change(entry);
        }
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, done: impl Fn(&Log) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.log(), limit, |log| !done(log));
        waited.map_or_else(|poison| done(&poison.into_inner().0), |(log, _)| done(&log))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(copy) = socket.try_clone() else { return };
        let number = {
            let mut log = shared.log();
            log.connections.push(Connection { socket: Some(copy), client_gone: false, written: 0 });
            log.connections.len() - 1
        };
        shared.changed.notify_all();
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name("chaos-connection".to_owned())
            .spawn(move || play::connection(socket, number, &shared));
        if spawned.is_err() {
            return;
        }
    }
}
