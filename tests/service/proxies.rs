//! Outbound proxies: who is sent through which, what a dead one means, and that nothing goes out without it.

use std::fs;
use std::path::Path;

use ninerouter::clock::Clock;
use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use ninerouter::demo::proxy::{Proxy, Script, Speaks};
use ninerouter::id::ProxyId;
use ninerouter::provider::proxy::ProxyUrl;
use ninerouter::routing::account::{AccountConfig, AccountKind, ProxyChoice};
use ninerouter::secret::Secret;
use ninerouter::store::provider_overrides::{self, ProviderOverride};
use ninerouter::store::proxies::{self, NewProxy};
use ninerouter::store::{MasterKey, Stamp, Store, StoreOptions, accounts, settings};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::closed::ClosedPort;
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, admin, until};

/// Stands in the URLs of these tests, and nowhere in what the router writes.
const PASSWORD: &str = "hunter2-marker";

fn good() -> Chaos {
    Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap()
}

/// A proxy with sign-in whose every way ends at `upstream`.
fn proxy_to(upstream: &Chaos) -> Proxy {
    let login = Some(("me".to_owned(), PASSWORD.to_owned()));
    let leads_to = Some(upstream.address());
    Proxy::start(Script { login, leads_to, ..Script::honest(Speaks::Connect) }).unwrap()
}

fn url_of(proxy: &Proxy) -> String {
    format!("http://me:{PASSWORD}@{}", proxy.address())
}

/// Changes what a stopped router has stored.
struct Stored {
    store: Store,
    stamp: Stamp,
}

impl Stored {
    fn of(router: &Router) -> Self {
        let clock = Clock::System;
        let stamp = Stamp::operator(clock.now_ms());
        let keys = MasterKey::load_or_create(&router.data_dir(), None).unwrap();
        let options = StoreOptions {
            data_dir: router.data_dir(),
            app_version: env!("CARGO_PKG_VERSION").to_owned(),
            clock,
            read_only: false,
            fresh: false,
        };
        Self { store: Store::open(&options, &keys).unwrap(), stamp }
    }

    fn proxy(&self, name: &str, url: &str, enabled: bool) -> ProxyChoice {
        let (id, no_proxy) = (ProxyId::new(), String::new());
        let url = Some(ProxyUrl::parse(url).unwrap());
        let new = NewProxy { id, name: name.to_owned(), url, no_proxy, enabled };
        self.store
            .write(|conn| proxies::upsert(conn, self.store.sealer(), &new, self.stamp))
            .unwrap();
        ProxyChoice::Proxy(id.to_string())
    }

    fn account(&self, provider: &str, label: &str, priority: u16, proxy: &ProxyChoice) {
        let mut config = AccountConfig::new(provider.into(), AccountKind::ApiKey, label.to_owned());
        (config.priority, config.proxy) = (priority, proxy.clone());
        let key = Secret::new(format!("key-{label}"));
        self.store
            .write(|conn| {
                accounts::upsert(conn, self.store.sealer(), &config, Some(&key), self.stamp)
            })
            .unwrap();
    }

    fn done(self) {
        self.store.close().unwrap();
    }
}

/// The id that accounts of a node are stored under.
fn node_id(router: &Router, prefix: &str) -> String {
    let rows = router.rows(&["id"], &format!("nodes where prefix = '{prefix}'"));
    rows[0]["id"].as_str().unwrap().to_owned()
}

/// A router with one node, whose accounts and proxies `fill` stores.
fn router(setup: Setup, base_url: &str, fill: impl FnOnce(&Stored, &str)) -> Router {
    let mut router = setup.node(Dialect::Chat, "one", base_url).start();
    let node = node_id(&router, "one");
    router.stop();
    let stored = Stored::of(&router);
    fill(&stored, &node);
    stored.done();
    router.launch();
    router
}

fn keys_seen(upstream: &Chaos) -> Vec<String> {
    let requests = upstream.requests();
    requests.iter().map(|r| r.header("authorization").unwrap()).collect()
}

fn message(reply: &Reply) -> String {
    reply.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// Every file of the data folder, and what the process wrote.
fn assert_no_password(router: &Router) {
    fn search(dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path);
            } else if let Ok(bytes) = fs::read(&path) {
                let found = memchr::memmem::find(&bytes, PASSWORD.as_bytes());
                assert!(found.is_none(), "the password is in {}", path.display());
            }
        }
    }
    search(&router.data_dir());
    assert!(!router.output().contains(PASSWORD), "the password is in the log");
}

