//! Sign-ins through the real binary: what a browser meets, and an account that serves requests afterwards.

use std::fs;
use std::path::Path;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Hold, Person, Place};
use serde_json::{Value, json};

use crate::support::client::{Conn, request};
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, admin, until};

const CONNECT: &str = "/api/accounts/connect";

/// A router that takes the simulated vendor for Claude's.
fn router_at(vendor: &Authority) -> Router {
    let set = |setup: Setup, (name, url): (String, String)| setup.env(&name, &url);
    vendor.environment().into_iter().fold(Setup::new(), set).start()
}

fn call(router: &Router, method: &str, target: &str, body: &Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body)
}

fn start(router: &Router) -> Value {
    let reply = call(router, "POST", &format!("{CONNECT}/cc/start"), &json!({"browser": "here"}));
    assert_eq!(reply.status, 200, "{}", reply.brief());
    reply.json()
}

/// Opens the authorize page as a browser would; where it is sent.
fn agree(vendor: &Authority, started: &Value) -> String {
    let url = started["authorize_url"].as_str().unwrap();
    let path = url.strip_prefix(&vendor.url("")).unwrap();
    let mut conn = Conn::open(vendor.address());
    conn.send(&request("GET", path, &[], b""));
    conn.reply(false).unwrap().header("location").unwrap().to_owned()
}

fn session(router: &Router, started: &Value) -> Value {
    let id = started["session_id"].as_str().unwrap();
    call(router, "GET", &format!("{CONNECT}/sessions/{id}"), &Value::Null).json()
}

fn serves(router: &Router) {
    for stream in [false, true] {
        let reply = router.ask(Dialect::Anth, "cc/claude-opus-5", stream);
        assert_eq!(reply.status, 200, "{}", reply.brief());
        assert!(reply.text().contains("simulated"), "{}", reply.brief());
    }
}

/// No code, token or state of the vendor in any file of the data folder, or in what the process wrote.
fn assert_kept_secret(router: &Router, vendor: &Authority, started: &Value) {
    let url = started["authorize_url"].as_str().unwrap();
    let state = url.split("state=").nth(1).unwrap().to_owned();
    let needles: Vec<String> = vendor.secrets().into_iter().chain([state]).collect();
    let output = router.output();
    let files = files_below(&router.data_dir());
    assert!(files.iter().any(|(name, _)| name.ends_with("ninerouter.sqlite")));
    for needle in &needles {
        assert!(!output.contains(needle), "`{needle}` was printed");
        for (name, bytes) in &files {
            let found = memchr::memmem::find(bytes, needle.as_bytes());
            assert!(found.is_none(), "`{needle}` is in {name}");
        }
    }
}

fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else if path.is_file() {
            out.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    out
}

#[test]
fn browser_comes_back_to_the_router_and_the_account_serves() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let router = router_at(&vendor);
    let started = start(&router);
    let location = agree(&vendor, &started);
    let own = format!("http://localhost:{}", router.address.port());
    let path = location.strip_prefix(&own).unwrap_or_else(|| panic!("{location}"));
    assert_eq!(router.post("/v1/messages", "{}").status, 400, "nothing is set up yet");
    let page = router.get(path);
    assert_eq!(page.status, 200, "{}", page.brief());
    assert!(page.text().contains("ada@example.com"), "{}", page.brief());
    let done = session(&router, &started);
    assert_eq!((&done["status"], &done["existed"]), (&json!("done"), &json!(false)));
    serves(&router);
    assert_eq!(router.get(path).status, 400, "a callback works once");
    assert_eq!((vendor.counts().exchanges, vendor.counts().messages), (1, 2));
    assert_kept_secret(&router, &vendor, &started);
}

#[test]
fn pasted_address_connects_and_survives_a_restart() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let mut router = router_at(&vendor);
    let started = start(&router);
    let location = agree(&vendor, &started);
    // The sign-in waits through a restart of the router.
    router.stop();
    router.launch();
    let id = started["session_id"].as_str().unwrap();
    let paste = format!("{CONNECT}/sessions/{id}/paste");
    let wrong = call(&router, "POST", &paste, &json!({"input": "https://claude.ai/"}));
    assert_eq!(wrong.status, 422, "{}", wrong.brief());
    let done = call(&router, "POST", &paste, &json!({"input": location})).json();
    assert_eq!(done["status"], "done", "{done}");
    serves(&router);
    let account = done["account_id"].as_str().unwrap();
    router.kill();
    router.launch();
    serves(&router);

    let again = format!("/api/accounts/{account}/reconnect");
    vendor.sign_in_as(&Person::new("bob"));
    let started = call(&router, "POST", &again, &json!({"browser": "here"})).json();
    let id = started["session_id"].as_str().unwrap();
    let paste = format!("{CONNECT}/sessions/{id}/paste");
    let other = agree(&vendor, &started);
    let refused = call(&router, "POST", &paste, &json!({"input": other})).json();
    assert_eq!(refused["status"], "error");
    assert!(refused["message"].as_str().unwrap().contains("different account"), "{refused}");
    assert_kept_secret(&router, &vendor, &started);
}

