//! The OpenAPI document against what the router really answers.

use serde_json::{Value, json};

use crate::support::{Dialect, Router, Setup, admin};

use ninerouter::demo::chaos::{Chaos, reply};

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

impl Told<'_> {
    /// Calls a route and holds the answer against what the document says of it.
    fn call(&mut self, method: &str, pattern: &str, target: &str, body: Value) -> Value {
        let socket = self.router.data_dir().join("admin.sock");
        let body = Some(body).filter(|body| !body.is_null());
        let reply = admin::call(&socket, method, target, body.as_ref());
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
    let socket = router.data_dir().join("admin.sock");
    let document = admin::call(&socket, "GET", "/api/openapi.json", None).json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut told = Told { router: &router, document, found: Vec::new() };
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
    ] {
        told.call("GET", path, path, Value::Null);
    }
    assert!(told.found.is_empty(), "{}", told.found.join("\n"));
}
