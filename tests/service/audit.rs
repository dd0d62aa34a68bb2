//! T-AUD-01: events of security §15, each provoked from outside and found as a row. Which event is provoked where:
//! `traceability`. What signing in and the request path leave is in `login` and `record`.

use std::fs;
use std::path::Path;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Person, Place, Scripted};
use ninerouter::demo::chaos::{Chaos, reply};
use serde_json::{Value, json};

use crate::support::audit::{row, row_that, rows};
use crate::support::browser::field;
use crate::support::{
    Browser, Dialect, PATIENCE, Reply, Router, Setup, admin, database, oauth, until,
};

const GOOD: &str = "correct horse battery";
/// An address that no policy opens.
const INSIDE: &str = "http://169.254.169.254";

fn call(router: &Router, method: &str, target: &str, body: &Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body)
}

/// A call that goes well.
fn done(router: &Router, method: &str, target: &str, body: &Value) -> Value {
    let reply = call(router, method, target, body);
    assert!(reply.status < 300, "{method} {target}: {}", reply.brief());
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

fn good() -> Chaos {
    Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap()
}

fn with_vendor(vendor: &Authority) -> Setup {
    let set = |setup: Setup, (name, url): (String, String)| setup.env(&name, &url);
    vendor.environment().into_iter().fold(Setup::new(), set)
}

#[test]
fn t_aud_01_keys_their_limits_and_their_end() {
    let upstream = good();
    let router = Setup::new()
        .setting("require_api_key", true)
        .upstream(Dialect::Chat, "up", &upstream.url("/v1"))
        .start();
    let made = done(&router, "POST", "/api/keys", &json!({"name": "one", "rpm": 1}));
    let path = format!("/api/keys/{}", text(&made["key"], "id"));
    done(&router, "PATCH", &path, &json!({"name": "first"}));
    assert_eq!(row(&router, "api_key_updated")["detail"]["id"], made["key"]["id"]);
    let ask = |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = Dialect::Chat.body("up/m", false);
        router.send("POST", "/v1/chat/completions", &headers, body.as_bytes()).status
    };
    assert_eq!((ask(text(&made, "text")), ask(text(&made, "text"))), (200, 429));
    let limited = row(&router, "api_key_limit");
    assert_eq!((&limited["status"], &limited["outcome"]), (&json!(429), &json!("denied")));
    assert!(limited["detail"]["kind"].is_string(), "{limited}");

    let soon = Clock::System.now_ms() + 1_000;
    let brief = done(&router, "POST", "/api/keys", &json!({"name": "two", "expires_at": soon}));
    until(PATIENCE, "the key is over", || (ask(text(&brief, "text")) == 401).then_some(()));
    assert_eq!(row(&router, "api_key_expired")["detail"]["why"], "expired");

    until(PATIENCE, "guesses are slowed down", || (ask("sk-guess-000000") == 429).then_some(()));
    let slowed = row(&router, "rate_limit_exceeded");
    assert_eq!(slowed["detail"]["scope"], "failed_keys");
    // SEC-AUD-5: the guesses themselves do not fill the log.
    assert!(rows(&router, "api_auth_failed").len() <= 21);
}

#[test]
fn t_aud_01_the_first_sign_in_and_the_end_of_sessions() {
    let local = Setup::new().start();
    assert_eq!(Browser::new(&local).sign_in("123456").status, 303);
    assert_eq!(row(&local, "password_default_used")["outcome"], "ok");

    let open = Setup::new().arg("--host").arg("0.0.0.0").start();
    let mut browser = Browser::new(&open).with("host", "router.example");
    for (code, event) in [
        ("wrong".to_owned(), "setup_code_failed"),
        (fs::read_to_string(open.data_dir().join("setup-code")).unwrap(), "setup_code_used"),
    ] {
        let csrf = field(&browser.get("/login").text(), "_csrf");
        browser.form("/login", &[("_csrf", &csrf), ("code", code.trim())]);
        let noted = row(&open, event);
        assert_eq!(noted["client_ip"], "127.0.0.1", "{noted}");
        assert!(!noted.to_string().contains(code.trim()), "{noted}");
    }

    let mut router = Setup::new().env("INITIAL_PASSWORD", GOOD).start();
    let mut mine = Browser::signed_in(&router, GOOD);
    assert_eq!(mine.sudo(GOOD).status, 200);
    assert_eq!(mine.api("POST", "/api/auth/logout-all", &Value::Null).status, 204);
    assert_eq!(row(&router, "logout_all")["actor"], "admin");
    let cookies = Browser::signed_in(&router, GOOD).cookies;
    router.stop();
    database::execute(&router.database(), "UPDATE sessions SET expires_at = 1");
    router.launch();
    let mut late = Browser::new(&router);
    late.cookies = cookies;
    assert_eq!(late.get("/dashboard").status, 303);
    assert_eq!(row(&router, "session_expired")["path"], "/dashboard");
}

