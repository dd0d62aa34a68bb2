//! The OpenAPI document against what the router really answers.

use serde_json::{Value, json};

use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, admin, until};

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

/// What is wrong with a value by a schema: types, words, and members that the document does not know.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        let target = document.pointer(target.trim_start_matches('#')).expect(target);
        return faults(document, target, value, at, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut own = Vec::new();
            faults(document, choice, value, at, &mut own);
            own
        };
        let all: Vec<_> = choices.iter().map(fits).collect();
        if !all.iter().any(Vec::is_empty) {
            found.extend(all.into_iter().next().unwrap());
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) if types.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&own) {
        found.push(format!("{at}: {own} instead of {types:?}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        faults(document, &schema["items"], item, &format!("{at}[{index}]"), found);
    }
    let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (name, member) in members {
        match known.get(name) {
            Some(schema) => faults(document, schema, member, &format!("{at}.{name}"), found),
            None => found.push(format!("{at}.{name}: not in the document")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at}: lacks {name}"));
        }
    }
}

struct Told<'a> {
    router: &'a Router,
    document: Value,
    found: Vec<String>,
}

impl<'a> Told<'a> {
    fn of(router: &'a Router) -> Self {
        let document =
            admin::call(&router.data_dir().join("admin.sock"), "GET", "/api/openapi.json", None);
        Self { router, document: document.json(), found: Vec::new() }
    }

    fn reply(&self, method: &str, target: &str, body: &Value) -> Reply {
        let socket = self.router.data_dir().join("admin.sock");
        admin::call(&socket, method, target, Some(body).filter(|body| !body.is_null()))
    }

    #[track_caller]
    fn faultless(&self) {
        assert!(self.found.is_empty(), "{}", self.found.join("\n"));
    }

    /// Calls a route and holds the answer against what the document says of it.
    fn call(&mut self, method: &str, pattern: &str, target: &str, body: Value) -> Value {
        let reply = self.reply(method, target, &body);
        assert!(reply.status < 300, "{method} {target}: {}", reply.brief());
        let operation = &self.document["paths"][pattern][method.to_lowercase()];
        let documented = &operation["responses"][reply.status.to_string()];
        assert!(documented.is_object(), "{method} {pattern} answers {} unannounced", reply.status);
        if reply.body.is_empty() {
            return Value::Null;
        }
        let schema = &documented["content"]["application/json"]["schema"];
        let value = reply.json();
        let at = format!("{method} {pattern}");
        faults(&self.document, schema, &value, &at, &mut self.found);
        value
    }
}

