//! Requests that no upstream may ever see: endpoints §4, §5, §8, §9, security §10.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::Value;

use crate::support::client::request;
use crate::support::{Dialect, Reply, Router, Setup};

fn upstream() -> (Chaos, Router) {
    upstream_with(Setup::new())
}

fn upstream_with(setup: Setup) -> (Chaos, Router) {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let target = request.target();
        let dialect = match target.as_str() {
            t if t.contains("/chat/") => Dialect::Chat,
            t if t.contains("/responses") => Dialect::Resp,
            t if t.contains("/messages") => Dialect::Anth,
            _ => Dialect::Gem,
        };
        vec![Step::send(reply::json(200, &dialect.answer()))]
    })
    .unwrap();
    let mut setup = setup;
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    let router = setup.start();
    (chaos, router)
}

/// The dialect's path for a model that works.
fn path(dialect: Dialect) -> String {
    dialect.path(&format!("{}/m", dialect.name()), false)
}

/// Name of the turns in the dialect.
fn turns(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat | Dialect::Anth => "messages",
        Dialect::Resp => "input",
        Dialect::Gem => "contents",
    }
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

/// T-RES-07, T-RES-08, T-RES-20.
#[test]
fn broken_bodies_are_refused_in_the_clients_dialect_without_an_upstream_call() {
    let (chaos, router) = upstream();
    for dialect in Dialect::ALL {
        let model = format!("{}/m", dialect.name());
        let good = dialect.body(&model, false);
        let with = |extra: &str| dialect.body_with(&model, false, extra).into_bytes();
        let twice = format!(",\"{0}\":[],\"{0}\":[]", turns(dialect));
        let mut bad_utf8 = with(",\"y\":\"@\"");
        let at = bad_utf8.iter().rposition(|b| *b == b'@').unwrap();
        bad_utf8[at] = 0xff;
        let mut table: Vec<(&str, Vec<u8>, &str)> = vec![
            ("empty", Vec::new(), "invalid_json"),
            ("cut", good.as_bytes()[..good.len() - 3].to_vec(), "invalid_json"),
            ("list", b"[1]".to_vec(), "invalid_json"),
            ("string", b"\"x\"".to_vec(), "invalid_json"),
            ("form", b"a=b&c=d".to_vec(), "invalid_json"),
            ("trailing bytes", format!("{good} x").into(), "invalid_json"),
            ("invalid UTF-8", bad_utf8, "invalid_json"),
            ("200 levels", with(&format!(",\"deep\":{}", nested(200))), ""),
            ("128 levels", with(&format!(",\"deep\":{}", nested(127))), ""),
            ("turns twice", with(&twice), ""),
            ("NUL", with("\0"), "invalid_json"),
        ];
        if dialect != Dialect::Gem {
            let quoted = format!("\"{model}\"");
            let replaced = |by: &str| good.replacen(&quoted, by, 1).into_bytes();
            table.extend([
                ("model is a number", replaced("5"), ""),
                ("model is null", replaced("null"), ""),
                ("model is blank", replaced("\" \""), ""),
                ("no model", good.replace("\"model\"", "\"mode\"").into_bytes(), ""),
                ("model twice", with(",\"model\":\"other\""), ""),
                ("model twice, escaped", with(",\"mod\\u0065l\":\"other\""), ""),
                ("stream twice", with(",\"stream\":true,\"stream\":false"), ""),
            ]);
        }
        if matches!(dialect, Dialect::Chat | Dialect::Anth) {
            table.push(("no turns", good.replace("\"messages\"", "\"z\"").into(), ""));
        }
        for (name, body, code) in table {
            let got = router.post(&path(dialect), &body);
            assert_eq!(got.status, 400, "{dialect:?} {name}: {}", got.brief());
            dialect.error_message(&got).unwrap_or_else(|e| panic!("{dialect:?} {name}: {e}"));
            assert_eq!(got.header("x-should-retry"), Some("false"), "{name}");
            if let Some(found) = dialect.error_code(&got).filter(|_| !code.is_empty()) {
                assert_eq!(found, code, "{dialect:?} {name}");
            }
            if dialect == Dialect::Chat && (name == "no model" || name == "no turns") {
                let param = if name == "no model" { "model" } else { "messages" };
                assert_eq!(got.json()["error"]["param"], param);
            }
        }
    }
    assert_eq!(chaos.connections(), 0);
}