#[test]
fn two_accounts_of_a_provider_go_through_two_proxies() {
    let (behind_a, behind_b, closed) = (good(), good(), ClosedPort::new());
    let (a, b) = (proxy_to(&behind_a), proxy_to(&behind_b));
    let setup = Setup::new()
        .setting("account_strategy", "\"round-robin\"")
        .setting("sticky_count", 1)
        .setting("affinity_ttl_s", 0);
    let mut router = router(setup, &format!("{}/v1", closed.url()), |stored, node| {
        let through = |name: &str, proxy: &Proxy| stored.proxy(name, &url_of(proxy), true);
        stored.account(node, "a", 1, &through("A", &a));
        stored.account(node, "b", 1, &through("B", &b));
    });
    for _ in 0..6 {
        let answer = router.ask(Dialect::Chat, "one/m", false);
        assert_eq!(answer.status, 200, "{}", answer.brief());
    }
    assert_eq!(keys_seen(&behind_a), ["Bearer key-a"; 3]);
    assert_eq!(keys_seen(&behind_b), ["Bearer key-b"; 3]);
    let target = closed.url().replace("http://", "");
    assert!(a.asked().iter().chain(&b.asked()).all(|asked| *asked == target), "{:?}", a.asked());
    router.stop();
    assert_no_password(&router);
}

#[test]
fn f63_a_dead_proxy_is_left_for_a_target_behind_another_one() {
    let (behind, dead, direct) = (good(), ClosedPort::new(), good());
    let live = proxy_to(&behind);
    let mut router = router(Setup::new(), &direct.url("/v1"), |stored, node| {
        let dead_url = dead.url().replace("http://", &format!("http://me:{PASSWORD}@"));
        let dead = stored.proxy("dead", &dead_url, true);
        for (label, priority) in [("d1", 1), ("d2", 2), ("d3", 3), ("d4", 4), ("d5", 5), ("d6", 6)]
        {
            stored.account(node, label, priority, &dead);
        }
        stored.account(node, "live", 9, &stored.proxy("live", &url_of(&live), true));
    });
    let answer = router.ask(Dialect::Chat, "one/m", false);
    assert_eq!(answer.status, 200, "{}", answer.brief());
    assert_eq!(keys_seen(&behind), ["Bearer key-live"]);
    assert_eq!(direct.connections(), 0, "nothing goes out without its proxy");
    let columns = ["account_label", "outcome", "code", "message"];
    let attempts = router.wait_rows(7, &columns, "attempts order by n");
    assert_eq!(attempts[0]["account_label"], "d1", "{attempts:?}");
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["code"]),
        (&json!("failed"), &json!("proxy"))
    );
    let told = attempts[0]["message"].as_str().unwrap();
    assert!(told.contains(&format!("the proxy `{}` cannot be reached", dead.url())), "{told}");
    let skipped = attempts.iter().filter(|row| row["outcome"] == "skipped").count();
    assert_eq!(skipped, 5, "nobody else behind it is asked: {attempts:?}");
    let locks = router.rows(&["scope"], "account_locks");
    assert!(locks.is_empty(), "no account is to blame: {locks:?}");

    // Without the account behind the live proxy nobody is left.
    router.stop();
    let stored = Stored::of(&router);
    let live_account = stored.store.load().unwrap().accounts;
    let live_account = live_account.iter().find(|a| a.config.label == "live").unwrap();
    stored.store.write(|conn| accounts::delete(conn, live_account.config.id)).unwrap();
    stored.done();
    router.launch();
    let answer = router.ask(Dialect::Chat, "one/m", false);
    assert_eq!(answer.status, 502, "{}", answer.brief());
    assert_eq!(answer.json()["error"]["code"], "upstream_unreachable", "{}", answer.brief());
    assert!(message(&answer).contains(&dead.url()), "{}", message(&answer));
    assert!(!answer.text().contains(PASSWORD));
    assert_eq!(direct.connections(), 0, "nor then");
    router.stop();
    assert_no_password(&router);
}

#[test]
fn a_proxy_that_is_switched_off_stops_its_accounts() {
    let direct = good();
    let live = proxy_to(&direct);
    let router = router(Setup::new(), &direct.url("/v1"), |stored, node| {
        let off = stored.proxy("home", &url_of(&live), false);
        stored.account(node, "a", 1, &off);
    });
    let answer = router.ask(Dialect::Chat, "one/m", false);
    assert_eq!(answer.status, 502, "{}", answer.brief());
    assert!(message(&answer).contains("the proxy `home` is to be used, but it is switched off"));
    assert_eq!((direct.connections(), live.asked().len()), (0, 0));
}

