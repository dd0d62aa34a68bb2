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

/// T-ROUTE-01, T-ROUTE-05: no management route exists for the network, whatever is sent along.
#[test]
fn t_route_05_management_routes_are_not_served_over_tcp() {
    let key = "sk-test-0123456789abcdef";
    let router = Setup::new().key("laptop", key, "").start();
    let bearer = format!("Bearer {key}");
    for route in ROUTES {
        let path = route.path.replace("...}", "}").replace(['{', '}'], "");
        for headers in [vec![], vec![("authorization", bearer.as_str())], vec![("x-api-key", key)]]
        {
            let reply = router.send(route.method, &path, &headers, b"");
            assert!(matches!(reply.status, 401 | 404), "{route:?}: {}", reply.brief());
        }
    }
}

#[test]
fn a_call_that_makes_no_sense_is_refused_in_the_documented_way() {
    let router = Setup::new().start();
    let socket = router.data_dir().join("admin.sock");
    let reply = router.admin("PUT", "/api/status", Value::Null);
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
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
