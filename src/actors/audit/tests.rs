//! The writer of the audit log: floods, a disk that fails, switching off and on, a killed process.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::store::audit::{AuditFilter, AuditRow, FILE, list};
use crate::store::tests::{alter, new_store};

const PATIENCE: Duration = Duration::from_secs(20);
const NOW: i64 = 1_795_545_086_000;

struct Rig {
    audit: Audit,
    store: Store,
    clock: Clock,
    dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let (dir, store) = new_store();
    let clock = Clock::manual(NOW);
    let audit = begin(&store, dir.path(), &clock);
    Rig { audit, store, clock, dir }
}

fn begin(store: &Store, dir: &Path, clock: &Clock) -> Audit {
    let settings = AuditSettings { enabled: true, max_size: 65_536 };
    Audit::start(store.clone(), dir.to_owned(), settings, clock.clone()).unwrap()
}

impl Rig {
    /// Every row, the oldest first.
    fn rows(&self) -> Vec<AuditRow> {
        let mut rows =
            self.store.read(|conn| list(conn, &AuditFilter::default(), 100_000)).unwrap();
        rows.reverse();
        rows
    }

    fn words(&self) -> Vec<String> {
        self.rows().into_iter().map(|row| row.event.event).collect()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join(FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn from(last: u8) -> Caller {
    Caller { client_ip: Some(IpAddr::from([192, 0, 2, last])), ..Caller::default() }
}

fn failed_login() -> Event {
    Event::failed(EventName::LoginAttempt).with("reason", "wrong password")
}

#[test]
fn rows_stand_in_table_and_file_and_verify() {
    let rig = rig();
    rig.audit.record(&from(1), Event::ok(EventName::Logout));
    rig.audit
        .record(&Caller::command(), Event::ok(EventName::ApiKeyCreated).with("name", "laptop"));
    rig.audit.flush(PATIENCE).unwrap();
    assert_eq!(rig.words(), ["logout", "api_key_created"]);
    let lines = rig.lines();
    assert_eq!(lines[1]["detail"]["name"], "laptop");
    assert_eq!((&lines[0]["client_ip"], &lines[1]["actor"]), (&"192.0.2.1".into(), &"cli".into()));
    assert!(rig.audit.verify(PATIENCE).unwrap().ok);
}

#[test]
fn t_aud_06_a_flood_becomes_few_rows_and_loses_no_count() {
    let rig = rig();
    for _ in 0..10_000 {
        rig.audit.record(&from(1), failed_login());
    }
    rig.audit.record(&from(2), failed_login());
    // What succeeds and what is changed has a row each.
    for _ in 0..25 {
        rig.audit.record(&from(1), Event::ok(EventName::LoginAttempt));
        rig.audit.record(&from(1), Event::denied(EventName::SettingsChanged));
    }
    rig.clock.advance(Duration::from_secs(61));
    rig.audit.record(&from(1), failed_login());
    rig.audit.flush(PATIENCE).unwrap();
    let rows = rig.rows();
    let failed: Vec<&AuditRow> = rows.iter().filter(|row| row.event.outcome == "failed").collect();
    assert!(failed.len() <= 30, "{}", failed.len());
    assert_eq!(failed.iter().map(|row| row.event.count).sum::<i64>(), 10_002);
    assert_eq!(rows.len() - failed.len(), 50);
}

#[test]
fn floods_of_more_clients_than_are_told_apart_are_bounded_too() {
    let rig = rig();
    for n in 0..60_000_u32 {
        let ip = IpAddr::from(std::net::Ipv4Addr::from(n));
        let caller = Caller { client_ip: Some(ip), ..Caller::default() };
        rig.audit.record(&caller, Event::denied(EventName::IpDenied));
        if n % 500 == 0 {
            rig.audit.flush(PATIENCE).unwrap();
        }
    }
    rig.clock.advance(Duration::from_secs(61));
    rig.audit.flush(PATIENCE).unwrap();
    let rows = rig.rows();
    assert!(rows.len() < 4_200, "{}", rows.len());
    assert_eq!(rows.iter().map(|row| row.event.count).sum::<i64>(), 60_000);
}

#[test]
fn a_failing_disk_keeps_the_newest_rows_and_says_how_many_were_lost() {
    let rig = rig();
    alter(
        &rig.store,
        "create trigger refuse before insert on audit_events begin select raise(abort, 'no'); end",
    );
    for n in 0..1_200 {
        rig.audit.record(&Caller::system(), Event::ok(EventName::Logout).with("n", n));
    }
    assert!(matches!(rig.audit.flush(PATIENCE), Err(AuditError::Refused(_))));
    assert!(!rig.audit.is_available());
    alter(&rig.store, "drop trigger refuse");
    rig.audit.flush(PATIENCE).unwrap();
    assert!(rig.audit.is_available());
    let rows = rig.rows();
    assert_eq!(rows.len(), 1_001);
    assert_eq!(rows[1_000].event.event, "audit_lost");
    assert_eq!(rows[1_000].event.detail, r#"{"lost":200}"#);
    assert_eq!(rows[999].event.detail, r#"{"n":1199}"#);
    assert!(rig.audit.verify(PATIENCE).unwrap().ok);
}

#[test]
fn a_file_that_cannot_be_written_is_completed_from_the_table() {
    let rig = rig();
    rig.audit.record(&Caller::system(), Event::ok(EventName::Logout));
    rig.audit.flush(PATIENCE).unwrap();
    let (path, kept) = (rig.dir.path().join(FILE), rig.dir.path().join("kept"));
    std::fs::rename(&path, &kept).unwrap();
    std::fs::create_dir(&path).unwrap();
    rig.audit.record(&Caller::system(), Event::ok(EventName::LogoutAll));
    assert!(rig.audit.flush(PATIENCE).is_err());
    assert!(!rig.audit.is_available());
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&kept, &path).unwrap();
    rig.audit.flush(PATIENCE).unwrap();
    assert!(rig.audit.is_available());
    assert_eq!(rig.lines().len(), 2);
    assert!(rig.audit.verify(PATIENCE).unwrap().ok);
}

#[test]
fn switching_off_is_the_last_event_and_switching_on_the_first() {
    let rig = rig();
    let off = AuditSettings { enabled: false, max_size: 65_536 };
    for _ in 0..30 {
        rig.audit.record(&from(1), failed_login());
    }
    rig.audit.switch(&Caller::command(), off);
    rig.audit.record(&from(1), Event::ok(EventName::Logout));
    rig.audit.switch(&Caller::system(), off);
    rig.audit.flush(PATIENCE).unwrap();
    let rows = rig.rows();
    let last = rows.last().unwrap();
    assert_eq!((last.event.event.as_str(), last.event.actor.as_str()), ("audit_disabled", "cli"));
    assert_eq!(rows.iter().map(|row| row.event.count).sum::<i64>(), 31);
    rig.audit.switch(&Caller::command(), AuditSettings { enabled: true, max_size: 65_536 });
    rig.audit.record(&from(1), Event::ok(EventName::Logout));
    rig.audit.flush(PATIENCE).unwrap();
    assert_eq!(rig.words().split_off(rows.len()), ["audit_enabled", "logout"]);
}

#[test]
fn t_aud_05_the_next_start_repairs_the_end_of_the_file() {
    let rig = rig();
    for _ in 0..5 {
        rig.audit.record(&Caller::system(), Event::ok(EventName::Logout));
    }
    rig.audit.stop(PATIENCE).unwrap();
    assert!(matches!(rig.audit.flush(PATIENCE), Err(AuditError::Ended)));
    // As a process leaves it that is killed while it writes the fourth line.
    let path = rig.dir.path().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let third = text.match_indices('\n').nth(2).unwrap().0;
    std::fs::write(&path, text.get(..third + 40).unwrap()).unwrap();
    let again = begin(&rig.store, rig.dir.path(), &rig.clock);
    again.record(&Caller::system(), Event::ok(EventName::ServerStarted));
    again.flush(PATIENCE).unwrap();
    let places: Vec<i64> = rig.lines().iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    assert!(again.verify(PATIENCE).unwrap().ok);
}

/// A restored backup knows less than the file: its rows are not written over, and the gap shows.
#[test]
fn rows_after_a_restore_come_behind_those_of_the_file() {
    let rig = rig();
    for _ in 0..5 {
        rig.audit.record(&Caller::system(), Event::ok(EventName::Logout));
    }
    rig.audit.stop(PATIENCE).unwrap();
    alter(
        &rig.store,
        "delete from audit_events where seq > 3;
         update sqlite_sequence set seq = 3 where name = 'audit_events'",
    );
    let again = begin(&rig.store, rig.dir.path(), &rig.clock);
    again.record(&Caller::system(), Event::ok(EventName::BackupRestored));
    again.flush(PATIENCE).unwrap();
    let places: Vec<i64> = rig.lines().iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    let found = again.verify(PATIENCE).unwrap();
    assert_eq!((found.first_broken_seq, found.gaps.len()), (Some(4), 1));
    let kinds: Vec<&str> = found.file_differences.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, ["missing_in_table", "missing_in_table"]);
}

#[test]
fn t_aud_02_the_file_rotates_and_every_line_stays_whole() {
    let rig = rig();
    for n in 0..1_800 {
        let event = Event::ok(EventName::SettingsChanged).with("keys", "x".repeat(n % 1_000));
        rig.audit.record(&Caller::system(), event);
        if n % 300 == 0 {
            rig.audit.flush(PATIENCE).unwrap();
        }
    }
    rig.audit.flush(PATIENCE).unwrap();
    let files = crate::rotating::files(&rig.dir.path().join(FILE), 10);
    assert_eq!(files.len(), 4);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.len() <= 65_536);
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
    assert!(rig.audit.verify(PATIENCE).unwrap().ok);
}

#[test]
fn a_handle_without_a_writer_holds_nothing_up() {
    let audit = Audit::default();
    audit.record(&Caller::system(), Event::ok(EventName::Logout));
    assert!(audit.is_available());
}
