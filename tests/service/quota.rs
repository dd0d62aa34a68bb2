//! Quota that runs out, comes back, is kept in reserve or paid for: accounts §4, §7.2–7.3, against a simulated vendor.

use ninerouter::clock::{Clock, UnixMs};
use ninerouter::demo::authority::{Authority, Limits, Person, Place, Scripted};
use serde_json::{Value, json};

use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, admin, until};

const OPUS: &str = "cc/claude-opus-5";
const SONNET: &str = "cc/claude-sonnet-5";

fn vendor() -> Authority {
    Authority::start(&Clock::System).unwrap()
}

fn now_ms() -> UnixMs {
    Clock::System.now_ms()
}

/// A plan of so many requests per session.
fn session(name: &str, requests: u32) -> Person {
    Person::new(name).with_limits(Limits { session: requests, ..Limits::default() })
}

/// A router at the vendor, with one account per person in this order; `more` are further lines of each account.
fn router(vendor: &Authority, people: &[(&Person, &str)]) -> Setup {
    let mut setup = Setup::new();
    for (name, value) in vendor.environment() {
        setup = setup.env(&name, &value);
    }
    for (at, (person, more)) in people.iter().enumerate() {
        let (variable, label) = (format!("TOKEN_{at}"), label(person));
        setup = setup.env(&variable, &vendor.issue(person).access_token).toml(&format!(
            "[[accounts]]\nprovider = \"claude\"\nlabel = \"{label}\"\npriority = {}\n\
             api_key = \"env:{variable}\"\n{more}\n",
            at + 1
        ));
    }
    setup
}

fn label(person: &Person) -> &str {
    person.email.split('@').next().unwrap()
}

fn ask(router: &Router, model: &str) -> Reply {
    router.ask(Dialect::Anth, model, false)
}

/// Asks, and gives the label of the account that served.
fn served_by(router: &Router, model: &str) -> String {
    let got = ask(router, model);
    assert_eq!(got.status, 200, "{}", got.brief());
    let id = got.header("x-request-id").unwrap().to_owned();
    let row = router.wait_rows(1, &["account_label"], &format!("requests WHERE id = '{id}'"));
    row[0]["account_label"].as_str().unwrap().to_owned()
}

/// The stored quota document of the account.
fn quota(router: &Router, label: &str) -> Option<Value> {
    let from = format!(
        "account_hot_state JOIN accounts ON accounts.id = account_id WHERE label = '{label}'"
    );
    let row = router.rows(&["quota_json"], &from).pop()?;
    let document: Value = serde_json::from_str(row["quota_json"].as_str()?).unwrap();
    document.get("windows").is_some().then_some(document)
}

fn locks(router: &Router, label: &str) -> Vec<Value> {
    let from =
        format!("account_locks JOIN accounts ON accounts.id = account_id WHERE label = '{label}'");
    router.rows(&["scope", "class", "reason", "until"], &from)
}

fn named<'d>(document: &'d Value, name: &str) -> &'d Value {
    let windows = document["windows"].as_array().unwrap();
    windows.iter().find(|w| w["name"] == name).unwrap_or_else(|| panic!("no {name}: {document}"))
}

#[test]
fn traffic_moves_on_when_a_session_is_used_up_and_back_after_its_reset() {
    let vendor = vendor();
    let (eve, bob) = (session("eve", 2), session("bob", 100));
    let router = router(&vendor, &[(&eve, ""), (&bob, "")]).start();
    vendor.set_window(&eve, "5h", 50, now_ms() + 6_000);
    // The last request of the session says so itself: nobody is refused.
    assert_eq!(served_by(&router, SONNET), "eve");
    assert_eq!(served_by(&router, SONNET), "bob");
    until(PATIENCE, "the session begins anew", || {
        (served_by(&router, SONNET) == "eve").then_some(())
    });
    let counts = vendor.counts();
    assert_eq!((counts.out_of_quota, counts.unauthorized), (0, 0), "no request was lost");
    let document = until(PATIENCE, "it is stored", || quota(&router, "eve"));
    assert_eq!(document["provider"], "claude");
    assert_eq!(named(&document, "7d")["scope"], "*");
    assert!(named(&document, "7d")["pace"]["elapsed_percent"].is_number(), "{document}");
}