#[test]
fn t_aud_01_accounts_and_their_tokens() {
    let upstream = good();
    let router = Setup::new().node(Dialect::Chat, "up", &upstream.url("/v1")).start();
    let wish = json!({"provider": "up", "api_key": "sk-first-0001", "label": "work"});
    let made = done(&router, "POST", "/api/accounts", &wish);
    let id = text(&made["account"], "id");
    let added = row(&router, "provider_account_added");
    assert_eq!((&added["detail"]["id"], &added["actor"]), (&json!(id), &json!("cli")));
    done(&router, "PATCH", &format!("/api/accounts/{id}"), &json!({"label": "home"}));
    assert_eq!(row(&router, "provider_account_updated")["detail"]["id"], id);
    done(&router, "DELETE", &format!("/api/accounts/{id}"), &Value::Null);
    assert_eq!(row(&router, "provider_account_removed")["detail"]["id"], id);

    let vendor = Authority::start(&Clock::System).unwrap();
    let (good, bad) = (oauth::claude("good", 1, 8), oauth::claude("bad", 2, 8));
    let mut router = with_vendor(&vendor).start();
    router.stop();
    // A dead refresh token matters when there is no working access token beside it.
    for (account, left_s) in [(&good, 5 * 3_600), (&bad, -10)] {
        let issued = vendor.issue(&Person::new(&account.label));
        oauth::store(&router, account, &issued, left_s);
    }
    router.launch();
    let refresh =
        |id: &str| call(&router, "POST", &format!("/api/accounts/{id}/refresh"), &json!({}));
    // One in ten has its row.
    let good = good.id.to_string();
    for _ in 0..10 {
        let reply = refresh(&good);
        assert_eq!(reply.status, 200, "{}", reply.brief());
    }
    let refreshed = row(&router, "provider_account_token_refreshed");
    assert_eq!(refreshed["detail"]["id"], good);
    assert_eq!(
        (refreshed["actor"].clone(), rows(&router, "provider_account_token_refreshed").len()),
        (json!("system"), 1)
    );
    let refusal = Scripted::reply(400, r#"{"error":"invalid_grant"}"#);
    vendor.script(Place::Token, [refusal.clone(), refusal]);
    let bad = bad.id.to_string();
    assert!(refresh(&bad).status >= 400);
    let lost = row(&router, "provider_account_reauth_needed");
    assert_eq!((&lost["detail"]["id"], &lost["outcome"]), (&json!(bad), &json!("failed")));
}

#[test]
fn t_aud_01_sign_ins_begin_and_end() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let router = with_vendor(&vendor).start();
    let start = || {
        let begun =
            done(&router, "POST", "/api/accounts/connect/cc/start", &json!({"browser": "here"}));
        let session = format!("/api/accounts/connect/sessions/{}", text(&begun, "session_id"));
        let url = text(&begun, "authorize_url").to_owned();
        (session, url)
    };
    let (session, url) = start();
    assert_eq!(row(&router, "oauth_started")["detail"]["provider"], "cc");
    let mut page = crate::support::Conn::open(vendor.address());
    let path = url.strip_prefix(&vendor.url("")).unwrap();
    page.send(&crate::support::client::request("GET", path, &[], b""));
    let back = page.reply(false).unwrap().header("location").unwrap().to_owned();
    done(&router, "POST", &format!("{session}/paste"), &json!({"input": back}));
    let completed = row(&router, "oauth_completed");
    assert_eq!(
        (&completed["outcome"], &completed["detail"]["provider"]),
        (&json!("ok"), &json!("claude"))
    );

    let (session, _) = start();
    done(&router, "POST", &format!("{session}/cancel"), &json!({}));
    assert_eq!(row(&router, "oauth_failed")["detail"]["why"], "cancelled");
    vendor.script(Place::Token, [Scripted::reply(400, r#"{"error":"invalid_grant"}"#)]);
    let (session, url) = start();
    let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let input = format!("http://localhost:1/callback?code=c-0123456789&state={state}");
    call(&router, "POST", &format!("{session}/paste"), &json!({"input": input}));
    let failed = row_that(&router, "oauth_failed", |row| row["actor"] == "system");
    assert_eq!(failed["outcome"], "failed");
    assert!(!failed.to_string().contains(state) && !failed.to_string().contains("c-0123456789"));
}

#[test]
fn t_aud_01_nodes_that_lead_elsewhere_and_who_is_believed() {
    let (one, two) = (good(), good());
    let router = Setup::new().start();
    let node = json!({
        "type": "openai-compatible", "name": "Lab", "prefix": "lab",
        "base_url": one.url("/v1"), "network": "loopback",
    });
    let id = text(&done(&router, "POST", "/api/nodes", &node), "id").to_owned();
    let path = format!("/api/nodes/{id}");
    done(&router, "PATCH", &path, &json!({"base_url": two.url("/v1")}));
    let moved = row(&router, "node_base_url_changed");
    assert_eq!(
        (&moved["detail"]["from"], &moved["detail"]["to"]),
        (&json!(one.url("/v1")), &json!(two.url("/v1")))
    );
    let wider = json!({"base_url": "https://lab.example/v1", "network": "private"});
    done(&router, "PATCH", &path, &wider);
    assert_eq!(row(&router, "node_policy_changed")["detail"]["network"], "private");

    let both =
        json!({"trusted_proxies": ["192.0.2.7"], "ip_whitelist": ["127.0.0.1"], "sticky_count": 4});
    done(&router, "PATCH", "/api/settings", &both);
    for (event, keys) in [
        ("trusted_proxies_changed", "trusted_proxies"),
        ("whitelist_changed", "ip_whitelist"),
        ("settings_changed", "sticky_count"),
    ] {
        let noted = row_that(&router, event, |row| {
            row["actor"] == "cli" && row["detail"]["keys"] == json!([keys])
        });
        assert!(!noted.to_string().contains("192.0.2.7"), "{noted}");
    }
}

/// Makes the database of a router that does not run one of the version before.
fn take_back_last_migration(router: &Router) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let last = all.max().unwrap();
    let down = fs::read_to_string(last.join("down.sql")).unwrap();
    let name = last.file_name().unwrap().to_str().unwrap();
    let version: String = name.split('_').next().unwrap().replace('-', "");
    let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'");
    database::execute(&router.database(), &format!("BEGIN; {down}; {forget}; COMMIT"));
}

#[test]
fn t_aud_01_backups_migrations_and_a_key_that_is_gone() {
    let mut router = Setup::new().start();
    let account = json!({"provider": "openai", "api_key": "sk-first-0001", "check": false});
    done(&router, "POST", "/api/accounts", &account);
    router.stop();
    take_back_last_migration(&router);
    router.launch();
    let migrated = row(&router, "migration_applied");
    let version = |name: &str| migrated["detail"][name].as_i64().unwrap();
    assert_eq!(version("from") + 1, version("to"), "{migrated}");
    let made = done(&router, "POST", "/api/backups", &json!({}));
    let name = text(&made, "name");
    assert_eq!(row(&router, "backup_created")["detail"]["name"], name);
    done(&router, "POST", &format!("/api/backups/{name}/restore"), &json!({}));
    assert_eq!(row(&router, "backup_restored")["detail"]["name"], name);
    let nobody = call(&router, "POST", "/api/backups/ninerouter-0.sqlite/restore", &json!({}));
    assert!(nobody.status >= 400, "{}", nobody.brief());

    router.stop();
    // Another key than the one that sealed the account's.
    fs::write(router.data_dir().join("master.key"), "not a key").unwrap();
    router.launch();
    assert_eq!(row(&router, "secrets_unreadable")["outcome"], "failed");
}

/// SEC-AUD-6: what did not fit into memory while the disk refused is told of, with its number.
#[test]
fn t_aud_01_rows_that_gave_way_are_counted() {
    let router = Setup::new().start();
    row(&router, "boot_security_report");
    {
        let _others_write = database::lock(&router.database());
        for _ in 0..1_100 {
            done(&router, "PATCH", "/api/logs/level", &json!({"level": "info", "minutes": 1}));
        }
    }
    let lost = row(&router, "audit_lost");
    assert!(lost["detail"]["lost"].as_i64() > Some(0), "{lost}");
    let found = done(&router, "POST", "/api/audit/verify", &json!({}));
    assert_eq!(found["ok"], true, "{found}");
}

/// Whatever sends a request, one connector judges where it leads, and tells.
#[test]
fn t_aud_01_a_refused_address_has_its_row_whatever_the_call_was_for() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let gem = Chaos::always(reply::json(200, &Dialect::Gem.answer())).unwrap();
    let mut setup = Setup::new().upstream(Dialect::Gem, "gem", &gem.url("/v1beta"));
    for place in ["CLAUDE_TOKEN", "CLAUDE_PROFILE", "CLAUDE_QUOTA", "CLAUDE_API", "OPENAI_API"] {
        setup = setup.env(&format!("NINEROUTER_ENDPOINT_{place}"), &format!("{INSIDE}/x"));
    }
    let mut router =
        setup.account("openai", "open").setting("count_tokens", "\"native\"").background().start();
    router.stop();
    let (old, fresh) = (oauth::claude("old", 2, 8), oauth::claude("fresh", 1, 8));
    oauth::store(&router, &old, &vendor.issue(&Person::new("ada")), -10);
    oauth::store(&router, &fresh, &vendor.issue(&Person::new("bob")), 5 * 3_600);
    router.launch();
    let asked = router.ask(Dialect::Chat, "openai/gpt-5", false);
    assert_eq!(asked.status, 502, "{}", asked.brief());
    assert_eq!(asked.json()["error"]["code"], "outbound_blocked");
    let count =
        router.post("/v1/messages/count_tokens", Dialect::Anth.body("cc/claude-opus-5", false));
    assert_eq!(count.status, 200, "estimated: {}", count.brief());
    let image = json!({"model": "gem/m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://169.254.169.254/a?token=canary"}},
    ]}]});
    assert_eq!(router.post("/v1/chat/completions", image.to_string()).status, 400);
    let begun =
        done(&router, "POST", "/api/accounts/connect/cc/start", &json!({"browser": "here"}));
    let state =
        text(&begun, "authorize_url").split("state=").nth(1).unwrap().split('&').next().unwrap();
    let session = text(&begun, "session_id");
    let paste =
        json!({"input": format!("http://localhost:1/callback?code=c-0123456789&state={state}")});
    call(&router, "POST", &format!("/api/accounts/connect/sessions/{session}/paste"), &paste);
    call(&router, "POST", &format!("/api/accounts/{}/refresh", old.id), &json!({}));
    call(&router, "POST", &format!("/api/accounts/{}/quota/refresh", fresh.id), &json!({}));
    let accounts = done(&router, "GET", "/api/accounts", &Value::Null);
    let open = accounts["data"].as_array().unwrap().iter().find(|one| one["label"] == "open");
    let open = text(open.unwrap(), "id");
    call(&router, "POST", &format!("/api/accounts/{open}/test"), &json!({}));
    let node = json!({"type": "openai-compatible", "base_url": "https://169.254.169.254/v1"});
    let told = done(&router, "POST", "/api/nodes/validate", &node);
    assert_eq!(told["error"], "address_not_allowed", "{told}");
    let proxy = json!({"name": "out", "url": "http://127.0.0.1:1"});
    let proxy = done(&router, "POST", "/api/proxies", &proxy);
    done(&router, "POST", &format!("/api/proxies/{}/test", text(&proxy, "id")), &json!({}));

    for (purpose, class, provider) in [
        ("inference", "override", Some("openai")),
        ("count_tokens", "override", Some("claude")),
        ("media", "content", None),
        ("sign_in", "override", Some("claude")),
        ("token_refresh", "override", Some("claude")),
        ("quota", "override", Some("claude")),
        ("models", "override", Some("openai")),
        ("account_test", "override", Some("openai")),
        ("node_test", "node", None),
        ("proxy_test", "override", None),
    ] {
        let noted = row_that(&router, "outbound_blocked", |row| {
            let detail = &row["detail"];
            let is_of = provider.is_none_or(|provider| detail["provider"] == provider);
            detail["purpose"] == purpose && is_of
        });
        let detail = &noted["detail"];
        assert_eq!(
            (&noted["outcome"], &detail["host"]),
            (&json!("denied"), &json!("169.254.169.254"))
        );
        assert_eq!(detail["class"], class, "{noted}");
        assert!(
            text(detail, "verdict").len() > 10 && !noted.to_string().contains("canary"),
            "{noted}"
        );
        let has_request = noted["request_id"].is_string();
        assert_eq!(
            has_request,
            matches!(purpose, "inference" | "count_tokens" | "media"),
            "{noted}"
        );
    }
    // Its models were asked for, no answer was.
    assert!(gem.requests().iter().all(|asked| asked.head.starts_with(b"GET ")));
}

