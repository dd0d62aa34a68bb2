//! Opening and closing: modes, locks, pragmas, migrations, backups.

use std::fs;
use std::path::Path;

use diesel::prelude::*;

use super::{
    NOW, error_of, execute, known, master, new_store, open, options, take_back_last_migration,
};
use crate::store::master_key::{KeyOrigin, MasterKey};
use crate::store::schema::settings;
use crate::store::sqlite::probe;
use crate::store::{Store, StoreError};

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn t_key_06_dir_is_0700_and_files_are_0600_even_with_umask_0() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    // The umask is the process's: other tests make their files private themselves, as this one checks.
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    let keys = MasterKey::load_or_create(&dir, None).unwrap();
    let store = Store::open(&options(&dir), &keys).unwrap();
    store.close().unwrap();
    let mut conn = SqliteConnection::establish(store.path().to_str().unwrap()).unwrap();
    take_back_last_migration(&mut conn);
    drop(conn);
    let _open = Store::open(&options(&dir), &keys).unwrap();
    rustix::process::umask(before);
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("backups")), 0o700);
    let mut files = Vec::new();
    for folder in [dir.clone(), dir.join("backups")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 4, "{files:?}");
}

#[test]
fn t_db_06_a_second_process_is_refused_and_told_who_holds_the_folder() {
    let (dir, store) = new_store();
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert_eq!(error.exit_code(), 75);
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    store.close().unwrap();
    open(dir.path());
}

#[test]
fn a_closed_store_refuses_every_call() {
    let (_dir, store) = new_store();
    store.close().unwrap();
    assert!(matches!(store.read(|_conn| Ok(())), Err(StoreError::Closed)));
    assert!(matches!(store.write(|_conn| Ok(())), Err(StoreError::Closed)));
    assert!(matches!(store.batch_connection(), Err(StoreError::Closed)));
    store.close().unwrap();
}

#[test]
fn t_db_09_each_connection_has_its_pragmas() {
    let (_dir, store) = new_store();
    let value = |conn: &mut SqliteConnection, name: &str| {
        let sql = format!("select cast({name} as text) as word from pragma_{name}");
        probe::words(conn, &sql).remove(0)
    };
    let check = |conn: &mut SqliteConnection, synchronous: &str, query_only: &str| {
        assert_eq!(value(conn, "journal_mode"), "wal");
        assert_eq!(value(conn, "synchronous"), synchronous);
        assert_eq!(value(conn, "query_only"), query_only);
        assert_eq!(value(conn, "foreign_keys"), "1");
        assert_eq!(value(conn, "trusted_schema"), "0");
        assert_eq!(value(conn, "temp_store"), "2");
        assert_eq!(value(conn, "cache_size"), "-2000");
        let timeout = probe::one(conn, "select timeout as n from pragma_busy_timeout");
        assert_eq!(timeout, 5000);
        Ok(())
    };
    // 2 = full, 1 = normal.
    store.write(|conn| check(conn, "2", "0")).unwrap();
    check(&mut store.batch_connection().unwrap(), "1", "0").unwrap();
    store.read(|conn| check(conn, "2", "1")).unwrap();
    let limit = store.write(|conn| {
        Ok(probe::one(conn, "select journal_size_limit as n from pragma_journal_size_limit"))
    });
    assert_eq!(limit.unwrap(), 67_108_864);
    let refused = store.read(|conn| execute(conn, "delete from settings"));
    assert!(refused.is_err(), "a reader must not write");
}

#[test]
fn a_new_database_is_marked_and_whole() {
    let (dir, store) = new_store();
    let (id, version) = store
        .read(|conn| {
            Ok((
                probe::one(conn, "select application_id as n from pragma_application_id"),
                probe::one(conn, "select user_version as n from pragma_user_version"),
            ))
        })
        .unwrap();
    assert_eq!((id, version), (0x4E52_5452, known()));
    assert!(!dir.path().join("ninerouter.sqlite.new").exists());
    assert!(!dir.path().join("backups").exists(), "no backup of a new database");
}

