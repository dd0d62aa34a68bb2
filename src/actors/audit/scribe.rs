//! The writer's side of the audit log: one thread, table first, then the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::actors::audit::Inner;
use crate::actors::audit::row::Pending;
use crate::auth::audit::{Caller, Event, EventName};
use crate::rotating::RotatingFile;
use crate::store::audit::{self, AuditKey, AuditRow, FILE, KEPT_FILES, to_line};
use crate::store::{Store, StoreError};

/// Pause after the disk refused.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How often minutes of a flood are looked through while there are any.
const FLOOD_EVERY: Duration = Duration::from_secs(5);
/// Longest sleep without anything to do.
const IDLE: Duration = Duration::from_secs(60);
/// How often old rows are looked for and the end of the chain is told to the operational log (SEC-AUD-4).
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Rows are kept so long, and so many (SEC-AUD-3).
const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;
const KEPT_ROWS: i64 = 200_000;
/// Rows of the table that are added to the file at a time when it lacks some.
const CATCH_UP: usize = 1_000;

type Work = Box<dyn FnOnce(&Store, &Path, &AuditKey) + Send>;

/// What is asked of the writer beside the rows.
pub(super) enum Order {
    /// Write what was recorded so far.
    Flush,
    /// The same, then run something while nothing else is written.
    With(Work),
    /// Write everything and end.
    Stop,
}

/// An order, and where the outcome is told.
pub(super) struct Question {
    pub order: Order,
    pub answer: SyncSender<Result<(), Arc<StoreError>>>,
}

/// The writer.
pub(super) struct Scribe {
    store: Store,
    data_dir: PathBuf,
    inner: Arc<Inner>,
    asked: Receiver<Question>,
    file: Option<RotatingFile>,
    /// Place of the last row in the file; `None` = not known.
    in_file: Option<i64>,
    /// The highest place the file knew when it was looked at.
    floor: i64,
    next_hour: Instant,
}

impl Drop for Scribe {
    /// A writer that ended, also by a panic, keeps nothing any more.
    fn drop(&mut self) {
        self.inner.failing.store(true, Ordering::Release);
        if thread::panicking() {
            error!(
                "the writer of the audit log died; actions that need it are refused until the restart"
            );
        }
    }
}

impl Scribe {
    pub(super) fn new(
        store: Store,
        data_dir: PathBuf,
        inner: Arc<Inner>,
        asked: Receiver<Question>,
    ) -> Self {
        let next_hour = inner.clock.now() + HOUR;
        Self { store, data_dir, inner, asked, file: None, in_file: None, floor: 0, next_hour }
    }

    pub(super) fn run(mut self) {
        // Repairs the end of the file, and adds what a killed process did not get to.
        let followed = self.follow_up();
        // A refusal is noted there, and tried again with the next rows.
        drop(self.note(followed));
        loop {
            match self.asked.try_recv() {
                Ok(Question { order, answer }) => {
                    let ends = matches!(order, Order::Stop);
                    let outcome = self.write(ends);
                    if let (Order::With(work), Ok(())) = (order, &outcome) {
                        work(&self.store, &self.data_dir, &self.inner.key);
                    }
                    // Whoever asked may have given up waiting.
                    let _gone = answer.try_send(outcome);
                    if ends {
                        self.tell_end_of_chain();
                        return;
                    }
                    continue;
                }
                Err(TryRecvError::Disconnected) => {
                    // Every handle is gone: what cannot be written now is lost, as it was told.
                    drop(self.write(true));
                    return;
                }
                Err(TryRecvError::Empty) => {}
            }
            // A refusal is noted there, and tried again after a pause.
            drop(self.write(false));
            if self.inner.clock.now() >= self.next_hour {
                self.next_hour = self.inner.clock.now() + HOUR;
                self.hourly();
            }
            thread::park_timeout(self.pause());
        }
    }

    fn pause(&self) -> Duration {
        let queue = self.inner.queue();
        if self.inner.failing.load(Ordering::Acquire) {
            RETRY_EVERY
        } else if !queue.rows.is_empty() {
            Duration::ZERO
        } else if !queue.flood.is_empty() {
            FLOOD_EVERY
        } else {
            IDLE
        }
    }

    /// Writes what waits. `all` = also the minutes of a flood that are not over.
    fn write(&mut self, all: bool) -> Result<(), Arc<StoreError>> {
        let (batch, lost) = {
            let mut queue = self.inner.queue();
            let counted =
                if all { queue.flood.all() } else { queue.flood.due(self.inner.clock.now_ms()) };
            for row in counted {
                queue.push(row);
            }
            (Vec::from(std::mem::take(&mut queue.rows)), std::mem::take(&mut queue.lost))
        };
        let was_failing = self.inner.failing.load(Ordering::Acquire);
        if batch.is_empty() && lost == 0 && !was_failing {
            return Ok(());
        }
        match self.add_to_table(&batch, lost) {
            Ok(rows) => {
                let done = self.add_to_file(&rows);
                if done.is_err() {
                    // Not known any more what the file holds: it is looked at again.
                    (self.file, self.in_file) = (None, None);
                }
                self.note(done)
            }
            Err(error) => {
                let mut queue = self.inner.queue();
                queue.lost = queue.lost.saturating_add(lost);
                queue.put_back(batch);
                drop(queue);
                self.note(Err(error))
            }
        }
    }

