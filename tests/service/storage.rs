//! Backup and restore, and databases that are corrupt, locked, newer or full (security §20, §23 F56–F58).

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use ninerouter::demo::chaos::{Chaos, reply};
use serde_json::{Value, json};

use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, admin, database, now, until};

fn chaos() -> Chaos {
    Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap()
}

fn call(router: &Router, method: &str, target: &str, body: &Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body)
}

/// Begins long work, and waits until it is over.
fn job(socket: &Path, target: &str, body: &Value) -> Value {
    let begun = admin::call(socket, "POST", target, Some(body));
    assert_eq!(begun.status, 202, "{}", begun.brief());
    let path = format!("/api/jobs/{}", begun.json()["job"]["id"].as_str().unwrap());
    until(PATIENCE, "the job is over", || {
        let job = admin::call(socket, "GET", &path, None).json();
        (!job["finished"].is_null()).then_some(job)
    })
}

fn ask(router: &Router) -> Reply {
    router.ask(Dialect::Chat, "one/m", false)
}

/// Runs a command on the data folder of a router that has ended: its exit code and what it printed.
fn command(router: &mut Router, args: &[&str]) -> (Option<i32>, String) {
    let before = router.output().len();
    router.spawn(args);
    let code = router.wait(PATIENCE).code();
    let printed = router.output()[before..].to_owned();
    (code, printed)
}

/// A start that fails: its exit code and what it said.
fn refused_start(router: &mut Router) -> (Option<i32>, String) {
    command(router, &["serve", "--port", "0", "--no-background"])
}

fn open(path: &Path) -> SqliteConnection {
    SqliteConnection::establish(path.to_str().unwrap()).unwrap()
}

/// Rows of the tables that a request and an operator write.
fn everything(file: &Path) -> Vec<Value> {
    let tables: [(&[&str], &str); 5] = [
        (&["id", "label", "provider", "rev"], "accounts ORDER BY id"),
        (&["account_id", "api_key", "generation"], "account_secrets ORDER BY account_id"),
        (&["id", "name", "rev"], "combos ORDER BY id"),
        (&["key", "value"], "settings ORDER BY key"),
        (&["id", "status", "input_tokens", "output_tokens"], "requests ORDER BY id"),
    ];
    tables.iter().flat_map(|(columns, from)| database::rows(file, columns, from)).collect()
}

