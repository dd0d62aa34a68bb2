//! The store's one error type, and the exit code each error means at start.

use std::io;
use std::path::{Path, PathBuf};

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock file of this data folder.
    #[error(
        "`{}` is in use by {}; stop it or choose another DATA_DIR",
        path.display(),
        holder(*pid)
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Process that holds it, when the file names one.
        pid: Option<u32>,
    },
    /// A folder or file cannot be made: missing parent, read-only file system.
    #[error("cannot create `{}`: {source}", path.display())]
    CannotCreate {
        /// What was to be made.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refuses access.
    #[error("no permission for `{}`: {source}", path.display())]
    Permission {
        /// What was to be used.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk, or SQLite's quota on it, is full (REL-DB-5).
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// The database cannot be written (read-only file or file system).
    #[error("the database cannot be written: {0}")]
    ReadOnlyFile(String),
    /// The path is not valid UTF-8, which SQLite's interface needs.
    #[error("the path `{}` is not valid UTF-8; choose another DATA_DIR", .0.display())]
    Path(PathBuf),
    /// The database was written by a later version (REL-DB-4). Nothing was touched.
    #[error(
        "the database has schema {database}, ninerouter {app_version} knows up to {known}; \
         run the newer version, or restore a backup made by this one (`ninerouter restore`)"
    )]
    Newer {
        /// Number of migrations the database has.
        database: i64,
        /// Number of migrations this program has.
        known: i64,
        /// This program's version.
        app_version: String,
    },
    /// Opened for reading only, but the database waits for migrations.
    #[error("the database has schema {database}, {known} is needed; start the server once")]
    Older {
        /// Number of migrations the database has.
        database: i64,
        /// Number of migrations this program has.
        known: i64,
    },
    /// The file is a database of another program.
    #[error("`{}` is not a NineRouter database; choose another DATA_DIR", .0.display())]
    Foreign(PathBuf),
    /// The database file is damaged; it was moved aside (REL-DB-6).
    #[error(
        "the database is damaged and was moved to `{}`; restore a backup (`ninerouter restore`), \
         or start empty with --fresh",
        moved_to.display()
    )]
    Damaged {
        /// Where it is now.
        moved_to: PathBuf,
    },
    /// There is no database, but traces of an earlier one (REL-DB-6).
    #[error(
        "there is no database in `{}`, but `{}` is left of an earlier one; restore a backup \
         (`ninerouter restore`), or start empty with --fresh",
        data_dir.display(),
        trace.display()
    )]
    Lost {
        /// The data folder.
        data_dir: PathBuf,
        /// What is left.
        trace: PathBuf,
    },
    /// A file that was given as a backup is none that can be used. Nothing was changed.
    #[error("`{}` cannot be restored: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// SQLite met a damaged page at run time.
    #[error("the database is damaged: {0}")]
    Malformed(String),
    /// A migration failed and was rolled back (REL-DB-4).
    #[error("migration `{name}` failed and was rolled back: {message}; {}", backup_text(backup.as_deref()))]
    Migration {
        /// Folder name of the migration.
        name: String,
        /// What SQLite said.
        message: String,
        /// Backup made before it.
        backup: Option<PathBuf>,
    },
    /// Too little space for a copy of the database: a backup, or the one that a clean-up makes.
    #[error("a copy of the database needs {needed} bytes free, {free} are left; make room")]
    NoRoom {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A row holds what this program cannot read.
    #[error("table `{table}`, row `{id}`: {what}")]
    Corrupt {
        /// Table of the row.
        table: &'static str,
        /// Its key.
        id: String,
        /// What is wrong, without the value of secrets.
        what: String,
    },
    /// A value given to the store cannot be kept.
    #[error("table `{table}`, `{id}`: {what}")]
    Invalid {
        /// Table it was meant for.
        table: &'static str,
        /// Its key.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// No such row.
    #[error("table `{table}` has no row `{id}`")]
    NotFound {
        /// Table searched.
        table: &'static str,
        /// Key searched for.
        id: String,
    },
    /// Somebody else changed the row since it was read (optimistic locking, `rev`).
    #[error("table `{table}`, row `{id}` was changed meanwhile; read it again")]
    Conflict {
        /// Table of the row.
        table: &'static str,
        /// Its key.
        id: String,
    },
    /// Others refer to the object.
    #[error("{what} is in use by {}; choose another one there first", by.join(", "))]
    InUse {
        /// Kind and name of the object.
        what: String,
        /// Kinds and names of those that refer to it.
        by: Vec<String>,
    },
    /// A newer generation of the account's secrets is stored; the older one is discarded (A§3.2).
    #[error("account `{0}` has newer credentials stored")]
    Stale(String),
    /// A value must be unique and is not.
    #[error("already taken: {0}")]
    Duplicate(String),
    /// A rule of the schema refused the row.
    #[error("refused by the schema: {0}")]
    Constraint(String),
    /// The master key is missing or another one; stored secrets are kept untouched (SEC-KEY-3).
    #[error(
        "stored credentials cannot be read with this master key; give the key they were sealed with"
    )]
    SecretsUnreadable,
    /// A stored secret does not open: damaged, or moved from another row.
    #[error("the sealed value of `{table}.{column}`, row `{id}`, does not open")]
    Unsealable {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Row id.
        id: String,
    },
    /// The master key given by the environment has the wrong form.
    #[error("the master key must be 32 bytes in base64; make one with `openssl rand -base64 32`")]
    BadMasterKey,
    /// The operating system gave no random bytes (SEC-KEY-5).
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Another connection held the write lock for too long.
    #[error("the database is busy: {0}; another program holds it: close that one, and try again")]
    Busy(String),
    /// Any other error of SQLite.
    #[error("database: {0}")]
    Database(DieselError),
}