#[test]
fn replies_are_what_the_document_says() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let mut told = Told::of(&router);
    assert_eq!(told.document["openapi"], "3.1.0");
    assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);

    let combo = json!({"name": "coding", "entries": [{"target": "one/m"}], "strategy": "fallback"});
    let combo = told.call("POST", "/api/combos", "/api/combos", combo);
    let id = combo["id"].as_str().unwrap().to_owned();
    told.call(
        "POST",
        "/api/combos/{id}/simulate",
        &format!("/api/combos/{id}/simulate"),
        json!({}),
    );
    told.call("POST", "/api/explain", "/api/explain", json!({"model": "coding"}));
    let key = json!({"name": "laptop", "rpm": 60, "usd_day": "5.00"});
    let key = told.call("POST", "/api/keys", "/api/keys", key);
    let id = key["key"]["id"].as_str().unwrap().to_owned();
    told.call("PATCH", "/api/keys/{id}", &format!("/api/keys/{id}"), json!({"rpm": null}));
    told.call(
        "POST",
        "/api/keys/{id}/rotate",
        &format!("/api/keys/{id}/rotate"),
        json!({"grace_s": 60}),
    );
    told.call(
        "POST",
        "/api/keys/{id}/revoke",
        &format!("/api/keys/{id}/revoke"),
        json!({"now": true}),
    );
    let budget = json!({"scope": "all", "window": "day", "limit_umicro": 5_000_000});
    told.call("POST", "/api/budgets", "/api/budgets", budget);
    let proxy = json!({"name": "office", "url": "http://127.0.0.1:3128"});
    told.call("POST", "/api/proxies", "/api/proxies", proxy);
    told.call("PATCH", "/api/settings", "/api/settings", json!({"sticky_count": 5}));
    let accounts = told.call("GET", "/api/accounts", "/api/accounts", Value::Null);
    let id = accounts["data"][0]["id"].as_str().unwrap().to_owned();
    told.call("POST", "/api/accounts/{id}/test", &format!("/api/accounts/{id}/test"), json!({}));
    for path in [
        "/api/status",
        "/api/providers",
        "/api/models",
        "/api/prices",
        "/api/proxies",
        "/api/combos",
        "/api/aliases",
        "/api/keys",
        "/api/budgets",
        "/api/usage/summary",
        "/api/usage/table",
        "/api/settings",
        "/api/config/export",
        "/api/auth/sessions",
        "/api/usage/series",
        "/api/usage/report",
        "/api/usage/unpriced",
    ] {
        told.call("GET", path, path, Value::Null);
    }
    let file = json!({"text": "[aliases]\nquick = \"one/m\"\n"});
    for action in ["validate", "diff", "apply"] {
        let path = format!("/api/config/{action}");
        told.call("POST", &path, &path, file.clone());
    }
    let wrong = json!({"text": "[settings]\nsticky_count = \"many\"\n"});
    told.call("POST", "/api/config/validate", "/api/config/validate", wrong);
    let question = json!({"direction": "request", "from": "openai", "to": "anthropic",
        "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "logit_bias": {"1": 2}}});
    told.call("POST", "/api/translate", "/api/translate", question);
    told.faultless();
}

#[test]
fn replies_about_nodes_and_long_work_are_what_the_document_says() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let mut told = Told::of(&router);
    let node = json!({"type": "openai-compatible", "api_type": "chat", "name": "Own", "prefix": "own",
        "base_url": chaos.url("/v1"), "network": "loopback", "insecure_http": true,
        "headers": [{"name": "x-tenant", "value": "7"}]});
    told.call("POST", "/api/nodes/validate", "/api/nodes/validate", node.clone());
    let made = told.call("POST", "/api/nodes", "/api/nodes", node);
    let path = format!("/api/nodes/{}", made["id"].as_str().unwrap());
    told.call("GET", "/api/nodes", "/api/nodes", Value::Null);
    told.call("GET", "/api/nodes/{id}", &path, Value::Null);
    told.call("PATCH", "/api/nodes/{id}", &path, json!({"name": "Renamed"}));

    let keys = json!({"provider": "own", "keys": ["a|sk-one-0123456789", "b|sk-two-0123456789"], "check": false});
    let begun = told.call("POST", "/api/accounts/bulk", "/api/accounts/bulk", keys);
    let job = format!("/api/jobs/{}", begun["job"]["id"].as_str().unwrap());
    until(PATIENCE, "the job ends", || {
        let job = told.call("GET", "/api/jobs/{id}", &job, Value::Null);
        job["finished"].is_i64().then_some(())
    });
    told.call("GET", "/api/jobs/{id}/report", &format!("{job}/report"), Value::Null);
    told.call("POST", "/api/db/check", "/api/db/check", json!({}));
    told.call("GET", "/api/jobs", "/api/jobs", Value::Null);
    let accounts = told.call("GET", "/api/accounts", "/api/accounts", Value::Null);
    let ids: Vec<&Value> =
        accounts["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    let batch = json!({"ids": ids, "action": "disable"});
    let done = told.call("POST", "/api/accounts/batch", "/api/accounts/batch", batch);
    // What the config file owns refuses, and says why.
    assert!(
        done["ok"].as_u64().unwrap() > 0 && done["results"].as_array().unwrap().len() == ids.len()
    );
    let tests = json!({"ids": ids, "action": "test"});
    told.call("POST", "/api/accounts/batch", "/api/accounts/batch", tests);
    let account = format!("/api/accounts/{}/clear-locks", ids[0].as_str().unwrap());
    told.call("POST", "/api/accounts/{id}/clear-locks", &account, json!({}));
    let backup = told.call("POST", "/api/backups", "/api/backups", json!({}));
    told.call("GET", "/api/backups", "/api/backups", Value::Null);
    let restore = format!("/api/backups/{}/restore", backup["name"].as_str().unwrap());
    told.call("POST", "/api/backups/{name}/restore", &restore, json!({}));
    told.faultless();
}

#[test]
fn replies_about_what_is_recorded_are_what_the_document_says() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let whole = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        vec![Step::send(match whole["stream"] == true {
            true => reply::sse(&Dialect::Chat.story().without_usage()),
            false => reply::json(200, &Dialect::Chat.answer()),
        })]
    })
    .unwrap();
    let full = Chaos::always(reply::json(429, r#"{"error":{"message":"slow down"}}"#)).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "full", &full.url("/v1"))
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .node(Dialect::Chat, "bare", &chaos.url("/v1"))
        .combo("fast", &["full/m", "one/m"])
        .combo("unserved", &["bare/m"])
        .background()
        .start();
    let mut told = Told::of(&router);
    let capture = json!({"mode": "all", "minutes": 5});
    told.call("POST", "/api/capture", "/api/capture", capture);
    for stream in [false, true, false] {
        assert_eq!(router.ask(Dialect::Chat, "fast", stream).status, 200);
    }
    router.ask(Dialect::Chat, "nobody/m", false);
    let rows = until(PATIENCE, "four rows", || {
        let page = told.call("GET", "/api/requests", "/api/requests", Value::Null);
        (page["data"].as_array().unwrap().len() == 4).then(|| page["data"].clone())
    });
    for row in rows.as_array().unwrap() {
        let path = format!("/api/requests/{}", row["id"].as_str().unwrap());
        told.call("GET", "/api/requests/{id}", &path, Value::Null);
        let bodies = format!("{path}/bodies");
        until(PATIENCE, "the file is written", || {
            (told.reply("GET", &bodies, &Value::Null).status == 200).then_some(())
        });
        told.call("GET", "/api/requests/{id}/bodies", &bodies, Value::Null);
    }
    let again = format!("/api/requests/{}/replay", rows[3]["id"].as_str().unwrap());
    told.call("POST", "/api/requests/{id}/replay", &again, json!({"target": "one/m"}));
    told.call("GET", "/api/status", "/api/status", Value::Null);
    told.call(
        "PATCH",
        "/api/logs/level",
        "/api/logs/level",
        json!({"level": "debug", "minutes": 1}),
    );
    told.call("GET", "/api/logs", "/api/logs", Value::Null);
    let audit = told.call("GET", "/api/audit", "/api/audit", Value::Null);
    assert!(!audit["data"].as_array().unwrap().is_empty());
    told.call("POST", "/api/audit/verify", "/api/audit/verify", json!({}));
    until(PATIENCE, "an alert is open", || {
        let alerts = told.call("GET", "/api/alerts", "/api/alerts", Value::Null);
        (!alerts["data"].as_array().unwrap().is_empty()).then_some(())
    });
    let before = "/api/requests?before=9000000000000";
    told.call("DELETE", "/api/requests", before, Value::Null);
    let before = "/api/usage?before=9000000000000";
    told.call("DELETE", "/api/usage", before, Value::Null);
    told.faultless();
}