#[test]
fn the_account_comes_before_its_provider_the_setting_and_the_environment() {
    let upstreams = [good(), good(), good(), good()];
    let [of_account, of_provider, of_setting, of_environment] = &upstreams;
    let ways = upstreams.each_ref().map(proxy_to);
    let direct = good();
    let setup = Setup::new()
        .env("http_proxy", &url_of(&ways[3]))
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .node(Dialect::Chat, "two", &direct.url("/v1"));
    let mut router = router(setup, &direct.url("/v1"), |stored, node| {
        stored.account(node, "own", 1, &stored.proxy("own", &url_of(&ways[0]), true));
    });
    let two = node_id(&router, "two");
    router.stop();
    let change = |router: &mut Router, change: &dyn Fn(&Stored)| {
        let stored = Stored::of(router);
        change(&stored);
        stored.done();
        router.launch();
    };
    let asks = |router: &Router, model: &str, upstream: &Chaos, what: &str| {
        let before = upstream.requests().len();
        let answer = router.ask(Dialect::Chat, model, false);
        assert_eq!(answer.status, 200, "{what}: {}", answer.brief());
        assert_eq!(upstream.requests().len(), before + 1, "{what}");
    };
    change(&mut router, &|stored| stored.account(&two, "plain", 1, &ProxyChoice::Inherit));
    asks(&router, "one/m", of_account, "account");
    asks(&router, "two/m", of_environment, "environment");
    router.stop();

    change(&mut router, &|stored| {
        let url = Secret::new(url_of(&ways[2]));
        let sealer = stored.store.sealer();
        stored
            .store
            .write(|conn| {
                settings::set_secret(conn, sealer, "outbound_proxy_url", &url, stored.stamp)
            })
            .unwrap();
    });
    asks(&router, "two/m", of_setting, "setting");
    asks(&router, "one/m", of_account, "account, still");
    router.stop();

    change(&mut router, &|stored| {
        let mut row = ProviderOverride::new(two.clone());
        row.proxy = stored.proxy("provider's", &url_of(&ways[1]), true);
        stored.store.write(|conn| provider_overrides::upsert(conn, &row, stored.stamp)).unwrap();
    });
    asks(&router, "two/m", of_provider, "provider");
    router.stop();

    change(&mut router, &|stored| {
        let mut row = ProviderOverride::new(two.clone());
        row.proxy = ProxyChoice::Direct;
        stored.store.write(|conn| provider_overrides::upsert(conn, &row, stored.stamp)).unwrap();
    });
    assert_eq!(direct.connections(), 0, "nothing went out directly so far");
    asks(&router, "two/m", &direct, "direct, when that is said");
    router.stop();
    assert_no_password(&router);
}

#[test]
fn a_new_proxy_is_taken_on_a_reload_and_running_streams_go_on() {
    let direct = Chaos::start(Reading::Whole, |request| {
        let story = Dialect::Chat.story();
        if memchr::memmem::find(&request.body, b"\"stream\" : true").is_none() {
            return vec![Step::send(reply::json(200, &Dialect::Chat.answer()))];
        }
        let all = story.all();
        let (first, rest) = all.split_at(all.len() / 2);
        vec![
            Step::send([reply::sse_head(), reply::chunk(first)].concat()),
            Step::Hold,
            Step::send([reply::chunk(rest), b"0\r\n\r\n".to_vec()].concat()),
        ]
    })
    .unwrap();
    let behind = good();
    let proxy = proxy_to(&behind);
    let router = Setup::new().upstream(Dialect::Chat, "one", &direct.url("/v1")).start();
    let mut running = router.connect();
    let body = Dialect::Chat.body("one/m", true);
    let path = Dialect::Chat.path("one/m", true);
    running.send(&crate::support::client::request("POST", &path, &[], body.as_bytes()));
    assert_eq!(running.head(false).unwrap().status, 200);

    let env_file = router.config_file().with_file_name(".env");
    fs::write(&env_file, format!("http_proxy={}\n", url_of(&proxy))).unwrap();
    router.signal(Signal::HUP);
    until(PATIENCE, "the proxy is used", || {
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
        (!behind.requests().is_empty()).then_some(())
    });
    direct.release();
    let rest = running.read_to(b"[DONE]");
    assert!(!rest.is_empty(), "the stream ends as it should");

    // NO_PROXY names the host: directly again.
    let both = format!("http_proxy={}\nNO_PROXY=127.0.0.0/8\n", url_of(&proxy));
    fs::write(&env_file, both).unwrap();
    router.signal(Signal::HUP);
    until(PATIENCE, "the host is spared", || {
        let before = direct.requests().len();
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
        (direct.requests().len() > before).then_some(())
    });
    assert!(!router.output().contains(PASSWORD));
}

