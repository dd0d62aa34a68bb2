//! Damaged, lost and foreign databases (T-DB-05).

use std::fs;
use std::path::Path;

use diesel::prelude::*;

use super::{error_of, execute, master, new_store, open, options};
use crate::store::sqlite::probe;
use crate::store::{Store, StoreError};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("ninerouter.sqlite"))
        .collect();
    names.sort();
    names
}

/// Writes `bytes` as the database of a new folder and opens it without and with `--fresh`.
fn refuses(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ninerouter.sqlite"), bytes).unwrap();
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 74);
    assert_eq!(names(dir.path()), ["ninerouter.sqlite.corrupt-20261124T183126Z"]);
    let aside = dir.path().join("ninerouter.sqlite.corrupt-20261124T183126Z");
    assert_eq!(fs::read(&aside).unwrap(), bytes);
    // The next start must not begin empty either.
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert!(matches!(error, StoreError::Lost { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 74);
    let mut fresh = options(dir.path());
    fresh.fresh = true;
    Store::open(&fresh, &master()).unwrap().close().unwrap();
    assert!(aside.exists());
    // And an ordinary start goes on from there.
    open(dir.path());
}

#[test]
fn a_sound_database_has_no_faults() {
    let (_dir, store) = new_store();
    for full in [false, true] {
        assert_eq!(store.faults(full).unwrap(), [""; 0], "full: {full}");
    }
}

#[test]
fn t_db_05_garbage_is_moved_aside() {
    refuses(&[0x5A; 20_000]);
}

#[test]
fn t_db_05_a_zero_length_file_is_moved_aside() {
    refuses(b"");
}

#[test]
fn t_db_05_a_truncated_file_is_moved_aside() {
    let (dir, store) = new_store();
    store.close().unwrap();
    drop(store);
    let whole = fs::read(dir.path().join("ninerouter.sqlite")).unwrap();
    refuses(&whole[..whole.len() / 2]);
    refuses(&whole[..50]);
}

#[test]
fn t_db_05_a_page_overwritten_with_garbage_is_found() {
    let (dir, store) = new_store();
    store.close().unwrap();
    drop(store);
    let mut bytes = fs::read(dir.path().join("ninerouter.sqlite")).unwrap();
    for byte in &mut bytes[8192..12_288] {
        *byte = 0xA5;
    }
    refuses(&bytes);
}

#[test]
fn t_db_05_a_log_without_its_database_is_refused() {
    let (dir, store) = new_store();
    store.write(|conn| execute(conn, "insert into counters values ('x', 1)")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let wal = copy.path().join("ninerouter.sqlite-wal");
    fs::copy(dir.path().join("ninerouter.sqlite-wal"), &wal).unwrap();
    let error = error_of(Store::open(&options(copy.path()), &master()));
    assert!(matches!(error, StoreError::Lost { .. }), "{error:?}");
    assert!(wal.exists(), "nothing is deleted");
    let mut fresh = options(copy.path());
    fresh.fresh = true;
    Store::open(&fresh, &master()).unwrap().close().unwrap();
    assert_eq!(
        names(copy.path()),
        ["ninerouter.sqlite", "ninerouter.sqlite.corrupt-20261124T183126Z-wal"]
    );
}

#[test]
fn t_db_05_a_database_without_its_log_opens() {
    let (dir, store) = new_store();
    store.write(|conn| execute(conn, "insert into counters values ('x', 1)")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let file = "ninerouter.sqlite";
    fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    open(copy.path()).load().unwrap();
}

#[test]
fn a_database_killed_in_the_middle_opens_with_what_was_committed() {
    let (dir, store) = new_store();
    store.write(|conn| execute(conn, "insert into counters values ('x', 1)")).unwrap();
    // As after kill -9: file and log as they are, nobody closed them.
    let copy = tempfile::tempdir().unwrap();
    for file in ["ninerouter.sqlite", "ninerouter.sqlite-wal"] {
        fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let again = open(copy.path());
    let n = again.read(|conn| Ok(probe::one(conn, "select value as n from counters"))).unwrap();
    assert_eq!(n, 1);
}

#[test]
fn a_folder_with_backups_but_no_database_is_not_started_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("backups")).unwrap();
    fs::write(dir.path().join("backups/daily-20261101T000000Z.sqlite"), "x").unwrap();
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert!(matches!(error, StoreError::Lost { .. }), "{error:?}");
    let mut fresh = options(dir.path());
    fresh.fresh = true;
    Store::open(&fresh, &master()).unwrap();
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ninerouter.sqlite");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    execute(&mut conn, "create table theirs (x); insert into theirs values (1)").unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert!(matches!(error, StoreError::Foreign(_)), "{error:?}");
    assert_eq!(error.exit_code(), 78);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(dir.path()), ["ninerouter.sqlite"]);
}

#[test]
fn a_full_disk_is_told_from_other_errors() {
    let (_dir, store) = new_store();
    let result = store.write(|conn| {
        execute(conn, "pragma max_page_count = 1")?;
        execute(conn, "insert into counters values ('big', 1)")?;
        execute(
            conn,
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) \
             insert into aliases select 'alias number ' || i, 'target', 1, 0, 0, null from n",
        )
    });
    let error = result.unwrap_err();
    assert!(error.is_disk_full(), "{error:?}");
    // Nothing of the transaction is left, and reading goes on (REL-DB-5).
    assert!(store.load().unwrap().aliases.is_empty());
    store
        .write(|conn| {
            execute(conn, "pragma max_page_count = 1000000")?;
            execute(conn, "insert into counters values ('small', 1)")
        })
        .unwrap();
}