/// SEC-AUD-5: a client that names address after address makes no more rows than anybody who knocks.
#[test]
fn t_aud_01_refused_addresses_do_not_fill_the_log() {
    const ASKED: i64 = 60;
    let gem = Chaos::always(reply::json(200, &Dialect::Gem.answer())).unwrap();
    let mut router = Setup::new().upstream(Dialect::Gem, "gem", &gem.url("/v1beta")).start();
    let image = json!({"model": "gem/m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://169.254.169.254/a"}},
    ]}]});
    for _ in 0..ASKED {
        assert_eq!(router.post("/v1/chat/completions", image.to_string()).status, 400);
    }
    // A forged address is noted, and floods as little.
    for _ in 0..ASKED {
        router.send("GET", "/login", &[("x-forwarded-for", "192.0.2.1")], b"");
    }
    router.stop();
    for event in ["outbound_blocked", "proxy_header_ignored"] {
        let from = format!("audit_events WHERE event = '{event}'");
        let rows = router.rows(&["count"], &from);
        let counted: i64 = rows.iter().filter_map(|row| row["count"].as_i64()).sum();
        assert_eq!(counted, ASKED, "{event}: none is lost");
        // Two minutes may be touched.
        assert!(rows.len() <= 42, "{event}: {} rows", rows.len());
    }
}
