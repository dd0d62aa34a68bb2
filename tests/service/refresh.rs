//! An OAuth account's life in the real process: one refresh for all, refusals, crashes, stops, and no token anywhere.

use std::path::Path;
use std::time::Duration;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Hold, Person, Place, Scripted};
use ninerouter::routing::account::AccountConfig;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::support::client::request;
use crate::support::{Conn, Dialect, PATIENCE, Router, Setup, database, oauth, until};

const MODEL: &str = "claude/claude-sonnet-5";

fn vendor() -> Authority {
    Authority::start(&Clock::System).unwrap()
}

/// A router of Claude accounts at `vendor`, whose tokens have the given seconds left. Not started.
fn router(vendor: &Authority, setup: Setup, accounts: &[(&AccountConfig, i64)]) -> Router {
    let environment = vendor.environment();
    let setup = environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value));
    let router = setup.prepare();
    for (config, left_s) in accounts {
        let issued = vendor.issue(&Person::new(&config.label));
        oauth::store(&router, config, &issued, *left_s);
    }
    router
}

fn started(vendor: &Authority, accounts: &[(&AccountConfig, i64)]) -> Router {
    let mut router = router(vendor, Setup::new(), accounts);
    router.launch();
    router
}

fn body() -> String {
    Dialect::Anth.body(MODEL, false)
}

fn send(router: &Router) -> Conn {
    let mut conn = router.connect();
    conn.send(&request("POST", "/v1/messages", &[], body().as_bytes()));
    conn
}

fn ask(router: &Router) -> u16 {
    router.post("/v1/messages", body()).status
}

fn auth(router: &Router) -> serde_json::Value {
    let rows = router.rows(&["auth", "auth_detail"], "account_hot_state");
    rows.into_iter().next().unwrap_or_default()
}

fn called(vendor: &Authority, times: u32) {
    assert!(vendor.wait(PATIENCE, |counts| counts.token_calls >= times), "{:?}", vendor.counts());
}

/// T-OA-04, T-ACT-05.
#[test]
fn a_thousand_requests_on_an_expired_token_cause_one_refresh_and_are_all_served() {
    // Two sockets per request here, and as many in the router, which inherits the limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let vendor = vendor();
    let account = oauth::claude("one", 1, 1_000);
    let setup = Setup::new()
        .setting("limits.provider_in_flight", 1_000)
        .setting("limits.account_in_flight", 1_000)
        .setting("limits.in_flight", 2_000);
    let mut router = router(&vendor, setup, &[(&account, -1)]);
    router.launch();
    // Nobody is answered before all have asked.
    vendor.hold(Place::Token, Hold::Request);
    let mut conns: Vec<Conn> = (0..1_000).map(|_| send(&router)).collect();
    called(&vendor, 1);
    vendor.hold(Place::Token, Hold::Off);
    let statuses: Vec<u16> =
        conns.iter_mut().map(|conn| conn.reply(false).expect("an answer").status).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(served, 1_000, "{:?}", statuses.iter().find(|status| **status != 200));
    let counts = vendor.counts();
    assert_eq!((counts.token_calls, counts.refreshes, counts.unauthorized), (1, 1, 0));
    assert_eq!(counts.messages, 1_000);
}

#[test]
fn f22_a_token_refused_once_is_refreshed_and_the_client_sees_success() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let router = started(&vendor, &[(&account, 5 * 3_600)]);
    assert_eq!(ask(&router), 200);
    vendor.expire_access_tokens();
    let got = router.post("/v1/messages", body());
    assert_eq!(got.status, 200, "{}", got.brief());
    assert_eq!(got.header("x-ninerouter-attempts"), Some("2"));
    let counts = vendor.counts();
    assert_eq!((counts.refreshes, counts.unauthorized), (1, 1));
    assert!(router.rows(&["scope"], "account_locks").is_empty());
    let attempts = "attempts WHERE next = 'same_account'";
    let rows = router.wait_rows(1, &["class", "upstream_status", "outcome"], attempts);
    assert_eq!(rows[0]["class"], "auth_expired");
    assert_eq!(rows[0]["upstream_status"], 401);
}