#[test]
fn a_code_waits_through_a_restart_and_its_account_serves() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let mut router = router_at(&vendor);
    let start = format!("{CONNECT}/xai/start");
    let refused = call(&router, "POST", &start, &json!({"region": "eu"}));
    assert_eq!(refused.status, 422, "{}", refused.brief());
    assert!(refused.text().contains("`region`"), "{}", refused.brief());
    let started = call(&router, "POST", &start, &json!({"prefer": "device"})).json();
    assert_eq!((&started["mode"], &started["authorize_url"]), (&json!("device"), &Value::Null));
    router.kill();
    router.launch();
    let waiting = session(&router, &started);
    assert_eq!((&waiting["status"], &waiting["device"]), (&json!("pending"), &started["device"]));
    let code = started["device"]["user_code"].as_str().unwrap();
    assert!(vendor.enter_code(&Person::new("ada"), code));
    assert!(vendor.wait(PATIENCE, |counts| counts.exchanges == 1));
    let done = until(PATIENCE, "the sign-in is over", || {
        let session = session(&router, &started);
        (session["status"] != "exchanging" && session["status"] != "pending").then_some(session)
    });
    assert_eq!((&done["status"], &done["existed"]), (&json!("done"), &json!(false)), "{done}");
    for stream in [false, true] {
        let reply = router.ask(Dialect::Chat, "xai/grok-4.5", stream);
        assert_eq!(reply.status, 200, "{}", reply.brief());
        assert!(reply.text().contains("simulated"), "{}", reply.brief());
    }
    let counts = vendor.counts();
    assert_eq!((counts.messages, counts.early_polls), (2, 0));
    let output = router.output();
    for secret in vendor.secrets() {
        assert!(!output.contains(&secret), "`{secret}` was printed");
        for (name, bytes) in files_below(&router.data_dir()) {
            assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "in {name}");
        }
    }
}

#[test]
fn exchange_that_a_kill_cut_off_ends_in_a_clear_refusal() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let mut router = router_at(&vendor);
    let started = start(&router);
    let location = agree(&vendor, &started);
    let at = location.match_indices('/').nth(2).unwrap().0;
    vendor.hold(Place::Token, Hold::Reply);
    let mut browser = router.connect();
    browser.send(&request("GET", &location[at..], &[], b""));
    assert!(vendor.wait(PATIENCE, |counts| counts.exchanges == 1));
    assert_eq!(session(&router, &started)["status"], "exchanging");
    router.kill();
    vendor.hold(Place::Token, Hold::Off);
    router.launch();
    let cut = session(&router, &started);
    assert_eq!(cut["status"], "error");
    assert!(cut["message"].as_str().unwrap().contains("start again"), "{cut}");
    assert_eq!(router.get(&location[at..]).status, 400, "its code is never sent twice");
    assert_eq!(vendor.counts().token_calls, 1);
}

#[test]
fn file_of_the_official_client_is_followed() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let issued = vendor.issue(&Person::new("ada"));
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".credentials.json");
    fs::write(&file, vendor.credentials_file(&issued)).unwrap();
    let set = |setup: Setup, (name, url): (String, String)| setup.env(&name, &url);
    let setup = Setup::new().env("CLAUDE_CONFIG_DIR", home.path().to_str().unwrap());
    let router = vendor.environment().into_iter().fold(setup, set).start();
    let import = |body: Value| call(&router, "POST", "/api/accounts/import/claude", &body);
    let found = import(json!({"source": "scan"})).json();
    let key = found["candidates"][0]["key"].as_str().unwrap().to_owned();
    let copy = import(json!({"source": "scan", "select": [key], "ownership": "copy"}));
    assert_eq!(copy.status, 422, "{}", copy.brief());
    let imported = import(json!({"source": "scan", "select": [key]})).json();
    assert_eq!(imported["accounts"][0]["ownership"], "follow", "{imported}");
    assert_eq!(imported["checks"][0]["validation"], "verified", "{imported}");
    serves(&router);
    assert_eq!(vendor.counts().token_calls, 0, "its refresh token is not touched");
}

#[test]
fn callbacks_nobody_waits_for_are_told_to_start_again() {
    let router = Setup::new().start();
    for path in [
        "/callback",
        "/callback?code=c",
        "/callback?code=c&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "/callback?error=access_denied&error_description=%3Cscript%3E&state=s",
        "/oauth/callback/claude?code=c&state=s",
        "/oauth/callback/nobody?code=c&state=s",
    ] {
        let page = router.get(path);
        assert_eq!(page.status, 400, "{path}: {}", page.brief());
        assert!(
            page.text().contains("This sign-in link is no longer valid, start again"),
            "{path}"
        );
        assert!(!page.text().contains("<script"), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(page.header("x-request-id").is_some());
    }
    let ahead = router.send("HEAD", "/callback?code=c&state=s", &[], b"");
    assert_eq!(ahead.status, 200, "a look ahead does nothing");
    assert_eq!(router.post("/callback?code=c&state=s", "").status, 405);
    let foreign = router.send("GET", "/callback?code=c&state=s", &[("host", "a/b")], b"");
    assert_eq!(foreign.status, 400);
    assert!(!router.output().contains("code=c"), "a code is never logged");
}