#[test]
fn close_folds_the_log_into_the_file() {
    let (dir, store) = new_store();
    store.write(|conn| execute(conn, "insert into counters values ('x', 1)")).unwrap();
    assert!(store.wal_bytes() > 0);
    store.close().unwrap();
    assert_eq!(store.wal_bytes(), 0);
    let again = open(dir.path());
    let n = again.read(|conn| Ok(probe::one(conn, "select value as n from counters"))).unwrap();
    assert_eq!(n, 1);
}

#[test]
fn a_panic_inside_a_write_rolls_back_and_the_next_write_works() {
    let (_dir, store) = new_store();
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write::<()>(|conn| {
            execute(conn, "insert into counters values ('x', 1)").unwrap();
            panic!("in the middle");
        })
    }));
    assert!(attempt.is_err());
    store.write(|conn| execute(conn, "insert into counters values ('y', 1)")).unwrap();
    let names =
        store.read(|conn| Ok(probe::words(conn, "select name as word from counters"))).unwrap();
    assert_eq!(names, ["y"]);
}

#[test]
fn a_failed_write_changes_nothing() {
    let (_dir, store) = new_store();
    let result = store.write(|conn| {
        execute(conn, "insert into counters values ('x', 1)")?;
        execute(conn, "insert into counters values ('x', 2)")
    });
    assert!(matches!(result, Err(StoreError::Duplicate(_))), "{result:?}");
    let n = store.read(|conn| Ok(probe::one(conn, "select count(*) as n from counters"))).unwrap();
    assert_eq!(n, 0);
}

#[test]
fn a_newer_schema_is_refused_untouched_and_both_versions_are_named() {
    for (newer, number) in [
        ("pragma user_version = 99", "99".to_owned()),
        (
            "insert into __diesel_schema_migrations (version) values ('29990101000000')",
            (known() + 1).to_string(),
        ),
    ] {
        let (dir, store) = new_store();
        store.write(|conn| execute(conn, newer)).unwrap();
        store.close().unwrap();
        let path = dir.path().join("ninerouter.sqlite");
        let before = fs::read(&path).unwrap();
        let error = error_of(Store::open(&options(dir.path()), &master()));
        assert_eq!(error.exit_code(), 65);
        let text = error.to_string();
        let own = known().to_string();
        assert!(text.contains(&number) && text.contains("0.1.0") && text.contains(&own), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(!dir.path().join("backups").exists());
    }
}

#[test]
fn t_db_03_a_failing_migration_leaves_the_original_usable_and_names_the_backup() {
    let (dir, store) = new_store();
    store.close().unwrap();
    drop(store);
    let path = dir.path().join("ninerouter.sqlite");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let tables = "select count(*) as n from sqlite_schema where name = 'oauth_flows'";
    while probe::one(&mut conn, tables) > 0 {
        take_back_last_migration(&mut conn);
    }
    // Something is in the way of its second statement.
    execute(&mut conn, "create table oauth_flows_expires_at (x integer) strict").unwrap();
    execute(&mut conn, "insert into counters values ('kept', 7)").unwrap();
    drop(conn);
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert_eq!(error.exit_code(), 74);
    let StoreError::Migration { name, backup: Some(backup), .. } = &error else {
        panic!("{error:?}");
    };
    assert!(name.contains("create_sign_ins"), "{name}");
    let file = backup.file_name().unwrap().to_str().unwrap();
    assert_eq!(file, "pre-0.1.0-20261124T183126Z.sqlite");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    assert_eq!(probe::one(&mut conn, "select value as n from counters"), 7);
    assert_eq!(
        probe::one(&mut conn, "select count(*) as n from sqlite_schema where name = 'oauth_flows'"),
        0
    );
    let mut copy = SqliteConnection::establish(backup.to_str().unwrap()).unwrap();
    assert_eq!(probe::one(&mut copy, "select value as n from counters"), 7);
    drop((conn, copy));
    // With the obstacle gone the same database goes on.
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    execute(&mut conn, "drop table oauth_flows_expires_at").unwrap();
    drop(conn);
    open(dir.path()).load().unwrap();
}

#[test]
fn five_backups_before_migrations_are_kept_and_other_backups_all() {
    let (dir, store) = new_store();
    store.close().unwrap();
    let backups = dir.path().join("backups");
    fs::create_dir(&backups).unwrap();
    fs::write(backups.join("pre-import-20260101T000000Z.sqlite"), "x").unwrap();
    let path = dir.path().join("ninerouter.sqlite");
    for minute in 0..7 {
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        take_back_last_migration(&mut conn);
        drop(conn);
        let mut later = options(dir.path());
        later.clock = crate::clock::Clock::manual(NOW + minute * 60_000);
        Store::open(&later, &master()).unwrap().close().unwrap();
    }
    let mut names: Vec<String> = fs::read_dir(&backups)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names[0], "pre-0.1.0-20261124T183326Z.sqlite");
    assert_eq!(names[5], "pre-import-20260101T000000Z.sqlite");
}