#[test]
fn f23_a_token_that_is_always_refused_is_refreshed_once_and_the_next_account_serves() {
    let vendor = vendor();
    let (first, second) = (oauth::claude("one", 1, 8), oauth::claude("two", 2, 8));
    let router = started(&vendor, &[(&first, 5 * 3_600), (&second, 5 * 3_600)]);
    let refusal = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid bearer token"}}"#;
    vendor.script(Place::Messages, [(); 2].map(|()| Scripted::reply(401, refusal)));
    let got = router.post("/v1/messages", body());
    assert_eq!(got.status, 200, "{}", got.brief());
    assert_eq!(got.header("x-ninerouter-attempts"), Some("3"));
    assert_eq!(vendor.counts().refreshes, 1);
    let lock =
        router.wait_rows(1, &["scope", "class", "until", "set_at"], "account_locks").remove(0);
    assert_eq!((&lock["scope"], &lock["class"]), (&"*".into(), &"auth_expired".into()));
    let ms = lock["until"].as_i64().unwrap() - lock["set_at"].as_i64().unwrap();
    assert_eq!(ms, 120_000);
    assert_eq!(ask(&router), 200);
    assert_eq!(vendor.counts().refreshes, 1);
}

#[test]
fn f52_a_token_endpoint_in_trouble_costs_nothing_while_the_token_lives() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let router = started(&vendor, &[(&account, 600)]);
    let trouble = [
        Scripted::reply(500, "oops"),
        Scripted::reply(200, "<html>").header("content-type", "text/html"),
        Scripted::reply(429, "{}").header("retry-after", "60"),
    ];
    vendor.script(Place::Token, trouble);
    for _ in 0..5 {
        assert_eq!(ask(&router), 200);
    }
    called(&vendor, 1);
    assert_eq!(vendor.counts().token_calls, 1, "no request waits: tried again in a minute");
}

#[test]
fn f58_a_kill_after_the_new_token_is_stored_loses_nothing() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let mut router = started(&vendor, &[(&account, -1)]);
    for round in 1..=3 {
        vendor.set_expires_in(Some(60));
        assert_eq!(ask(&router), 200, "round {round}");
        // Used, therefore stored.
        router.kill();
        router.launch();
        let counts = vendor.counts();
        assert_eq!((counts.refreshes, counts.reuses), (round, 0));
    }
    assert_eq!(ask(&router), 200);
    assert_eq!(vendor.counts().reuses, 0);
}

/// T-OA-05.
#[test]
fn f58_a_kill_between_the_reply_and_the_write_ends_dead_with_a_clear_message() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let mut router = started(&vendor, &[(&account, -1)]);
    // The refresh token is spent, and its successor never arrives.
    vendor.hold(Place::Token, Hold::Reply);
    let waiting = send(&router);
    assert!(vendor.wait(PATIENCE, |counts| counts.refreshes == 1));
    router.kill();
    drop(waiting);
    vendor.hold(Place::Token, Hold::Off);
    router.launch();
    for _ in 0..4 {
        let got = router.post("/v1/messages", body());
        assert!(got.status >= 400, "{}", got.brief());
    }
    let counts = vendor.counts();
    assert_eq!((counts.reuses, counts.token_calls), (1, 2), "never a loop");
    until(PATIENCE, "the account is dead", || (auth(&router)["auth"] == "dead").then_some(()));
    let output = router.output();
    assert!(output.contains("Sign in again"), "{output}");
    assert!(output.contains("killed before it could store its successor"), "{output}");
    let error = router.rows(&["last_error"], "account_hot_state").remove(0);
    assert!(error["last_error"].as_str().unwrap().contains("Sign in again"), "{error}");
    router.kill();
    router.launch();
    assert!(ask(&router) >= 400);
    assert_eq!(vendor.counts().token_calls, 2, "dead also after a restart");
}

