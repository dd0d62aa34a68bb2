//! The admin socket and the resources behind it: the management API as a command meets it.

use std::os::unix::fs::PermissionsExt;

use ninerouter::api::ROUTES;
use serde_json::{Value, json};

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

use crate::support::client::request;
use crate::support::{Dialect, Piece, Reply, Router, Setup, admin};

impl Router {
    fn admin(&self, method: &str, target: &str, body: Value) -> Reply {
        let body = Some(body).filter(|body| !body.is_null());
        admin::call(&self.data_dir().join("admin.sock"), method, target, body.as_ref())
    }

    fn read(&self, target: &str) -> Value {
        let reply = self.admin("GET", target, Value::Null);
        assert_eq!(reply.status, 200, "{target}: {}", reply.brief());
        reply.json()
    }
}

fn code(reply: &Reply) -> String {
    reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_socket_lives_as_long_as_the_server_and_belongs_to_its_user() {
    let mut router = Setup::new().start();
    let socket = router.data_dir().join("admin.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = router.read("/api/status");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["listeners"][0], router.address.to_string());
    assert_eq!(status["accounts"]["ready"], 0);
    // A killed process leaves its socket behind: the next one takes the place.
    router.kill();
    assert!(socket.exists());
    router.launch();
    assert_eq!(router.read("/api/status")["in_flight"], 0);
    router.stop();
    assert!(!socket.exists());
}

#[test]
fn a_switched_off_socket_is_not_made() {
    let router = Setup::new().env("NINEROUTER_ADMIN_SOCKET", "").start();
    assert!(!router.data_dir().join("admin.sock").exists());
}

/// T-ROUTE-05: no management route opens to nobody, nor to the holder of an API key.
#[test]
fn t_route_05_no_api_key_opens_a_management_route() {
    let key = "sk-test-0123456789abcdef";
    let router = Setup::new().key("laptop", key, "").start();
    let bearer = format!("Bearer {key}");
    for route in ROUTES {
        let path = route.path.replace("...}", "}").replace(['{', '}'], "");
        for headers in [vec![], vec![("authorization", bearer.as_str())], vec![("x-api-key", key)]]
        {
            let reply = router.send(route.method, &path, &headers, b"");
            assert_eq!(reply.status, 401, "{route:?}: {}", reply.brief());
        }
    }
}

#[test]
fn a_call_that_makes_no_sense_is_refused_in_the_documented_way() {
    let router = Setup::new().start();
    let socket = router.data_dir().join("admin.sock");
    let reply = router.admin("PUT", "/api/status", Value::Null);
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
    let reply = router.admin("GET", "/api/nothing", Value::Null);
    assert_eq!((reply.status, code(&reply).as_str()), (404, "not_found"));
    assert!(reply.json()["error"]["request_id"].as_str().unwrap().starts_with("req_"));
    let reply = router.admin("GET", "/v1/models", Value::Null);
    assert_eq!(reply.status, 404, "the socket serves the management API alone");
    let reply = router.admin("GET", "/api/keys?limt=1", Value::Null);
    assert_eq!((reply.status, code(&reply).as_str()), (400, "unknown_field"));
    let text = "POST /api/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(admin::raw(&socket, text.as_bytes()).status, 415);
    let large = json!({"name": "x".repeat(2 << 20)});
    assert_eq!(router.admin("POST", "/api/keys", large).status, 413);
    let reply = router.admin("POST", "/api/keys", json!([]));
    assert_eq!((reply.status, code(&reply).as_str()), (400, "invalid_json"));
    let reply = router.admin("POST", "/api/keys", json!({"name": "x", "rmp": 3}));
    assert_eq!((reply.status, code(&reply).as_str()), (400, "unknown_field"));
    let reply = router.admin("POST", "/api/keys", json!({"name": "x", "rpm": "sixty-secret"}));
    assert_eq!((reply.status, code(&reply).as_str()), (422, "validation_failed"));
    assert!(reply.json()["error"]["fields"]["rpm"].is_string(), "{}", reply.brief());
    assert!(!reply.text().contains("sixty-secret"));
}

#[test]
fn a_key_is_made_limited_rotated_and_revoked() {
    let router = Setup::new().setting("require_api_key", true).start();
    let made =
        router.admin("POST", "/api/keys", json!({"name": "laptop", "rpm": 60, "usd_day": "5.00"}));
    assert_eq!(made.status, 201, "{}", made.brief());
    let (made, text) =
        (made.json()["key"].clone(), made.json()["text"].as_str().unwrap().to_owned());
    assert!(text.starts_with("sk-nr1-") && text.len() == 45, "{text}");
    assert_eq!((&made["rpm"], &made["usd_day_umicro"]), (&json!(60), &json!(5_000_000)));
    let use_of = |text: &str| {
        let bearer = format!("Bearer {text}");
        router.send("GET", "/v1/models", &[("authorization", &bearer)], b"").status
    };
    assert_eq!(use_of(&text), 200);
    let listed = router.admin("GET", "/api/keys", Value::Null);
    assert!(!listed.text().contains(&text), "the text appears once");
    assert_eq!(listed.json()["total"], 1);
    let again = router.admin("POST", "/api/keys", json!({"name": "laptop"}));
    assert_eq!((again.status, code(&again).as_str()), (422, "validation_failed"));

    let id = made["id"].as_str().unwrap();
    let path = format!("/api/keys/{id}");
    let changed = router.admin("PATCH", &path, json!({"rpm": null, "usd_day": "1.50", "rev": 1}));
    assert_eq!(changed.status, 200, "{}", changed.brief());
    let changed = changed.json();
    assert_eq!((&changed["rpm"], &changed["usd_day_umicro"]), (&Value::Null, &json!(1_500_000)));
    let stale = router.admin("PATCH", &path, json!({"rpm": 5, "rev": 1}));
    assert_eq!((stale.status, code(&stale).as_str()), (409, "conflict"));
    assert_eq!(stale.json()["error"]["current"]["rev"], changed["rev"]);

    let rotated = router.admin("POST", &format!("{path}/rotate"), json!({"grace_s": 600}));
    assert_eq!(rotated.status, 200, "{}", rotated.brief());
    let new = rotated.json()["text"].as_str().unwrap().to_owned();
    assert_eq!((use_of(&new), use_of(&text)), (200, 200), "both during the grace");
    assert!(rotated.json()["key"]["former"]["until"].is_i64());
    let rotated = router.admin("POST", &format!("{path}/rotate"), Value::Null);
    let newest = rotated.json()["text"].as_str().unwrap().to_owned();
    assert_eq!((use_of(&newest), use_of(&new), use_of(&text)), (200, 401, 401));

    assert_eq!(router.admin("POST", &format!("{path}/revoke"), Value::Null).status, 200);
    assert_eq!(use_of(&newest), 401);
    assert_eq!(router.admin("DELETE", &path, Value::Null).status, 204);
    assert_eq!(router.admin("GET", &path, Value::Null).status, 404);
    // SEC-AK-1: no text of a key lies anywhere.
    for file in std::fs::read_dir(router.data_dir()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        for text in [&text, &new, &newest] {
            assert!(memchr::memmem::find(&bytes, text.as_bytes()).is_none());
        }
    }
    assert!(!router.output().contains(&newest));
}

#[test]
fn what_the_config_file_owns_is_not_changed() {
    let router = Setup::new()
        .upstream(Dialect::Chat, "mine", "http://127.0.0.1:9/v1")
        .combo("coding", &["mine/m"])
        .key("laptop", "sk-test-0123456789abcdef", "")
        .toml("[aliases]\nfast = \"mine/m\"\n")
        .start();
    let combo = router.read("/api/combos")["data"][0].clone();
    assert_eq!(combo["managed_by"], "config_file");
    let key = router.read("/api/keys")["data"][0]["id"].as_str().unwrap().to_owned();
    let id = combo["id"].as_str().unwrap();
    for (method, path, body) in [
        ("PATCH", format!("/api/combos/{id}"), json!({"enabled": false})),
        ("DELETE", format!("/api/combos/{id}"), Value::Null),
        ("PATCH", format!("/api/keys/{key}"), json!({"rpm": 1})),
        ("POST", format!("/api/keys/{key}/revoke"), Value::Null),
        ("PUT", "/api/aliases/fast".to_owned(), json!({"target": "mine/n"})),
        ("DELETE", "/api/aliases/fast".to_owned(), Value::Null),
    ] {
        let reply = router.admin(method, &path, body);
        let got = (reply.status, code(&reply));
        assert_eq!(got, (403, "managed_by_config_file".to_owned()), "{method} {path}");
    }
}

#[test]
fn combos_and_aliases_are_made_changed_and_removed() {
    let router = Setup::new().upstream(Dialect::Chat, "mine", "http://127.0.0.1:9/v1").start();
    let plan = json!({"name": "coding", "entries": ["mine/a", {"target": "mine/b", "weight": 2}]});
    let dry = router.admin("POST", "/api/combos?dry_run=true", plan.clone());
    assert_eq!((dry.status, &dry.json()["action"]), (200, &json!("add")), "{}", dry.brief());
    assert_eq!(router.read("/api/combos")["total"], 0);
    let made = router.admin("POST", "/api/combos", plan);
    assert_eq!(made.status, 201, "{}", made.brief());
    let made = made.json();
    assert_eq!(made["entries"][1]["state"]["status"], "ready", "{made}");
    assert_eq!(made["serving_now"]["target"], "mine/a");
    let path = format!("/api/combos/{}", made["id"].as_str().unwrap());

    let changed =
        router.admin("PATCH", &path, json!({"strategy": "weighted", "sticky": {"ttl_s": 60}}));
    let changed = changed.json();
    assert_eq!(changed["entries"], made["entries"], "entries keep their ids");
    assert_eq!(
        (&changed["strategy"], &changed["sticky"]["ttl_s"]),
        (&json!("weighted"), &json!(60))
    );
    let back =
        router.admin("PATCH", &path, json!({"sticky": {"ttl_s": null}, "rev": changed["rev"]}));
    assert_eq!(back.json()["sticky"]["ttl_s"], 3_600);

    let later = router.admin("PATCH", &path, json!({"strategy": "cheapest"}));
    assert_eq!((later.status, code(&later).as_str()), (501, "not_implemented"));
    let outer =
        router.admin("POST", "/api/combos", json!({"name": "outer", "entries": ["combo:coding"]}));
    assert_eq!(outer.status, 201, "{}", outer.brief());
    assert_eq!(outer.json()["entries"][0]["state"]["status"], "ready");
    let circle = router.admin("PATCH", &path, json!({"entries": ["mine/a", "combo:outer"]}));
    assert_eq!(circle.status, 422, "{}", circle.brief());
    assert!(circle.text().contains("contains itself"), "{}", circle.brief());
    let used = router.admin("DELETE", &path, Value::Null);
    assert_eq!((used.status, code(&used).as_str()), (409, "in_use"));
    assert_eq!(used.json()["error"]["used_by"][0]["name"], "outer");
    let unknown = router.admin("POST", "/api/combos", json!({"name": "x", "entries": ["mien/a"]}));
    assert!(
        unknown.json()["error"]["fields"]["entries[0].target"].is_string(),
        "{}",
        unknown.brief()
    );

    let alias = router.admin("PUT", "/api/aliases/fast", json!({"target": "coding"}));
    assert_eq!(alias.status, 201, "{}", alias.brief());
    assert_eq!(router.admin("PUT", "/api/aliases/fast", json!({"target": "mine/b"})).status, 200);
    let circle = router.admin("PUT", "/api/aliases/loop", json!({"target": "loop"}));
    assert_eq!(circle.status, 422, "{}", circle.brief());
    assert_eq!(router.admin("DELETE", "/api/aliases/fast", Value::Null).status, 204);
    assert_eq!(router.admin("DELETE", "/api/aliases/fast", Value::Null).status, 404);
    assert_eq!(router.admin("DELETE", &path, json!({"force": true})).status, 204);
}

#[test]
fn explain_tells_the_order_and_the_reasons_and_asks_nobody() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Setup::new()
        .node(Dialect::Chat, "mine", &url)
        .account_with("mine", "second", "priority = 2")
        .account_with("mine", "first", "priority = 1")
        .account_with("mine", "off", "enabled = false")
        .account_with("mine", "other", "excluded_models = [\"a\"]")
        .combo("coding", &["mine/a", "glm/glm-4.7"])
        .start();
    let reply =
        router.admin("POST", "/api/explain", json!({"model": "coding", "dialect": "anthropic"}));
    assert_eq!(reply.status, 200, "{}", reply.brief());
    let told = reply.json();
    let line = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {}",
            text("target"),
            text("account_label"),
            row["eligible"],
            text("skip_reason")
        )
    };
    let lines: Vec<String> = told["order"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "mine/a first true -",
            "mine/a second true -",
            "mine/a off false switched off",
            "mine/a other false model not allowed for the account",
            "glm/glm-4.7 - false no account",
        ]
    );
    assert_eq!(told["would_serve"], "mine/a");
    // The turn of nobody was taken: the same question has the same answer.
    let again =
        router.admin("POST", "/api/explain", json!({"model": "coding", "dialect": "anthropic"}));
    assert_eq!(again.json(), told);
    let first = told["order"][0]["account_id"].clone();
    let out =
        router.admin("POST", "/api/explain", json!({"model": "coding", "pretend_out": [first]}));
    assert_eq!(out.json()["order"][0]["account_label"], "second");
    let unknown = router.admin("POST", "/api/explain", json!({"model": "nothing-at-all"}));
    assert_eq!(
        (unknown.status, unknown.json()["error"]["reason"].clone()),
        (422, json!("model_not_found"))
    );
    assert!(listener.accept().is_err(), "no upstream was called");
}

