//! The Ledger: usage rows go through a bounded queue to one writer thread that commits batches.
//!
//! The data path never waits for the disk. A full queue degrades to per-key aggregates, never to loss
//! (REL-DB-3). The writer owns the batch connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tracing::{error, info, warn};

use crate::clock::{Clock, UnixMs};
use crate::id::KeyId;
use crate::store::StoreError;
use crate::store::usage::{FoldedAggregates, KeyUse, UsageRecord, UsageWriter};

/// Rows waiting for the writer.
const QUEUE: usize = 10_000;
/// Rows per transaction.
const BATCH: usize = 512;
/// Longest time a row waits for its transaction.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// Pause after the disk refused a batch.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// For so long a write that went through shows that the database takes writes (REL-RUN-2).
const FRESH_MS: i64 = 10_000;
/// A key's last use is written at most this often (SEC-AK-2).
const KEY_USE_MS: i64 = 60_000;
/// Questions that wait for the writer; one more learns that it is late.
const QUESTIONS: usize = 64;

/// What is asked of the writer, beside the rows: it must be heard when the queue is full.
struct Question {
    order: Order,
    answer: SyncSender<Result<(), Arc<StoreError>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Commit what was recorded so far.
    Flush,
    /// Show that the database takes writes.
    Probe,
    /// Commit everything and end.
    Stop,
}

/// Why rows are not known to be on disk.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused them.
    #[error("the database refused usage rows: {0}")]
    Refused(Arc<StoreError>),
    /// The database did not answer in time.
    #[error("usage rows were not written in time")]
    Late,
    /// The writer ended before: it was stopped, or it died.
    #[error("the writer of usage rows has ended")]
    Ended,
}

/// Handle of the queue. Clones feed one writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: SyncSender<Box<UsageRecord>>,
    questions: SyncSender<Question>,
    gauges: Arc<Gauges>,
    scribe: Thread,
    zone: TimeZone,
    clock: Clock,
}

/// What can be seen of the Ledger from outside.
#[derive(Debug, Default)]
struct Gauges {
    waiting: AtomicUsize,
    folded: AtomicU64,
    commits: AtomicU64,
    overflow: Mutex<FoldedAggregates>,
    last_ok_ms: AtomicI64,
    failing: AtomicBool,
    /// A damaged page was met: nothing is written any more (REL-DB-6).
    damaged: AtomicBool,
}

impl Gauges {
    fn overflow(&self) -> MutexGuard<'_, FoldedAggregates> {
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.order {
            Order::Flush => "Flush",
            Order::Probe => "Probe",
            Order::Stop => "Stop",
        })
    }
}

impl Ledger {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(writer: UsageWriter, clock: Clock) -> std::io::Result<Self> {
        let zone = writer.zone().clone();
        let (queue, rows) = sync_channel(QUEUE);
        let (questions, asked) = sync_channel(QUESTIONS);
        let gauges = Arc::new(Gauges::default());
        gauges.last_ok_ms.store(clock.now_ms(), Ordering::Relaxed);
        let scribe = Scribe {
            writer,
            rows,
            asked,
            gauges: Arc::clone(&gauges),
            clock: clock.clone(),
            held: Vec::new(),
            key_uses: HashMap::new(),
        };
        // The thread ends with `stop`, or when the last handle is gone.
        let running = thread::Builder::new().name("ledger".into()).spawn(move || scribe.run())?;
        Ok(Self { queue, questions, gauges, scribe: running.thread().clone(), zone, clock })
    }

