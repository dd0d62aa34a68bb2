//! Token counts by the upstream's own counter: translation §2.12, endpoints §4.4 and §4.8.

use ninerouter::demo::chaos::{Chaos, Reading, Received, Step, reply};
use serde_json::{Value, json};

use crate::support::{Dialect, PATIENCE, Router, Setup};

const ANTH: &str = "/v1/messages/count_tokens?beta=true";
const RESP: &str = "/v1/responses/input_tokens";

fn is_count(request: &Received) -> bool {
    request.target().to_ascii_lowercase().replace('_', "").contains("counttokens")
}

/// Upstreams `anth` and `gem` that count as told, a `chat` that cannot; the router asks them.
fn counting(answer: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> (Chaos, Router) {
    let chaos = Chaos::start(Reading::Whole, answer).unwrap();
    let router = setup(&chaos).start();
    (chaos, router)
}

fn setup(chaos: &Chaos) -> Setup {
    Setup::new()
        .upstream(Dialect::Anth, "anth", &chaos.url("/v1"))
        .upstream(Dialect::Gem, "gem", &chaos.url("/v1beta"))
        .upstream(Dialect::Chat, "chat", &chaos.url("/v1"))
        .setting("count_tokens", "\"native\"")
}

fn said(request: &Received) -> Vec<Step> {
    let count = if request.target().contains("/messages/") {
        json!({"input_tokens": 4321})
    } else {
        json!({"totalTokens": 1234, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1234}]})
    };
    vec![Step::send(reply::json(200, &count.to_string()))]
}

fn anth(model: &str) -> String {
    json!({
        "model": model, "system": "Be brief.",
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": "u"},
    })
    .to_string()
}

fn count(router: &Router, path: &str, body: &str) -> u64 {
    let got = router.post(path, body);
    assert_eq!(got.status, 200, "{path} {}", got.brief());
    let body = got.json();
    ["input_tokens", "totalTokens"].iter().find_map(|name| body[*name].as_u64()).unwrap()
}

fn body(request: &Received) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn each_dialect_is_counted_by_the_upstream_that_would_serve() {
    let (chaos, router) = counting(said);
    let gem = json!({
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    });
    let wrapped = json!({"generateContentRequest": gem}).to_string();
    let resp =
        |model| json!({"model": model, "instructions": "Be brief.", "input": "hello"}).to_string();
    let gem_path = |model| format!("/v1beta/models/{model}:countTokens");
    for (path, sent, upstream, tokens) in [
        (ANTH.to_owned(), anth("anth/m"), "/v1/messages/count_tokens", 4321),
        (ANTH.to_owned(), anth("gem/m"), "/v1beta/models/m:countTokens", 1234),
        (gem_path("gem/m"), gem.to_string(), "/v1beta/models/m:countTokens", 1234),
        (gem_path("gem/m"), wrapped.clone(), "/v1beta/models/m:countTokens", 1234),
        (gem_path("anth/m"), wrapped, "/v1/messages/count_tokens", 4321),
        (RESP.to_owned(), resp("anth/m"), "/v1/messages/count_tokens", 4321),
        (RESP.to_owned(), resp("gem/m"), "/v1beta/models/m:countTokens", 1234),
    ] {
        let seen = chaos.requests().len();
        assert_eq!(count(&router, &path, &sent), tokens, "{path} {sent}");
        let asked = chaos.requests().split_off(seen);
        let [asked] = asked.as_slice() else { panic!("{path}: {} calls", asked.len()) };
        let target = asked.target();
        assert_eq!(target.split('?').next(), Some(upstream), "{path}");
        let body = body(asked);
        let (prompt, turns, system, key) = if upstream.contains("messages") {
            (&body, "messages", "system", "x-api-key")
        } else {
            (&body["generateContentRequest"], "contents", "systemInstruction", "x-goog-api-key")
        };
        let model = prompt["model"].as_str().unwrap();
        assert!(matches!(model, "m" | "models/m"), "{body}");
        let text = prompt[turns].to_string();
        assert!(
            text.contains("hello") && prompt[system].to_string().contains("Be brief."),
            "{body}"
        );
        for name in ["max_tokens", "stream", "metadata", "generationConfig"] {
            assert!(prompt[name].is_null(), "{name}: {body}");
        }
        assert!(asked.header(key).unwrap().starts_with("key-"), "{path}");
    }
    assert!(router.rows(&["id"], "requests").is_empty(), "a count is no request");
}

