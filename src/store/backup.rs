//! Backups: whole copies of the database, made while it is written to, and the way back (REL-DB-8).
//!
//! A backup is a file `backups/<reason>-<utc>.sqlite` of the data folder. It gets that name only once it is whole, on the
//! disk and checked. Its sealed columns need the same master key as the database.

mod restore;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::files;
use crate::store::migrate;
use crate::store::open::Store;
use crate::store::sqlite;
use crate::store::{BACKUPS, DATABASE};

pub(crate) use restore::apply_staged;
pub use restore::{Restored, restore};
pub use verify::verify;

const SUFFIX: &str = ".sqlite";
/// Ends the name of a copy that is not whole yet.
const PARTIAL: &str = ".partial";

/// Why a backup was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The day's.
    Daily,
    /// Somebody asked.
    Manual,
    /// Before an import.
    PreImport,
    /// Before another backup took the database's place.
    PreRestore,
    /// Before the migrations of this version.
    PreVersion(String),
}

impl Reason {
    /// As file names and replies spell it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Daily => "daily".to_owned(),
            Self::Manual => "manual".to_owned(),
            Self::PreImport => "pre-import".to_owned(),
            Self::PreRestore => "pre-restore".to_owned(),
            Self::PreVersion(version) => ["pre-", version].concat(),
        }
    }
}

/// A backup of the data folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Name of its file.
    pub name: String,
    /// See [`Reason::text`].
    pub reason: String,
    /// Size.
    pub bytes: u64,
    /// Unix ms.
    pub created_at: UnixMs,
    /// Number of migrations it has; `None` = it cannot be told.
    pub schema: Option<i64>,
    /// It was checked when it was made, and is as long as it was then.
    pub verified: bool,
}

impl Store {
    /// Makes a backup; writers go on meanwhile.
    ///
    /// # Errors
    /// Too little space, or the copy cannot be made or does not stand its check; then no backup is left behind.
    pub fn back_up(&self, reason: &Reason) -> Result<Backup, StoreError> {
        let now = self.clock().now_ms();
        let made = back_up(self.data_dir(), self.path(), reason, now);
        self.note_backup(made.as_ref().err().map(ToString::to_string));
        made
    }

    /// Every backup of the data folder, newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        list(&self.data_dir().join(BACKUPS))
    }

    /// Path of a backup. Nothing but the names that [`Store::backups`] gives leads to one.
    ///
    /// # Errors
    /// No such backup, or the folder cannot be read.
    pub fn backup_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let found = self.backups()?.into_iter().find(|backup| backup.name == name);
        let backup = found.ok_or_else(|| StoreError::not_found("backups", name.to_owned()))?;
        Ok(self.data_dir().join(BACKUPS).join(backup.name))
    }

    /// Removes a backup.
    ///
    /// # Errors
    /// As [`Store::backup_path`]; the file cannot be removed.
    pub fn remove_backup(&self, name: &str) -> Result<(), StoreError> {
        let path = self.backup_path(name)?;
        fs::remove_file(&path).map_err(|e| StoreError::io(&path, e))?;
        files::sync_dir(&self.data_dir().join(BACKUPS))
    }

    /// Removes all but the newest `keep` daily backups. Returns how many went.
    ///
    /// # Errors
    /// The folder cannot be read or changed.
    pub fn drop_old_backups(&self, keep: usize) -> Result<usize, StoreError> {
        drop_oldest(&self.data_dir().join(BACKUPS), keep, |reason| reason == "daily")
    }

    /// Checks a backup and lays it ready: the next start of the router puts it in the database's place.
    ///
    /// # Errors
    /// No such backup, it cannot be restored by this program, or it cannot be copied.
    pub fn stage_restore(&self, name: &str, app_version: &str) -> Result<i64, StoreError> {
        let from = self.backup_path(name)?;
        restore::stage(&from, self.path(), app_version)
    }

    fn data_dir(&self) -> &Path {
        self.path().parent().unwrap_or(Path::new("."))
    }
}

/// Copies the database of a data folder into a new file `to`, whether or not a server uses it. Returns its schema.
///
/// # Errors
/// There is no database, or it is none of ours; `to` exists; the copy cannot be made or does not stand its check.
pub fn copy_out(data_dir: &Path, to: &Path) -> Result<i64, StoreError> {
    let path = data_dir.join(DATABASE);
    if !path.exists() {
        return Err(StoreError::not_found("file", path.display().to_string()));
    }
    copy(&path, to)
}

