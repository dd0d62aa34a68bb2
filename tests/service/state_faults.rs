//! Faults whose outcome is a state rather than bytes: security §23, F24, F25, F44, F48–F50, F53, F59, F61, F62, F67, F68.

use std::net::TcpStream;

use ninerouter::clock::Clock;
use ninerouter::demo::authority::{Authority, Hold, Person, Place};
use ninerouter::demo::chaos::{Chaos, Reading, Received, Step, reply};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::request;
use crate::support::{
    Browser, Conn, Dialect, PATIENCE, Reply, Router, Setup, admin, database, oauth, until,
};

fn call(router: &Router, method: &str, target: &str, body: &Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body)
}

fn answer(dialect: Dialect, stream: bool) -> Vec<u8> {
    match stream {
        true => reply::sse(&dialect.story().without_usage()),
        false => reply::json(200, &dialect.answer()),
    }
}

fn good(dialect: Dialect, stream: bool) -> Chaos {
    Chaos::always(answer(dialect, stream)).unwrap()
}

fn keys(chaos: &Chaos) -> Vec<String> {
    let key = |request: &Received| {
        let bearer = request.header("authorization").map(|v| v.replace("Bearer ", ""));
        let named = || request.header("x-api-key").or_else(|| request.header("x-goog-api-key"));
        bearer.or_else(named).unwrap_or_default()
    };
    chaos.requests().iter().map(key).collect()
}

