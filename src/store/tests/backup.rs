//! Backups while writing, and the way back (REL-DB-8).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::prelude::*;

use super::{NOW, error_of, execute, master, new_store, open, options};
use crate::store::backup::{Reason, copy_out, restore, verify};
use crate::store::sqlite::probe;
use crate::store::{BACKUPS, Store, StoreError};

const VERSION: &str = "0.1.0";

/// Every row of every table, as text.
fn contents(conn: &mut SqliteConnection) -> Vec<String> {
    let tables = "select name as word from sqlite_schema where type = 'table' order by name";
    let mut out = Vec::new();
    for table in probe::words(conn, tables) {
        let columns = format!("select name as word from pragma_table_info('{table}') order by cid");
        let columns: Vec<String> =
            probe::words(conn, &columns).iter().map(|name| format!("quote(\"{name}\")")).collect();
        let rows =
            format!("select {} as word from \"{table}\" order by 1", columns.join(" || '|' || "));
        out.extend(probe::words(conn, &rows).into_iter().map(|row| format!("{table}: {row}")));
    }
    out
}

fn contents_of(path: &Path) -> Vec<String> {
    contents(&mut SqliteConnection::establish(path.to_str().unwrap()).unwrap())
}

fn count(store: &Store, name: &str) {
    let add = format!(
        "insert into counters values ('{name}', 1) on conflict do update set value = value + 1"
    );
    store.write(|conn| execute(conn, &add)).unwrap();
}

fn fill(store: &Store) {
    let rows = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 3000) \
                insert into aliases select 'alias ' || i, 'glm/glm-4.7', 1, 0, 0, null from n";
    store.write(|conn| execute(conn, rows)).unwrap();
    count(store, "kept");
}

#[test]
fn a_backup_holds_every_row_and_is_private_and_checked() {
    let (dir, store) = new_store();
    fill(&store);
    let made = store.back_up(&Reason::Manual).unwrap();
    assert_eq!(made.name, "manual-20261124T183126Z.sqlite");
    assert_eq!((made.reason.as_str(), made.created_at), ("manual", NOW));
    assert!(made.verified);
    let path = store.backup_path(&made.name).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = fs::metadata(dir.path().join(BACKUPS)).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), contents_of(&path));
    assert_eq!(Some(verify(&path, VERSION).unwrap()), made.schema);
    assert_eq!(store.backups().unwrap(), [made]);
    let twin = store.back_up(&Reason::Manual).unwrap();
    assert_eq!(twin.name, "manual-20261124T183126Z-2.sqlite", "the same second");
    assert_eq!(store.backups().unwrap().len(), 2);
}

#[test]
fn a_backup_made_while_writing_is_of_one_instant() {
    let (_dir, store) = new_store();
    fill(&store);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Both counters rise in one transaction: no backup may hold only one of them.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let both = "insert into counters values ('left', 1) on conflict do update set value = value + 1; \
                            insert into counters values ('right', 1) on conflict do update set value = value + 1";
                store.write(|conn| execute(conn, both)).unwrap();
            }
        });
        for _ in 0..8 {
            let before = value(&store, "left");
            let made = store.back_up(&Reason::Manual).unwrap();
            let path = store.backup_path(&made.name).unwrap();
            let mut copy = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            let read = |conn: &mut SqliteConnection, name: &str| {
                probe::one(
                    conn,
                    &format!(
                        "select coalesce(sum(value), 0) as n from counters where name = '{name}'"
                    ),
                )
            };
            let (left, right) = (read(&mut copy, "left"), read(&mut copy, "right"));
            assert_eq!(left, right);
            assert!(left >= before, "what was written before is in it");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn value(store: &Store, name: &str) -> i64 {
    let query = format!("select coalesce(sum(value), 0) as n from counters where name = '{name}'");
    store.read(|conn| Ok(probe::one(conn, &query))).unwrap()
}

#[test]
fn a_restored_database_equals_the_one_that_was_backed_up() {
    let (dir, store) = new_store();
    fill(&store);
    let before = store.read(|conn| Ok(contents(conn))).unwrap();
    let made = store.back_up(&Reason::Manual).unwrap();
    let file = store.backup_path(&made.name).unwrap();
    count(&store, "later");
    let later = store.read(|conn| Ok(contents(conn))).unwrap();
    let held = error_of(restore(&options(dir.path()), &file).map(|_| store.clone()));
    assert!(matches!(held, StoreError::Locked { .. }), "{held:?}");
    assert_eq!(held.exit_code(), 75);
    store.close().unwrap();
    drop(store);

    let done = restore(&options(dir.path()), &file).unwrap();
    assert_eq!(Some(done.schema), made.schema);
    let earlier = done.earlier.unwrap();
    assert!(earlier.file_name().unwrap().to_str().unwrap().starts_with("pre-restore-"));
    assert_eq!(contents_of(&earlier), later, "the present one is kept");
    let store = open(dir.path());
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), before);
    assert_eq!(store.faults(true).unwrap(), [""; 0]);
    let database = fs::metadata(store.path()).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_log_that_was_left_by_a_kill_does_not_reach_the_restored_database() {
    let (dir, store) = new_store();
    fill(&store);
    let made = store.back_up(&Reason::Manual).unwrap();
    let file = store.backup_path(&made.name).unwrap();
    let before = contents_of(&file);
    count(&store, "in the log");
    // As after kill -9: the log is there, nobody closed it.
    let copy = tempfile::tempdir().unwrap();
    for name in ["ninerouter.sqlite", "ninerouter.sqlite-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let done = restore(&options(copy.path()), &file).unwrap();
    let earlier = contents_of(&done.earlier.unwrap());
    assert!(earlier.iter().any(|row| row.contains("in the log")), "it is kept with its log");
    let store = open(copy.path());
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), before);
}