pub(crate) fn back_up(
    data_dir: &Path,
    database: &Path,
    reason: &Reason,
    now: UnixMs,
) -> Result<Backup, StoreError> {
    let dir = data_dir.join(BACKUPS);
    files::make_private_dir(&dir)?;
    require_room(data_dir, database)?;
    let stamp = files::utc_stamp(now);
    let stem = [&reason.text(), "-", &*stamp].concat();
    let (name, path) = unused(&dir, &stem);
    let partial = files::with_suffix(&path, PARTIAL);
    // Left of a process that was killed while it made it.
    if partial.exists() {
        fs::remove_file(&partial).map_err(|e| StoreError::io(&partial, e))?;
    }
    let schema = copy(database, &partial)?;
    fs::rename(&partial, &path).map_err(|e| StoreError::io(&path, e))?;
    files::sync_dir(&dir)?;
    let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
    tracing::info!(backup = %name, bytes, "backup made");
    // To the second, as its name says it.
    let created_at = files::instant_of(&stamp).unwrap_or(now);
    let (reason, schema) = (reason.text(), Some(schema));
    Ok(Backup { name, reason, bytes, created_at, schema, verified: true })
}

/// A copy of `database` in the new file `to`: whole, on the disk, and checked. Nothing is left where that fails.
fn copy(database: &Path, to: &Path) -> Result<i64, StoreError> {
    let text = to.to_str().ok_or_else(|| StoreError::Path(to.to_owned()))?;
    let from = database.to_str().ok_or_else(|| StoreError::Path(database.to_owned()))?;
    let file = files::create_private(to)?;
    let copied = (|| {
        let mut conn = SqliteConnection::establish(from)?;
        sqlite::prepare_copier(&mut conn)?;
        migrate::require_ours(&mut conn, database)?;
        sqlite::vacuum_into(&mut conn, text)?;
        drop(conn);
        file.sync_all().map_err(|e| StoreError::io(to, e))?;
        verify::sound(to, verify::Depth::Quick)
    })();
    if copied.is_err() {
        // It is not whole; what is told is why.
        drop(fs::remove_file(to));
    }
    copied
}

fn require_room(data_dir: &Path, database: &Path) -> Result<(), StoreError> {
    let size = |suffix| fs::metadata(files::with_suffix(database, suffix)).map_or(0, |m| m.len());
    let needed = size("").saturating_add(size("-wal"));
    match files::free_bytes(data_dir) {
        Some(free) if free < needed => Err(StoreError::NoRoom { needed, free }),
        _ => Ok(()),
    }
}

/// A name that is free: `stem.sqlite`, else `stem-2.sqlite` …
fn unused(dir: &Path, stem: &str) -> (String, PathBuf) {
    let names = (2..).map(|n: u32| [stem, "-", &n.to_string(), SUFFIX].concat());
    let first = std::iter::once([stem, SUFFIX].concat());
    let mut free = first.chain(names).map(|name| (dir.join(&name), name));
    let (path, name) =
        free.find(|(path, _)| !path.exists()).unwrap_or_else(|| (dir.join(stem), stem.to_owned()));
    (name, path)
}

fn list(dir: &Path) -> Result<Vec<Backup>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io(dir, e)),
    };
    let mut backups: Vec<Backup> = entries.flatten().filter_map(|entry| read(&entry)).collect();
    backups.sort_unstable_by(|a, b| (b.created_at, &b.name).cmp(&(a.created_at, &a.name)));
    Ok(backups)
}

/// A file of the folder as a backup; `None` = it is none: another name, a link, a folder.
fn read(entry: &fs::DirEntry) -> Option<Backup> {
    let name = entry.file_name().into_string().ok()?;
    let (reason, created_at) = parse(&name)?;
    // Not followed: a link in that folder is none of ours.
    let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    let header = verify::Header::read(&entry.path());
    Some(Backup {
        reason: reason.to_owned(),
        bytes: meta.len(),
        created_at,
        schema: header.as_ref().map(|header| header.schema),
        verified: header.is_some_and(|header| header.bytes == meta.len()),
        name,
    })
}

/// Reason and instant of a backup's name.
fn parse(name: &str) -> Option<(&str, UnixMs)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let stem = name.strip_suffix(SUFFIX).filter(|stem| stem.chars().all(plain))?;
    let (reason, stamp) = stem.rsplit_once('-')?;
    let dated = |reason, stamp| Some((reason, files::instant_of(stamp)?));
    // `stem-2` when two were made in one second.
    let again = || {
        let (reason, stamp) = reason.rsplit_once('-')?;
        dated(reason, stamp)
    };
    let (reason, at) = dated(reason, stamp).or_else(again)?;
    (!reason.is_empty()).then_some((reason, at))
}

/// Keeps the newest `keep` of one kind. Returns how many went.
pub(crate) fn drop_oldest(
    dir: &Path,
    keep: usize,
    is_kind: impl Fn(&str) -> bool,
) -> Result<usize, StoreError> {
    let kind = list(dir)?.into_iter().filter(|backup| is_kind(&backup.reason));
    let old: Vec<Backup> = kind.skip(keep).collect();
    for backup in &old {
        let path = dir.join(&backup.name);
        fs::remove_file(&path).map_err(|e| StoreError::io(&path, e))?;
    }
    Ok(old.len())
}