    /// Hands a row over. Never waits: a full queue folds the row into aggregates.
    ///
    /// The writer is woken for the first row and for a full batch, not for each row: to wake a thread
    /// costs more than to hand a row over.
    pub fn record(&self, record: UsageRecord) {
        let before = self.gauges.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Box::new(record)) {
            Ok(()) if before == 0 || before + 1 == BATCH => self.scribe.unpark(),
            Ok(()) => {}
            Err(TrySendError::Full(record) | TrySendError::Disconnected(record)) => {
                self.gauges.waiting.fetch_sub(1, Ordering::Relaxed);
                self.gauges.folded.fetch_add(1, Ordering::Relaxed);
                self.gauges.overflow().add(&record, &self.zone);
            }
        }
    }

    /// Waits until everything recorded so far is committed. Blocking, for `patience` at most.
    ///
    /// # Errors
    /// See [`LedgerError`]; the rows are kept and tried again.
    pub fn flush(&self, patience: Duration) -> Result<(), LedgerError> {
        self.ask(Order::Flush, patience)
    }

    /// Commits everything and ends the writer. Blocking, for `patience` at most: neither a full disk nor a dead
    /// writer holds up a stop.
    ///
    /// # Errors
    /// See [`LedgerError`]; rows that were refused are lost.
    pub fn stop(&self, patience: Duration) -> Result<(), LedgerError> {
        self.ask(Order::Stop, patience)
    }

    fn ask(&self, order: Order, patience: Duration) -> Result<(), LedgerError> {
        let (answer, told) = sync_channel(1);
        self.questions.try_send(Question { order, answer }).map_err(|refused| match refused {
            TrySendError::Full(_) => LedgerError::Late,
            TrySendError::Disconnected(_) => LedgerError::Ended,
        })?;
        self.scribe.unpark();
        match told.recv_timeout(patience) {
            Ok(outcome) => outcome.map_err(LedgerError::Refused),
            Err(RecvTimeoutError::Timeout) => Err(LedgerError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(LedgerError::Ended),
        }
    }

    /// Whether the database took a write in the last 10 s; when none was due, one is tried (REL-RUN-2).
    /// Blocking, for `patience` at most.
    #[must_use]
    pub fn takes_writes(&self, patience: Duration) -> bool {
        if !self.is_healthy() {
            return false;
        }
        self.wrote_lately() || self.ask(Order::Probe, patience).is_ok()
    }

    /// Whether the answer of [`Ledger::takes_writes`] is known without waiting.
    #[must_use]
    pub fn wrote_lately(&self) -> bool {
        let last = self.gauges.last_ok_ms.load(Ordering::Relaxed);
        self.is_healthy() && self.clock.now_ms().saturating_sub(last).abs() < FRESH_MS
    }

    /// Rows not yet committed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.gauges.waiting.load(Ordering::Relaxed)
    }

    /// Rows that were folded into aggregates since start.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.gauges.folded.load(Ordering::Relaxed)
    }

    /// Batches that were committed since start: when it has grown, sums over usage rows are new.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.gauges.commits.load(Ordering::Relaxed)
    }

    /// True once a damaged page was met: rows are kept in memory until the end.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.gauges.damaged.load(Ordering::Relaxed)
    }

    /// True while the database takes writes.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.gauges.failing.load(Ordering::Relaxed)
    }
}

/// The writer's side.
struct Scribe {
    writer: UsageWriter,
    rows: Receiver<Box<UsageRecord>>,
    asked: Receiver<Question>,
    gauges: Arc<Gauges>,
    clock: Clock,
    held: Vec<UsageRecord>,
    /// When each key's last use was written.
    key_uses: HashMap<KeyId, UnixMs>,
}

impl Drop for Scribe {
    /// A writer that ended, also by a panic, writes nothing any more: readiness must say so.
    fn drop(&mut self) {
        self.gauges.failing.store(true, Ordering::Relaxed);
        if thread::panicking() {
            error!("the writer of usage rows died; sums are kept in memory until the restart");
        }
    }
}

impl Scribe {
    fn run(mut self) {
        loop {
            let Some(asked) = self.gather() else { return drop(self.commit_all()) };
            let Some(question) = asked else {
                // A refusal is noted there, and tried again after a pause.
                drop(self.commit());
                continue;
            };
            let outcome = match question.order {
                Order::Flush | Order::Stop => self.commit_all(),
                Order::Probe => self.commit().and_then(|()| self.probe()),
            };
            if question.order == Order::Stop {
                match &outcome {
                    Ok(()) => info!("usage rows flushed"),
                    Err(error) => {
                        let rows = self.gauges.waiting.load(Ordering::Relaxed);
                        error!(rows, %error, "usage rows lost: the database refused them at stop");
                    }
                }
            }
            // Whoever asked may have given up waiting.
            let _gone = question.answer.try_send(outcome);
            if question.order == Order::Stop {
                return;
            }
        }
    }