#[test]
fn a_damaged_database_is_moved_aside_and_the_backup_takes_its_place() {
    let (dir, store) = new_store();
    fill(&store);
    let made = store.back_up(&Reason::Daily).unwrap();
    let file = store.backup_path(&made.name).unwrap();
    let before = contents_of(&file);
    store.close().unwrap();
    drop(store);
    let path = dir.path().join("ninerouter.sqlite");
    fs::write(&path, [0x5A; 20_000]).unwrap();
    let error = error_of(Store::open(&options(dir.path()), &master()));
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    // Moved aside by the start already: only traces are left.
    let done = restore(&options(dir.path()), &file).unwrap();
    assert_eq!(done.earlier, None);
    let store = open(dir.path());
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), before);
    store.close().unwrap();
    drop(store);
    let garbage = [0xA5; 30_000];
    fs::write(&path, garbage).unwrap();
    let done = restore(&options(dir.path()), &file).unwrap();
    assert_eq!(fs::read(done.earlier.unwrap()).unwrap(), garbage, "nothing is deleted");
    open(dir.path());
}

#[test]
fn what_is_no_backup_is_refused_and_nothing_is_changed() {
    let (dir, store) = new_store();
    fill(&store);
    let made = store.back_up(&Reason::Manual).unwrap();
    let good = fs::read(store.backup_path(&made.name).unwrap()).unwrap();
    let before = store.read(|conn| Ok(contents(conn))).unwrap();
    store.close().unwrap();
    drop(store);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut scribbled = good.clone();
    scribbled[8_192..12_288].fill(0xA5);
    let newer = file("newer", &good);
    let mut conn = SqliteConnection::establish(newer.to_str().unwrap()).unwrap();
    execute(&mut conn, "pragma user_version = 99").unwrap();
    drop(conn);
    let foreign = file("foreign", b"");
    let mut conn = SqliteConnection::establish(foreign.to_str().unwrap()).unwrap();
    execute(&mut conn, "create table theirs (x)").unwrap();
    drop(conn);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(file("good", &good), &link).unwrap();
    let in_use = file("in-use", &good);
    file("in-use-wal", b"something");
    for (path, code, want) in [
        (file("empty", b""), 74, "no SQLite database"),
        (file("garbage", &[7; 9_000]), 74, "no SQLite database"),
        (file("cut", &good[..good.len() / 2]), 74, "bytes long instead of"),
        (file("scribbled", &scribbled), 74, "damaged"),
        (foreign, 74, "another program"),
        (newer, 65, "99"),
        (link, 74, "no file"),
        (in_use, 74, "in use"),
        (folder.path().to_owned(), 74, "no file"),
    ] {
        let error = restore(&options(dir.path()), &path).unwrap_err();
        assert_eq!(error.exit_code(), code, "{} {error}", path.display());
        assert!(error.to_string().contains(want), "{} {error}", path.display());
    }
    let names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("restore")), "{names:?}");
    let store = open(dir.path());
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), before);
}

