//! Spending limits on the real server: reserved before sending, settled after, kept over a restart (accounts §6.8).

use std::sync::atomic::{AtomicUsize, Ordering};

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::json;

use crate::support::{Dialect, PATIENCE, Reply, Setup, for_all, until};

const KEY: &str = "legacy-laptop-key-0001";

/// Answers everything at once: 11 tokens in, 5 out.
fn upstream() -> Chaos {
    let answer = |request: &ninerouter::demo::chaos::Received| {
        let target = request.target();
        let dialect = match target.as_str() {
            t if t.contains("/chat/") => Dialect::Chat,
            t if t.contains("/responses") => Dialect::Resp,
            t if t.contains("/messages") => Dialect::Anth,
            _ => Dialect::Gem,
        };
        vec![Step::send(reply::json(200, &dialect.answer()))]
    };
    Chaos::start(Reading::Whole, answer).unwrap()
}

/// A model whose tokens and calls cost what is said, and nothing else.
fn price(prefix: &str, output: &str, per_request: &str) -> String {
    format!(
        "[[prices]]\nprovider = \"{prefix}\"\nmodel = \"m\"\ninput = 0\noutput = \"{output}\"\n\
         per_request = \"{per_request}\"\n"
    )
}

fn budget(scope: &str, id: &str, more: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("id = \"{id}\"\n") };
    format!("[[budgets]]\nscope = \"{scope}\"\n{id}{more}\n")
}

/// Seconds that a refusal asks to wait.
fn refused(dialect: Dialect, got: &Reply) -> Result<u64, String> {
    let code = dialect.error_code(got);
    let wait = got.header("retry-after").and_then(|s| s.parse().ok());
    match (got.status, wait) {
        (429, Some(wait)) if code.is_none() || code.as_deref() == Some("budget_exceeded") => {
            Ok(wait)
        }
        _ => Err(format!("{} code {code:?} retry-after {wait:?}", got.brief())),
    }
}

