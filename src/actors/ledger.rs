//! The Ledger: usage rows go through a bounded queue to one writer thread that commits batches.
//!
//! The data path never waits for the disk. A full queue degrades to per-key aggregates, never to loss
//! (REL-DB-3). The writer owns the batch connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
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
/// Pause between two looks at a full queue.
const FULL_PAUSE: Duration = Duration::from_millis(10);

enum Item {
    Row(Box<UsageRecord>),
    Flush(SyncSender<()>),
    Probe(SyncSender<()>),
    Stop(SyncSender<()>),
}

/// Handle of the queue. Clones feed one writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: SyncSender<Item>,
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
    overflow: Mutex<FoldedAggregates>,
    last_ok_ms: AtomicI64,
    failing: AtomicBool,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Row(_) => "Row",
            Self::Flush(_) => "Flush",
            Self::Probe(_) => "Probe",
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
        let scribe = Scribe {
            writer,
            rows,
            gauges: Arc::clone(&gauges),
            clock: clock.clone(),
            held: Vec::new(),
            probed: false,
            key_uses: HashMap::new(),
        };
        // The thread ends with `stop`, or when the last handle is gone.
        let running = thread::Builder::new().name("ledger".into()).spawn(move || scribe.run())?;
        Ok(Self { queue, gauges, scribe: running.thread().clone(), zone, clock })
    }

    /// Hands a row over. Never waits: a full queue folds the row into aggregates.
    ///
    /// The writer is woken for the first row and for a full batch, not for each row: to wake a thread
    /// costs more than to hand a row over.
    pub fn record(&self, record: UsageRecord) {
        let before = self.gauges.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Item::Row(Box::new(record))) {
            Ok(()) if before == 0 || before + 1 == BATCH => self.scribe.unpark(),
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
    /// False when it is not committed within `patience`.
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
        let until = self.clock.now() + patience;
        let mut item = item(done);
        // Not the channel's own waiting, which has no end: a writer that the disk refuses reads nothing.
        while let Err(refused) = self.queue.try_send(item) {
            let TrySendError::Full(back) = refused else { return false };
            if self.clock.now() >= until {
                return false;
            }
            item = back;
            thread::park_timeout(FULL_PAUSE);
        }
        self.scribe.unpark();
        answer.recv_timeout(until.saturating_duration_since(self.clock.now())).is_ok()
    }

    /// Whether the database took a write in the last 10 s; when none was due, one is tried (REL-RUN-2).
    /// Blocking, for `patience` at most.
    #[must_use]
    pub fn takes_writes(&self, patience: Duration) -> bool {
        if !self.is_healthy() {
            return false;
        }
        self.wrote_lately() || self.ask(Item::Probe, patience)
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
    /// Somebody wants to know whether the database takes writes.
    probed: bool,
    /// When each key's last use was written.
    key_uses: HashMap<KeyId, UnixMs>,
}

impl Scribe {
    fn run(mut self) {
        loop {
            let mut done = Vec::new();
            let stop = self.gather(&mut done);
            let committed = self.commit();
            // Dropped unanswered, a waiter learns that nothing was committed.
            for waiter in done.into_iter().filter(|_| committed) {
                // Whoever asked may have given up waiting.
                let _gone = waiter.try_send(());
            }
            match (stop, committed) {
                (false, _) => {}
                (true, true) => {
                    info!("usage rows flushed");
                    return;
                }
                (true, false) => {
                    let rows = self.held.len();
                    error!(rows, "usage rows lost: the database refused them at stop");
                    return;
                }
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
            match self.rows.try_recv() {
                Ok(Item::Row(record)) => {
                    close_at.get_or_insert_with(|| self.clock.now() + FLUSH_EVERY);
                    self.held.push(*record);
                }
                Ok(Item::Flush(waiter)) => {
                    done.push(waiter);
                    return false;
                }
                Ok(Item::Probe(waiter)) => {
                    self.probed = true;
                    done.push(waiter);
                    return false;
                }
                Ok(Item::Stop(waiter)) => {
                    done.push(waiter);
                    return true;
                }
                Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => {
                    let left = close_at.map(|at| at.saturating_duration_since(self.clock.now()));
                    if left.is_some_and(|left| left.is_zero()) {
                        return false;
                    }
                    // A row that is counted but not yet queued wakes nobody if another was there
                    // before it: look again soon.
                    let coming = self.gauges.waiting.load(Ordering::Relaxed) > 0;
                    let idle = if coming { FLUSH_EVERY } else { RETRY_EVERY };
                    thread::park_timeout(left.unwrap_or(idle));
                    if left.is_none() && self.has_overflow() {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Rows were folded while the queue was full.
    fn has_overflow(&self) -> bool {
        !self.gauges.overflow.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The disk refuses writes: hold what is held, leave the rest in the queue, try again later.
    fn gather_while_failing(&mut self, done: &mut Vec<SyncSender<()>>) -> bool {
        if self.held.len() >= BATCH {
            // Only a stop is looked for by waiting; rows stay queued and overflow folds (REL-DB-3).
            thread::park_timeout(RETRY_EVERY);
            return false;
        }
        match self.rows.recv_timeout(RETRY_EVERY) {
            Ok(Item::Row(record)) => self.held.push(*record),
            Ok(Item::Flush(waiter) | Item::Probe(waiter)) => done.push(waiter),
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
        let probe = std::mem::take(&mut self.probed) || self.gauges.failing.load(Ordering::Relaxed);
        let nothing = self.held.is_empty() && folded.is_empty();
        if nothing && !probe {
            return true;
        }
        let written = if nothing { self.probe() } else { self.write(&folded) };
        match written {
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
        self.note_key_uses();
        let rows = self.held.len();
        self.held.clear();
        Ok(rows)
    }

    /// A write that stores nothing of meaning: the only proof that writing works.
    fn probe(&mut self) -> Result<usize, StoreError> {
        self.writer.probe(self.clock.now_ms())?;
        Ok(0)
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
mod tests {
    use super::*;
    use crate::store::{MasterKey, Store, StoreOptions};

    fn open(clock: &Clock) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let key = MasterKey::load_or_create(&data_dir, None).unwrap();
        let options = StoreOptions {
            data_dir,
            app_version: "0.1.0".to_owned(),
            clock: clock.clone(),
            read_only: false,
            fresh: false,
        };
        let store = Store::open(&options, &key).unwrap();
        (folder, store)
    }

    #[test]
    fn readiness_is_proved_by_a_write_when_none_was_due() {
        let clock = Clock::manual(1_795_000_000_000);
        let (_folder, store) = open(&clock);
        let ledger =
            Ledger::start(store.usage_writer(TimeZone::UTC).unwrap(), clock.clone()).unwrap();
        assert!(ledger.wrote_lately());
        clock.advance(Duration::from_secs(11));
        assert!(!ledger.wrote_lately());
        store
            .write(|_| {
                // The write transaction is open: nobody else can write now.
                assert!(!ledger.takes_writes(Duration::from_millis(100)));
                Ok(())
            })
            .unwrap();
        assert!(ledger.takes_writes(Duration::from_secs(10)));
        assert!(ledger.wrote_lately());
        assert!(ledger.stop(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(11));
        assert!(!ledger.takes_writes(Duration::from_secs(10)), "nobody writes any more");
    }
}