#[test]
fn model_lists_token_counts_and_content_take_the_same_way() {
    let closed = ClosedPort::new();
    let behind = Chaos::start(Reading::Whole, |request| {
        vec![Step::send(match request.target() {
            target if target.contains("count_tokens") => {
                reply::json(200, r#"{"input_tokens":4321}"#)
            }
            _ => reply::json(200, r#"{"data":[{"id":"live-1","type":"model"}]}"#),
        })]
    })
    .unwrap();
    let proxy = proxy_to(&behind);
    let router = Setup::new()
        .env("HTTP_PROXY", &url_of(&proxy))
        .env("https_proxy", &closed.url())
        .setting("count_tokens", "\"native\"")
        .upstream(Dialect::Anth, "anth", &format!("{}/v1", closed.url()))
        .upstream(Dialect::Gem, "gem", &format!("{}/v1beta", closed.url()))
        .background()
        .start();
    let seen = |part: &str| behind.requests().iter().any(|r| r.target().contains(part));
    until(PATIENCE, "the list is fetched", || seen("/v1/models").then_some(()));

    let body = r#"{"model":"anth/m","messages":[{"role":"user","content":"hi"}]}"#;
    let counted = router.post("/v1/messages/count_tokens", body).json();
    assert_eq!(counted["input_tokens"], 4321, "{counted}");
    assert!(seen("/count_tokens"));

    // Content comes over https only, whose proxy is dead; its address is a public one.
    let body = r#"{"model":"gem/m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://93.184.216.34/a.png"}}]}]}"#;
    let refused = router.post("/v1/chat/completions", body);
    assert_eq!(refused.status, 400, "{}", refused.brief());
    let told = message(&refused);
    assert!(told.contains(&format!("the proxy `{}` cannot be reached", closed.url())), "{told}");
    let answers: Vec<Value> = vec![counted, refused.json()];
    assert!(!format!("{answers:?} {}", router.output()).contains(PASSWORD));
}

#[test]
fn a_broken_proxy_variable_ends_the_start() {
    let mut router =
        Setup::new().env("HTTPS_PROXY", &format!("socks4://me:{PASSWORD}@127.0.0.1:1")).prepare();
    router.spawn(&["serve", "--port", "0"]);
    assert_eq!(router.wait(PATIENCE).code(), Some(78));
    let output = until(PATIENCE, "it says why", || {
        Some(router.output()).filter(|text| text.contains("`HTTPS_PROXY` (environment)"))
    });
    assert!(!output.contains(PASSWORD), "{output}");
}

#[test]
fn many_proxies_are_added_at_once_and_tell_no_password() {
    let router = Setup::new().start();
    let socket = router.data_dir().join("admin.sock");
    let bulk = |target: &str, body: Value| admin::call(&socket, "POST", target, Some(&body));
    let lines = json!({"proxies": [
        format!("socks5://user:{PASSWORD}@proxy.example:1080"),
        "",
        format!("office|http://user:{PASSWORD}@10.0.0.1:3128"),
        "office|http://10.0.0.2:3128",
        format!("gopher://user:{PASSWORD}@10.0.0.3:70"),
    ], "enabled": false});
    let plan = bulk("/api/proxies/bulk?dry_run=true", lines.clone());
    assert_eq!(plan.status, 200, "{}", plan.brief());
    let listed = || {
        let reply = admin::call(&socket, "GET", "/api/proxies", None);
        assert!(!reply.text().contains(PASSWORD));
        reply.json()["data"].as_array().unwrap().clone()
    };
    assert_eq!(plan.json()["applied"], false);
    assert!(listed().is_empty());
    let done = bulk("/api/proxies/bulk", lines);
    assert!(!done.text().contains(PASSWORD), "{}", done.brief());
    let done = done.json();
    assert_eq!(
        (&done["ok"], &done["failed"], &done["applied"]),
        (&json!(2), &json!(2), &json!(true))
    );
    let names: Vec<Value> = listed().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["office", "proxy.example:1080"]);
    assert!(listed().iter().all(|one| one["enabled"] == false));
    assert_eq!(done["results"][0]["id"], listed()[1]["id"]);
    assert_eq!(bulk("/api/proxies/bulk", json!({"proxies": [" "]})).status, 422);
    assert_no_password(&router);
}
