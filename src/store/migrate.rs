//! Migrations: embedded, one transaction each, a backup before the first (REL-DB-4).

use std::fs;
use std::path::{Path, PathBuf};

use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::BACKUPS;
use crate::store::backup::{self, Reason};
use crate::store::error::StoreError;
use crate::store::files;
use crate::store::open::StoreOptions;
use crate::store::sqlite::{self, Durability, Journal};

/// Every migration of this program, oldest first.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Backups before migrations that are kept.
const KEEP: usize = 5;

/// Makes a database with the current schema under `path`, which must not exist.
///
/// It is made under another name and renamed when whole, so that a crash leaves no empty database,
/// which could not be told from a lost one.
pub(crate) fn make_new(path: &Path) -> Result<(), StoreError> {
    let aside = files::with_suffix(path, ".new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let file = files::with_suffix(&aside, suffix);
        if file.exists() {
            fs::remove_file(&file).map_err(|e| StoreError::io(&file, e))?;
        }
    }
    // Made by us first: SQLite would take the mode of the umask (T-KEY-06), and gives its log the
    // mode of the database.
    drop(files::create_private(&aside)?);
    let name = aside.to_str().ok_or_else(|| StoreError::Path(path.to_owned()))?;
    let mut conn = SqliteConnection::establish(name)?;
    sqlite::prepare_writer(&mut conn, Durability::Full, Journal::Rollback)?;
    sqlite::mark_as_ours(&mut conn)?;
    run_pending(&mut conn, None)?;
    drop(conn);
    fs::rename(&aside, path).map_err(|e| StoreError::io(path, e))?;
    path.parent().map_or(Ok(()), files::sync_dir)
}

/// Runs what is pending, after a backup.
pub(crate) fn bring_up_to_date(
    conn: &mut SqliteConnection,
    path: &Path,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    if !is_pending(conn)? {
        return Ok(());
    }
    let backup = back_up(path, options)?;
    run_pending(conn, Some(backup))
}

/// True when the database waits for a migration.
pub(crate) fn is_pending(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    conn.has_pending_migration(MIGRATIONS).map_err(|e| unlisted(&*e))
}

/// Refuses a file of another program.
pub(crate) fn require_ours(conn: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    if sqlite::application_id(conn)? == sqlite::APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::Foreign(path.to_owned()))
    }
}

/// Refuses a database of a later version, which must stay untouched.
pub(crate) fn refuse_newer(
    conn: &mut SqliteConnection,
    app_version: &str,
) -> Result<(), StoreError> {
    let own = all()?;
    // Diesel's table is the truth; `user_version` is asked as well, because it is what other
    // programs can see and set.
    let applied = conn.applied_migrations().map_err(|e| unlisted(&*e))?;
    let is_known = |version| own.iter().any(|m| m.name().version() == version);
    let (applied_count, known) = (number(applied.len()), number(own.len()));
    let database = sqlite::user_version(conn)?.max(applied_count);
    if database > known || !applied.iter().all(|version| is_known(version.as_owned())) {
        return Err(StoreError::Newer { database, known, app_version: app_version.to_owned() });
    }
    Ok(())
}

/// Refuses every schema but the current one.
pub(crate) fn require_current(
    conn: &mut SqliteConnection,
    app_version: &str,
) -> Result<(), StoreError> {
    refuse_newer(conn, app_version)?;
    if is_pending(conn)? {
        let database = sqlite::user_version(conn)?;
        return Err(StoreError::Older { database, known: number(all()?.len()) });
    }
    Ok(())
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The migrations of the file cannot be listed: the file is damaged, or the disk fails.
fn unlisted(error: &(dyn std::error::Error + Send + Sync)) -> StoreError {
    let message = error.to_string();
    StoreError::from_message(&message).unwrap_or_else(|| failed("list", &message, None))
}

fn all() -> Result<Vec<Box<dyn Migration<Sqlite>>>, StoreError> {
    MIGRATIONS.migrations().map_err(|e| unlisted(&*e))
}

fn run_pending(conn: &mut SqliteConnection, backup: Option<PathBuf>) -> Result<(), StoreError> {
    let pending = conn.pending_migrations(MIGRATIONS).map_err(|e| unlisted(&*e))?;
    for migration in pending {
        let name = migration.name().to_string();
        if let Err(error) = conn.run_migration(&migration) {
            let message = error.to_string();
            return Err(match StoreError::from_message(&message) {
                Some(full @ StoreError::DiskFull(_)) => full,
                _ => failed(&name, &message, backup),
            });
        }
        tracing::info!(migration = %name, "migration done");
    }
    Ok(())
}

fn failed(name: &str, message: &str, backup: Option<PathBuf>) -> StoreError {
    StoreError::Migration { name: name.to_owned(), message: message.to_owned(), backup }
}

fn back_up(path: &Path, options: &StoreOptions) -> Result<PathBuf, StoreError> {
    let size = fs::metadata(path).map_or(0, |m| m.len());
    // The copy, and what the migration itself writes.
    let needed = size.saturating_mul(2);
    if let Some(free) = files::free_bytes(&options.data_dir)
        && free < needed
    {
        return Err(StoreError::NoRoom { needed, free });
    }
    let reason = Reason::PreVersion(options.app_version.clone());
    let now = options.clock.now_ms();
    let backup = backup::back_up(&options.data_dir, path, &reason, now)?;
    let dir = options.data_dir.join(BACKUPS);
    // `pre-import` and `pre-restore` are other kinds.
    let is_migration = |reason: &str| {
        reason
            .strip_prefix("pre-")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    backup::drop_oldest(&dir, KEEP, is_migration)?;
    Ok(dir.join(backup.name))
}
