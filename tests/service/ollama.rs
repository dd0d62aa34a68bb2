//! Ollama's own API through the real binary (endpoints §4.9, translation §5.6, T177).

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::client::Reply;
use crate::support::story::{INPUT, OUTPUT};
use crate::support::{Dialect, Router, Setup};

/// Upstreams of all dialects that say `Héllo`, one stream chunk at a time.
fn router() -> (Chaos, Router) {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let target = request.target();
        let dialect = match &*target {
            t if t.contains("/chat/") => Dialect::Chat,
            t if t.contains("/responses") => Dialect::Resp,
            t if t.contains("/messages") => Dialect::Anth,
            _ => Dialect::Gem,
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        if body.get("top_k").is_some() && dialect == Dialect::Chat {
            return vec![Step::send(reply::json(400, r#"{"error":{"message":"top_k?"}}"#))];
        }
        let streams = body["stream"] == true || target.contains(":streamGenerateContent");
        vec![Step::send(if streams {
            let text = dialect.story().all();
            [&reply::sse_head(), &reply::chunk(&text)[..], reply::LAST_CHUNK].concat()
        } else {
            reply::json(200, &dialect.answer())
        })]
    })
    .unwrap();
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    let router = setup.start();
    (chaos, router)
}

fn lines(reply: &Reply) -> Vec<Value> {
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn t177_clients_of_ollama_understand_every_upstream() {
    let (_chaos, router) = router();
    for upstream in Dialect::ALL {
        let model = format!("{}/m-real", upstream.name());
        let chat = json!({"model": model, "messages": [{"role": "user", "content": "q"}],
            "options": {"top_k": 5, "num_ctx": 4096}});
        let prompt = json!({"model": model, "prompt": "q"});
        for (path, body, text) in
            [("/api/chat", chat, "/message/content"), ("/api/generate", prompt, "/response")]
        {
            let place = format!("{path} {upstream:?}");
            let streamed = router.post(path, body.to_string());
            assert_eq!(streamed.status, 200, "{place}: {}", streamed.brief());
            assert_eq!(streamed.header("content-type"), Some("application/x-ndjson"), "{place}");
            let lines = lines(&streamed);
            let said: String =
                lines.iter().filter_map(|line| line.pointer(text)?.as_str()).collect();
            assert_eq!(said, "Héllo", "{place}");
            let done: Vec<&Value> = lines.iter().filter(|line| line["done"] == true).collect();
            assert_eq!(done.len(), 1, "{place}");
            assert_eq!(done[0], lines.last().unwrap(), "{place}");

            let mut whole = body.clone();
            whole["stream"] = json!(false);
            let whole = router.post(path, whole.to_string());
            assert_eq!(whole.header("content-type"), Some("application/json"), "{place}");
            for done in [done[0], &whole.json()] {
                assert_eq!(done["done_reason"], "stop", "{place}");
                assert_eq!(done["model"], model.as_str(), "{place}");
                assert_eq!(done["prompt_eval_count"], INPUT, "{place}");
                assert_eq!(done["eval_count"], OUTPUT, "{place}");
            }
            assert_eq!(whole.json().pointer(text), Some(&json!("Héllo")), "{place}");
        }
    }
    let rows =
        router.wait_rows(16, &["dialect", "exec_tier", "status"], "requests order by ts, id");
    assert!(rows.iter().all(|row| row["dialect"] == "ollama" && row["status"] == "ok"), "{rows:?}");
    assert!(rows.iter().all(|row| row["exec_tier"] == "C"), "{rows:?}");
}

#[test]
fn errors_are_a_text() {
    let (_chaos, router) = router();
    for (path, body, status) in [
        (
            "/api/chat",
            json!({"model": "nope/x", "messages": [{"role": "user", "content": "q"}]}),
            404,
        ),
        ("/api/chat", json!({"model": "chat/m-real", "messages": {}}), 400),
        ("/api/generate", json!({"model": "chat/m-real", "prompt": "q", "suffix": "s"}), 400),
        ("/api/show", json!({}), 400),
        ("/api/show", json!({"model": "nope/x"}), 404),
    ] {
        let refused = router.post(path, body.to_string());
        assert_eq!(refused.status, status, "{path} {body}: {}", refused.text());
        assert!(refused.json()["error"].is_string(), "{path} {body}: {}", refused.text());
    }
}

#[test]
fn models_are_listed_and_described() {
    let (_chaos, router) = router();
    let listed = router.get("/v1/models").json();
    let want: Vec<&Value> =
        listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    for path in ["/api/tags", "/ollama/api/tags", "/v1/api/tags"] {
        let tags = router.get(path).json();
        let names: Vec<&Value> =
            tags["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
        assert_eq!(names, want, "{path}");
    }
    assert_eq!(router.get("/api/version").json(), json!({"version": "0.0.0"}));
    assert_eq!(router.get("/api/ps").json(), json!({"models": []}));
    if let Some(model) = want.first() {
        let shown = router.post("/api/show", json!({"model": model}).to_string()).json();
        assert_eq!(shown["model_info"]["general.architecture"], "api");
        assert_eq!(shown["capabilities"][0], "completion");
    }
}

#[test]
fn a_model_that_is_to_be_made_ready_is_at_once_and_needs_no_upstream() {
    let (chaos, router) = router();
    for (path, body, reason) in [
        ("/api/chat", json!({"model": "chat/m", "messages": []}), "load"),
        ("/api/generate", json!({"model": "chat/m"}), "load"),
        ("/api/generate", json!({"model": "chat/m", "keep_alive": 0}), "unload"),
    ] {
        let reply = router.post(path, body.to_string());
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &answer["done"]), (200, &json!(true)), "{}", reply.brief());
        assert_eq!((&answer["done_reason"], &answer["model"]), (&json!(reason), &json!("chat/m")));
    }
    let unknown = router.post("/api/generate", json!({"model": "nobody/m"}).to_string());
    assert_eq!(unknown.status, 404, "{}", unknown.brief());
    let bad_list = router.post("/api/chat", json!({"model": "chat/m", "messages": 1}).to_string());
    assert_eq!(bad_list.status, 400, "{}", bad_list.brief());
    assert!(chaos.requests().iter().all(|asked| !asked.target().contains("/chat/")));
}