#[test]
fn a_read_only_store_needs_no_lock_and_writes_nothing() {
    let (dir, store) = new_store();
    let mut beside = options(dir.path());
    beside.read_only = true;
    let reader = Store::open(&beside, &master()).unwrap();
    reader.load().unwrap();
    assert!(matches!(reader.write(|_conn| Ok(())), Err(StoreError::ReadOnly)));
    store.close().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let mut missing = options(empty.path());
    missing.read_only = true;
    error_of(Store::open(&missing, &master()));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_data_folder_that_cannot_be_made_ends_with_73() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = error_of(Store::open(&options(&file.join("data")), &master()));
    assert_eq!(error.exit_code(), 73, "{error}");
}

#[test]
fn a_folder_name_with_odd_characters_is_a_plain_path() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("file:a?mode=ro#% ü");
    let store = open(&odd);
    store.load().unwrap();
    assert!(odd.join("ninerouter.sqlite").exists());
}

#[test]
fn concurrent_first_starts_make_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = dir.path().to_owned();
            std::thread::spawn(move || {
                loop {
                    match MasterKey::load_or_create(&path, None) {
                        Ok(key) => return key,
                        Err(StoreError::Locked { .. }) => std::thread::yield_now(),
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    let keys: Vec<MasterKey> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(keys.iter().all(|key| key.derive("x") == keys[0].derive("x")));
    assert_eq!(keys.iter().filter(|key| key.origin() == KeyOrigin::Generated).count(), 1);
}

/// A reader that takes its time sees one instant, and holds up nobody; what it kept in the log is folded in after it.
#[test]
fn t_db_08_a_long_reader_holds_up_no_writer() {
    let (_dir, store) = new_store();
    let put = |conn: &mut SqliteConnection, n: usize| {
        let value = "x".repeat(64 << 10);
        let insert = format!(
            "INSERT OR REPLACE INTO settings (key, value, updated_at) VALUES ('k{n}', json_quote('{value}'), {NOW})"
        );
        execute(conn, &insert)
    };
    let rows = |conn: &mut SqliteConnection| {
        let count = settings::table.count().get_result::<i64>(conn);
        count.map_err(StoreError::from)
    };
    let seen = store
        .read(|conn| {
            let before = rows(conn)?;
            for n in 0..64 {
                store.write(|conn| put(conn, n))?;
            }
            Ok((before, rows(conn)?))
        })
        .unwrap();
    assert_eq!(seen.0, seen.1, "the reader's instant does not move");
    assert_eq!(store.read(rows).unwrap(), seen.1 + 64);
    assert!(store.wal_bytes() > 64 * (64 << 10), "{}", store.wal_bytes());
    store.close().unwrap();
    assert_eq!(store.wal_bytes(), 0);
}