/// T-OUT-10: what a body says of addresses is nobody's business but the upstream's.
#[test]
fn odd_but_legal_bodies_are_served() {
    let (chaos, router) = upstream();
    for dialect in Dialect::ALL {
        let model = format!("{}/m", dialect.name());
        let good = dialect.body(&model, false);
        let deep = dialect.body_with(&model, false, &format!(",\"deep\":{}", nested(120)));
        let brackets = format!(",\"text\":\"{}\"", "[".repeat(500));
        let table = [
            ("BOM", format!("\u{feff}{good}"), good.replacen(&model, "m", 1)),
            ("white space", format!(" \r\n{good}\n "), String::new()),
            ("120 levels", deep.clone(), deep.replacen(&model, "m", 1)),
            ("brackets in a string", dialect.body_with(&model, false, &brackets), String::new()),
            (
                "fields of elsewhere",
                dialect.body_with(
                    &model,
                    false,
                    ",\"api_base\":\"http://evil.example\",\"base_url\":\"http://evil.example\"",
                ),
                String::new(),
            ),
        ];
        for (name, body, want) in table {
            let got = router.post(&path(dialect), &body);
            assert_eq!(got.status, 200, "{dialect:?} {name}: {}", got.brief());
            let sent = chaos.requests().pop().unwrap().body;
            if !want.is_empty() {
                assert_eq!(String::from_utf8(sent).unwrap(), want, "{dialect:?} {name}");
            }
        }
    }
    // T003: an escaped key is the key, and keeps its bytes.
    let escaped =
        "{\"mod\\u0065l\":\"chat/m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    assert_eq!(router.post("/v1/chat/completions", escaped).status, 200);
    let sent = chaos.requests().pop().unwrap().body;
    assert_eq!(String::from_utf8(sent).unwrap(), escaped.replace("chat/m", "m"));
    // §4.1: a Responses body on the chat path is answered as Responses.
    let list = Dialect::Resp
        .body("resp/m", false)
        .replace("\"hi \\u00e9\"", "[{\"role\":\"user\",\"content\":\"hi\"}]");
    let got = router.post("/v1/chat/completions", list);
    assert_eq!(got.text(), Dialect::Resp.answer());
}

#[test]
fn unknown_models_are_named() {
    let (chaos, router) = upstream();
    for dialect in Dialect::ALL {
        for model in ["nope", "who/knows", "chatt/m"] {
            let got = router.ask(dialect, model, false);
            assert_eq!(got.status, 404, "{dialect:?} {model} {}", got.brief());
            let message = dialect.error_message(&got).unwrap();
            assert!(message.contains(model), "{message}");
            if let Some(code) = dialect.error_code(&got) {
                assert_eq!(code, "model_not_found");
            }
        }
    }
    assert_eq!(chaos.connections(), 0);
}

/// T-RES-03, T-RES-06.
#[test]
fn f49_too_large_bodies_are_refused_early_and_encoded_ones_are_counted_decoded() {
    let (chaos, router) = upstream_with(Setup::new().setting("limits.body_mib", 1));
    let filler = |bytes: usize| {
        Dialect::Chat.body_with("chat/m", false, &format!(",\"f\":\"{}\"", "x".repeat(bytes)))
    };
    let gzip = |data: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |data: &[u8]| zstd::encode_all(data, 1).unwrap();
    let brotli = |data: &[u8]| {
        let mut out = Vec::new();
        let params = brotli::enc::BrotliEncoderParams { quality: 1, ..Default::default() };
        brotli::BrotliCompress(&mut &*data, &mut out, &params).unwrap();
        out
    };
    let (small, large) = (filler(10), filler(2 << 20));
    let table: [(&str, Option<&str>, Vec<u8>, u16); 11] = [
        ("plain", None, small.clone().into(), 200),
        ("plain over the limit", None, large.clone().into(), 413),
        ("gzip", Some("gzip"), gzip(small.as_bytes()), 200),
        ("zstd", Some("zstd"), zstd(small.as_bytes()), 200),
        ("br", Some("br"), brotli(small.as_bytes()), 200),
        ("gzip bomb", Some("gzip"), gzip(large.as_bytes()), 413),
        ("zstd bomb", Some("zstd"), zstd(large.as_bytes()), 413),
        ("no gzip at all", Some("gzip"), small.clone().into(), 400),
        ("cut gzip", Some("gzip"), gzip(small.as_bytes())[..40].to_vec(), 400),
        ("unknown coding", Some("lzma"), small.clone().into(), 415),
        ("two codings", Some("gzip, br"), gzip(small.as_bytes()), 415),
    ];
    let mut served = 0;
    for (name, coding, body, status) in table {
        let headers: Vec<_> = coding.iter().map(|c| ("content-encoding", *c)).collect();
        let got = router.send("POST", "/v1/chat/completions", &headers, &body);
        assert_eq!(got.status, status, "{name}: {}", got.brief());
        served += usize::from(status == 200);
        if status == 200 {
            let sent = chaos.requests().pop().unwrap();
            assert_eq!(sent.header("content-encoding"), None);
            assert_eq!(sent.body, small.replace("chat/m", "m").into_bytes(), "{name}");
        } else {
            Dialect::Chat.error_message(&got).unwrap();
        }
    }
    assert_eq!(chaos.requests().len(), served);
    // A declared size is enough to say no; nothing of the body has to arrive.
    let mut conn = router.connect();
    conn.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/json\r\ncontent-length: 99000000\r\n\r\n",
    );
    assert_eq!(conn.reply(false).unwrap().status, 413);
}

