//! Opening the data folder: lock, damage, migrations, connections; and closing it again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};

use crate::clock::Clock;
use crate::store::audit::AuditKey;
use crate::store::backup;
use crate::store::error::StoreError;
use crate::store::files::{self, DirLock};
use crate::store::master_key::MasterKey;
use crate::store::migrate;
use crate::store::seal::Sealer;
use crate::store::sqlite::{self, Durability, Journal};
use crate::store::{BACKUPS, DATABASE};

type Readers = Pool<ConnectionManager<SqliteConnection>>;

const READERS: u32 = 4;
/// Longest wait for a free reader.
const READER_WAIT: Duration = Duration::from_secs(5);
/// REL-DB-2: the log is folded into the file beyond this size.
const WAL_LIMIT: u64 = 64 * 1024 * 1024;
/// Up to this size the whole file is checked at each start; above it only before a migration, to
/// keep the start under 2 s (REL-RUN-1).
const CHECK_LIMIT: u64 = 64 * 1024 * 1024;

/// How to open the store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data folder; made when missing.
    pub data_dir: PathBuf,
    /// This program's version, for names of backups and messages.
    pub app_version: String,
    /// Source of time.
    pub clock: Clock,
    /// Read only: no lock, no migration, nothing made. For commands beside a running server.
    pub read_only: bool,
    /// Start empty where a database is damaged or lost (`--fresh`).
    pub fresh: bool,
}

/// The open database of one data folder. Cheap to clone. Every call blocks: use the blocking pool.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// Empty after [`Store::close`].
    readers: Mutex<Option<Readers>>,
    /// Empty between [`Store::close`] and the end, and while a writer that panicked is replaced.
    writer: Mutex<Option<SqliteConnection>>,
    closed: AtomicBool,
    /// A damaged page was met: nothing is written any more (REL-DB-6).
    damaged: AtomicBool,
    /// Why the last backup failed.
    backup_trouble: Mutex<Option<String>>,
    read_only: bool,
    journal: Journal,
    path: PathBuf,
    url: String,
    sealer: Sealer,
    audit_key: AuditKey,
    migrated: Option<(i64, i64)>,
    clock: Clock,
    lock: Mutex<Option<DirLock>>,
}

impl Store {
    /// Opens the data folder, makes it when it is new, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; [`StoreError::exit_code`] gives the code to end with.
    pub fn open(options: &StoreOptions, keys: &MasterKey) -> Result<Self, StoreError> {
        let data_dir = &options.data_dir;
        if options.read_only {
            return Self::open_read_only(options, keys);
        }
        files::make_private_dir(data_dir)?;
        let lock = DirLock::take(data_dir)?;
        backup::apply_staged(options)?;
        let path = data_dir.join(DATABASE);
        let url = url_of(&path)?;
        if !is_present(&path, options)? {
            migrate::make_new(&path)?;
        }
        let journal = journal_for(data_dir);
        let (mut writer, migrated) = match open_checked(&path, &url, journal, options) {
            Err(StoreError::Malformed(_)) => {
                let moved_to = move_aside(&path, options)?;
                if !options.fresh {
                    return Err(StoreError::Damaged { moved_to });
                }
                migrate::make_new(&path)?;
                open_checked(&path, &url, journal, options)?
            }
            other => other?,
        };
        for suffix in ["", "-wal", "-shm"] {
            let file = files::with_suffix(&path, suffix);
            if file.exists() {
                files::restrict(&file, 0o600)?;
            }
        }
        let sealer = writer
            .immediate_transaction(|conn| Sealer::load(conn, keys, options.clock.now_ms()))?;
        let audit_key = AuditKey::of(keys);
        let inner = Inner {
            writer: Mutex::new(Some(writer)),
            migrated,
            lock: Mutex::new(Some(lock)),
            ..Self::reading(options, path, url, journal, sealer, audit_key)?
        };
        Ok(Self(Arc::new(inner)))
    }