#[test]
fn what_the_upstream_cannot_count_is_estimated_and_nobodys_fault() {
    let estimate = {
        let chaos = Chaos::always(reply::json(200, "{}")).unwrap();
        let router = Setup::new().upstream(Dialect::Anth, "anth", &chaos.url("/v1")).start();
        count(&router, ANTH, &anth("anth/m"))
    };
    let bad = [
        reply::json(401, r#"{"error":{"type":"authentication_error","message":"bad key"}}"#),
        reply::json(429, r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#),
        reply::json(500, "{}"),
        reply::json(200, r#"{"input_tokens":"many"}"#),
        reply::whole(302, &[("location", "/elsewhere")], b""),
        b"no HTTP".to_vec(),
    ];
    let calls = bad.len();
    let (chaos, router) = counting(move |request| {
        if !is_count(request) {
            return vec![Step::send(reply::json(200, &Dialect::Anth.answer()))];
        }
        vec![Step::send(bad[request.index].clone()), Step::Close]
    });
    for call in 0..calls {
        assert_eq!(count(&router, ANTH, &anth("anth/m")), estimate, "call {call}");
    }
    assert_eq!(chaos.requests().len(), calls, "each is asked once");
    let answer = router.ask(Dialect::Anth, "anth/m", false);
    assert_eq!(answer.status, 200, "no lock, no penalty: {}", answer.brief());

    // No counter, no such model, no media are worth a call.
    let seen = chaos.requests().len();
    for model in ["chat/m", "nowhere/m", ""] {
        assert_eq!(count(&router, ANTH, &anth(model)), estimate, "{model}");
    }
    let image = json!({"model": "gem/m", "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    ]}]});
    assert!(count(&router, ANTH, &image.to_string()) > 1_000);
    assert_eq!(chaos.requests().len(), seen);
}

#[test]
fn a_count_takes_no_place_of_an_account() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        if is_count(request) {
            return said(request);
        }
        vec![Step::Hold, Step::send(reply::json(200, &Dialect::Anth.answer()))]
    })
    .unwrap();
    let setup = Setup::new()
        .node(Dialect::Anth, "anth", &chaos.url("/v1"))
        .account_with("anth", "one", "max_concurrent = 1")
        .setting("count_tokens", "\"native\"");
    let router = setup.start();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| router.ask(Dialect::Anth, "anth/m", false).status);
        assert!(chaos.wait_requests(1, PATIENCE));
        for _ in 0..3 {
            assert_eq!(count(&router, ANTH, &anth("anth/m")), 4321);
        }
        chaos.release();
        assert_eq!(running.join().unwrap(), 200);
    });
}

#[test]
fn a_key_has_no_model_counted_that_it_may_not_use() {
    let chaos = Chaos::start(Reading::Whole, said).unwrap();
    let key = "sk-9r-counting-test-key-0123456789";
    let router = setup(&chaos).key("few", key, "allowed_models = [\"gem/*\"]").start();
    let ask = |model: &str| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let got = router.send("POST", ANTH, &headers, anth(model).as_bytes());
        assert_eq!(got.status, 200, "{}", got.brief());
        got.json()["input_tokens"].as_u64().unwrap()
    };
    assert_eq!(ask("gem/m"), 1234);
    assert_ne!(ask("anth/m"), 4321);
    assert_eq!(chaos.requests().len(), 1);
}