#[test]
fn paths_and_methods() {
    let (chaos, router) = upstream();
    // Method, path, status, and what the body's shape is.
    let table = [
        ("POST", "/v1/zzz", 404, "chat"),
        ("GET", "/v1/nope/nope", 404, "chat"),
        ("GET", "/v1/chat/completions", 405, "chat"),
        ("DELETE", "/v1/models", 405, "chat"),
        ("GET", "/v1/responses", 405, "chat"),
        ("POST", "/v1/messages/batches", 404, "anth"),
        ("POST", "/v1beta/models/gem/m:foo", 404, "gem"),
        ("POST", "/v1beta/models/gem/m", 404, "gem"),
        ("POST", "/v1beta/models/gem/m:predict", 501, "gem"),
        ("GET", "/v1/../v1/models", 400, ""),
        ("GET", "/v1/./models", 400, ""),
        ("GET", "/v1/%2e%2e/v1/models", 400, ""),
        ("GET", "/v1/models%5cx", 400, ""),
        ("GET", "/v1/models%00", 400, ""),
        ("GET", "/nothing/here", 404, ""),
        ("GET", "/api/keys", 404, ""),
        ("GET", "/healthz", 200, ""),
        ("GET", "/livez", 200, ""),
        ("GET", "/health", 200, ""),
        ("GET", "/api/health", 200, ""),
        ("GET", "/readyz", 200, ""),
        ("GET", "/v1", 200, ""),
        ("GET", "/v1/models", 200, ""),
        ("GET", "//v1//models/", 200, ""),
        ("GET", "/v1/v1/models", 200, ""),
        ("GET", "/api/v1/models", 200, ""),
        ("GET", "/models", 200, ""),
        ("GET", "/v1beta/models", 200, ""),
        ("HEAD", "/", 200, ""),
        ("HEAD", "/v1/messages", 200, ""),
        ("HEAD", "/v1/chat/completions", 200, ""),
        ("OPTIONS", "/v1/messages", 204, ""),
    ];
    for (method, path, status, shape) in table {
        let body: &[u8] = if matches!(method, "GET" | "HEAD") { b"" } else { b"{}" };
        let got = router.send(method, path, &[], body);
        if path == "/api/keys" {
            assert!((400..500).contains(&got.status), "{}", got.brief());
            continue;
        }
        assert_eq!(got.status, status, "{method} {path}: {}", got.brief());
        assert!(!got.text().contains('<'), "HTML on {path}: {}", got.brief());
        let dialect = Dialect::ALL.into_iter().find(|d| d.name() == shape);
        if let Some(dialect) = dialect {
            dialect.error_message(&got).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        }
        if status == 405 {
            assert!(got.header("allow").is_some(), "{method} {path}");
        }
        if matches!(method, "HEAD" | "OPTIONS") {
            assert!(got.body.is_empty());
            assert_eq!(got.header("access-control-allow-origin"), None);
        }
    }
    let anthropic = [("anthropic-version", "2023-06-01")];
    let got = router.send("POST", "/v1/zzz", &anthropic, b"{}");
    Dialect::Anth.error_message(&got).unwrap();
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(router.send("GET", "/v1/responses", &upgrade, b"").status, 426);
    assert_eq!(router.send("GET", "/", &[("accept", "text/html")], b"").status, 302);
    assert_eq!(router.get("/").json()["name"], "ninerouter");
    assert_eq!(chaos.connections(), 0);
}

#[test]
fn model_lists_in_three_shapes() {
    let (_chaos, router) = upstream_with(
        Setup::new().combo("stack", &["chat/m"]).toml("[aliases]\nfast = \"stack\"\n"),
    );
    let list = router.get("/v1/models").json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(list["object"], "list");
    assert_eq!(ids[..2], ["stack", "fast"], "combos first, then aliases");
    assert_eq!(router.get("/v1/models").json(), list, "stable");
    let anthropic = [("anthropic-version", "2023-06-01")];
    let list = router.send("GET", "/v1/models?limit=1000", &anthropic, b"").json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert!(ids.contains(&&Value::from("anthropic/stack")), "{ids:?}");
    assert_eq!(list["has_more"], false);
    let list = router.get("/v1beta/models").json();
    assert_eq!(list["models"][0]["name"], "models/stack");
    assert_eq!(router.get("/v1/models/stack").json()["id"], "stack");
    assert_eq!(router.get("/v1/models/nope/nope").status, 404);
}