#[test]
fn fifty_at_once_overspend_by_no_more_than_what_is_in_flight() {
    let answer = Dialect::Chat.answer();
    let hold = move |_: &_| vec![Step::Hold, Step::send(reply::json(200, &answer))];
    let chaos = Chaos::start(Reading::Whole, hold).unwrap();
    // An answer costs 5 cents where 1 was expected: its five tokens, and `max_tokens` says 1.
    let router = Setup::new()
        .upstream(Dialect::Chat, "paid", &chaos.url(Dialect::Chat.base()))
        .toml(&price("paid", "10000", "0"))
        .toml(&budget("provider", "paid", "window = \"month\"\nlimit_usd = \"0.10\""))
        .start();
    let body = Dialect::Chat.body_with("paid/m", false, ",\"max_tokens\":1");
    let (served, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let one = || {
        let got = router.post(&Dialect::Chat.path("paid/m", false), &body);
        match got.status {
            200 => served.fetch_add(1, Ordering::Relaxed),
            _ => {
                refused(Dialect::Chat, &got).unwrap();
                turned_away.fetch_add(1, Ordering::Relaxed)
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(one);
        }
        until(PATIENCE, "forty are refused while ten run", || {
            (turned_away.load(Ordering::Relaxed) == 40).then_some(())
        });
        chaos.release();
    });
    assert_eq!(served.load(Ordering::Relaxed), 10, "ten expected cents fit into ten");
    let paid = router.wait_rows(10, &["paid_cost"], "requests WHERE status = 'ok'");
    let paid: i64 = paid.iter().map(|row| row["paid_cost"].as_i64().unwrap()).sum();
    assert_eq!(paid, 500_000, "overspent by the ten that ran");
    let wait = refused(Dialect::Chat, &router.ask(Dialect::Chat, "paid/m", false)).unwrap();
    assert!(wait > 5, "now it is spent, and waits for the month's end: {wait} s");
}

#[test]
fn each_scope_blocks_in_each_dialect_and_other_entries_go_on() {
    let chaos = upstream();
    let mut setup = Setup::new().key("laptop", KEY, "").setting("require_api_key", true);
    for dialect in Dialect::ALL {
        let name = dialect.name();
        for prefix in [format!("{name}-paid"), format!("{name}-other")] {
            setup = setup.upstream(dialect, &prefix, &chaos.url(dialect.base()));
        }
        setup = setup
            .combo(
                &format!("{name}-both"),
                &[&format!("{name}-paid/m"), &format!("{name}-other/m")],
            )
            .toml(&price(&format!("{name}-paid"), "0", "0.02"))
            .toml(&budget(
                "provider",
                &format!("{name}-paid"),
                "window = \"day\"\nlimit_usd = \"0.02\"",
            ))
            .toml(&budget(
                "account",
                &format!("{name}-other/{name}-other"),
                "window = \"total\"\nlimit_tokens = 17",
            ));
    }
    let router = setup.start();
    let auth = format!("Bearer {KEY}");
    let ask = |dialect: Dialect, model: &str| {
        let body = dialect.body(model, false);
        let headers = [("authorization", auth.as_str())];
        router.send("POST", &dialect.path(model, false), &headers, body.as_bytes())
    };
    for_all(&Dialect::ALL, 4, |dialect| {
        let name = dialect.name();
        let (paid, other, both) =
            (format!("{name}-paid/m"), format!("{name}-other/m"), format!("{name}-both"));
        let served = |got: &Reply| got.header("x-ninerouter-model").map(str::to_owned);
        let first = ask(*dialect, &both);
        crate::check!(served(&first).as_ref() == Some(&paid), "{name} {}", first.brief());
        let wait = refused(*dialect, &ask(*dialect, &paid))?;
        crate::check!((1..=90_000).contains(&wait), "{name}: until the day ends: {wait}");
        let second = ask(*dialect, &both);
        crate::check!(served(&second).as_ref() == Some(&other), "{name} {}", second.brief());
        crate::check!(ask(*dialect, &other).status == 200, "{name}: one token is left");
        // Every entry is over its budget.
        let wait = refused(*dialect, &ask(*dialect, &both))?;
        crate::check!((1..=86_400).contains(&wait), "{name} {wait}");
        let got = ask(*dialect, &both);
        let told = dialect.error_message(&got)?;
        crate::check!(told.contains("spending limit reached"), "{name}: {told}");
        Ok(())
    });
    let skips = router.wait_rows(4, &["message"], "attempts WHERE outcome = 'skipped'");
    assert!(skips.iter().all(|row| row["message"] == "spending limit reached"), "{skips:?}");
}

#[test]
fn a_key_a_combo_and_everything_block_before_anybody_is_asked() {
    let chaos = upstream();
    let router = Setup::new()
        .key("laptop", KEY, "")
        .upstream(Dialect::Chat, "free", &chaos.url(Dialect::Chat.base()))
        .combo("stack", &["free/m"])
        .toml(&budget("api_key", "laptop", "window = \"5h\"\nlimit_requests = 1"))
        .toml(&budget("combo", "stack", "window = \"week\"\nlimit_requests = 1"))
        .toml(&budget("all", "", "window = \"month\"\nlimit_requests = 3\naction = \"block\""))
        .start();
    let auth = format!("Bearer {KEY}");
    let body = Dialect::Chat.body("free/m", false);
    let with_key = || {
        let path = Dialect::Chat.path("free/m", false);
        router.send("POST", &path, &[("authorization", &auth)], body.as_bytes())
    };
    let keyless = |model: &str| router.ask(Dialect::Chat, model, false);
    assert_eq!(with_key().status, 200);
    let wait = refused(Dialect::Chat, &with_key()).unwrap();
    assert!((17_900..=18_060).contains(&wait), "five hours, to the minute: {wait}");
    assert_eq!(keyless("stack").status, 200);
    refused(Dialect::Chat, &keyless("stack")).unwrap();
    assert_eq!(keyless("free/m").status, 200);
    refused(Dialect::Chat, &keyless("free/m")).unwrap();
    let own = router.send("GET", "/v1/usage", &[("authorization", &auth)], b"").json();
    let limit = own["limits"].as_array().unwrap().iter().find(|l| l["kind"] == "budget_5h");
    let limit = limit.unwrap_or_else(|| panic!("{own}"));
    assert_eq!(
        (&limit["limit"], &limit["used"], &limit["remaining"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let rows = router.wait_rows(6, &["status", "provider"], "requests ORDER BY ts");
    let turned_away = rows.iter().filter(|row| row["status"] == "rejected");
    assert_eq!(turned_away.count(), 3, "{rows:?}");
}

#[test]
fn a_restart_keeps_what_was_spent_and_a_reload_what_is_running() {
    let chaos = upstream();
    let node =
        |setup: Setup| setup.upstream(Dialect::Chat, "paid", &chaos.url(Dialect::Chat.base()));
    let mut router = node(Setup::new())
        .toml(&price("paid", "0", "0.01"))
        .toml(&budget("all", "", "window = \"total\"\nlimit_usd = \"0.02\""))
        .start();
    let ask = |router: &crate::support::Router| router.ask(Dialect::Chat, "paid/m", false);
    assert_eq!((ask(&router).status, ask(&router).status), (200, 200));
    assert_eq!(refused(Dialect::Chat, &ask(&router)).unwrap(), 86_400);
    router.stop();
    router.launch();
    assert_eq!(refused(Dialect::Chat, &ask(&router)).unwrap(), 86_400);
    // More money: the next one passes, and only that one.
    let file = router.config_file();
    let text = std::fs::read_to_string(&file).unwrap().replace("\"0.02\"", "\"0.03\"");
    std::fs::write(&file, text).unwrap();
    router.signal(rustix::process::Signal::HUP);
    until(PATIENCE, "the raised budget lets one more through", || {
        (ask(&router).status == 200).then_some(())
    });
    refused(Dialect::Chat, &ask(&router)).unwrap();
    let told = router.output();
    for percent in ["50", "100"] {
        let line = told.lines().find(|l| l.contains("threshold crossed") && l.contains(percent));
        assert!(line.is_some(), "{percent} % is told: {told}");
    }
}
