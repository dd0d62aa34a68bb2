//! Whether a file is a whole database of ours that this program can read.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use diesel::prelude::*;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::store::error::StoreError;
use crate::store::files;
use crate::store::migrate;
use crate::store::sqlite;

/// What a path may hold in a URI.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How much of a file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Depth {
    /// Its outline.
    Quick,
    /// Every page and index.
    Full,
}

/// Checks every page of a backup, and that its schema is not newer than this program. Returns its schema.
///
/// # Errors
/// [`StoreError::Unusable`] with the reason, [`StoreError::Newer`], or it cannot be read.
pub fn verify(path: &Path, app_version: &str) -> Result<i64, StoreError> {
    let meta = fs::symlink_metadata(path).map_err(|e| StoreError::io(path, e))?;
    if !meta.is_file() {
        return Err(StoreError::unusable(path, "it is no file"));
    }
    let wal = files::with_suffix(path, "-wal");
    if fs::metadata(&wal).is_ok_and(|meta| meta.len() > 0) {
        return Err(StoreError::unusable(
            path,
            "a `-wal` file beside it holds a part of it: it is a database in use; copy it with `ninerouter backup`",
        ));
    }
    let schema = sound(path, Depth::Full)?;
    migrate::refuse_newer(&mut connect(path)?, app_version)?;
    Ok(schema)
}

/// Checks the file itself. Returns its schema.
pub(super) fn sound(path: &Path, depth: Depth) -> Result<i64, StoreError> {
    let damaged = |why: &str| StoreError::unusable(path, &["it is damaged: ", why].concat());
    let header =
        Header::read(path).ok_or_else(|| StoreError::unusable(path, "it is no SQLite database"))?;
    let bytes = fs::metadata(path).map_err(|e| StoreError::io(path, e))?.len();
    if header.bytes != bytes {
        let (is, should) = (bytes.to_string(), header.bytes.to_string());
        return Err(damaged(&[&is, " bytes long instead of ", &*should].concat()));
    }
    let read = |conn: &mut SqliteConnection| {
        if sqlite::application_id(conn)? != sqlite::APPLICATION_ID {
            return Err(StoreError::unusable(path, "it is another program's database"));
        }
        let faults = sqlite::faults(conn, depth == Depth::Full)?;
        match faults.first() {
            Some(fault) => Err(damaged(fault)),
            None => Ok(sqlite::user_version(conn)?),
        }
    };
    match read(&mut connect(path)?) {
        Err(StoreError::Malformed(why)) => Err(damaged(&why)),
        other => other,
    }
}

/// A connection that changes nothing, not even files beside it.
fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let absolute = std::path::absolute(path).map_err(|e| StoreError::io(path, e))?;
    let text = absolute.to_str().ok_or_else(|| StoreError::Path(path.to_owned()))?;
    let encoded = utf8_percent_encode(text, PATH).to_string();
    let url = ["file:", &encoded, "?mode=ro&immutable=1"].concat();
    let mut conn = SqliteConnection::establish(&url)?;
    sqlite::prepare_reader(&mut conn)?;
    Ok(conn)
}

/// What the first bytes of a database say (SQLite's file format, §1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// How long the file is when it is whole.
    pub bytes: u64,
    /// `user_version`: the number of migrations.
    pub schema: i64,
}

impl Header {
    /// `None` = no SQLite database.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut head = [0; 100];
        File::open(path).ok()?.read_exact(&mut head).ok()?;
        let number = |at: usize| {
            let bytes = head.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let page = u16::from_be_bytes(head.get(16..18)?.try_into().ok()?);
        // 1 stands for 65 536.
        let page = if page == 1 { 65_536 } else { u64::from(page) };
        let bytes = page.checked_mul(number(28)?.into())?;
        head.starts_with(MAGIC).then_some(Self { bytes, schema: number(60)?.into() })
    }
}
