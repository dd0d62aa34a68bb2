//! Bodies kept for debugging: off unless asked for, for a time or for a key, written by a thread of its own (SEC-LOG-1, -3).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the handle: whether to capture, for whom and until when; the way to the writer |
//! | `tape` | what one request leaves: four bodies, bounded, shared with the kernel's buffers |
//! | `page` | a tape as lines: redacted, without media |
//! | `writer` | files, their number and age |

mod page;
mod tape;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tracing::warn;

use crate::actors::capture::tape::Taped;
use crate::actors::capture::writer::{Message, Writer};
use crate::auth::key::KeyRecord;
use crate::clock::{Clock, UnixMs};
use crate::id::KeyId;
use crate::store::bodies::BodyFiles;
use crate::store::usage::RequestStatus;

pub use tape::{Part, Tape};

/// Tapes that wait for the writer; one more is dropped, and no request waits.
const WAITING: usize = 256;
/// Bytes of all tapes in memory together; beyond that bodies are cut.
const MEMORY: usize = 64 << 20;
/// Files are kept so long (SEC-LOG-1).
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Whose bodies are captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaptureMode {
    /// Every request's.
    All,
    /// Those of requests that did not end well.
    Failed,
    /// Those of one key's requests.
    Key(KeyId),
}

impl CaptureMode {
    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failed => "failed",
            Self::Key(_) => "key",
        }
    }

    /// Whether a request that ended so is written.
    fn keeps(self, status: RequestStatus) -> bool {
        match self {
            Self::All | Self::Key(_) => true,
            Self::Failed => matches!(status, RequestStatus::Error | RequestStatus::Rejected),
        }
    }
}

/// A capture that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capturing {
    /// Whose bodies.
    pub mode: CaptureMode,
    /// It ends by itself then, Unix ms.
    pub until: UnixMs,
}

/// Handle to the capture. Cheap to clone. The default one captures nothing.
#[derive(Clone, Default)]
pub struct Capture(Option<Arc<Inner>>);

struct Inner {
    running: ArcSwapOption<Capturing>,
    queue: SyncSender<Message>,
    memory: Arc<AtomicUsize>,
    limit: AtomicU64,
    dropped: AtomicU64,
    complained: AtomicBool,
    clock: Clock,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl Capture {
    /// Starts the writer; files go below `data_dir`, `limit` bytes of them are kept.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(data_dir: &Path, limit: u64, clock: Clock) -> io::Result<Self> {
        let (queue, tapes) = sync_channel(WAITING);
        let writer = Writer::new(data_dir.to_owned(), clock.clone());
        // The thread ends when the last handle is gone.
        drop(thread::Builder::new().name("capture".into()).spawn(move || writer.run(&tapes))?);
        Ok(Self(Some(Arc::new(Inner {
            running: ArcSwapOption::empty(),
            queue,
            memory: Arc::default(),
            limit: AtomicU64::new(limit),
            dropped: AtomicU64::new(0),
            complained: AtomicBool::new(false),
            clock,
        }))))
    }

    /// Captures from now on, until `until`.
    pub fn begin(&self, capturing: Capturing) {
        if let Some(inner) = &self.0 {
            inner.running.store(Some(Arc::new(capturing)));
        }
    }

    /// Captures nothing more. What ran; `None` = nothing did.
    pub fn end(&self) -> Option<Capturing> {
        self.0.as_ref()?.running.swap(None).map(|running| *running)
    }

    /// Ends a capture whose time is over. What ran; `None` = nothing was over.
    pub fn end_if_due(&self, now: UnixMs) -> Option<Capturing> {
        let running = self.0.as_ref()?.running.load_full()?;
        if now < running.until { None } else { self.end() }
    }

    /// The capture that runs now.
    #[must_use]
    pub fn running(&self) -> Option<Capturing> {
        let inner = self.0.as_ref()?;
        let running = **inner.running.load().as_ref()?;
        (inner.clock.now_ms() < running.until).then_some(running)
    }

    /// Bytes of files that are kept from now on.
    pub fn set_limit(&self, limit: u64) {
        if let Some(inner) = &self.0 {
            inner.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// A tape for a request of `key`; `None` = its bodies are not wanted. Costs one look while nothing is captured.
    #[must_use]
    pub fn tape(&self, key: Option<&KeyRecord>) -> Option<Tape> {
        let inner = self.0.as_ref()?;
        let mode = self.wanted(key)?;
        Some(Tape::new(self.clone(), mode, Arc::clone(&inner.memory), inner.clock.clone()))
    }

    /// Why the bodies of a request of `key` are captured: its own switch, which has no end, or a capture that runs.
    fn wanted(&self, key: Option<&KeyRecord>) -> Option<CaptureMode> {
        if let Some(key) = key.filter(|key| key.capture_bodies) {
            return Some(CaptureMode::Key(key.id));
        }
        let mode = self.running()?.mode;
        match mode {
            CaptureMode::Key(wanted) => key.is_some_and(|key| key.id == wanted).then_some(mode),
            CaptureMode::All | CaptureMode::Failed => Some(mode),
        }
    }

    /// Takes a tape whose request is over. Never waits: a writer that is behind loses it.
    fn take(&self, taped: Taped) {
        let Some(inner) = &self.0 else { return };
        let limit = inner.limit.load(Ordering::Relaxed);
        if inner.queue.try_send(Message::Tape(Box::new(taped), limit)).is_err() {
            inner.dropped.fetch_add(1, Ordering::Relaxed);
            if !inner.complained.swap(true, Ordering::Relaxed) {
                warn!("bodies are captured faster than they can be written; some are missing");
            }
        }
    }

    /// Waits until everything taken so far is written. Blocking, for `patience` at most. False = not in time.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(inner) = &self.0 else { return true };
        let (told, heard) = sync_channel(1);
        inner.queue.send(Message::Flush(told)).is_ok() && heard.recv_timeout(patience).is_ok()
    }
}

/// The files of captured bodies, for whoever reads them. Blocking.
///
/// # Errors
/// The folder cannot be opened.
pub fn files(data_dir: &Path) -> io::Result<BodyFiles> {
    BodyFiles::open(data_dir)
}

#[cfg(test)]
mod tests;