    /// Collects a batch until it is full or its time has come, or somebody asks. `None` when every handle is gone.
    fn gather(&mut self) -> Option<Option<Question>> {
        let failing = self.gauges.failing.load(Ordering::Relaxed);
        let mut close_at: Option<Instant> = None;
        let mut paused = false;
        loop {
            match self.asked.try_recv() {
                Ok(question) => return Some(Some(question)),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            self.take_rows();
            if failing {
                // The disk refuses writes: what is held stays held, the rest waits in the queue and then folds
                // (REL-DB-3), and the next try comes after a pause.
                if paused {
                    return Some(None);
                }
                thread::park_timeout(RETRY_EVERY);
                paused = true;
                continue;
            }
            if self.held.len() >= BATCH {
                return Some(None);
            }
            if !self.held.is_empty() {
                close_at.get_or_insert_with(|| self.clock.now() + FLUSH_EVERY);
            }
            let left = close_at.map(|at| at.saturating_duration_since(self.clock.now()));
            if left.is_some_and(|left| left.is_zero()) || (left.is_none() && self.has_overflow()) {
                return Some(None);
            }
            // A row that is counted but not yet queued wakes nobody if another was there before it: look
            // again soon.
            let coming = self.gauges.waiting.load(Ordering::Relaxed) > 0;
            let idle = if coming { FLUSH_EVERY } else { RETRY_EVERY };
            thread::park_timeout(left.unwrap_or(idle));
        }
    }

    /// Fills the batch from the queue.
    fn take_rows(&mut self) {
        while self.held.len() < BATCH {
            let Ok(record) = self.rows.try_recv() else { return };
            self.held.push(*record);
        }
    }

    /// Rows were folded while the queue was full.
    fn has_overflow(&self) -> bool {
        !self.gauges.overflow().is_empty()
    }

    /// Commits every row recorded so far, batch by batch.
    fn commit_all(&mut self) -> Result<(), Arc<StoreError>> {
        // Rows that come in meanwhile do not prolong it.
        let mut left = self.gauges.waiting.load(Ordering::Relaxed);
        loop {
            self.take_rows();
            let batch = self.held.len();
            self.commit()?;
            left = left.saturating_sub(batch);
            if left == 0 || batch == 0 {
                return Ok(());
            }
        }
    }

    /// Commits what is held and what overflowed.
    fn commit(&mut self) -> Result<(), Arc<StoreError>> {
        if self.gauges.damaged.load(Ordering::Relaxed) {
            let text = "nothing is written to it any more".to_owned();
            return Err(Arc::new(StoreError::Malformed(text)));
        }
        let folded = std::mem::take(&mut *self.gauges.overflow());
        if self.held.is_empty() && folded.is_empty() {
            // After a refusal only a write that goes through shows that the disk is back.
            return if self.gauges.failing.load(Ordering::Relaxed) { self.probe() } else { Ok(()) };
        }
        match self.write(&folded) {
            Ok(rows) => {
                self.gauges.waiting.fetch_sub(rows, Ordering::Relaxed);
                self.gauges.commits.fetch_add(1, Ordering::Relaxed);
                self.note_success();
                Ok(())
            }
            Err(error) => {
                self.gauges.overflow().merge(folded);
                Err(self.note_failure(error))
            }
        }
    }

    fn write(&mut self, folded: &FoldedAggregates) -> Result<usize, StoreError> {
        let report = self.writer.write(&self.held, folded)?;
        if report.refused > 0 || report.duplicates > 0 {
            warn!(report.refused, report.duplicates, "usage rows were not stored as they came");
        }
        self.note_key_uses();
        let rows = self.held.len();
        self.held.clear();
        Ok(rows)
    }

    /// A write that stores nothing of meaning: the only proof that writing works.
    fn probe(&mut self) -> Result<(), Arc<StoreError>> {
        match self.writer.probe(self.clock.now_ms()) {
            Ok(()) => {
                self.note_success();
                Ok(())
            }
            Err(error) => Err(self.note_failure(error)),
        }
    }

    fn note_success(&self) {
        self.gauges.last_ok_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        if self.gauges.failing.swap(false, Ordering::Relaxed) {
            info!("usage rows are written again");
        }
    }

    fn note_failure(&self, error: StoreError) -> Arc<StoreError> {
        if error.is_damaged() {
            self.gauges.damaged.store(true, Ordering::Relaxed);
        }
        if !self.gauges.failing.swap(true, Ordering::Relaxed) {
            warn!(%error, "usage rows cannot be written; they are kept and retried");
        }
        Arc::new(error)
    }

    /// Writes when and from where keys were last used, at most once a minute each (SEC-AK-2).
    fn note_key_uses(&mut self) {
        let mut latest: HashMap<KeyId, KeyUse> = HashMap::new();
        for row in self.held.iter().map(|record| &record.request) {
            let Some(id) = row.api_key_id else { continue };
            let due = self.key_uses.get(&id).is_none_or(|last| row.ts - last >= KEY_USE_MS);
            let newer = latest.get(&id).is_none_or(|known| known.at <= row.ts);
            if due && newer {
                let use_ = KeyUse {
                    id,
                    at: row.ts,
                    tool: row.tool.clone(),
                    client_ip: row.client_ip.clone(),
                };
                latest.insert(id, use_);
            }
        }
        if latest.is_empty() {
            return;
        }
        let uses: Vec<_> = latest.into_values().collect();
        match self.writer.note_key_uses(&uses) {
            Ok(()) => self.key_uses.extend(uses.iter().map(|one| (one.id, one.at))),
            // Only a date people look at; the next use of the key tries again.
            Err(error) => warn!(%error, "the last use of API keys is not written"),
        }
    }
}

#[cfg(test)]
mod tests;