#[test]
fn a_refusal_moves_traffic_on_and_outlives_a_restart() {
    let vendor = vendor();
    let (eve, bob) = (session("eve", 100), session("bob", 100));
    let mut router = router(&vendor, &[(&eve, ""), (&bob, "")]).start();
    let reset = now_ms() + 3_600_000;
    vendor.set_window(&eve, "5h", 100, reset);
    assert_eq!(served_by(&router, SONNET), "bob", "the client sees nothing of the refusal");
    let lock = until(PATIENCE, "the lock is stored", || locks(&router, "eve").pop());
    assert_eq!((&lock["scope"], &lock["class"]), (&"*".into(), &"quota_exhausted".into()));
    let until_ms = lock["until"].as_i64().unwrap();
    assert!((reset..reset + 32_000).contains(&until_ms), "{}", until_ms - reset);
    let document = until(PATIENCE, "the quota is stored", || quota(&router, "eve"));
    let five = named(&document, "5h");
    assert_eq!((&five["status"], &five["percent"]), (&"exhausted".into(), &100.0.into()));
    for _ in 0..2 {
        assert_eq!(served_by(&router, OPUS), "bob");
        router.kill();
        router.launch();
    }
    assert_eq!(served_by(&router, SONNET), "bob");
    assert_eq!(vendor.counts().out_of_quota, 1, "asked once, and then left alone");
}

#[test]
fn a_used_up_family_leaves_the_other_families_alone() {
    let vendor = vendor();
    let families = vec![("opus".to_owned(), 1)];
    let eve = Person::new("eve").with_limits(Limits { families, ..Limits::default() });
    let bob = Person::new("bob");
    let router = router(&vendor, &[(&eve, ""), (&bob, "")]).start();
    assert_eq!(served_by(&router, OPUS), "eve");
    for _ in 0..3 {
        assert_eq!(served_by(&router, OPUS), "bob");
        assert_eq!(served_by(&router, SONNET), "eve");
    }
    assert_eq!(vendor.counts().out_of_quota, 0);
}

#[test]
fn use_beyond_the_plan_is_stopped_unless_the_operator_wants_it() {
    for allowed in [false, true] {
        let vendor = vendor();
        let eve = Person::new("eve").with_limits(Limits {
            session: 100,
            overage: true,
            ..Limits::default()
        });
        let bob = Person::new("bob");
        let more = if allowed { "allow_overage = true" } else { "" };
        let router = router(&vendor, &[(&eve, more), (&bob, "")]).start();
        let reset = now_ms() + 3_600_000;
        vendor.set_window(&eve, "5h", 100, reset);
        // The response itself is delivered, and marked.
        assert_eq!(served_by(&router, SONNET), "eve");
        let rows = router.wait_rows(1, &["overage", "list_cost", "paid_cost"], "requests");
        assert_eq!(rows[0]["overage"], 1);
        assert_eq!(rows[0]["paid_cost"], rows[0]["list_cost"], "it is paid for");
        let next = served_by(&router, SONNET);
        if allowed {
            assert_eq!(next, "eve");
            assert_eq!(locks(&router, "eve"), Vec::<Value>::new());
        } else {
            assert_eq!(next, "bob");
            let lock = until(PATIENCE, "the guard is stored", || locks(&router, "eve").pop());
            assert_eq!((&lock["reason"], &lock["scope"]), (&"overage_guard".into(), &"*".into()));
            assert!((lock["until"].as_i64().unwrap() - reset).abs() <= 1_000);
        }
        let plan = router.rows(&["overage"], "requests WHERE account_label = 'bob'");
        assert!(plan.iter().all(|row| row["overage"] == 0));
    }
}

