//! The audit log: takes events from every thread, never holds anybody up, and has one writer (SEC-AUD-1 to -7).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the handle: recording, switching on and off, whether rows are being kept |
//! | `blocked` | requests that the outbound guard refused |
//! | `flood` | equal refusals of one client become one row |
//! | `row` | what of an event and its caller is written, and what is taken out of it |
//! | `scribe` | the writer: table first, then the file; a ring while the disk fails; retention |

mod blocked;
mod flood;
mod row;
mod scribe;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tracing::debug;

use crate::actors::audit::flood::Flood;
use crate::actors::audit::row::Pending;
use crate::actors::audit::scribe::{Order, Question, Scribe};
use crate::auth::audit::{Caller, Event, EventName};
use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::store::audit::{AuditKey, Verified, verify};
use crate::store::{Store, StoreError};

/// Rows that wait for the writer; while the disk fails the oldest give way (SEC-AUD-6).
const RING: usize = 1_000;
/// Questions that wait for the writer; one more learns that it is late.
const QUESTIONS: usize = 16;

/// Why rows are not known to be kept, or were not looked through.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Table or file refused.
    #[error("the audit log cannot be written: {0}")]
    Refused(Arc<StoreError>),
    /// No answer in time.
    #[error("the audit log did not answer in time")]
    Late,
    /// The writer ended before: it was stopped, or it died.
    #[error("the writer of the audit log has ended")]
    Ended,
}

/// What the operator wants of the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditSettings {
    /// Setting `audit_log_enabled`.
    pub enabled: bool,
    /// Setting `audit_log_max_size`, bytes.
    pub max_size: u64,
}

impl AuditSettings {
    /// What the settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { enabled: settings.audit_log_enabled, max_size: settings.audit_log_max_size }
    }
}

/// Handle to the audit log; clones feed one writer. The default one keeps nothing: for a process that only reads.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Running>>);

struct Running {
    inner: Arc<Inner>,
    questions: SyncSender<Question>,
    scribe: Thread,
}

/// What handles and writer share.
struct Inner {
    key: AuditKey,
    clock: Clock,
    queue: Mutex<Queue>,
    enabled: AtomicBool,
    max_size: AtomicU64,
    failing: AtomicBool,
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<Pending>,
    flood: Flood,
    /// Rows that gave way.
    lost: u64,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("running", &self.0.is_some()).finish_non_exhaustive()
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, row: Pending) {
        if self.rows.len() >= RING {
            self.lost = self.lost.saturating_add(self.rows.pop_front().map_or(0, |row| row.count));
        }
        self.rows.push_back(row);
    }

    /// Rows that could not be written come again before those that came since.
    fn put_back(&mut self, rows: Vec<Pending>) {
        for row in rows.into_iter().rev() {
            if self.rows.len() >= RING {
                self.lost = self.lost.saturating_add(row.count);
            } else {
                self.rows.push_front(row);
            }
        }
    }
}

