//! Settings read and changed against a real store.

use super::*;
use crate::config::options::Inputs;
use crate::store::tests::new_store;

fn options(vars: &[(&str, &str)], dir: &std::path::Path) -> Options {
    let mut env: Vec<(String, String)> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    env.push(("DATA_DIR".to_owned(), dir.display().to_string()));
    let env = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Options::resolve(Inputs { env, cwd: dir.to_owned(), flags: Default::default() }).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

#[test]
fn every_setting_shows_its_value_and_where_it_comes_from() {
    let (dir, store) = new_store();
    let options = options(&[("NINEROUTER_LOG", "debug")], dir.path());
    let changes = map(json!({"stickyCount": 5, "timeouts": {"head_ms": 1500}, "locale": "de"}));
    let patched = patch(&store, &options, &changes, None, &Requester::default()).unwrap();
    assert_eq!(patched.changed, ["locale", "sticky_count", "timeouts.head_ms"]);
    assert_eq!(patched.without_effect, ["locale"]);
    store
        .write(|conn| settings::set(conn, "drain_seconds", &7.into(), Stamp::config_file(1)))
        .unwrap();
    let all = view(&store, &options).unwrap();
    for (key, value, source, locked) in [
        ("sticky_count", json!(5), "stored", false),
        ("affinity_ttl_s", json!(3_600), "default", false),
        ("timeouts.head_ms", json!(1_500), "stored", false),
        ("drain_seconds", json!(7), "config_file", true),
        ("log_level", json!("debug"), "env", true),
    ] {
        let meta = &all["meta"][key];
        assert_eq!(all["settings"][key], value, "{key}");
        assert_eq!(
            (meta["source"].as_str(), &meta["locked"]),
            (Some(source), &json!(locked)),
            "{key}"
        );
        assert!(!meta["doc"].as_str().unwrap().is_empty());
    }
    assert_eq!(all["meta"]["log_level"]["env"], "NINEROUTER_LOG");
    assert_eq!(all["settings"]["metrics_token"], json!({"set": false}));
    for key in SETTINGS {
        assert!(all["settings"].get(key.name).is_some() && all["meta"].get(key.name).is_some());
    }
}

#[test]
fn a_change_is_all_or_nothing() {
    let (dir, store) = new_store();
    let options = options(&[("NINEROUTER_LOG", "debug")], dir.path());
    let change =
        |value: Value, rev| patch(&store, &options, &map(value), rev, &Requester::default());
    store
        .write(|conn| settings::set(conn, "drain_seconds", &7.into(), Stamp::config_file(1)))
        .unwrap();
    let rev = view(&store, &options).unwrap()["rev"].as_i64();
    for (value, want) in [
        (
            json!({"sticky_cuont": 1}),
            "there is no setting `sticky_cuont`; did you mean `sticky_count`?",
        ),
        (json!({"sticky_count": "x"}), "`sticky_count`: "),
        (json!({"sticky_count": 2, "stickyCount": 3}), "keep one spelling"),
        (json!({"sticky_count": 2, "log_level": "info"}), "`log_level` is set by the environment"),
        (
            json!({"sticky_count": 2, "drain_seconds": 8}),
            "`drain_seconds` is set by the config file",
        ),
        (json!({"sticky_count": 2, "port": 3000}), "`port`: is set by a flag or the environment"),
        (
            json!({"sticky_count": 2, "cooldown_base_s": 400}),
            "`cooldown_base_s`: is above `cooldown_max_s`",
        ),
    ] {
        let error = change(value.clone(), None).unwrap_err().to_string();
        assert!(error.contains(want), "{value}: {error}");
    }
    assert!(matches!(change(json!({"sticky_count": 2}), Some(-1)), Err(PatchError::Conflict)));
    assert_eq!(view(&store, &options).unwrap()["rev"].as_i64(), rev, "nothing was written");
    assert_eq!(change(json!({"sticky_count": 2}), rev).unwrap().changed, ["sticky_count"]);
    assert_eq!(change(json!({"sticky_count": 2}), None).unwrap().changed, Vec::<String>::new());
    assert_ne!(view(&store, &options).unwrap()["rev"].as_i64(), rev);
    // Null and the default's value both mean the default: nothing is stored.
    for value in [json!(null), json!(3)] {
        change(json!({"sticky_count": 2}), None).unwrap();
        assert_eq!(change(json!({"sticky_count": value}), None).unwrap().changed, ["sticky_count"]);
        assert_eq!(view(&store, &options).unwrap()["meta"]["sticky_count"]["source"], "default");
    }
}

#[test]
fn secrets_are_written_and_never_read_back() {
    let (dir, store) = new_store();
    let options = options(&[], dir.path());
    let changes = json!({
        "metrics_token": "token-0123456789-wxyz",
        "oauth": {"claude": {"client_id": "our-client", "client_secret": "client-secret-0001"}},
    });
    patch(&store, &options, &map(changes), None, &Requester::default()).unwrap();
    let all = view(&store, &options).unwrap();
    assert_eq!(all["settings"]["metrics_token"], json!({"set": true, "last4": "wxyz"}));
    assert_eq!(all["settings"]["oauth.claude.client_id"], "our-client");
    assert_eq!(
        all["settings"]["oauth.claude.client_secret"],
        json!({"set": true, "last4": "0001"})
    );
    assert!(!all.to_string().contains("0123456789"));
    let read = |key: &str| store.read(|conn| settings::secret(conn, store.sealer(), key)).unwrap();
    assert_eq!(read("metrics_token").unwrap().expose(), "token-0123456789-wxyz");
    let unset = json!({"metrics_token": null, "oauth.claude.client_secret": null});
    assert_eq!(
        patch(&store, &options, &map(unset), None, &Requester::default()).unwrap().changed.len(),
        2
    );
    assert!(read("metrics_token").is_none());
    let error = patch(
        &store,
        &options,
        &map(json!({"metrics_token": "two\nlines"})),
        None,
        &Requester::default(),
    );
    assert!(!error.unwrap_err().to_string().contains("lines\""));
}

/// T-IP-13.
#[test]
fn sec_ip_7_nobody_shuts_himself_out_by_mistake() {
    let (dir, store) = new_store();
    let options = options(&[], dir.path());
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let at = |client: &str, peer: &str| Requester {
        seen: Some((ip(client), ip(peer))),
        ..Requester::default()
    };
    let change = |value: Value, who: &Requester| {
        patch(&store, &options, &map(value), None, who).map(|patched| patched.changed)
    };
    let away = at("192.0.2.7", "192.0.2.7");
    let shut_out = |done: Result<Vec<String>, PatchError>| matches!(done, Err(PatchError::LockOut { address }) if address == ip("192.0.2.7"));
    let list = || json!({"ipWhitelist": ["10.0.0.0/8"]});
    assert!(shut_out(change(list(), &away)));
    assert!(shut_out(change(list(), &Requester { confirmed: Some(ip("10.0.0.1")), ..away })));
    assert!(change(json!({"ip_whitelist": ["192.0.2.0/24"]}), &away).is_ok());
    assert!(change(json!({"sticky_count": 4}), &at("203.0.113.1", "203.0.113.1")).is_ok());
    assert!(change(list(), &Requester { confirmed: Some(ip("192.0.2.7")), ..away }).is_ok());
    // Loopback stays admitted, unless the list is strict.
    let home = at("127.0.0.1", "127.0.0.1");
    assert!(change(list(), &home).is_ok());
    let strict = json!({"ip_whitelist_strict": true});
    assert!(matches!(change(strict.clone(), &home), Err(PatchError::LockOut { .. })));
    assert!(change(strict, &Requester::default()).is_ok(), "a command cannot shut itself out");
    // Behind a proxy the proxy must stay trusted.
    let on = json!({"trusted_proxy_enabled": true, "trusted_proxies": ["10.0.0.1"],
        "ip_whitelist": ["192.0.2.0/24"]});
    change(on, &Requester::default()).unwrap();
    let proxied = at("192.0.2.7", "10.0.0.1");
    assert!(shut_out(change(json!({"trusted_proxy_enabled": false}), &proxied)));
    assert!(shut_out(change(json!({"trusted_proxies": ["10.0.0.2"]}), &proxied)));
    assert!(change(json!({"trusted_proxies": ["10.0.0.0/24"]}), &proxied).is_ok());
}

#[test]
fn sec_route_4_the_dashboard_is_not_opened_to_the_network() {
    let (dir, store) = new_store();
    let options = options(&[], dir.path());
    let open = map(json!({"requireLogin": false}));
    let network = Requester { is_network_open: true, ..Requester::default() };
    let refused = patch(&store, &options, &open, None, &network);
    assert!(matches!(refused, Err(PatchError::OpenDashboard)));
    assert!(patch(&store, &options, &open, None, &Requester::default()).is_ok());
    let closed = map(json!({"require_login": true}));
    assert!(patch(&store, &options, &closed, None, &network).is_ok());
}

#[test]
fn settings_about_who_may_do_what_need_the_password_again() {
    for (changes, want) in [
        (json!({"ipWhitelist": []}), true),
        (json!({"require_api_key": true, "sticky_count": 3}), true),
        (json!({"backup": {"s3_bucket": "b"}}), true),
        (json!({"oauth.claude.client_id": "x"}), true),
        (json!({"sticky_count": 3, "timeouts": {"head_ms": 5}}), false),
        (json!({"nothing": 1}), false),
    ] {
        assert_eq!(needs_sudo(&map(changes.clone())), want, "{changes}");
    }
}