impl StoreError {
    /// Exit code when the error ends the start (REL-RUN-5).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Newer { .. } => 65,
            Self::CannotCreate { .. } | Self::ReadOnlyFile(_) => 73,
            Self::Locked { .. } | Self::Busy(_) => 75,
            Self::Permission { .. } => 77,
            Self::Path(_) | Self::Foreign(_) | Self::BadMasterKey | Self::Invalid { .. } => 78,
            Self::Io { .. }
            | Self::DiskFull(_)
            | Self::Older { .. }
            | Self::Damaged { .. }
            | Self::Lost { .. }
            | Self::Unusable { .. }
            | Self::Malformed(_)
            | Self::Migration { .. }
            | Self::NoRoom { .. }
            | Self::Corrupt { .. } => 74,
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::InUse { .. }
            | Self::Stale(_)
            | Self::Duplicate(_)
            | Self::Constraint(_)
            | Self::SecretsUnreadable
            | Self::Unsealable { .. }
            | Self::Random(_)
            | Self::ReadOnly
            | Self::Closed
            | Self::Database(_) => 70,
        }
    }

    /// True when room on the disk may mend it without a restart (REL-DB-5).
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull(_))
    }

    /// True when the file itself is damaged: writing must stop (REL-DB-6).
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::Damaged { .. })
    }

    /// An error of the file system at `path`.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull(path.display().to_string())
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::CannotCreate { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// As [`StoreError::io`], for what was to be made.
    pub(crate) fn create(path: &Path, source: io::Error) -> Self {
        match Self::io(path, source) {
            Self::Io { path, source } => Self::CannotCreate { path, source },
            other => other,
        }
    }

    pub(crate) fn corrupt(
        table: &'static str,
        id: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Corrupt { table, id: id.into(), what: what.into() }
    }

    pub(crate) fn invalid(
        table: &'static str,
        id: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Invalid { table, id: id.into(), what: what.into() }
    }

    pub(crate) fn unusable(path: &Path, why: &str) -> Self {
        Self::Unusable { path: path.to_owned(), why: why.to_owned() }
    }

    pub(crate) fn not_found(table: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { table, id: id.into() }
    }

    /// The error for a text of SQLite that comes without a kind.
    pub(crate) fn from_message(message: &str) -> Option<Self> {
        // Diesel hands on the text of `sqlite3_errmsg` only, not the code. The texts below are fixed
        // in SQLite's `sqlite3ErrStr`.
        let text = message.to_owned();
        if message.contains("disk is full") {
            Some(Self::DiskFull(text))
        } else if message.contains("disk image is malformed")
            || message.contains("file is not a database")
        {
            Some(Self::Malformed(text))
        } else if message.contains("readonly database") {
            Some(Self::ReadOnlyFile(text))
        } else if message.contains("database is locked")
            || message.contains("database table is locked")
        {
            Some(Self::Busy(text))
        } else {
            None
        }
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, info) = &error else {
            return Self::Database(error);
        };
        let message = info.message();
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Duplicate(after_colon(message)),
            DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation => Self::Constraint(message.to_owned()),
            _ => Self::from_message(message).unwrap_or(Self::Database(error)),
        }
    }
}

impl From<diesel::ConnectionError> for StoreError {
    fn from(error: diesel::ConnectionError) -> Self {
        let text = error.to_string();
        Self::from_message(&text).unwrap_or_else(|| {
            Self::Database(DieselError::QueryBuilderError(Box::new(io::Error::other(text))))
        })
    }
}

impl From<getrandom::Error> for StoreError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

fn after_colon(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, columns)| columns).to_owned()
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| ["process ", &pid.to_string()].concat())
}

fn backup_text(backup: Option<&Path>) -> String {
    match backup {
        Some(path) => ["the backup is `", &path.display().to_string(), "`"].concat(),
        None => "the database was new, nothing is lost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_run_05_exit_codes_follow_the_table() {
        let path = PathBuf::from("/d");
        let io = |kind| io::Error::new(kind, "x");
        for (error, want) in [
            (StoreError::Newer { database: 9, known: 6, app_version: "1".into() }, 65),
            (StoreError::io(&path, io(io::ErrorKind::ReadOnlyFilesystem)), 73),
            (StoreError::create(&path, io(io::ErrorKind::NotADirectory)), 73),
            (StoreError::io(&path, io(io::ErrorKind::StorageFull)), 74),
            (StoreError::Locked { path: path.clone(), pid: Some(3) }, 75),
            (StoreError::io(&path, io(io::ErrorKind::PermissionDenied)), 77),
            (StoreError::BadMasterKey, 78),
        ] {
            assert_eq!(error.exit_code(), want, "{error}");
        }
    }

    #[test]
    fn texts_of_sqlite_become_their_own_variants() {
        assert!(StoreError::from_message("database or disk is full").unwrap().is_disk_full());
        assert!(StoreError::from_message("database disk image is malformed").unwrap().is_damaged());
        assert!(StoreError::from_message("file is not a database").unwrap().is_damaged());
        assert!(StoreError::from_message("near \"x\": syntax error").is_none());
    }
}
