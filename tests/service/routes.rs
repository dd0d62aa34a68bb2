//! Routes of the management API as such: those that are still to come, wrong methods, and the end of the server.

use ninerouter::api::ROUTES;
use serde_json::{Value, json};

use crate::support::management::call;
use crate::support::{Dialect, PATIENCE, Reply, Setup};

#[test]
fn a_feature_that_is_still_to_come_says_so() {
    let router = Setup::new().start();
    let document = call(&router, "GET", "/api/openapi.json", Value::Null).json();
    let mut count = 0;
    for (route, feature) in ROUTES.iter().filter_map(|route| Some((route, route.later?))) {
        let path = route.path.replace(['{', '}'], "");
        let body = if route.method == "GET" { Value::Null } else { json!({"anything": 1}) };
        let reply = call(&router, route.method, &path, body);
        assert_eq!(reply.status, 501, "{route:?}: {}", reply.brief());
        let error = &reply.json()["error"];
        assert_eq!(error["code"], "not_implemented");
        assert!(error["message"].as_str().unwrap().contains(feature), "{error}");
        assert!(error["request_id"].as_str().unwrap().starts_with("req_"));
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        assert!(operation["responses"]["501"].is_object(), "{route:?}");
        count += 1;
    }
    assert!(count > 20, "only {count} routes");
    // Nothing happened: nothing is noted.
    let audit = call(&router, "GET", "/api/audit?limit=100", Value::Null).text();
    assert!(!audit.contains("anything"), "{audit}");
}

#[test]
fn a_server_is_restarted_by_those_who_watch_over_it_and_stopped_by_anybody() {
    let mut router = Setup::new().start();
    let refused = call(&router, "POST", "/api/server/restart", json!({}));
    assert_eq!(refused.status, 409, "{}", refused.brief());
    assert_eq!(call(&router, "POST", "/api/server/shutdown", json!({"now": true})).status, 400);
    let stopping = call(&router, "POST", "/api/server/shutdown", json!({}));
    assert_eq!((stopping.status, &stopping.json()["state"]), (202, &json!("stopping")));
    assert!(router.wait(PATIENCE).success());

    let mut watched = Setup::new().env("NINEROUTER_AUTO_RESTART", "1").start();
    let restarting = call(&watched, "POST", "/api/server/restart", json!({}));
    assert_eq!((restarting.status, &restarting.json()["state"]), (202, &json!("restarting")));
    assert!(watched.wait(PATIENCE).success());
}

#[test]
fn an_oauth_client_of_ones_own_is_set_and_never_shown() {
    let router = Setup::new().start();
    let path = "/api/providers/gemini-cli/client-secret";
    let shown = |reply: &Reply| reply.json()["client_secret"].clone();
    let before = call(&router, "GET", "/api/providers/gemini-cli", Value::Null);
    assert_eq!(shown(&before), json!({"required": true, "set": false}));
    let body = json!({"client_id": "my-client", "client_secret": "my-secret-marker"});
    let set = call(&router, "PUT", path, body);
    assert_eq!((set.status, shown(&set)), (200, json!({"required": true, "set": true})));
    let settings = call(&router, "GET", "/api/settings", Value::Null);
    assert_eq!(settings.json()["settings"]["oauth.gemini-cli.client_id"], "my-client");
    let audit = call(&router, "GET", "/api/audit", Value::Null);
    assert!(audit.text().contains("oauth.gemini-cli.client_secret"));
    for reply in [set, settings, audit] {
        assert!(!reply.text().contains("my-secret-marker"), "{}", reply.brief());
    }
    let unset = call(&router, "PUT", path, json!({"client_id": null, "client_secret": null}));
    assert_eq!(shown(&unset)["set"], false, "{}", unset.brief());
    for (provider, body, status) in [
        ("gemini-cli", json!({}), 422),
        ("gemini-cli", json!({"secret": "x"}), 400),
        ("deepseek", json!({"client_secret": "x"}), 409),
        ("nobody", json!({"client_secret": "x"}), 404),
    ] {
        let path = format!("/api/providers/{provider}/client-secret");
        assert_eq!(call(&router, "PUT", &path, body).status, status, "{provider}");
    }
}

#[test]
fn the_accounts_of_a_provider_are_deleted_together() {
    let router = Setup::new()
        .node(Dialect::Chat, "file", "http://127.0.0.1:9/v1")
        .account("file", "managed")
        .start();
    let add = |provider: &str, key: &str| {
        let body = json!({"provider": provider, "api_key": key, "check": false});
        let made = call(&router, "POST", "/api/accounts", body);
        assert_eq!(made.status, 201, "{}", made.brief());
    };
    add("deepseek", "sk-one-0123456789");
    add("deepseek", "sk-two-0123456789");
    add("glm", "sk-three-0123456789");
    let gone = call(&router, "DELETE", "/api/providers/deepseek/data", Value::Null);
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(2)), "{}", gone.brief());
    let left = call(&router, "GET", "/api/accounts", Value::Null).json();
    let mut left: Vec<&str> = left["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["provider"].as_str().unwrap())
        .collect();
    left.retain(|provider| !provider.starts_with("openai-compatible"));
    assert_eq!(left, ["glm"]);
    // What the config file says stays.
    let refused = call(&router, "DELETE", "/api/providers/file/data", Value::Null);
    assert_eq!(refused.status, 403, "{}", refused.brief());
}