impl Audit {
    /// Starts the writer: table in `store`, file in `data_dir`. What the file lacks of the table's last rows is added.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        store: Store,
        data_dir: PathBuf,
        settings: AuditSettings,
        clock: Clock,
    ) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            key: store.audit_key().clone(),
            clock,
            queue: Mutex::default(),
            enabled: AtomicBool::new(settings.enabled),
            max_size: AtomicU64::new(settings.max_size),
            failing: AtomicBool::new(false),
        });
        let (questions, asked) = sync_channel(QUESTIONS);
        let scribe = Scribe::new(store, data_dir, Arc::clone(&inner), asked);
        // The thread ends with `stop`, or when the last handle is gone.
        let running = thread::Builder::new().name("audit".into()).spawn(move || scribe.run())?;
        let scribe = running.thread().clone();
        Ok(Self(Some(Arc::new(Running { inner, questions, scribe }))))
    }

    /// Notes an event. Never waits: what it takes is a short lock that no disk is behind.
    pub fn record(&self, caller: &Caller, event: Event) {
        debug!(
            event = event.name.as_str(),
            outcome = event.outcome.as_str(),
            actor = caller.actor(),
            "audit"
        );
        let Some(running) = &self.0 else { return };
        if running.inner.enabled.load(Ordering::Acquire) {
            running.enter(caller, event);
        }
    }

    /// What the operator wants from now on; `caller` wanted it. Switching off is the last event written, switching on the
    /// first (SEC-AUD-7).
    pub fn switch(&self, caller: &Caller, settings: AuditSettings) {
        let Some(running) = &self.0 else { return };
        running.inner.max_size.store(settings.max_size, Ordering::Release);
        let was = running.inner.enabled.swap(settings.enabled, Ordering::AcqRel);
        if was && !settings.enabled {
            // What is still being counted comes before the last event.
            let mut queue = running.inner.queue();
            for row in queue.flood.all() {
                queue.push(row);
            }
        }
        match (was, settings.enabled) {
            (true, false) => running.enter(caller, Event::ok(EventName::AuditDisabled)),
            (false, true) => running.enter(caller, Event::ok(EventName::AuditEnabled)),
            (true, true) | (false, false) => {}
        }
    }

    /// Whether rows are being kept. While they are not, nothing of class `Sudo` may be done (SEC-AUD-6).
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.0.as_ref().is_none_or(|running| !running.inner.failing.load(Ordering::Acquire))
    }

    /// Waits until everything recorded so far is written. Blocking, for `patience` at most.
    ///
    /// # Errors
    /// See [`AuditError`]; the rows are kept and tried again.
    pub fn flush(&self, patience: Duration) -> Result<(), AuditError> {
        self.ask(patience, Order::Flush)
    }

    /// Writes everything and ends the writer. Blocking, for `patience` at most.
    ///
    /// # Errors
    /// See [`AuditError`]; rows that were refused are lost.
    pub fn stop(&self, patience: Duration) -> Result<(), AuditError> {
        self.ask(patience, Order::Stop)
    }

    /// Looks through table and file while nothing is written to either. Blocking, for `patience` at most.
    ///
    /// # Errors
    /// They cannot be read; no answer in time.
    pub fn verify(&self, patience: Duration) -> Result<Verified, AuditError> {
        let (answer, told) = sync_channel(1);
        let order = Order::With(Box::new(move |store, data_dir, key| {
            // Whoever asked may have given up waiting.
            let _gone = answer.try_send(store.read(|conn| verify(conn, key, data_dir)));
        }));
        self.ask(patience, order)?;
        match told.try_recv() {
            Ok(found) => found.map_err(|error| AuditError::Refused(Arc::new(error))),
            Err(_nothing) => Err(AuditError::Ended),
        }
    }

    fn ask(&self, patience: Duration, order: Order) -> Result<(), AuditError> {
        let running = self.0.as_ref().ok_or(AuditError::Ended)?;
        let (answer, told) = sync_channel(1);
        running.questions.try_send(Question { order, answer }).map_err(
            |refused| match refused {
                TrySendError::Full(_) => AuditError::Late,
                TrySendError::Disconnected(_) => AuditError::Ended,
            },
        )?;
        running.scribe.unpark();
        match told.recv_timeout(patience) {
            Ok(outcome) => outcome.map_err(AuditError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(AuditError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(AuditError::Ended),
        }
    }
}

impl Running {
    fn enter(&self, caller: &Caller, event: Event) {
        let inner = &self.inner;
        let now = inner.clock.now_ms();
        let pending = Pending::of(now, caller, event, &inner.key);
        let wakes = {
            let mut queue = inner.queue();
            match queue.flood.pass(now, pending) {
                Some(row) => {
                    queue.push(row);
                    queue.rows.len() == 1
                }
                None => false,
            }
        };
        // The first row wakes the writer; it takes all that came until then.
        if wakes {
            self.scribe.unpark();
        }
    }
}

#[cfg(test)]
mod tests;