    fn add_to_table(&self, batch: &[Pending], lost: u64) -> Result<Vec<AuditRow>, StoreError> {
        let mut new: Vec<_> = batch
            .iter()
            .map(|row| {
                let count = i64::try_from(row.count).unwrap_or(i64::MAX);
                audit::NewEvent { count, ..row.event.clone() }
            })
            .collect();
        if lost > 0 {
            // Rows that gave way while the disk failed: the chain must not look complete.
            let event = Event::failed(EventName::AuditLost).with("lost", lost);
            let now = self.inner.clock.now_ms();
            new.push(Pending::of(now, &Caller::system(), event, &self.inner.key).event);
        }
        if new.is_empty() {
            // The table has all; it was the file that failed.
            return Ok(Vec::new());
        }
        self.store.write(|conn| audit::append(conn, &self.inner.key, self.floor, new))
    }

    /// Appends rows to the file, or, when it lacks earlier ones, all it lacks.
    fn add_to_file(&mut self, rows: &[AuditRow]) -> Result<(), StoreError> {
        let behind = match (rows.first(), self.in_file) {
            (Some(first), Some(last)) => last.saturating_add(1) != first.seq,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if behind {
            return self.follow_up();
        }
        self.add_lines(rows)
    }

    /// Adds to the file what it lacks of the table.
    fn follow_up(&mut self) -> Result<(), StoreError> {
        let path = self.data_dir.join(FILE);
        let io = |error| StoreError::io(&path, error);
        // Opened first: that cuts half a line.
        self.open()?;
        let mut last = audit::last_seq(&self.data_dir, &self.inner.key).map_err(io)?.unwrap_or(0);
        let end = self.store.read(audit::last)?.map_or(0, |row| row.seq);
        // It may know of rows that a restored backup does not: new ones come behind them, and `verify` tells of the gap.
        self.floor = self.floor.max(last);
        self.in_file = Some(last);
        while last < end {
            let rows = self.store.read(|conn| audit::after(conn, last, CATCH_UP))?;
            let Some(newest) = rows.last() else { break };
            last = newest.seq;
            self.add_lines(&rows)?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<&mut RotatingFile, StoreError> {
        let path = self.data_dir.join(FILE);
        let limit = self.inner.max_size.load(Ordering::Acquire);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => RotatingFile::open(&path, limit, KEPT_FILES)
                .map_err(|error| StoreError::io(&path, error))?,
        };
        file.set_limit(limit);
        Ok(self.file.insert(file))
    }

    fn add_lines(&mut self, rows: &[AuditRow]) -> Result<(), StoreError> {
        let path = self.data_dir.join(FILE);
        for row in rows {
            let line = to_line(row);
            let appended = self.open()?.append(line.as_bytes());
            appended.map_err(|error| StoreError::io(&path, error))?;
            self.in_file = Some(row.seq);
        }
        Ok(())
    }

    fn note(&self, done: Result<(), StoreError>) -> Result<(), Arc<StoreError>> {
        match done {
            Ok(()) => {
                if self.inner.failing.swap(false, Ordering::AcqRel) {
                    info!("the audit log is written again");
                }
                Ok(())
            }
            Err(error) => {
                if !self.inner.failing.swap(true, Ordering::AcqRel) {
                    warn!(
                        %error,
                        "the audit log cannot be written; its rows are kept in memory, and actions that need the password again are refused"
                    );
                }
                Err(Arc::new(error))
            }
        }
    }

    fn hourly(&mut self) {
        if let Err(error) = self.prune() {
            warn!(%error, "old rows of the audit log could not be removed");
        }
        self.tell_end_of_chain();
    }

    fn prune(&mut self) -> Result<(), StoreError> {
        let now = self.inner.clock.now_ms();
        let before = now.saturating_sub(KEPT_MS);
        loop {
            let key = &self.inner.key;
            let done = self.store.write(|conn| audit::prune(conn, key, now, before, KEPT_ROWS))?;
            let Some(checkpoint) = done else { return Ok(()) };
            self.add_to_file(&[checkpoint])?;
        }
    }

    /// The operational log may lie elsewhere: who rewrites the chain would have to rewrite it there, too.
    fn tell_end_of_chain(&self) {
        match self.store.read(audit::last) {
            Ok(Some(row)) => {
                let mac: String = row.mac.iter().map(|byte| format!("{byte:02x}")).collect();
                info!(seq = row.seq, %mac, "end of the audit chain");
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "the end of the audit chain cannot be read"),
        }
    }
}
