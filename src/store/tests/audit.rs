//! The audit chain: what is changed afterwards shows, and what retention removes does not.

use std::path::Path;

use super::{alter, new_store};
use crate::rotating::RotatingFile;
use crate::store::Store;
use crate::store::audit::{
    AuditRow, Difference, FILE, Gap, KEPT_FILES, NewEvent, Verified, append, list, prune, to_line,
    verify,
};

const DAY_MS: i64 = 86_400_000;

fn event(ts_ms: i64, word: &str) -> NewEvent {
    NewEvent {
        ts_ms,
        event: word.to_owned(),
        outcome: "ok".to_owned(),
        actor: "admin".to_owned(),
        client_ip: Some("192.0.2.1".to_owned()),
        ua_hash: Some([4; 32]),
        count: 1,
        detail: r#"{"a":1}"#.to_owned(),
        ..NewEvent::default()
    }
}

fn add(store: &Store, count: i64) -> Vec<AuditRow> {
    let new = (0..count).map(|n| event(n * DAY_MS, "logout")).collect();
    store.write(|conn| append(conn, store.audit_key(), 0, new)).unwrap()
}

fn look(store: &Store, dir: &Path) -> Verified {
    store.read(|conn| verify(conn, store.audit_key(), dir)).unwrap()
}

/// A chain of nine rows, in the table and in the file.
fn chain() -> (tempfile::TempDir, Store) {
    let (dir, store) = new_store();
    let rows = add(&store, 9);
    let mut file = RotatingFile::open(&dir.path().join(FILE), 1 << 20, KEPT_FILES).unwrap();
    for row in &rows {
        file.append(to_line(row).as_bytes()).unwrap();
    }
    let found = look(&store, dir.path());
    assert!(found.ok && found.rows == 9 && found.last_seq == Some(9), "{found:?}");
    (dir, store)
}

#[test]
fn t_aud_03_every_change_of_a_row_is_named() {
    for column in [
        "ts_ms = ts_ms + 1",
        "event = 'login_attempt'",
        "outcome = 'failed'",
        "actor = 'cli'",
        "client_ip = null",
        "peer_ip = '192.0.2.9'",
        "ua_hash = zeroblob(32)",
        "method = 'GET'",
        "path = '/'",
        "status = 200",
        "request_id = 'req'",
        "count = 2",
        r#"detail = '{"a": 1}'"#,
        "prev_mac = zeroblob(32)",
        "mac = zeroblob(32)",
    ] {
        let (dir, store) = chain();
        alter(&store, &format!("update audit_events set {column} where seq = 4"));
        let found = look(&store, dir.path());
        assert_eq!((found.ok, found.first_broken_seq), (false, Some(4)), "{column}");
        assert!(found.gaps.is_empty(), "{column}");
    }
}

#[test]
fn t_aud_03_removed_moved_and_added_rows_are_named() {
    let (dir, store) = chain();
    alter(&store, "delete from audit_events where seq in (3, 4, 7)");
    let found = look(&store, dir.path());
    assert_eq!(found.first_broken_seq, Some(3));
    assert_eq!(found.gaps, [Gap { from: 3, to: 4 }, Gap { from: 7, to: 7 }]);
    let gone = |seq| Difference { seq: Some(seq), kind: "missing_in_table" };
    assert_eq!(found.file_differences, [gone(3), gone(4), gone(7)]);

    // The end of the chain is cut off: the database knows how far it once went, and so does the file.
    let (dir, store) = chain();
    alter(&store, "delete from audit_events where seq > 7");
    let found = look(&store, dir.path());
    assert_eq!((found.first_broken_seq, &found.gaps[..]), (Some(8), &[Gap { from: 8, to: 9 }][..]));
    alter(&store, "update sqlite_sequence set seq = 7 where name = 'audit_events'");
    let found = look(&store, dir.path());
    assert_eq!(found.first_broken_seq, None);
    assert_eq!(found.file_differences, [gone(8), gone(9)]);
    assert!(!found.ok);

    let (dir, store) = chain();
    alter(
        &store,
        "update audit_events set seq = 100 where seq = 2;
         update audit_events set seq = 2 where seq = 5;
         update audit_events set seq = 5 where seq = 100;",
    );
    assert_eq!(look(&store, dir.path()).first_broken_seq, Some(2));

    let (dir, store) = chain();
    alter(
        &store,
        "insert into audit_events (seq, ts_ms, event, outcome, actor, prev_mac, mac) \
         select 10, ts_ms, event, outcome, actor, mac, zeroblob(32) from audit_events where seq = 9",
    );
    let found = look(&store, dir.path());
    assert_eq!(found.first_broken_seq, Some(10));
}

