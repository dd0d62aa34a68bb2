//! The writer and its queue: refusals, a full queue, a stop.

use super::*;
use crate::store::tests::alter;
use crate::store::usage::{RequestRow, key_usage};
use crate::store::{MasterKey, Store, StoreOptions};

const NOW: UnixMs = 1_795_000_000_000;
/// More than enough for anything here; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(clock: &Clock) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let key = MasterKey::load_or_create(&data_dir, None).unwrap();
    let options = StoreOptions {
        data_dir,
        app_version: "0.1.0".to_owned(),
        clock: clock.clone(),
        read_only: false,
        fresh: false,
    };
    let store = Store::open(&options, &key).unwrap();
    (folder, store)
}

fn start(store: &Store, clock: &Clock) -> Ledger {
    Ledger::start(store.usage_writer(TimeZone::UTC).unwrap(), clock.clone()).unwrap()
}

/// From here on the database refuses every batch, at once.
fn refuse(store: &Store) {
    alter(store, "ALTER TABLE usage_hourly RENAME TO hidden");
}

fn accept(store: &Store) {
    alter(store, "ALTER TABLE hidden RENAME TO usage_hourly");
}

fn record(ledger: &Ledger, key: KeyId, rows: usize) {
    for n in 0..rows {
        let request = RequestRow {
            id: format!("{key}-{n}"),
            ts: NOW,
            api_key_id: Some(key),
            ..RequestRow::default()
        };
        ledger.record(UsageRecord { request, attempts: Vec::new() });
    }
}

#[test]
fn readiness_is_proved_by_a_write_when_none_was_due() {
    let clock = Clock::manual(NOW);
    let (_folder, store) = open(&clock);
    let ledger = start(&store, &clock);
    assert!(ledger.wrote_lately());
    clock.advance(Duration::from_secs(11));
    assert!(!ledger.wrote_lately());
    store
        .write(|_| {
            // The write transaction is open: nobody else can write now.
            assert!(!ledger.takes_writes(Duration::from_millis(100)));
            Ok(())
        })
        .unwrap();
    assert!(ledger.takes_writes(PATIENCE));
    assert!(ledger.wrote_lately());
    ledger.stop(PATIENCE).unwrap();
    clock.advance(Duration::from_secs(11));
    assert!(!ledger.takes_writes(PATIENCE), "nobody writes any more");
}

#[test]
fn flush_and_stop_say_what_the_database_said() {
    let clock = Clock::manual(NOW);
    let (_folder, store) = open(&clock);
    let ledger = start(&store, &clock);
    refuse(&store);
    record(&ledger, KeyId::new(), 1);
    let said = ledger.flush(PATIENCE).unwrap_err();
    assert!(matches!(said, LedgerError::Refused(_)), "{said}");
    assert!(said.to_string().contains("usage_hourly"), "{said}");
    assert!(!ledger.is_healthy());
    let said = ledger.stop(PATIENCE).unwrap_err();
    assert!(matches!(said, LedgerError::Refused(_)), "{said}");
    assert!(matches!(ledger.flush(PATIENCE), Err(LedgerError::Ended)));
    assert!(matches!(ledger.stop(PATIENCE), Err(LedgerError::Ended)));
}

#[test]
fn a_full_queue_loses_detail_but_no_number_and_is_still_heard() {
    let clock = Clock::manual(NOW);
    let (_folder, store) = open(&clock);
    let ledger = start(&store, &clock);
    let key = KeyId::new();
    refuse(&store);
    record(&ledger, KeyId::new(), 1);
    ledger.flush(PATIENCE).unwrap_err();
    let rows = QUEUE + BATCH + 500;
    record(&ledger, key, rows);
    assert!(ledger.folded() > 0, "the queue was full");
    // The question is not queued behind the rows.
    ledger.flush(PATIENCE).unwrap_err();
    accept(&store);
    ledger.flush(PATIENCE).unwrap();
    assert!(ledger.is_healthy());
    assert_eq!(ledger.waiting(), 0);
    let stored = store.read(|conn| key_usage(conn, key, 0)).unwrap();
    assert_eq!(stored.totals.requests, i64::try_from(rows).unwrap());
    ledger.stop(PATIENCE).unwrap();
}

#[test]
fn stop_commits_everything_in_the_queue() {
    let clock = Clock::manual(NOW);
    let (_folder, store) = open(&clock);
    let ledger = start(&store, &clock);
    let key = KeyId::new();
    record(&ledger, key, 3 * BATCH + 7);
    ledger.stop(PATIENCE).unwrap();
    let stored = store.read(|conn| key_usage(conn, key, 0)).unwrap();
    assert_eq!(stored.totals.requests, i64::try_from(3 * BATCH + 7).unwrap());
}