#[test]
fn f24_a_403_is_an_empty_purse_or_a_ban_by_its_words() {
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            for (code, message, want) in [
                ("insufficient_balance", "Your credit balance is too low", "purse"),
                ("account_disabled", "Your account has been suspended", "banned"),
            ] {
                let case = format!("{dialect:?} {stream} {want}");
                let error = dialect.error(403, "permission_error", code, message);
                let refusing = Chaos::always(reply::json(403, &error)).unwrap();
                let serving = good(dialect, stream);
                let router = Setup::new()
                    .upstream(dialect, "one", &refusing.url(dialect.base()))
                    .upstream(dialect, "two", &serving.url(dialect.base()))
                    .combo("stack", &["one/m", "two/m"])
                    .start();
                for _ in 0..2 {
                    assert_eq!(router.ask(dialect, "stack", stream).status, 200, "{case}");
                }
                assert_eq!(refusing.requests().len(), 1, "{case}: it is left alone");
                let states = || {
                    let dead = "account_hot_state WHERE auth = 'dead'";
                    let dead = router.rows(&["auth"], dead);
                    (dead, router.rows(&["scope", "class"], "account_locks"))
                };
                let (dead, locks) = until(PATIENCE, "the refusal is stored", || {
                    Some(states()).filter(|(dead, locks)| !dead.is_empty() || !locks.is_empty())
                });
                match want {
                    "banned" => assert_eq!(dead.len(), 1, "{case}: {locks:?}"),
                    _ => {
                        assert!(dead.is_empty(), "{case}: {dead:?}");
                        assert_eq!(locks[0]["class"], "payment_required", "{case}: {locks:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn f25_a_prompt_that_is_too_long_goes_on_only_where_it_may_fit() {
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let message = "This model's maximum context length is 8192 tokens";
            let error =
                dialect.error(400, "invalid_request_error", "context_length_exceeded", message);
            let small = Chaos::always(reply::json(400, &error)).unwrap();
            let large = good(dialect, stream);
            let window = |ctx: &str| {
                let known = |provider: &str, ctx: &str| {
                    format!("[[models]]\nprovider = \"{provider}\"\nid = \"m\"\n{ctx}\n")
                };
                Setup::new()
                    .node(dialect, "one", &small.url(dialect.base()))
                    .account_with("one", "first", "priority = 1")
                    .account_with("one", "second", "priority = 2")
                    .upstream(dialect, "two", &large.url(dialect.base()))
                    .combo("stack", &["one/m", "two/m"])
                    .toml(&known("one", "ctx = 8192"))
                    .toml(&known("two", ctx))
                    .start()
            };
            let case = format!("{dialect:?} {stream}");
            for (ctx, served) in [("ctx = 200000", true), ("ctx = 4096", false), ("", true)] {
                let (before, larger) = (small.requests().len(), large.requests().len());
                let got = window(ctx).ask(dialect, "stack", stream);
                assert_eq!(got.status, if served { 200 } else { 400 }, "{case} {}", got.brief());
                assert_eq!(small.requests().len(), before + 1, "{case}: no other account");
                assert_eq!(large.requests().len(), larger + usize::from(served), "{case} {ctx}");
            }
            assert!(keys(&small).iter().all(|key| key == "key-first"), "{case}");
        }
    }
}

#[test]
fn f44_an_unknown_finish_reason_ends_an_answer_all_the_same() {
    let odd = Dialect::Chat.answer().replace("\"stop\"", "\"went_for_lunch\"");
    let chaos = Chaos::always(reply::json(200, &odd)).unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let same = router.ask(Dialect::Chat, "one/m", false);
    assert_eq!(same.text(), odd, "the same dialect is handed on as it is");
    let other = router.ask(Dialect::Anth, "one/m", false);
    assert_eq!(other.status, 200, "{}", other.brief());
    assert_eq!(other.json()["stop_reason"], "end_turn", "{}", other.brief());
    let rows = router.wait_rows(2, &["status", "error_class"], "requests");
    for row in rows {
        assert_eq!((&row["status"], &row["error_class"]), (&json!("ok"), &Value::Null));
    }
}

#[test]
fn f50_pipelined_requests_are_served_in_order() {
    let chaos = good(Dialect::Chat, false);
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let mut conn = router.connect();
    let ask = |n: usize| {
        let body = Dialect::Chat.body("one/m", false);
        let id = format!("client-{n}");
        request("POST", "/v1/chat/completions", &[("x-request-id", &id)], body.as_bytes())
    };
    let all: Vec<u8> = (0..10).flat_map(ask).collect();
    conn.send(&all);
    for n in 0..10 {
        let got = conn.reply(false).unwrap();
        assert_eq!(got.status, 200, "{n}: {}", got.brief());
        assert_eq!(got.text(), Dialect::Chat.answer(), "{n}");
    }
    assert_eq!(chaos.requests().len(), 10);
}

#[test]
fn f50_idle_connections_hold_up_nobody() {
    let chaos = good(Dialect::Chat, false);
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let idle: Vec<TcpStream> =
        (0..400).map(|_| TcpStream::connect(router.address).unwrap()).collect();
    for _ in 0..20 {
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
    }
    drop(idle);
    assert_eq!(router.get("/healthz").status, 200);
}

#[test]
fn f53_an_account_that_is_removed_while_it_refreshes_does_not_come_back() {
    let vendor = Authority::start(&Clock::System).unwrap();
    let set = |setup: Setup, (name, url): (String, String)| setup.env(&name, &url);
    let mut router = vendor.environment().into_iter().fold(Setup::new(), set).start();
    assert!(router.stop().success());
    let config = oauth::claude("gone", 1, 8);
    oauth::store(&router, &config, &vendor.issue(&Person::new("ada")), -10);
    router.launch();
    vendor.hold(Place::Token, Hold::Reply);
    let mut waiting = router.connect();
    let body = Dialect::Anth.body("cc/claude-opus-5", false);
    waiting.send(&request("POST", "/v1/messages", &[], body.as_bytes()));
    assert!(vendor.wait(PATIENCE, |counts| counts.refreshes == 1));
    let removed = call(&router, "DELETE", &format!("/api/accounts/{}", config.id), &Value::Null);
    assert_eq!(removed.status, 204, "{}", removed.brief());
    vendor.hold(Place::Token, Hold::Off);
    let got = waiting.reply(false).unwrap();
    assert!(got.status >= 400, "{}", got.brief());
    for _ in 0..2 {
        assert_eq!(router.rows(&["id"], "accounts"), [Value::Null; 0]);
        assert_eq!(router.rows(&["account_id"], "account_secrets"), [Value::Null; 0]);
        assert_eq!(router.rows(&["account_id"], "account_hot_state"), [Value::Null; 0]);
        assert!(router.stop().success());
        router.launch();
    }
}

#[test]
fn f59_a_stop_ends_requests_that_wait_for_a_place_with_an_answer_each() {
    let chaos = Chaos::start(Reading::Whole, |_| {
        vec![Step::Hold, Step::send(answer(Dialect::Chat, false))]
    })
    .unwrap();
    let mut router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "only", "max_concurrent = 1")
        .start();
    let body = Dialect::Chat.body("one/m", false);
    let bytes = request("POST", "/v1/chat/completions", &[], body.as_bytes());
    let mut running = router.connect();
    running.send(&bytes);
    assert!(chaos.wait_requests(1, PATIENCE));
    let mut queued: Vec<Conn> = (0..3).map(|_| router.connect()).collect();
    queued.iter_mut().for_each(|conn| conn.send(&bytes));
    until(PATIENCE, "they are in the house", || {
        let status = call(&router, "GET", "/api/status", &Value::Null).json();
        (status["in_flight"] == 4).then_some(())
    });
    router.signal(Signal::TERM);
    until(PATIENCE, "it accepts no more", || {
        TcpStream::connect(router.address).is_err().then_some(())
    });
    chaos.release();
    assert_eq!(running.reply(false).unwrap().status, 200);
    for conn in &mut queued {
        let got = conn.reply(false).expect("an answer, not a cut");
        assert!(got.complete && matches!(got.status, 200 | 503), "{}", got.brief());
    }
    assert_eq!(router.wait(PATIENCE).code(), Some(0), "{}", router.output());
    assert_eq!(router.rows(&["id"], "requests").len(), 4, "each has its row");
}

/// T-RUN-06.
#[test]
fn f61_without_file_handles_accepting_pauses_and_goes_on() {
    let chaos = good(Dialect::Chat, false);
    let mut router =
        Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).files(160).prepare();
    router.launch();
    assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
    // More than it can take: the system queues some of them.
    let crowd: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(router.address).unwrap()).collect();
    drop(crowd);
    until(PATIENCE, "it serves again", || {
        let mut conn = Conn::open(router.address);
        let body = Dialect::Chat.body("one/m", false);
        conn.try_send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
        conn.reply(false).filter(|got| got.status == 200).map(drop)
    });
    assert!(!router.output().contains("panicked"), "{}", router.output());
    assert_eq!(router.stop().code(), Some(0));
}