#[test]
fn changes_of_the_file_are_named() {
    let (dir, store) = chain();
    let path = dir.path().join(FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let with = |lines: &[&str]| {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        look(&store, dir.path()).file_differences
    };
    let is = |seq, kind| Difference { seq, kind };
    let edited = lines[3].replace("192.0.2.1", "192.0.2.2");
    let mut changed = lines.clone();
    changed[3] = &edited;
    assert_eq!(with(&changed), [is(Some(4), "differs")]);
    changed[3] = "{\"seq\":";
    assert_eq!(with(&changed), [is(None, "unreadable"), is(Some(4), "missing_in_file")]);
    changed = lines.clone();
    changed.swap(3, 4);
    assert_eq!(with(&changed), [is(Some(4), "missing_in_file"), is(Some(4), "out_of_order")]);
    changed = lines.clone();
    changed.truncate(7);
    assert_eq!(with(&changed), [is(Some(8), "missing_in_file"), is(Some(9), "missing_in_file")]);
    // What was rotated away is no loss.
    assert_eq!(with(&lines[5..]), []);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(look(&store, dir.path()).file_differences, [is(Some(9), "missing_in_file")]);
}

#[test]
fn t_aud_04_a_pruned_chain_is_whole() {
    let (dir, store) = chain();
    let key = store.audit_key();
    let now = 100 * DAY_MS;
    let checkpoint = store.write(|conn| prune(conn, key, now, 4 * DAY_MS, 1_000)).unwrap().unwrap();
    assert_eq!(checkpoint.seq, 10);
    let done = store.write(|conn| prune(conn, key, now, 4 * DAY_MS, 1_000)).unwrap();
    assert_eq!(done, None);
    let left = store.read(|conn| list(conn, &Default::default(), 100)).unwrap();
    let left: Vec<i64> = left.iter().map(|row| row.seq).collect();
    assert_eq!(left, [10, 9, 8, 7, 6, 5]);
    let mut file = RotatingFile::open(&dir.path().join(FILE), 1 << 20, KEPT_FILES).unwrap();
    file.append(to_line(&checkpoint).as_bytes()).unwrap();
    let found = look(&store, dir.path());
    assert!(found.ok, "{found:?}");
    // Removing more than the checkpoint says shows.
    alter(&store, "delete from audit_events where seq = 5");
    assert_eq!(look(&store, dir.path()).first_broken_seq, Some(5));
}

#[test]
fn rows_beyond_the_number_that_is_kept_go() {
    let (_dir, store) = new_store();
    add(&store, 50);
    let key = store.audit_key();
    while store.write(|conn| prune(conn, key, 100 * DAY_MS, 0, 20)).unwrap().is_some() {}
    let left = store.read(|conn| list(conn, &Default::default(), 100)).unwrap();
    assert_eq!((left.len(), left[0].event.event.as_str()), (20, "audit_pruned"));
}

#[test]
fn a_row_after_removed_ones_takes_a_place_of_its_own() {
    let (dir, store) = chain();
    alter(&store, "delete from audit_events where seq > 7");
    let row =
        store.write(|conn| append(conn, store.audit_key(), 0, vec![event(1, "logout")])).unwrap();
    assert_eq!(row[0].seq, 10);
    let found = look(&store, dir.path());
    assert_eq!(found.gaps, [Gap { from: 8, to: 9 }]);
}