#[test]
fn a_reserve_is_kept_while_somebody_else_can_serve() {
    let vendor = vendor();
    let (eve, bob) = (session("eve", 100), session("bob", 100));
    let reserve = "min_remaining_percent = 40";
    let both = router(&vendor, &[(&eve, reserve), (&bob, "")]).start();
    vendor.set_window(&eve, "5h", 60, now_ms() + 3_600_000);
    assert_eq!(served_by(&both, SONNET), "eve");
    assert_eq!(served_by(&both, SONNET), "bob");
    drop(both);
    // Alone it is used, unless the reserve is firm.
    let alone = router(&vendor, &[(&eve, reserve)]).start();
    for _ in 0..3 {
        assert_eq!(served_by(&alone, SONNET), "eve");
    }
    drop(alone);
    let firm = router(&vendor, &[(&eve, reserve)]).setting("reserve_soft", false).start();
    assert_eq!(served_by(&firm, SONNET), "eve");
    let refused = ask(&firm, SONNET);
    assert_eq!(refused.status, 429, "{}", refused.brief());
    assert!(refused.text().contains("resets in"), "{}", refused.text());
}

#[test]
fn the_usage_page_is_asked_when_nobody_named_a_reset_and_its_failures_change_nothing() {
    let vendor = vendor();
    let (eve, bob) = (session("eve", 100), session("bob", 100));
    let router = router(&vendor, &[(&eve, ""), (&bob, "")]).background().start();
    let silent = || {
        let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "no"}});
        Scripted::reply(429, body).header("anthropic-ratelimit-unified-status", "rejected")
    };
    vendor.script(Place::Messages, [silent()]);
    assert_eq!(served_by(&router, SONNET), "bob");
    assert!(vendor.wait(PATIENCE, |counts| counts.usages >= 1), "{:?}", vendor.counts());
    let document = until(PATIENCE, "the page is stored", || {
        quota(&router, "eve").filter(|d| d["windows"].as_array().is_some_and(|w| w.len() > 1))
    });
    assert_eq!(named(&document, "7d")["status"], "ok");
    // The page lags: what the refusal said still holds (accounts §4.1).
    assert_eq!(served_by(&router, SONNET), "bob");
    vendor.throttle_usage(true);
    vendor.script(Place::Messages, [silent()]);
    let refused = ask(&router, SONNET);
    assert_eq!(refused.status, 429, "{}", refused.brief());
    let document = until(PATIENCE, "the failure is noted", || {
        quota(&router, "bob").filter(|document| document["stale"] == true)
    });
    assert!(document["message"].as_str().unwrap().contains("429"), "{document}");
    assert_eq!(vendor.counts().unauthorized, 0);
    assert!(!router.output().contains("sk-ant-oat"), "no token in the log");
}

#[test]
fn usage_is_read_on_demand_with_a_token_that_the_account_renews() {
    let vendor = vendor();
    let eve = session("eve", 100);
    let router = router(&vendor, &[]).start();
    let call = |method: &str, target: &str, body: Option<&Value>| {
        admin::call(&router.data_dir().join("admin.sock"), method, target, body)
    };
    let data = vendor.credentials_file(&vendor.issue(&eve));
    let body = json!({"source": "paste", "data": data, "ownership": "own"});
    let imported = call("POST", "/api/accounts/import/claude", Some(&body));
    assert_eq!(imported.status, 200, "{}", imported.brief());
    let imported = imported.json();
    let path = format!("/api/accounts/{}", imported["accounts"][0]["id"].as_str().unwrap());
    let reset = now_ms() + 3_600_000;
    vendor.set_window(&eve, "5h", 30, reset);
    vendor.expire_access_tokens();
    let look = || call("POST", &format!("{path}/quota/refresh"), Some(&json!({})));
    let first = look();
    assert_eq!(first.status, 200, "{}", first.brief());
    let quota = first.json()["quota"].clone();
    assert_eq!((&quota["source"], &quota["stale"]), (&"endpoint".into(), &false.into()), "{quota}");
    let five = named(&quota, "5h");
    assert_eq!((&five["percent"], &five["window_seconds"]), (&30.0.into(), &18_000.into()));
    assert!((five["resets_at"].as_i64().unwrap() - reset).abs() < 1_000, "{five}");
    assert!(five["pace"]["ahead_percent"].is_number(), "{five}");
    assert_eq!(vendor.counts().refreshes, 1);
    assert_eq!(call("GET", &path, None).json()["quota"]["windows"], quota["windows"]);
    // The page itself is throttled hard: not twice within half a minute.
    assert_eq!(look().status, 429);
    // Requests go on with the new token.
    assert_eq!(served_by(&router, SONNET), imported["accounts"][0]["label"].as_str().unwrap());
}