#[test]
fn f62_many_streams_fit_in_a_small_memory() {
    const STREAMS: usize = 400;
    let story = Dialect::Anth.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let rest = format!("{}{}", story.content[1], story.finish);
    let chaos = Chaos::start(Reading::Whole, move |_| {
        vec![
            Step::send([reply::sse_head(), reply::chunk(begun.as_bytes())].concat()),
            Step::Hold,
            Step::send([&reply::chunk(rest.as_bytes()), reply::LAST_CHUNK].concat()),
        ]
    })
    .unwrap();
    let mut router = Setup::new()
        .setting("limits.provider_in_flight", 1_000)
        .node(Dialect::Anth, "one", &chaos.url("/v1"))
        .account_with("one", "only", "max_concurrent = 1000")
        .start();
    let body = Dialect::Anth.body("one/m", true);
    let mut streams: Vec<Conn> = (0..STREAMS).map(|_| router.connect()).collect();
    for conn in &mut streams {
        conn.send(&request("POST", "/v1/messages", &[], body.as_bytes()));
    }
    for conn in &mut streams {
        assert_eq!(conn.head(false).unwrap().status, 200);
        conn.read_to("Hé".as_bytes());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", router.pid().as_raw_nonzero()));
    let status = status.unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 256 * 1024, "{kib} KiB with {STREAMS} streams");
    chaos.release();
    for conn in &mut streams {
        let rest = conn.read_to(b"message_stop");
        assert!(!rest.is_empty());
    }
    assert_eq!(router.stop().code(), Some(0));
}

/// Rows `1..=count` of a table, made by SQLite; `values` may use `i` and the id of its row.
fn fill(table: &str, columns: &str, values: &str, count: u32) -> String {
    let id = "lower(printf('%08x-0000-7000-8000-%012x', i, i))";
    format!(
        "INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT {} FROM n;",
        values.replace("$id", id)
    )
}