#[test]
fn a_backup_laid_ready_takes_the_place_at_the_next_start_and_only_once() {
    let (dir, store) = new_store();
    fill(&store);
    let made = store.back_up(&Reason::Manual).unwrap();
    let before = contents_of(&store.backup_path(&made.name).unwrap());
    count(&store, "later");
    assert_eq!(Some(store.stage_restore(&made.name, VERSION).unwrap()), made.schema);
    assert_eq!(value(&store, "later"), 1, "not before");
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), before);
    count(&store, "since");
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(value(&store, "since"), 1);

    // One that was damaged since is not used.
    store.stage_restore(&made.name, VERSION).unwrap();
    store.close().unwrap();
    drop(store);
    let staged = dir.path().join("ninerouter.sqlite.restore");
    let bytes = fs::read(&staged).unwrap();
    fs::write(&staged, &bytes[..bytes.len() - 4_096]).unwrap();
    let store = open(dir.path());
    assert_eq!(value(&store, "since"), 1);
    assert!(!staged.exists());
}

#[test]
fn only_names_of_backups_lead_to_files() {
    let (dir, store) = new_store();
    store.back_up(&Reason::Manual).unwrap();
    let backups = dir.path().join(BACKUPS);
    fs::write(backups.join("notes.txt"), "x").unwrap();
    fs::write(backups.join("manual-20261124T183127Z.sqlite.partial"), "x").unwrap();
    let secret = dir.path().join("master.key");
    fs::write(&secret, "key").unwrap();
    std::os::unix::fs::symlink(&secret, backups.join("manual-20261124T183128Z.sqlite")).unwrap();
    assert_eq!(store.backups().unwrap().len(), 1);
    for name in [
        "../ninerouter.sqlite",
        "..%2fninerouter.sqlite",
        "/etc/passwd",
        "notes.txt",
        "manual-20261124T183128Z.sqlite",
        "manual-20261124T183127Z.sqlite.partial",
        "",
        "CON",
        "manual-20261124T183126Z.sqlite\0",
    ] {
        assert!(matches!(store.backup_path(name), Err(StoreError::NotFound { .. })), "{name:?}");
        assert!(store.remove_backup(name).is_err(), "{name:?}");
    }
    assert!(secret.exists());
    store.remove_backup("manual-20261124T183126Z.sqlite").unwrap();
    assert_eq!(store.backups().unwrap(), []);
}

#[test]
fn a_backup_that_was_cut_since_is_shown_as_damaged() {
    let (_dir, store) = new_store();
    let made = store.back_up(&Reason::Manual).unwrap();
    let path = store.backup_path(&made.name).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 4_096]).unwrap();
    assert!(!store.backups().unwrap()[0].verified);
    fs::write(&path, "").unwrap();
    let shown = store.backups().unwrap();
    assert_eq!((shown[0].verified, shown[0].schema), (false, None));
    let error = store.stage_restore(&made.name, VERSION).unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
}

#[test]
fn a_copy_can_be_made_beside_a_server() {
    let (dir, store) = new_store();
    fill(&store);
    let target = tempfile::tempdir().unwrap();
    let file = target.path().join("copy.sqlite");
    copy_out(dir.path(), &file).unwrap();
    assert_eq!(store.read(|conn| Ok(contents(conn))).unwrap(), contents_of(&file));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(copy_out(dir.path(), &file).is_err(), "nothing is overwritten");
    assert_eq!(fs::read(&file).unwrap(), bytes);
    let nowhere = target.path().join("absent").join("copy.sqlite");
    assert!(copy_out(dir.path(), &nowhere).is_err());
    assert!(copy_out(target.path(), &target.path().join("b")).is_err(), "no database");
}

#[test]
fn vacuum_gives_back_the_space_of_deleted_rows() {
    let (_dir, store) = new_store();
    fill(&store);
    store.write(|conn| execute(conn, "delete from aliases")).unwrap();
    let size = || fs::metadata(store.path()).unwrap().len();
    store.vacuum().unwrap();
    let after = size();
    fill(&store);
    store.vacuum().unwrap();
    assert!(size() > after, "{} {after}", size());
    assert_eq!(value(&store, "kept"), 2);
    assert_eq!(store.faults(true).unwrap(), [""; 0]);
}