#[test]
fn token_counts_are_estimated_here() {
    let (chaos, router) = upstream();
    let tool =
        format!(",\"tools\":[{{\"name\":\"t\",\"description\":\"{}\"}}]", "word ".repeat(800));
    let count = |path: &str, body: String| {
        let got = router.post(path, body);
        assert_eq!(got.status, 200, "{path} {}", got.brief());
        let body = got.json();
        ["input_tokens", "totalTokens"].iter().find_map(|k| body[*k].as_u64()).unwrap()
    };
    let table = [
        (Dialect::Anth, "/v1/messages/count_tokens"),
        (Dialect::Gem, "/v1beta/models/gem/m:countTokens"),
        (Dialect::Resp, "/v1/responses/input_tokens"),
    ];
    for (dialect, path) in table {
        let small = count(path, dialect.body("any/model", false));
        let large = count(path, dialect.body_with("any/model", false, &tool));
        assert!(small > 0 && large > small + 500, "{dialect:?}: {small} {large}");
    }
    assert_eq!(chaos.connections(), 0);
    assert!(router.rows(&["id"], "requests").is_empty());
}

#[test]
fn legacy_completions_go_through_chat() {
    let (chaos, router) = upstream();
    let got = router.post("/v1/completions", r#"{"model":"chat/m","prompt":"hi","max_tokens":5}"#);
    assert_eq!(got.status, 200, "{}", got.brief());
    let body = got.json();
    assert_eq!(
        (&body["object"], &body["choices"][0]["text"]),
        (&"text_completion".into(), &"Héllo".into())
    );
    let sent: Value = serde_json::from_slice(&chaos.requests()[0].body).unwrap();
    assert_eq!(sent["messages"], serde_json::json!([{"role": "user", "content": "hi"}]));
    assert_eq!((&sent["model"], &sent["max_tokens"]), (&"m".into(), &5.into()));
    for body in [
        r#"{"model":"chat/m","prompt":["a","b"]}"#,
        r#"{"model":"chat/m","prompt":[1,2]}"#,
        r#"{"model":"chat/m","prompt":"a","suffix":"b"}"#,
        r#"{"model":"chat/m","prompt":"a","echo":true}"#,
    ] {
        assert_eq!(router.post("/v1/completions", body).status, 400, "{body}");
    }
    assert_eq!(chaos.requests().len(), 1);
}

/// T-RES-01, T-RES-02, T-RES-23.
#[test]
fn broken_requests_on_the_wire() {
    let (chaos, router) = upstream();
    let body = Dialect::Chat.body("chat/m", false);
    let post = |head: &str| format!("POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n{body}");
    let length = format!("content-length: {}", body.len());
    let json = "content-type: application/json";
    // The server library answers some of these itself, with an empty body (security §26).
    let table = [
        ("two hosts", post(&format!("host: localhost\r\nhost: evil\r\n{json}\r\n{length}")), 400),
        ("no host", post(&format!("{json}\r\n{length}")), 400),
        (
            "length and chunks",
            post(&format!(
                "host: localhost\r\n{json}\r\n{length}\r\n\
            transfer-encoding: chunked"
            )),
            400,
        ),
        (
            "two lengths",
            post(&format!(
                "host: localhost\r\n{json}\r\n{length}\r\n\
            content-length: 3"
            )),
            400,
        ),
        (
            "host with odd characters",
            post(&format!("host: localhost/#@x\r\n{json}\r\n{length}")),
            400,
        ),
        (
            "long path",
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(9000)),
            414,
        ),
        (
            "100 headers",
            format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(100)),
            431,
        ),
        ("garbage", "\u{1}\u{2}\r\n\r\n".into(), 400),
    ];
    for (name, bytes, status) in table {
        let got = router.raw(bytes.as_bytes()).unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(got.status, status, "{name}: {}", got.brief());
    }
    assert_eq!(chaos.connections(), 0);
    let mut slow = router.connect();
    slow.send(b"GET /healthz HTTP/1.1\r\nhost: loc");
    let got: Option<Reply> = slow.reply(false);
    assert!(got.is_none_or(|r| r.status == 408), "a head that never ends");
}

/// T-RES-04.
#[test]
fn f49_a_body_that_stops_coming_is_refused() {
    let (chaos, router) = upstream();
    let body = Dialect::Chat.body("chat/m", false);
    let whole = request("POST", "/v1/chat/completions", &[], body.as_bytes());
    let mut conn = router.connect();
    conn.send(&whole[..whole.len() - 10]);
    // 15 s without a byte (security §10).
    let got = conn.reply(false).expect("an answer");
    assert_eq!(got.status, 408, "{}", got.brief());
    assert!(conn.is_closed_by_router());
    assert_eq!(chaos.connections(), 0);
}