#[test]
fn a_reload_over_the_socket_reads_the_config_file_again() {
    let router = Setup::new().upstream(Dialect::Chat, "mine", "http://127.0.0.1:9/v1").start();
    let text = std::fs::read_to_string(router.config_file()).unwrap();
    let more = format!("{text}\n[aliases]\nfast = \"mine/m\"\n");
    std::fs::write(router.config_file(), more).unwrap();
    assert_eq!(router.admin("POST", "/api/server/reload", Value::Null).status, 200);
    assert_eq!(router.read("/api/aliases")["data"][0]["target"], "mine/m");
    std::fs::write(router.config_file(), "nonsense = 1\n").unwrap();
    let bad = router.admin("POST", "/api/server/reload", Value::Null);
    assert_eq!((bad.status, code(&bad).as_str()), (422, "validation_failed"));
    assert_eq!(router.read("/api/aliases")["total"], 1, "the old configuration stays");
}

/// SEC-AK-8: a stream of a key that is revoked "now" ends, and not as if it were complete.
#[test]
fn t_ak_08_revoking_now_cuts_running_streams() {
    let dialect = Dialect::Chat;
    let story = dialect.story();
    let seen = format!("{}{}", story.start, story.content[0]);
    let begun = [reply::sse_head(), reply::chunk(seen.as_bytes())].concat();
    let chaos =
        Chaos::start(Reading::Whole, move |_| vec![Step::send(begun.clone()), Step::AwaitClient])
            .unwrap();
    let router = Setup::new()
        .setting("require_api_key", true)
        .upstream(dialect, "mine", &chaos.url("/v1"))
        .start();
    let made = router.admin("POST", "/api/keys", json!({"name": "laptop"})).json();
    let bearer = format!("Bearer {}", made["text"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = dialect.body("mine/m", true);
    let mut conn = router.connect();
    conn.send(&request("POST", &dialect.path("mine/m", true), &headers, body.as_ref()));
    assert_eq!(conn.head(false).unwrap().status, 200);
    conn.read_to(story.content[0].as_bytes());
    let id = made["key"]["id"].as_str().unwrap();
    let cut = router.admin("POST", &format!("/api/keys/{id}/revoke"), json!({"now": true}));
    assert_eq!(cut.status, 200, "{}", cut.brief());
    let mut rest = Vec::new();
    loop {
        match conn.piece() {
            Piece::Data(data) => rest.extend(data),
            Piece::Cut => break,
            Piece::End => panic!("the stream ended as if it were complete"),
        }
    }
    assert!(String::from_utf8_lossy(&rest).contains("key_revoked"));
}

/// A vendor that knows one key.
fn vendor_of(key: &'static str) -> Chaos {
    let answer = move |authorization: Option<&str>| {
        if authorization == Some(&format!("Bearer {key}")) {
            reply::json(200, r#"{"data":[{"id":"deepseek-chat"}]}"#)
        } else {
            reply::json(401, r#"{"error":{"message":"no such key"}}"#)
        }
    };
    Chaos::start(Reading::Whole, move |request| {
        vec![Step::send(answer(request.header("authorization").as_deref()))]
    })
    .unwrap()
}

#[test]
fn an_account_is_made_checked_changed_and_removed() {
    let vendor = vendor_of("key-good-0123456789");
    let router = Setup::new().env("NINEROUTER_ENDPOINT_DEEPSEEK_API", &vendor.url("")).start();
    let with = |key: &str| json!({"provider": "deepseek", "api_key": key, "tags": ["team"]});
    let bad = router.admin("POST", "/api/accounts", with("key-wrong-0123456789"));
    assert_eq!((bad.status, code(&bad).as_str()), (422, "validation_failed"), "{}", bad.brief());
    assert_eq!(bad.json()["error"]["save_anyway"], true);
    assert!(bad.text().contains("no such key"), "{}", bad.brief());
    assert_eq!(router.read("/api/accounts")["total"], 0);

    let made = router.admin("POST", "/api/accounts", with("key-good-0123456789"));
    assert_eq!(made.status, 201, "{}", made.brief());
    let (account, check) = (made.json()["account"].clone(), made.json()["check"].clone());
    assert_eq!((&check["valid"], &check["method"]), (&json!(true), &json!("probe")));
    assert_eq!(
        (&account["label"], &account["validation"]),
        (&json!("deepseek"), &json!("verified"))
    );
    assert_eq!(account["secrets"]["api_key"], json!({"set": true, "last4": "6789"}));
    assert_eq!(account["state"]["status"], "unused", "{account}");
    let path = format!("/api/accounts/{}", account["id"].as_str().unwrap());
    let twice = router.admin("POST", "/api/accounts", with("key-good-0123456789"));
    assert!(twice.json()["error"]["fields"]["api_key"].is_string(), "{}", twice.brief());

    let change = json!({"label": "Team", "priority": 7, "tags": null, "notes": "paid by us", "rev": account["rev"]});
    let changed = router.admin("PATCH", &path, change);
    assert_eq!(changed.status, 200, "{}", changed.brief());
    let changed = changed.json();
    assert_eq!((&changed["label"], &changed["priority"]), (&json!("Team"), &json!(7)));
    assert_eq!((&changed["tags"], &changed["notes"]), (&json!([]), &json!("paid by us")));
    let stale = router.admin("PATCH", &path, json!({"priority": 3, "rev": account["rev"]}));
    assert_eq!((stale.status, code(&stale).as_str()), (409, "conflict"));
    assert_eq!(stale.json()["error"]["current"]["priority"], 7);
    for (patch, field) in [
        (json!({"priority": 0}), "priority"),
        (json!({"endpoint": "none"}), "endpoint"),
        (json!({"params": {"region": "x"}}), "params.region"),
        (
            json!({"proxy": {"mode": "proxy", "id": "00000000-0000-7000-8000-000000000000"}}),
            "proxy.id",
        ),
        (json!({"tier": "gold"}), "tier"),
    ] {
        let refused = router.admin("PATCH", &path, patch);
        assert_eq!(refused.status, 422, "{field}: {}", refused.brief());
        assert!(
            refused.json()["error"]["fields"][field].is_string(),
            "{field}: {}",
            refused.brief()
        );
    }

    let off = router.admin("PATCH", &path, json!({"enabled": false})).json();
    assert_eq!(off["state"]["status"], "off");
    assert_eq!(router.read("/api/status")["accounts"]["off"], 1);
    assert_eq!(router.read("/api/accounts?status=off")["total"], 1);
    router.admin("PATCH", &path, json!({"enabled": null}));
    let tested = router.admin("POST", &format!("{path}/test"), Value::Null).json();
    assert_eq!((&tested["ok"], &tested["class"]), (&json!(true), &json!("verified")));
    let refresh = router.admin("POST", &format!("{path}/refresh"), Value::Null);
    assert_eq!(
        (refresh.status, code(&refresh).as_str()),
        (409, "not_refreshed"),
        "{}",
        refresh.brief()
    );
    let replaced =
        router.admin("POST", &format!("{path}/secret"), json!({"api_key": "key-wrong-0123456780"}));
    assert_eq!(replaced.status, 422, "{}", replaced.brief());
    let replaced = json!({"api_key": "key-wrong-0123456780", "save_anyway": true});
    let replaced = router.admin("POST", &format!("{path}/secret"), replaced).json();
    assert_eq!(replaced["account"]["validation"], "refused");
    assert_eq!(replaced["account"]["secrets"]["api_key"]["last4"], "6780");
    let tested = router.admin("POST", &format!("{path}/test"), Value::Null).json();
    assert_eq!((&tested["ok"], &tested["class"]), (&json!(false), &json!("refused")));

    let pinned = json!({"name": "mine", "entries": [{"target": "ds/deepseek-chat", "account_id": account["id"]}]});
    let pinned = router.admin("POST", "/api/combos", pinned);
    assert_eq!(pinned.status, 201, "{}", pinned.brief());
    let used = router.admin("DELETE", &path, Value::Null);
    assert_eq!((used.status, code(&used).as_str()), (409, "in_use"));
    assert_eq!(router.admin("DELETE", &path, json!({"force": true})).status, 204);
    assert_eq!(router.admin("GET", &path, Value::Null).status, 404);
}

#[test]
fn locks_of_an_account_are_shown_and_cleared() {
    let vendor = Chaos::always(reply::json(429, r#"{"error":{"message":"slow down"}}"#)).unwrap();
    let router = Setup::new()
        .setting("cooldown_base_s", 300)
        .upstream(Dialect::Chat, "mine", &vendor.url("/v1"))
        .start();
    router.ask(Dialect::Chat, "mine/m", false);
    let account = router.read("/api/accounts")["data"][0].clone();
    assert_eq!(account["state"]["status"], "partly_blocked", "{account}");
    assert_eq!(account["state"]["locks"][0]["scope"], "model:m");
    let path = format!("/api/accounts/{}", account["id"].as_str().unwrap());
    let none =
        router.admin("POST", &format!("{path}/clear-locks"), json!({"scope": "family:opus"}));
    assert_eq!(none.json()["cleared"], 0, "{}", none.brief());
    let bad = router.admin("POST", &format!("{path}/clear-locks"), json!({"scope": "all"}));
    assert_eq!(bad.status, 422);
    let cleared = router.admin("POST", &format!("{path}/clear-locks"), Value::Null).json();
    assert_eq!((&cleared["cleared"], &cleared["state"]["locks"]), (&json!(1), &json!([])));
    assert_eq!(cleared["state"]["status"], "ready", "{cleared}");
}

#[test]
fn providers_models_and_prices_show_what_the_operator_says_over_the_catalog() {
    let router = Setup::new().start();
    let glm = router.read("/api/providers/glm");
    assert_eq!((&glm["id"], &glm["auth"]), (&json!("glm"), &json!(["api_key"])));
    let reply =
        router.admin("PATCH", "/api/providers/glm", json!({"sticky_count": 9, "tier": "paid"}));
    assert_eq!(reply.status, 200, "{}", reply.brief());
    let changed = reply.json();
    assert_eq!(
        (&changed["settings"]["sticky_count"], &changed["tier"]),
        (&json!(9), &json!("paid"))
    );
    let back = router
        .admin("PATCH", "/api/providers/glm", json!({"tier": null, "rev": changed["rev"]}))
        .json();
    assert_eq!((&back["settings"]["sticky_count"], &back["tier"]), (&json!(9), &glm["tier"]));
    let unknown = router.admin("PATCH", "/api/providers/glm", json!({"stickycount": 1}));
    assert_eq!((unknown.status, code(&unknown).as_str()), (400, "unknown_field"));
    let none = router.admin("GET", "/api/providers/gml", Value::Null);
    assert!(none.status == 404 && none.text().contains("did you mean"), "{}", none.brief());
    assert!(router.read("/api/providers?limit=500")["total"].as_u64().unwrap() > 50);

    let listed = router.read("/api/models?provider=glm&limit=500");
    let first = listed["data"][0].clone();
    let id = first["model"].as_str().unwrap();
    let path = format!("/api/models/glm/{id}");
    let changed = router.admin("PATCH", &path, json!({"ctx": 4_096, "enabled": false}));
    assert_eq!(changed.status, 200, "{}", changed.brief());
    assert_eq!(
        (&changed.json()["ctx"], &changed.json()["source"]),
        (&json!(4_096), &json!("override"))
    );
    let total = listed["total"].as_u64().unwrap();
    assert_eq!(router.read("/api/models?provider=glm&limit=500")["total"], total - 1);
    assert_eq!(router.read("/api/models?provider=glm&include=disabled&limit=500")["total"], total);
    assert_eq!(router.admin("DELETE", &path, Value::Null).status, 204);
    assert_eq!(router.read("/api/models?provider=glm&limit=500")["total"], total);
    let own = json!({"provider": "glm", "id": "house-model", "ctx": 8_192, "caps": ["tools"]});
    let made = router.admin("POST", "/api/models", own.clone());
    assert_eq!((made.status, &made.json()["source"]), (201, &json!("manual")), "{}", made.brief());
    assert_eq!(router.admin("POST", "/api/models", own).status, 409);
    assert_eq!(router.admin("PATCH", "/api/models/glm/no-such", json!({"ctx": 1})).status, 404);

    let price = router.admin(
        "PUT",
        "/api/prices/glm/house-model",
        json!({"input": "0.60", "output": "2.2"}),
    );
    assert_eq!(price.status, 201, "{}", price.brief());
    let shown = &price.json()["price"];
    assert_eq!((&shown["input"], &shown["output"]), (&json!("0.60"), &json!("2.20")));
    assert_eq!(shown["source"], "operator");
    assert_eq!(router.read("/api/prices?overridden=true")["total"], 1);
    assert_eq!(router.admin("PUT", "/api/prices/glm/house-model", json!({})).status, 422);
    assert_eq!(router.admin("DELETE", "/api/prices/glm/house-model", Value::Null).status, 204);
}

#[test]
fn usage_is_summed_and_split() {
    let vendor = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "mine", &vendor.url("/v1"))
        .toml(
            "[[prices]]\nprovider = \"mine\"\nmodel = \"m\"\ninput = \"1.00\"\noutput = \"2.00\"\n",
        )
        .start();
    for _ in 0..3 {
        assert_eq!(router.ask(Dialect::Chat, "mine/m", false).status, 200);
    }
    let rows = router.wait_rows(3, &["id"], "requests");
    let summary = router.read("/api/usage/summary?period=24h&compare=true");
    assert_eq!((&summary["requests"], &summary["ok"]), (&json!(3), &json!(3)), "{summary}");
    assert!(summary["list_umicro"].as_i64().unwrap() > 0, "{summary}");
    assert_eq!(
        (&summary["success_percent"], &summary["previous"]["requests"]),
        (&json!(100.0), &json!(0))
    );
    for (by, label) in
        [("model", "mine/m"), ("account", "mine"), ("provider", "mine"), ("key", "none")]
    {
        let table = router.read(&format!("/api/usage/table?period=24h&by={by}"));
        let row = &table["data"][0];
        assert_eq!((&row["label"], &row["requests"]), (&json!(label), &json!(3)), "{by}: {table}");
        assert_eq!(row["share_percent"], 100.0);
    }
    assert_eq!(router.read("/api/usage/summary?period=24h&provider=glm")["requests"], 0);
    let request = router.read(&format!("/api/requests/{}", rows[0]["id"].as_str().unwrap()));
    assert_eq!(
        (&request["model_key"], &request["status"]),
        (&json!("mine/m"), &json!("ok")),
        "{request}"
    );
    assert_eq!(router.admin("GET", "/api/requests/req_none", Value::Null).status, 404);
}

/// `api.md` §9: no reply of any GET holds a secret.
#[test]
fn no_reply_of_a_get_holds_a_secret() {
    const MARKER: &str = "marker-secret-7f3a9c";
    let router = Setup::new().start();
    let key = json!({"provider": "deepseek", "api_key": format!("{MARKER}-0001"), "check": false});
    let account = router.admin("POST", "/api/accounts", key);
    assert_eq!(account.status, 201, "{}", account.brief());
    let made = router.admin("POST", "/api/keys", json!({"name": "laptop"}));
    let text = made.json()["text"].as_str().unwrap().to_owned();
    let combo = json!({"name": "mine", "entries": ["ds/deepseek-chat"]});
    let combo = router.admin("POST", "/api/combos", combo).json();
    let ids = [
        ("/api/accounts/", account.json()["account"]["id"].clone()),
        ("/api/keys/", made.json()["key"]["id"].clone()),
        ("/api/combos/", combo["id"].clone()),
        ("/api/providers/", json!("deepseek")),
    ];
    let mut seen = 0;
    // A feed has no end; what it tells are these objects.
    let gets = ROUTES.iter().filter(|r| r.method == "GET" && r.path != "/api/events");
    for route in gets {
        let id = ids.iter().find(|(start, _)| route.path.starts_with(start));
        let id = id.and_then(|(_, id)| id.as_str()).unwrap_or("none");
        let reply = router.admin("GET", &route.path.replace("{id}", id), Value::Null);
        seen += usize::from(reply.status == 200);
        for secret in [MARKER, &text] {
            assert!(!reply.text().contains(secret), "{route:?} tells a secret");
        }
    }
    assert!(seen >= 12, "only {seen} routes were read");
}
