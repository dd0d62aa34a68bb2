//! The Ledger: usage rows go through a bounded queue to one writer thread that commits batches.
//!
//! The data path never waits for the disk. A full queue degrades to per-key aggregates, never to loss
//! (REL-DB-3). The writer owns the batch connection.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::usage::{FoldedAggregates, UsageRecord, UsageWriter};

/// Rows waiting for the writer.
const QUEUE: usize = 10_000;
/// Rows per transaction.
const BATCH: usize = 512;
/// Longest time a row waits for its transaction.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// Pause after the disk refused a batch.
const RETRY_EVERY: Duration = Duration::from_secs(5);

enum Item {
    Row(Box<UsageRecord>),
    Flush(SyncSender<()>),
    Stop(SyncSender<()>),
}

/// Handle of the queue. Clones feed one writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: SyncSender<Item>,
    gauges: Arc<Gauges>,
    zone: TimeZone,
}

/// What can be seen of the Ledger from outside.
#[derive(Debug, Default)]
struct Gauges {
    waiting: AtomicUsize,
    folded: AtomicU64,
    overflow: Mutex<FoldedAggregates>,
    last_ok_ms: AtomicI64,
    failing: AtomicBool,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Row(_) => "Row",
            Self::Flush(_) => "Flush",
            Self::Stop(_) => "Stop",
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
        let gauges = Arc::new(Gauges::default());
        gauges.last_ok_ms.store(clock.now_ms(), Ordering::Relaxed);
        let scribe = Scribe { writer, rows, gauges: Arc::clone(&gauges), clock, held: Vec::new() };
        // The thread ends with `stop`, or when the last handle is gone.
        std::thread::Builder::new().name("ledger".into()).spawn(move || scribe.run())?;
        Ok(Self { queue, gauges, zone })
    }

    /// Hands a row over. Never waits: a full queue folds the row into aggregates.
    pub fn record(&self, record: UsageRecord) {
        self.gauges.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Item::Row(Box::new(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) => {
                self.gauges.waiting.fetch_sub(1, Ordering::Relaxed);
                if let Item::Row(record) = item {
                    self.gauges.folded.fetch_add(1, Ordering::Relaxed);
                    let mut folded =
                        self.gauges.overflow.lock().unwrap_or_else(PoisonError::into_inner);
                    folded.add(&record, &self.zone);
                }
            }
        }
    }

    /// Waits until everything recorded so far is committed. Blocking.
    ///
    /// False when the writer did not answer within `patience`.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.ask(Item::Flush, patience)
    }

    /// Commits everything and ends the writer. Blocking; see [`Ledger::flush`].
    #[must_use]
    pub fn stop(&self, patience: Duration) -> bool {
        self.ask(Item::Stop, patience)
    }

    fn ask(&self, item: impl FnOnce(SyncSender<()>) -> Item, patience: Duration) -> bool {
        let (done, answer) = sync_channel(1);
        self.queue.send(item(done)).is_ok() && answer.recv_timeout(patience).is_ok()
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

    /// True while the database takes writes.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.gauges.failing.load(Ordering::Relaxed)
    }
}

/// The writer's side.
struct Scribe {
    writer: UsageWriter,
    rows: Receiver<Item>,
    gauges: Arc<Gauges>,
    clock: Clock,
    held: Vec<UsageRecord>,
}

impl Scribe {
    fn run(mut self) {
        loop {
            let mut done = Vec::new();
            let stop = self.gather(&mut done);
            if !self.commit() && stop {
                error!(
                    rows = self.held.len(),
                    "usage rows lost: the database refused them at stop"
                );
            }
            for waiter in done {
                // Whoever asked may have given up waiting.
                let _gone = waiter.try_send(());
            }
            if stop {
                info!("usage rows flushed");
                return;
            }
        }
    }

    /// Collects a batch. True when the writer is to stop after it.
    fn gather(&mut self, done: &mut Vec<SyncSender<()>>) -> bool {
        if self.gauges.failing.load(Ordering::Relaxed) {
            return self.gather_while_failing(done);
        }
        let mut close_at: Option<Instant> = None;
        while self.held.len() < BATCH {
            let patience =
                close_at.map_or(RETRY_EVERY, |at| at.saturating_duration_since(self.clock.now()));
            match self.rows.recv_timeout(patience) {
                Ok(Item::Row(record)) => {
                    close_at.get_or_insert_with(|| self.clock.now() + FLUSH_EVERY);
                    self.held.push(*record);
                }
                Ok(Item::Flush(waiter)) => {
                    done.push(waiter);
                    return false;
                }
                Ok(Item::Stop(waiter)) => {
                    done.push(waiter);
                    return true;
                }
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
        false
    }

    /// The disk refuses writes: hold what is held, leave the rest in the queue, try again later.
    fn gather_while_failing(&mut self, done: &mut Vec<SyncSender<()>>) -> bool {
        if self.held.len() >= BATCH {
            // Only a stop is looked for by waiting; rows stay queued and overflow folds (REL-DB-3).
            std::thread::park_timeout(RETRY_EVERY);
            return false;
        }
        match self.rows.recv_timeout(RETRY_EVERY) {
            Ok(Item::Row(record)) => self.held.push(*record),
            Ok(Item::Flush(waiter)) => done.push(waiter),
            Ok(Item::Stop(waiter)) => {
                done.push(waiter);
                return true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return true,
        }
        false
    }

    /// Commits what is held and what overflowed. False when the database refused.
    fn commit(&mut self) -> bool {
        let folded = {
            let mut overflow = self.gauges.overflow.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *overflow)
        };
        if self.held.is_empty() && folded.is_empty() {
            return true;
        }
        match self.write(&folded) {
            Ok(rows) => {
                self.gauges.waiting.fetch_sub(rows, Ordering::Relaxed);
                self.gauges.last_ok_ms.store(self.clock.now_ms(), Ordering::Relaxed);
                if self.gauges.failing.swap(false, Ordering::Relaxed) {
                    info!(rows, "usage rows are written again");
                }
                true
            }
            Err(error) => {
                if !self.gauges.failing.swap(true, Ordering::Relaxed) {
                    warn!(%error, "usage rows cannot be written; they are kept and retried");
                }
                let mut overflow =
                    self.gauges.overflow.lock().unwrap_or_else(PoisonError::into_inner);
                overflow.merge(folded);
                false
            }
        }
    }

    fn write(&mut self, folded: &FoldedAggregates) -> Result<usize, StoreError> {
        let report = self.writer.write(&self.held, folded)?;
        if report.refused > 0 || report.duplicates > 0 {
            warn!(report.refused, report.duplicates, "usage rows were not stored as they came");
        }
        let rows = self.held.len();
        self.held.clear();
        Ok(rows)
    }
}
