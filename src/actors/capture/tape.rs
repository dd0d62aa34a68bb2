//! What one request leaves: four bodies with their headers, each bounded. Pieces share the buffers they came in.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::actors::capture::{Capture, CaptureMode, MEMORY};
use crate::clock::{Clock, UnixMs};
use crate::store::usage::RequestStatus;

/// Bytes of a part that are kept (storage §4.5).
const LONGEST: usize = 1 << 20;
/// Parts of one request: a client's two, and two of each attempt.
const PARTS: usize = 40;

/// Which of the four bodies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// What the client sent.
    ClientRequest,
    /// What the provider was sent.
    UpstreamRequest,
    /// What the provider answered.
    UpstreamResponse,
    /// What the client got.
    ClientResponse,
}

impl Part {
    /// Its word in the file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ClientRequest => "client_request",
            Self::UpstreamRequest => "upstream_request",
            Self::UpstreamResponse => "upstream_response",
            Self::ClientResponse => "client_response",
        }
    }
}

/// A tape that runs. Clones write to the same one; it is handed over when the last is dropped.
#[derive(Clone, Debug)]
pub struct Tape(Rc<RefCell<Running>>);

#[derive(Debug)]
struct Running {
    capture: Capture,
    mode: CaptureMode,
    memory: Arc<AtomicUsize>,
    clock: Clock,
    started: Instant,
    taped: Taped,
}

/// A tape whose request is over.
#[derive(Debug, Default)]
pub(super) struct Taped {
    pub id: String,
    pub ts: UnixMs,
    pub parts: Vec<Taken>,
    /// Given back when it is written.
    pub memory: Option<Held>,
    /// How it ended; `None` = it was none that is counted.
    pub status: Option<RequestStatus>,
}

/// One part.
#[derive(Debug)]
pub(super) struct Taken {
    pub part: Part,
    /// Number of the attempt, from 1 on; 0 for the client's.
    pub attempt: u32,
    /// Method and address, or the status.
    pub first_line: String,
    pub headers: Vec<(String, String)>,
    /// Pieces with the ms since the request came.
    pub pieces: Vec<(u32, Bytes)>,
    pub bytes: usize,
    /// More came than was kept.
    pub cut: bool,
}

/// Bytes counted among those of all tapes.
#[derive(Debug)]
pub(super) struct Held(Arc<AtomicUsize>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Tape {
    pub(super) fn new(
        capture: Capture,
        mode: CaptureMode,
        memory: Arc<AtomicUsize>,
        clock: Clock,
    ) -> Self {
        let started = clock.now();
        let held = Some(Held(Arc::clone(&memory), 0));
        let taped = Taped { memory: held, ..Taped::default() };
        Self(Rc::new(RefCell::new(Running { capture, mode, memory, clock, started, taped })))
    }

    /// A part begins: its first line and its headers.
    pub fn begin<'h>(
        &self,
        part: Part,
        attempt: u32,
        first_line: String,
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    ) {
        let mut running = self.0.borrow_mut();
        if running.taped.parts.len() >= PARTS {
            return;
        }
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = headers.map(|(name, value)| (name.to_owned(), text(value))).collect();
        let pieces = Vec::new();
        running.taped.parts.push(Taken {
            part,
            attempt,
            first_line,
            headers,
            pieces,
            bytes: 0,
            cut: false,
        });
    }

    /// More of the body of the part that was begun last as this one.
    pub fn add(&self, part: Part, piece: &Bytes) {
        self.0.borrow_mut().add(part, piece);
    }

    /// How the request ended, and under which id its row stands. Returns whether it is kept, and its bytes so far.
    #[must_use]
    pub fn ended(&self, id: &str, ts: UnixMs, status: RequestStatus) -> (bool, u64) {
        let mut running = self.0.borrow_mut();
        (running.taped.id, running.taped.ts) = (id.to_owned(), ts);
        running.taped.status = Some(status);
        let bytes: usize = running.taped.parts.iter().map(|taken| taken.bytes).sum();
        (running.mode.keeps(status), u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl Running {
    fn add(&mut self, part: Part, piece: &Bytes) {
        let Some(taken) = self.taped.parts.iter_mut().rev().find(|taken| taken.part == part) else {
            return;
        };
        if taken.cut || piece.is_empty() {
            return;
        }
        let used = self.memory.load(Ordering::Relaxed);
        let room = LONGEST.saturating_sub(taken.bytes).min(MEMORY.saturating_sub(used));
        let kept = piece.slice(..piece.len().min(room));
        taken.cut = kept.len() < piece.len();
        taken.bytes += kept.len();
        self.memory.fetch_add(kept.len(), Ordering::Relaxed);
        if let Some(held) = &mut self.taped.memory {
            held.1 += kept.len();
        }
        let ms = self.clock.now().saturating_duration_since(self.started).as_millis();
        taken.pieces.push((u32::try_from(ms).unwrap_or(u32::MAX), kept));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let taped = std::mem::take(&mut self.taped);
        if taped.status.is_some_and(|status| self.mode.keeps(status)) {
            self.capture.take(taped);
        }
    }
}
