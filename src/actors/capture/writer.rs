//! The writer of captured bodies: a thread of its own, so that neither redaction nor the disk costs a request anything.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::actors::capture::KEPT_MS;
use crate::actors::capture::page::lines;
use crate::actors::capture::tape::Taped;
use crate::clock::Clock;
use crate::store::bodies::BodyFiles;

/// How often files are looked through for those that are too old.
const PRUNE_EVERY: Duration = Duration::from_secs(10 * 60);

/// What the writer is given.
pub(super) enum Message {
    /// A tape, and how many bytes of files are kept.
    Tape(Box<Taped>, u64),
    /// Tell when everything before this is written.
    Flush(SyncSender<()>),
}

/// The writer.
pub(super) struct Writer {
    data_dir: PathBuf,
    clock: Clock,
    files: Option<BodyFiles>,
    /// Bytes of all files.
    size: u64,
    next_prune: Instant,
    failing: bool,
}

impl Writer {
    pub(super) fn new(data_dir: PathBuf, clock: Clock) -> Self {
        let next_prune = clock.now();
        Self { data_dir, clock, files: None, size: 0, next_prune, failing: false }
    }

    pub(super) fn run(mut self, tapes: &Receiver<Message>) {
        // Files of an earlier run may be too old by now.
        let mut limit = u64::MAX;
        loop {
            if self.clock.now() >= self.next_prune {
                self.next_prune = self.clock.now() + PRUNE_EVERY;
                let pruned = self.prune(limit);
                self.note(pruned);
            }
            match tapes.recv_timeout(PRUNE_EVERY) {
                Ok(Message::Tape(taped, most)) => {
                    limit = most;
                    let written = self.write(&taped, limit);
                    self.note(written);
                }
                Ok(Message::Flush(told)) => {
                    // Whoever asked may have given up waiting.
                    let _gone = told.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, taped: &Taped, limit: u64) -> io::Result<()> {
        let text = lines(taped);
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.size.saturating_add(bytes) > limit {
            self.prune(limit.saturating_sub(bytes))?;
        }
        self.files()?.write(taped.ts, &taped.id, text.as_bytes())?;
        self.size = self.size.saturating_add(bytes);
        Ok(())
    }

    /// Removes the old, and the oldest until no more than `most` bytes are left.
    fn prune(&mut self, most: u64) -> io::Result<()> {
        if self.files.is_none() && !self.data_dir.join("logs").join("requests").exists() {
            return Ok(());
        }
        let before = self.clock.now_ms().saturating_sub(KEPT_MS);
        self.size = self.files()?.prune(before, most)?;
        Ok(())
    }

    /// The folder is made when there is something to put into it.
    fn files(&mut self) -> io::Result<&BodyFiles> {
        let files = match self.files.take() {
            Some(files) => files,
            None => {
                let files = BodyFiles::open(&self.data_dir)?;
                self.size = files.size()?;
                files
            }
        };
        Ok(self.files.insert(files))
    }

    fn note(&mut self, done: io::Result<()>) {
        match done {
            Ok(()) if self.failing => {
                self.failing = false;
                info!("captured bodies are written again");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(%error, "captured bodies cannot be written and are lost; requests go on");
                }
                // It may have been removed under our feet.
                self.files = None;
            }
        }
    }
}