/// T-CAN-03: the client that caused it is gone, the exchange completes once.
#[test]
fn f59_a_stop_waits_for_a_running_exchange() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let setup = Setup::new().setting("drain_seconds", 1);
    let mut router = router(&vendor, setup, &[(&account, -1)]);
    router.launch();
    vendor.hold(Place::Token, Hold::Reply);
    let waiting = send(&router);
    assert!(vendor.wait(PATIENCE, |counts| counts.refreshes == 1));
    drop(waiting);
    router.signal(Signal::TERM);
    until(PATIENCE, "it stops", || router.output().contains("stopping").then_some(()));
    vendor.hold(Place::Token, Hold::Off);
    assert!(router.wait(Duration::from_secs(40)).success());
    let stored = oauth::refresh_token(&router, account.id);
    assert!(vendor.secrets().contains(&stored));
    router.launch();
    assert_eq!(ask(&router), 200);
    let counts = vendor.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "its result was stored");
}

#[test]
fn f59_a_second_signal_waits_for_no_exchange() {
    let vendor = vendor();
    let account = oauth::claude("one", 1, 8);
    let mut router = started(&vendor, &[(&account, -1)]);
    vendor.hold(Place::Token, Hold::Request);
    let waiting = send(&router);
    called(&vendor, 1);
    drop(waiting);
    router.signal(Signal::TERM);
    until(PATIENCE, "it stops", || router.output().contains("stopping").then_some(()));
    router.signal(Signal::TERM);
    assert_eq!(router.wait(Duration::from_secs(15)).code(), Some(130));
    assert_eq!(vendor.counts().refreshes, 0);
}

#[test]
fn tokens_are_refreshed_ahead_of_their_end_without_any_request() {
    let vendor = vendor();
    let (soon, later) = (oauth::claude("soon", 1, 8), oauth::claude("later", 2, 8));
    let accounts = [(&soon, 30), (&later, 5 * 3_600)];
    let mut router = router(&vendor, Setup::new().background(), &accounts);
    router.launch();
    until(Duration::from_secs(40), "a refresh", || (vendor.counts().refreshes == 1).then_some(()));
    let mut quiet = self::router(&vendor, Setup::new(), &[(&oauth::claude("off", 1, 8), 30)]);
    quiet.launch();
    assert_eq!(ask(&router), 200);
    let counts = vendor.counts();
    assert_eq!((counts.refreshes, counts.unauthorized), (1, 0));
    // Its list of models was asked for with a token that lived.
    router.wait_rows(1, &["model"], "live_models WHERE provider = 'claude'");
}

#[test]
fn no_token_is_in_any_file_or_in_the_log() {
    let vendor = vendor();
    let (one, two) = (oauth::claude("one", 1, 8), oauth::claude("two", 2, 8));
    let setup = Setup::new().env("LOG_LEVEL", "debug");
    let mut router = router(&vendor, setup, &[(&one, -1), (&two, 5 * 3_600)]);
    router.launch();
    assert_eq!(ask(&router), 200);
    vendor.expire_access_tokens();
    assert_eq!(ask(&router), 200);
    let secrets = vendor.secrets();
    let first = secrets.first().expect("tokens were handed out").clone();
    // Answers that quote a token back.
    let quote = format!(r#"{{"error":"invalid_grant","error_description":"{first} is unknown"}}"#);
    vendor.script(Place::Token, [Scripted::reply(400, quote)]);
    vendor.expire_access_tokens();
    ask(&router);
    assert!(router.stop().success());
    let mut files = Vec::new();
    collect(&router.data_dir(), &mut files);
    assert!(files.iter().any(|(path, _)| path.ends_with("ninerouter.sqlite")));
    let output = router.output();
    for secret in vendor.secrets() {
        for (path, bytes) in &files {
            let found = memchr::memmem::find(bytes, secret.as_bytes()).is_some();
            assert!(!found, "a token stands in {path}");
        }
        assert!(!output.contains(&secret), "a token stands in the log");
    }
    assert!(
        !database::text(
            &router.database(),
            "select group_concat(last_error) j from account_hot_state"
        )
        .unwrap_or_default()
        .contains(&first)
    );
}

fn collect(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}
