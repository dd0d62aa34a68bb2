//! Custom nodes through the management API: from the check of an address to a request that it serves.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::{Dialect, Reply, Router, Setup, admin};

impl Router {
    fn on_nodes(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = Some(body).filter(|body| !body.is_null());
        let target = format!("/api{path}");
        admin::call(&self.data_dir().join("admin.sock"), method, &target, body.as_ref())
    }
}

/// A host of the OpenAI kind that knows one key and one model.
fn lab() -> Chaos {
    Chaos::start(Reading::Whole, |request| {
        let is_known = request.header("authorization").as_deref() == Some("Bearer sk-lab-1");
        let answer = match (&*request.target(), is_known) {
            (_, false) => reply::json(401, r#"{"error":{"message":"no such key"}}"#),
            ("/v1/models", true) => reply::json(200, r#"{"data":[{"id":"llama"}]}"#),
            ("/v1/chat/completions", true) => reply::json(200, &Dialect::Chat.answer()),
            (_, true) => reply::json(404, r#"{"error":{"message":"nothing here"}}"#),
        };
        vec![Step::send(answer)]
    })
    .unwrap()
}

fn wish(lab: &Chaos) -> Value {
    json!({
        "type": "openai-compatible", "name": "Lab", "prefix": "lab",
        "base_url": lab.url("/v1"), "network": "loopback",
    })
}

#[test]
fn a_check_tells_what_an_address_is_and_sends_only_the_key_that_was_typed() {
    let lab = lab();
    let router = Setup::new().start();
    let check = |more: Value| {
        let mut body =
            json!({"type": "openai-compatible", "base_url": lab.url("/v1"), "network": "loopback"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let told = router.on_nodes("POST", "/nodes/validate", body);
        assert_eq!(told.status, 200, "{}", told.brief());
        told.json()
    };
    let good = check(json!({"api_key": "sk-lab-1"}));
    assert_eq!((&good["valid"], &good["method"]), (&json!(true), &json!("models")), "{good}");
    assert_eq!(good["models"], json!(["llama"]));
    assert_eq!(good["url"], lab.url("/v1/models"));
    let bad = check(json!({"api_key": "sk-other"}));
    assert_eq!((&bad["valid"], &bad["error"]), (&json!(false), &json!("unauthorized")), "{bad}");
    assert!(!bad.to_string().contains("sk-other"));
    assert_eq!(check(json!({}))["error"], "unauthorized");
    let short = check(json!({"api_key": "sk-lab-1", "base_url": lab.url("")}));
    assert_eq!(short["error"], "models_endpoint_missing", "{short}");
    assert_eq!(short["did_you_mean"], lab.url("/v1"));
    let closed = check(json!({"network": "public"}));
    assert_eq!(closed["error"], "invalid_url", "{closed}");
    let inside = check(json!({"network": "public", "insecure_http": true}));
    assert_eq!(inside["error"], "address_not_allowed", "{inside}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = check(json!({"base_url": format!("http://{free}/v1")}));
    assert_eq!(nobody["error"], "connection_refused", "{nobody}");
    assert_eq!(check(json!({"base_url": "not a url"}))["error"], "invalid_url");
    let malformed = router.on_nodes("POST", "/nodes/validate", json!({"type": "x"}));
    assert!((400..500).contains(&malformed.status), "{}", malformed.brief());
}

/// T-OUT-09: a key stays behind when its node moves to another origin.
#[test]
fn a_node_is_made_serves_is_renamed_moved_and_goes_with_its_accounts() {
    let (lab, other) = (lab(), lab());
    let router = Setup::new().start();
    let made = router.on_nodes("POST", "/nodes", wish(&lab));
    assert_eq!(made.status, 201, "{}", made.brief());
    let node = made.json();
    let id = node["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("openai-compatible-chat-"), "{node}");
    assert_eq!(node["called_url"], lab.url("/v1/chat/completions"));
    let twice = router.on_nodes("POST", "/nodes", wish(&lab));
    assert_eq!(twice.status, 422, "{}", twice.brief());
    assert!(twice.json()["error"]["fields"]["prefix"].is_string());
    let taken = router.on_nodes("POST", "/nodes", json!({
        "type": "openai-compatible", "name": "x", "prefix": "openai", "base_url": "https://h.example",
    }));
    assert_eq!(taken.status, 422, "{}", taken.brief());

    let account =
        router.on_nodes("POST", "/accounts", json!({"provider": id, "api_key": "sk-lab-1"}));
    assert_eq!(account.status, 201, "{}", account.brief());
    assert_eq!(account.json()["check"]["valid"], true);
    let account = account.json()["account"]["id"].as_str().unwrap().to_owned();
    let combo = json!({"name": "mine", "entries": [{"target": "lab/llama"}]});
    assert_eq!(router.on_nodes("POST", "/combos", combo).status, 201);
    router.on_nodes("PUT", "/aliases/small", json!({"target": "lab/llama"}));
    let served = router.ask(Dialect::Chat, "mine", false);
    assert_eq!(served.status, 200, "{}", served.brief());

    let path = format!("/nodes/{id}");
    let stale = router.on_nodes("PATCH", &path, json!({"name": "Rig", "rev": 99}));
    assert_eq!(stale.status, 409, "{}", stale.brief());
    let kind =
        router.on_nodes("PATCH", &path, json!({"type": "anthropic-compatible", "api_type": null}));
    assert_eq!(kind.status, 422, "{}", kind.brief());
    let renamed = router.on_nodes("PATCH", &path, json!({"name": "Rig", "prefix": "rig"}));
    assert_eq!(renamed.status, 200, "{}", renamed.brief());
    for name in ["mine", "small", "rig/llama"] {
        let served = router.ask(Dialect::Chat, name, false);
        assert_eq!(served.status, 200, "{name}: {}", served.brief());
    }
    let combos = router.on_nodes("GET", "/combos", Value::Null).json();
    assert_eq!(combos["data"][0]["entries"][0]["target"], "rig/llama");

    // Another origin: the key stays behind.
    let moved = router.on_nodes("PATCH", &path, json!({"base_url": other.url("/v1")}));
    assert_eq!(moved.status, 200, "{}", moved.brief());
    assert_eq!(moved.json()["keys_cleared"], json!([account]));
    let refused = router.ask(Dialect::Chat, "rig/llama", false);
    assert!(refused.status >= 400, "{}", refused.brief());
    assert!(other.requests().is_empty(), "an account without key went out");
    let key = json!({"api_key": "sk-lab-1"});
    assert_eq!(router.on_nodes("POST", &format!("/accounts/{account}/secret"), key).status, 200);
    router.on_nodes("PATCH", &format!("/accounts/{account}"), json!({"enabled": true}));
    assert_eq!(router.ask(Dialect::Chat, "rig/llama", false).status, 200);

    let used = router.on_nodes("DELETE", &path, Value::Null);
    assert_eq!(used.status, 409, "{}", used.brief());
    assert_eq!(used.json()["error"]["used_by"][0]["id"], account);
    assert_eq!(router.on_nodes("DELETE", &path, json!({"force": true})).status, 204);
    assert_eq!(router.on_nodes("GET", &path, Value::Null).status, 404);
    assert_eq!(router.on_nodes("GET", &format!("/accounts/{account}"), Value::Null).status, 404);
    let combos = router.on_nodes("GET", "/combos", Value::Null).json();
    assert_eq!(combos["data"][0]["name"], "mine", "the combo stays, with a missing entry");
}