    fn open_read_only(options: &StoreOptions, keys: &MasterKey) -> Result<Self, StoreError> {
        let path = options.data_dir.join(DATABASE);
        if !path.exists() {
            return Err(StoreError::not_found("file", path.display().to_string()));
        }
        let url = url_of(&path)?;
        let mut conn = SqliteConnection::establish(&url)?;
        sqlite::prepare_reader(&mut conn)?;
        migrate::require_ours(&mut conn, &path)?;
        migrate::require_current(&mut conn, &options.app_version)?;
        let sealer = Sealer::load_existing(&mut conn, keys)?;
        let journal = journal_for(&options.data_dir);
        let audit_key = AuditKey::of(keys);
        Ok(Self(Arc::new(Self::reading(options, path, url, journal, sealer, audit_key)?)))
    }

    /// What every open store has; one that writes has more.
    fn reading(
        options: &StoreOptions,
        path: PathBuf,
        url: String,
        journal: Journal,
        sealer: Sealer,
        audit_key: AuditKey,
    ) -> Result<Inner, StoreError> {
        let readers = Pool::builder()
            .max_size(READERS)
            // Opened when asked for, so that none appears behind the back of `close`.
            .min_idle(Some(0))
            .connection_timeout(READER_WAIT)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .connection_customizer(Box::new(ReaderSetup))
            .build(ConnectionManager::new(&url))
            .map_err(|e| StoreError::Busy(e.to_string()))?;
        Ok(Inner {
            readers: Mutex::new(Some(readers)),
            writer: Mutex::new(None),
            closed: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            backup_trouble: Mutex::default(),
            read_only: options.read_only,
            journal,
            path,
            url,
            sealer,
            audit_key,
            migrated: None,
            clock: options.clock.clone(),
            lock: Mutex::new(None),
        })
    }