#[test]
fn backup_under_load_restores_to_the_same_database() {
    let chaos = chaos();
    let mut router = Setup::new()
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .combo("stack", &["one/m"])
        .start();
    let made = std::thread::scope(|scope| {
        let load = scope.spawn(|| (0..300).for_each(|_| assert_eq!(ask(&router).status, 200)));
        router.wait_rows(1, &["id"], "requests");
        let made = call(&router, "POST", "/api/backups", &json!({}));
        load.join().unwrap();
        made
    });
    assert_eq!(made.status, 201, "{}", made.brief());
    let made = made.json();
    assert_eq!((&made["reason"], &made["verified"]), (&json!("manual"), &json!(true)));
    let name = made["name"].as_str().unwrap().to_owned();
    let file = router.data_dir().join("backups").join(&name);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = call(&router, "GET", "/api/backups", &Value::Null).json();
    assert_eq!(listed["data"], json!([made]));
    let downloaded = call(&router, "GET", &format!("/api/backups/{name}"), &Value::Null);
    assert_eq!(downloaded.status, 200, "{}", downloaded.brief());
    assert_eq!(downloaded.body, fs::read(&file).unwrap());
    let disposition = downloaded.header("content-disposition").unwrap();
    assert!(disposition.contains(&name), "{disposition}");
    let in_backup = everything(&file);
    assert!(in_backup.len() > 3, "{in_backup:?}");

    let (code, said) = command_beside(&router, &["backup", "--list"]);
    assert!(code == Some(0) && said.contains(&name), "{said}");
    let (code, said) = command_beside(&router, &["restore", &name, "--yes"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("--via-server") && said.contains("Nothing was changed"), "{said}");
    assert_eq!(router.stop().code(), Some(0));
    let before = everything(&router.database());
    assert!(before.len() > in_backup.len(), "rows came after the backup");
    let (code, said) = command(&mut router, &["restore", &name, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(everything(&router.database()), in_backup);
    let kept = fs::read_dir(router.data_dir().join("backups")).unwrap().flatten();
    let kept: Vec<PathBuf> = kept.map(|entry| entry.path()).collect();
    let kept = kept.iter().find(|path| path.to_string_lossy().contains("pre-restore")).unwrap();
    assert_eq!(everything(kept), before, "nothing is lost");
    router.launch();
    assert_eq!(ask(&router).status, 200, "its credentials open with the same key");
}

/// The command while the router runs, in a process of its own.
fn command_beside(router: &Router, args: &[&str]) -> (Option<i32>, String) {
    let dir = router.data_dir();
    let mut beside = Setup::new().env("DATA_DIR", dir.to_str().unwrap()).prepare();
    command(&mut beside, args)
}

#[test]
fn a_running_router_takes_a_backup_at_its_next_start() {
    let chaos = chaos();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let (code, said) = command_beside(&router, &["backup", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let made: Value = serde_json::from_str(said.trim()).unwrap();
    let name = made["name"].as_str().unwrap();
    assert_eq!(ask(&router).status, 200);
    router.wait_rows(1, &["id"], "requests");
    let (code, said) = command_beside(&router, &["restore", name, "--via-server", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Restart the router"), "{said}");
    assert_eq!(ask(&router).status, 200, "until then it goes on");
    assert_eq!(router.stop().code(), Some(0));
    router.launch();
    assert_eq!(router.rows(&["id"], "requests"), [Value::Null; 0]);
    assert_eq!(ask(&router).status, 200);
}

#[test]
fn a_copy_goes_where_it_is_told_and_over_nothing() {
    let router = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.sqlite");
    let path = file.to_str().unwrap();
    let (code, said) = command_beside(&router, &["backup", path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("master.key"), "what else is needed: {said}");
    assert_eq!(everything(&file), everything(&router.database()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    let (code, said) = command_beside(&router, &["backup", path]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn backups_are_reached_by_their_own_names_alone() {
    let router = Setup::new().start();
    for name in ["..%2Fmaster.key", "master.key", "%2Fetc%2Fpasswd", "CON", "x.sqlite"] {
        for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/restore")] {
            let got = call(&router, method, &format!("/api/backups/{name}{rest}"), &Value::Null);
            assert!(matches!(got.status, 400 | 404), "{method} {name}: {}", got.brief());
        }
    }
    assert!(router.data_dir().join("master.key").exists());
    let made = call(&router, "POST", "/api/backups", &json!({})).json();
    let path = format!("/api/backups/{}", made["name"].as_str().unwrap());
    assert_eq!(call(&router, "DELETE", &path, &Value::Null).status, 204);
    assert_eq!(call(&router, "GET", "/api/backups", &Value::Null).json()["data"], json!([]));
    let socket = router.data_dir().join("admin.sock");
    for (target, body) in [("check", json!({"full": true})), ("vacuum", json!({}))] {
        let job = job(&socket, &format!("/api/db/{target}"), &body);
        assert_eq!((&job["state"], &job["ok"]), (&json!("done"), &json!(1)), "{job}");
    }
}

#[test]
fn t_db_05_corrupt_database_is_kept_and_the_way_back_is_told() {
    let chaos = chaos();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    assert_eq!(ask(&router).status, 200);
    router.wait_rows(1, &["id"], "requests");
    let made = call(&router, "POST", "/api/backups", &json!({})).json();
    assert_eq!(router.stop().code(), Some(0));
    let before = everything(&router.database());
    let whole = fs::read(router.database()).unwrap();
    for damaged in [whole[..whole.len() / 2].to_vec(), vec![0x5A; 30_000], Vec::new()] {
        fs::write(router.database(), &damaged).unwrap();
        let (code, said) = refused_start(&mut router);
        assert_eq!(code, Some(74), "{said}");
        assert!(
            said.contains("is damaged and was moved to") && said.contains("ninerouter restore"),
            "{said}"
        );
        assert!(!said.contains("panicked"), "{said}");
        let moved =
            said.split("moved to `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
        assert_eq!(fs::read(moved).unwrap(), damaged, "nothing is deleted");
        let (code, said) = refused_start(&mut router);
        assert_eq!(code, Some(74), "it does not begin empty: {said}");
        let name = made["name"].as_str().unwrap();
        let (code, said) = command(&mut router, &["restore", name, "--yes"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(everything(&router.database()), before);
    }
    router.launch();
    assert_eq!(ask(&router).status, 200);
}

#[test]
fn a_database_that_is_damaged_while_it_is_used_is_written_no_more_and_requests_go_on() {
    let chaos = chaos();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    assert_eq!(ask(&router).status, 200);
    router.wait_rows(1, &["id"], "requests");
    let made = call(&router, "POST", "/api/backups", &json!({})).json();
    // Everything but the first page; what is in the log would hide it.
    open(&router.database()).batch_execute("pragma wal_checkpoint(truncate)").unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(router.database()).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(4_096)).unwrap();
    file.write_all(&vec![0xA5; length - 4_096]).unwrap();
    drop(file);
    until(PATIENCE, "it is found", || {
        assert_eq!(ask(&router).status, 200, "requests go on");
        (router.get("/readyz").status == 503).then_some(())
    });
    let refused = call(&router, "PATCH", "/api/settings", &json!({"stream_keepalive_s": 20}));
    assert_eq!(refused.status, 503, "{}", refused.brief());
    assert_eq!(ask(&router).status, 200);
    assert_eq!(router.stop().code(), Some(74), "{}", router.output());
    assert!(router.output().contains("ninerouter restore"), "{}", router.output());
    let (code, said) = refused_start(&mut router);
    assert_eq!(code, Some(74), "{said}");
    let (code, said) = command(&mut router, &["restore", made["name"].as_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    router.launch();
    assert_eq!(ask(&router).status, 200);
}

#[test]
fn newer_database_is_left_untouched() {
    let mut router = Setup::new().start();
    assert_eq!(router.stop().code(), Some(0));
    let mut conn = open(&router.database());
    conn.batch_execute("pragma user_version = 999").unwrap();
    drop(conn);
    let before = fs::read(router.database()).unwrap();
    let (code, said) = refused_start(&mut router);
    assert_eq!(code, Some(65), "{said}");
    for part in ["999", env!("CARGO_PKG_VERSION"), "newer version", "restore"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(fs::read(router.database()).unwrap(), before);
    let backup = router.data_dir().join("newer.sqlite");
    fs::copy(router.database(), &backup).unwrap();
    let (code, said) = command(&mut router, &["restore", backup.to_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(65), "{said}");
    assert_eq!(fs::read(router.database()).unwrap(), before);
}

/// T-BUG-18: rows that could not be written are written later.
#[test]
fn f56_a_locked_database_holds_up_changes_and_no_request() {
    let chaos = chaos();
    let mut router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    assert_eq!(ask(&router).status, 200);
    router.wait_rows(1, &["id"], "requests");
    let mut other = open(&router.database());
    other.batch_execute("begin immediate").unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&router).status, 200, "requests do not wait for the disk");
    }
    let began = now();
    let change = json!({"stream_keepalive_s": 20});
    let refused = call(&router, "PATCH", "/api/settings", &change);
    assert_eq!(refused.status, 503, "{}", refused.brief());
    assert!(began.elapsed() >= Duration::from_secs(4), "it waits before it gives up");
    assert!(refused.text().contains("busy"), "{}", refused.brief());
    other.batch_execute("rollback").unwrap();
    drop(other);
    let taken = call(&router, "PATCH", "/api/settings", &change);
    assert_eq!(taken.status, 200, "{}", taken.brief());
    router.wait_rows(21, &["id"], "requests");
    assert_eq!(router.stop().code(), Some(0));
}

#[test]
fn a_database_that_another_program_locks_ends_the_start_with_75() {
    let mut router = Setup::new().start();
    assert_eq!(router.stop().code(), Some(0));
    // Before it is locked: closing any handle of the file gives up all locks of this process.
    let before = fs::read(router.database()).unwrap();
    let mut other = open(&router.database());
    other.batch_execute("pragma locking_mode = exclusive; begin exclusive").unwrap();
    let (code, said) = refused_start(&mut router);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("busy") && said.contains("close that one"), "{said}");
    drop(other);
    assert_eq!(fs::read(router.database()).unwrap(), before);
    router.launch();
}

/// True where a disk of its own can be had.
fn has_own_disks() -> bool {
    let mut probe = Setup::new().disk("1m").prepare();
    probe.spawn(&["--version"]);
    let can = probe.wait(PATIENCE).success();
    if !can {
        eprintln!("skipped: no mount namespaces here");
    }
    can
}

#[test]
fn f57_t_db_04_a_full_disk_stops_changes_and_no_request_and_recovers() {
    if !has_own_disks() {
        return;
    }
    let chaos = chaos();
    let mut router = Setup::new()
        .arg("--debug")
        .disk("6m")
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .start();
    let data = router.inner_data_dir();
    let socket = data.join("admin.sock");
    assert_eq!(ask(&router).status, 200);
    until(PATIENCE, "the first row", || (rows_inside(&data) == 1).then_some(()));
    let filler = data.join("filler");
    fill(&filler);
    // What is in the log's file already may take a few more rows.
    let alias = |n: u32| {
        let target = format!("/api/aliases/{}", format!("name-{n}-").repeat(20));
        admin::call(&socket, "PUT", &target, Some(&json!({"target": "one/m"})))
    };
    let refused = (0..2_000).map(alias).find(|got| !matches!(got.status, 200 | 201)).unwrap();
    assert_eq!(refused.status, 507, "{}", refused.brief());
    assert!(refused.text().contains("storage_full"), "{}", refused.brief());
    for _ in 0..30 {
        assert_eq!(ask(&router).status, 200, "requests are served from memory");
    }
    assert_eq!(router.get("/healthz").status, 200);
    fs::remove_file(&filler).unwrap();
    until(PATIENCE, "every row is written", || (rows_inside(&data) == 31).then_some(()));
    let taken = alias(9_999);
    assert!(matches!(taken.status, 200 | 201), "without a restart: {}", taken.brief());
    let checked = job(&socket, "/api/db/check", &json!({"full": true}));
    assert_eq!(checked["state"], "done", "{checked}");
    assert_eq!(router.stop().code(), Some(0), "{}", router.output());
}

/// Usage rows of a database on a disk that only its router sees. SQLite follows the link to that disk by name, which is
/// another file here: so a copy is looked at.
fn rows_inside(data: &Path) -> usize {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ninerouter.sqlite", "ninerouter.sqlite-wal"] {
        let from = data.join(name);
        if from.exists() {
            fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    database::rows(&folder.path().join("ninerouter.sqlite"), &["id"], "requests").len()
}

/// Takes all the space that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let mut size = 64 * 1024;
    while size > 0 {
        if file.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
}

#[test]
fn a_disk_without_room_ends_the_start_with_74() {
    if !has_own_disks() {
        return;
    }
    let mut router = Setup::new().disk("64k").prepare();
    let (code, said) = refused_start(&mut router);
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("disk is full") || said.contains("No space"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn f58_a_backup_that_a_kill_cut_off_is_no_backup() {
    let mut router = Setup::new().start();
    let mut conn = open(&router.database());
    conn.batch_execute(
        "pragma busy_timeout = 5000; with recursive n (i) as (select 1 union all select i + 1 from n where i < 60000) \
         insert into aliases select 'alias number ' || i, 'glm/glm-4.7', 1, 0, 0, null from n",
    )
    .unwrap();
    drop(conn);
    let socket = router.data_dir().join("admin.sock");
    let backups = router.data_dir().join("backups");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            let head = "POST /api/backups HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            // The router is killed meanwhile.
            drop(stream.read_to_string(&mut answer));
        });
        until(PATIENCE, "the backup begins", || {
            fs::read_dir(&backups).is_ok_and(|mut entries| entries.next().is_some()).then_some(())
        });
        router.kill();
        asked.join().unwrap();
    });
    router.launch();
    let listed = call(&router, "GET", "/api/backups", &Value::Null).json();
    for backup in listed["data"].as_array().unwrap() {
        assert_eq!(backup["verified"], true, "one that is listed is whole: {backup}");
    }
    let made = call(&router, "POST", "/api/backups", &json!({})).json();
    assert_eq!(made["verified"], true, "{made}");
    let aliases = router.rows(&["count(*)"], "aliases");
    assert_eq!(aliases[0]["count(*)"], 60_000);
}