#[test]
fn f67_a_large_installation_starts_serves_and_shows_page_by_page() {
    const COMBOS: u32 = 10_000;
    const ACCOUNTS: u32 = 5_000;
    const MODELS: u32 = 200;
    /// Largest page of HTML: it shows a part of a list of thousands.
    const PAGE: usize = 3 << 20;
    let chaos = good(Dialect::Chat, false);
    let mut router = Setup::new().env("INITIAL_PASSWORD", "correct horse battery").start();
    let node = |name: &str| {
        let node = json!({
            "type": "openai-compatible", "name": name, "prefix": name, "auth_style": "none",
            "base_url": chaos.url("/v1"), "network": "loopback",
        });
        let made = call(&router, "POST", "/api/nodes", &node);
        assert_eq!(made.status, 201, "{}", made.brief());
        made.json()["id"].as_str().unwrap().to_owned()
    };
    let (node, narrow) = (node("wide"), node("narrow"));
    let account = json!({"provider": narrow, "label": "one", "check": false});
    let made = call(&router, "POST", "/api/accounts", &account);
    assert_eq!(made.status, 201, "{}", made.brief());
    router.stop();
    let all = [
        fill(
            "accounts",
            "id, provider, kind, label, created_at, updated_at",
            &format!("$id, '{node}', 'none', 'account ' || i, 1, 1"),
            ACCOUNTS,
        ),
        fill(
            "models",
            "provider, model, source, created_at, updated_at",
            &format!("'{node}', 'm' || i, 'manual', 1, 1"),
            MODELS,
        ),
        fill(
            "combos",
            "id, name, strategy, created_at, updated_at",
            "$id, 'c' || i, 'fallback', 1, 1",
            COMBOS,
        ),
        fill(
            "combo_entries",
            "id, combo_id, position, target",
            "$id, $id, 0, 'narrow/m' || (1 + i % 200)",
            COMBOS,
        ),
    ];
    database::execute(&router.database(), &format!("BEGIN; {} COMMIT;", all.concat()));
    router.launch();
    for model in ["c1", "c10000", "wide/m200"] {
        let got = router.ask(Dialect::Chat, model, false);
        assert_eq!(got.status, 200, "{model}: {}", got.brief());
    }
    for (path, total) in [("accounts", ACCOUNTS + 1), ("combos", COMBOS)] {
        let page = call(&router, "GET", &format!("/api/{path}?limit=50"), &Value::Null);
        assert_eq!(page.status, 200, "{path}: {}", page.brief());
        let page = page.json();
        assert_eq!((&page["total"], page["data"].as_array().unwrap().len()), (&json!(total), 50));
        assert!(page["next"].is_string(), "{path}");
    }
    let listed = router.get("/v1/models").json()["data"].as_array().unwrap().len();
    assert!(listed > usize::try_from(COMBOS).unwrap(), "{listed} names");
    let mut browser = Browser::signed_in(&router, "correct horse battery");
    let provider = format!("/dashboard/providers/{node}");
    for path in ["/dashboard", "/dashboard/combos", "/dashboard/providers", &provider] {
        let page = browser.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.brief());
        assert!(page.body.len() < PAGE, "{path}: {} bytes", page.body.len());
    }
    assert_eq!(router.stop().code(), Some(0));
}

#[test]
fn f68_combos_that_lead_to_themselves_or_nowhere_are_refused() {
    let router = Setup::new().upstream(Dialect::Chat, "one", "http://127.0.0.1:1/v1").start();
    let save = |name: &str, entries: &[&str]| {
        let entries: Vec<Value> = entries.iter().map(|target| json!({"target": target})).collect();
        call(&router, "POST", "/api/combos", &json!({"name": name, "entries": entries}))
    };
    let itself = save("loop", &["combo:loop"]);
    assert_eq!(itself.status, 422, "{}", itself.brief());
    let inner = save("inner", &["one/m"]);
    assert_eq!(inner.status, 201, "{}", inner.brief());
    let id = inner.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(save("outer", &["combo:inner"]).status, 201);
    let entries = json!({"entries": [{"target": "combo:outer"}]});
    let cycle = call(&router, "PATCH", &format!("/api/combos/{id}"), &entries);
    assert_eq!(cycle.status, 422, "{}", cycle.brief());
    assert!(cycle.text().contains("outer"), "it names the cycle: {}", cycle.brief());
    let nowhere = save("empty", &[]);
    assert_eq!(nowhere.status, 422, "{}", nowhere.brief());
    assert_eq!(router.rows(&["name"], "combos").len(), 2);
}