    /// Runs `work` in one read transaction: everything it reads is of one instant.
    ///
    /// # Errors
    ///
    /// What `work` returns; no connection became free; the store is closed.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pool = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pool = pool.ok_or(StoreError::Closed)?;
        let mut conn = pool.get().map_err(|e| StoreError::Busy(e.to_string()))?;
        let conn: &mut SqliteConnection = &mut conn;
        self.watched(conn.transaction(work))
    }

    /// Runs `work` in one write transaction, on the disk when this returns (REL-DB-1, durable).
    ///
    /// # Errors
    ///
    /// What `work` returns, then nothing is changed; the store is closed or read-only.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.0.read_only {
            return Err(StoreError::ReadOnly);
        }
        let mut slot = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_closed()?;
        self.refuse_damaged()?;
        // Taken out while in use: after a panic inside `work` the connection is gone, and SQLite has
        // rolled back, instead of staying behind in a half-done transaction.
        let mut conn = match slot.take() {
            Some(conn) => conn,
            None => self.connect(Durability::Full)?,
        };
        let result = conn.immediate_transaction(work);
        *slot = Some(conn);
        self.watched(result)
    }

    /// A connection of its own for the Ledger's thread (REL-DB-1, batch).
    ///
    /// # Errors
    ///
    /// The database cannot be opened; the store is closed or read-only.
    pub fn batch_connection(&self) -> Result<SqliteConnection, StoreError> {
        if self.0.read_only {
            return Err(StoreError::ReadOnly);
        }
        self.refuse_closed()?;
        self.connect(Durability::Normal)
    }

    /// Why the last backup failed; `None` = it did not.
    #[must_use]
    pub fn backup_trouble(&self) -> Option<String> {
        self.0.backup_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note_backup(&self, trouble: Option<String>) {
        *self.0.backup_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// True once a damaged page was met: nothing is written any more.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.0.damaged.load(Ordering::Acquire)
    }

    /// What is wrong with the database file; empty when nothing is. `full` reads every page and index.
    ///
    /// # Errors
    ///
    /// It cannot be read at all.
    pub fn faults(&self, full: bool) -> Result<Vec<String>, StoreError> {
        self.read(|conn| Ok(sqlite::faults(conn, full)?))
    }

    /// Writes the database file anew, without the space that deleted rows left. Writers wait meanwhile.
    ///
    /// # Errors
    ///
    /// Too little space for the second file; the database fails; the store is closed or read-only.
    pub fn vacuum(&self) -> Result<(), StoreError> {
        if self.0.read_only {
            return Err(StoreError::ReadOnly);
        }
        let needed = fs::metadata(&self.0.path).map_or(0, |meta| meta.len()).saturating_mul(2);
        if let Some(free) = self.0.path.parent().and_then(files::free_bytes)
            && free < needed
        {
            return Err(StoreError::NoRoom { needed, free });
        }
        let mut slot = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_closed()?;
        if let Some(conn) = slot.as_mut() {
            sqlite::vacuum(conn)?;
            sqlite::checkpoint_truncate(conn)?;
        }
        Ok(())
    }

    /// Seals and opens secret columns.
    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The key that chains the rows of the audit log.
    #[must_use]
    pub fn audit_key(&self) -> &AuditKey {
        &self.0.audit_key
    }

    /// Schemas before and after the migrations that opening it ran; `None` = none were due.
    #[must_use]
    pub fn migrated(&self) -> Option<(i64, i64)> {
        self.0.migrated
    }

    /// True when it takes no writes.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    /// The store's source of time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Bytes in the write-ahead log.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        fs::metadata(files::with_suffix(&self.0.path, "-wal")).map_or(0, |m| m.len())
    }

    /// Folds the write-ahead log into the file when it has grown beyond 64 MiB. True = it had.
    ///
    /// # Errors
    ///
    /// The database fails, or the store is closed.
    pub fn checkpoint_if_large(&self) -> Result<bool, StoreError> {
        if self.0.read_only || self.wal_bytes() <= WAL_LIMIT {
            return Ok(false);
        }
        let mut slot = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_closed()?;
        if let Some(conn) = slot.as_mut() {
            sqlite::checkpoint_truncate(conn)?;
        }
        Ok(true)
    }

    /// Ends the store: later calls are refused, the log is folded into the file, the folder is free.
    ///
    /// Batch connections must be dropped before, else part of the log may stay (nothing is lost).
    ///
    /// # Errors
    ///
    /// The last checkpoint failed; the folder is free all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        let mut slot = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.closed.store(true, Ordering::Release);
        drop(self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).take());
        let result = match slot.take() {
            Some(mut conn) => sqlite::checkpoint_truncate(&mut conn).map_err(StoreError::from),
            None => Ok(()),
        };
        drop(self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        result
    }

    /// Remembers that a damaged page was met.
    fn watched<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.as_ref().is_err_and(StoreError::is_damaged) {
            self.0.damaged.store(true, Ordering::Release);
        }
        result
    }

    fn refuse_damaged(&self) -> Result<(), StoreError> {
        if !self.is_damaged() {
            return Ok(());
        }
        let text = "nothing is written to it any more; stop the router and restore a backup";
        Err(StoreError::Malformed(text.to_owned()))
    }

    fn refuse_closed(&self) -> Result<(), StoreError> {
        if self.0.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// A connection that takes no write, for what wants one of its own beside a server that holds the lock.
    pub(super) fn spare_reader(&self) -> Result<SqliteConnection, StoreError> {
        let mut conn = SqliteConnection::establish(&self.0.url)?;
        sqlite::prepare_reader(&mut conn)?;
        Ok(conn)
    }

    fn connect(&self, durability: Durability) -> Result<SqliteConnection, StoreError> {
        let mut conn = SqliteConnection::establish(&self.0.url)?;
        sqlite::prepare_writer(&mut conn, durability, self.0.journal)?;
        Ok(conn)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ReaderSetup;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for ReaderSetup {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        sqlite::prepare_reader(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// True when there is a database; an error when there was one and it is gone (REL-DB-6).
fn is_present(path: &Path, options: &StoreOptions) -> Result<bool, StoreError> {
    let len = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // A log without its database: what it holds cannot be placed any more.
            let wal = files::with_suffix(path, "-wal");
            let trace = if fs::metadata(&wal).is_ok_and(|m| m.len() > 0) {
                Some(wal)
            } else {
                trace_of_earlier(&options.data_dir)
            };
            return match trace {
                Some(trace) if !options.fresh => {
                    Err(StoreError::Lost { data_dir: options.data_dir.clone(), trace })
                }
                Some(_) => move_aside(path, options).map(|_moved_to| false),
                None => Ok(false),
            };
        }
        Err(e) => return Err(StoreError::io(path, e)),
    };
    if len > 0 {
        return Ok(true);
    }
    // We never leave an empty file behind (`migrate::make_new` renames a finished one).
    let moved_to = move_aside(path, options)?;
    if options.fresh { Ok(false) } else { Err(StoreError::Damaged { moved_to }) }
}

/// A file that shows that this folder had a database.
fn trace_of_earlier(data_dir: &Path) -> Option<PathBuf> {
    let is_trace = |name: &str, prefix: &str| name.starts_with(prefix);
    let find = |dir: PathBuf, prefix: &str| {
        fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find(|path| {
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| is_trace(n, prefix))
        })
    };
    find(data_dir.to_owned(), "ninerouter.sqlite.corrupt-").or_else(|| {
        let backups = data_dir.join(BACKUPS);
        fs::read_dir(backups)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "sqlite"))
    })
}

