//! Putting a backup in the database's place: checked first, under the data folder's lock, with the present database kept.
//!
//! The backup is copied to `ninerouter.sqlite.restore` and checked there; only a whole copy bears that name. Taking the
//! place is one rename. A crash before it leaves the present database, a crash after it the restored one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diesel::prelude::*;

use super::{Reason, back_up, verify};
use crate::store::DATABASE;
use crate::store::error::StoreError;
use crate::store::files::{self, DirLock};
use crate::store::migrate;
use crate::store::open::{StoreOptions, move_aside};
use crate::store::sqlite;

/// Ends the name of a backup that is ready to take the database's place.
const STAGED: &str = ".restore";
/// Files that SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What a restore did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Number of migrations of the database that is in place now.
    pub schema: i64,
    /// Where the earlier database is: a backup, or, when it was damaged, the file itself.
    pub earlier: Option<PathBuf>,
}

/// Puts the backup `file` in the place of the data folder's database.
///
/// # Errors
/// A server holds the folder ([`StoreError::Locked`]); the file cannot be restored by this program; the present database
/// cannot be kept. The present database is in its place then.
pub fn restore(options: &StoreOptions, file: &Path) -> Result<Restored, StoreError> {
    files::make_private_dir(&options.data_dir)?;
    let _held = DirLock::take(&options.data_dir)?;
    let database = options.data_dir.join(DATABASE);
    let schema = stage(file, &database, &options.app_version)?;
    let earlier = swap(options, &database)?;
    Ok(Restored { schema, earlier })
}

/// Puts a backup that was laid ready in its place; the caller holds the lock. One that is not usable any more is moved
/// aside, and the present database stays.
pub(crate) fn apply_staged(options: &StoreOptions) -> Result<(), StoreError> {
    let database = options.data_dir.join(DATABASE);
    let staged = files::with_suffix(&database, STAGED);
    if !staged.exists() {
        return Ok(());
    }
    if let Err(error) = verify(&staged, &options.app_version) {
        let stamp = files::utc_stamp(options.clock.now_ms());
        let aside =
            files::unused_name(&files::with_suffix(&staged, &["-refused-", &stamp].concat()));
        fs::rename(&staged, &aside).map_err(|e| StoreError::io(&staged, e))?;
        tracing::error!(%error, aside = %aside.display(), "the backup to restore is not used");
        return Ok(());
    }
    let earlier = swap(options, &database)?;
    let earlier = earlier.map(|path| path.display().to_string());
    tracing::warn!(earlier, "the database was restored from a backup");
    Ok(())
}

/// Copies a backup beside the database and checks the copy. Returns its schema.
pub(super) fn stage(file: &Path, database: &Path, app_version: &str) -> Result<i64, StoreError> {
    // The file first: what is wrong is told of it, and no space is taken for nothing.
    verify(file, app_version)?;
    let staged = files::with_suffix(database, STAGED);
    let partial = files::with_suffix(&staged, super::PARTIAL);
    for old in [&partial, &staged] {
        match fs::remove_file(old) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(old, e)),
            _ => {}
        }
    }
    let copied = (|| {
        let mut from = fs::File::open(file).map_err(|e| StoreError::io(file, e))?;
        let mut to = files::create_private(&partial)?;
        io::copy(&mut from, &mut to).map_err(|e| StoreError::io(&partial, e))?;
        to.sync_all().map_err(|e| StoreError::io(&partial, e))?;
        verify(&partial, app_version)
    })();
    let schema = match copied {
        Ok(schema) => schema,
        Err(error) => {
            // It is not whole; what is told is why.
            drop(fs::remove_file(&partial));
            return Err(error);
        }
    };
    fs::rename(&partial, &staged).map_err(|e| StoreError::io(&staged, e))?;
    database.parent().map_or(Ok(()), files::sync_dir)?;
    Ok(schema)
}

/// Keeps the present database, and renames the staged one to its name. Returns where the earlier one is.
fn swap(options: &StoreOptions, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    let staged = files::with_suffix(database, STAGED);
    let earlier = match database.exists() {
        true => Some(keep(options, database)?),
        false => None,
    };
    for suffix in COMPANIONS {
        let file = files::with_suffix(database, suffix);
        // They belong to the earlier database and would be read as parts of the new one.
        match fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(&file, e)),
            _ => {}
        }
    }
    fs::rename(&staged, database).map_err(|e| StoreError::io(database, e))?;
    files::sync_dir(&options.data_dir)?;
    Ok(earlier)
}

/// A backup of the present database; one that is damaged is moved aside as it is.
fn keep(options: &StoreOptions, database: &Path) -> Result<PathBuf, StoreError> {
    let text = database.to_str().ok_or_else(|| StoreError::Path(database.to_owned()))?;
    let kept = (|| {
        let mut conn = SqliteConnection::establish(text)?;
        sqlite::prepare_copier(&mut conn)?;
        migrate::require_ours(&mut conn, database)?;
        if let Some(fault) = sqlite::faults(&mut conn, false)?.into_iter().next() {
            return Err(StoreError::Malformed(fault));
        }
        let now = options.clock.now_ms();
        let backup = back_up(&options.data_dir, database, &Reason::PreRestore, now)?;
        // Nothing of it may stay in its log alone: the log goes.
        sqlite::checkpoint_truncate(&mut conn)?;
        Ok(options.data_dir.join(super::BACKUPS).join(backup.name))
    })();
    match kept {
        Err(StoreError::Malformed(_) | StoreError::Unusable { .. }) => {
            move_aside(database, options)
        }
        other => other,
    }
}