/// Renames the database and its companions; nothing is ever deleted. Returns the new name.
pub(super) fn move_aside(path: &Path, options: &StoreOptions) -> Result<PathBuf, StoreError> {
    let stamp = files::utc_stamp(options.clock.now_ms());
    let base = files::with_suffix(path, &[".corrupt-", &stamp].concat());
    let moved_to = files::unused_name(&base);
    for suffix in ["", "-wal", "-shm"] {
        let from = files::with_suffix(path, suffix);
        if from.exists() {
            let to = files::with_suffix(&moved_to, suffix);
            fs::rename(&from, &to).map_err(|e| StoreError::io(&from, e))?;
        }
    }
    files::sync_dir(&options.data_dir)?;
    Ok(moved_to)
}

fn open_checked(
    path: &Path,
    url: &str,
    journal: Journal,
    options: &StoreOptions,
) -> Result<(SqliteConnection, Option<(i64, i64)>), StoreError> {
    let size = fs::metadata(path).map_or(0, |m| m.len());
    let mut conn = SqliteConnection::establish(url)?;
    // Before anything is written: a foreign or newer file stays untouched.
    sqlite::prepare_reader(&mut conn)?;
    migrate::require_ours(&mut conn, path)?;
    migrate::refuse_newer(&mut conn, &options.app_version)?;
    if size <= CHECK_LIMIT || migrate::is_pending(&mut conn)? {
        let verdict = sqlite::quick_check(&mut conn)?;
        if verdict != "ok" {
            return Err(StoreError::Malformed(verdict));
        }
    }
    drop(conn);
    let mut conn = SqliteConnection::establish(url)?;
    sqlite::prepare_writer(&mut conn, Durability::Full, journal)?;
    let before = sqlite::user_version(&mut conn)?;
    migrate::bring_up_to_date(&mut conn, path, options)?;
    let after = sqlite::user_version(&mut conn)?;
    Ok((conn, (before != after).then_some((before, after))))
}

fn journal_for(data_dir: &Path) -> Journal {
    if files::is_network_file_system(data_dir) {
        tracing::warn!(
            data_dir = %data_dir.display(),
            "the data folder is on a network file system: writing is slow there, and a crash of \
             the file server may damage the database; use a local disk"
        );
        Journal::Rollback
    } else {
        Journal::Wal
    }
}

/// SQLite's interface takes text; `file:` at its start would be read as a URI.
fn url_of(path: &Path) -> Result<String, StoreError> {
    let absolute = std::path::absolute(path).map_err(|e| StoreError::io(path, e))?;
    absolute.to_str().map(str::to_owned).ok_or_else(|| StoreError::Path(path.to_owned()))
}
