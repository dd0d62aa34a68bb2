//! Requests that the router sends itself for its operator: one of the log once more, and the test of a combo.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::management::{call, read};
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, until};

/// Answers as it is asked to, whole or streamed.
fn answering(dialect: Dialect) -> Chaos {
    Chaos::start(Reading::Whole, move |request| {
        let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        let streams = body["stream"] == true || request.target().contains("streamGenerateContent");
        vec![Step::send(match streams {
            true => reply::sse(&dialect.story().without_usage()),
            false => reply::json(200, &dialect.answer()),
        })]
    })
    .unwrap()
}

/// Name and data of each event of a stream.
fn events(reply: &Reply) -> Vec<(String, Value)> {
    let text = reply.text();
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            let (name, data) = event.split_once('\n').expect(event);
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            (name.strip_prefix("event: ").unwrap().to_owned(), data)
        })
        .collect()
}

fn row(router: &Router, id: &Value) -> Value {
    let path = format!("/api/requests/{}", id.as_str().unwrap());
    until(PATIENCE, "its row is written", || {
        let reply = call(router, "GET", &path, Value::Null);
        (reply.status == 200).then(|| reply.json())
    })
}

#[test]
fn a_captured_request_is_sent_once_more_as_it_was_or_elsewhere() {
    for dialect in Dialect::ALL {
        let (first, second) = (answering(dialect), answering(dialect));
        let router = Setup::new()
            .setting("require_api_key", true)
            .upstream(dialect, "one", &first.url(dialect.base()))
            .upstream(dialect, "two", &second.url(dialect.base()))
            .key("laptop", "sk-test-0123456789abcdef", "capture_bodies = true\n")
            .start();
        let headers = [
            ("authorization", "Bearer sk-test-0123456789abcdef"),
            ("content-type", "application/json"),
            ("user-agent", "opencode/1.0"),
        ];
        let path = dialect.path("one/m", true);
        let body = dialect.body("one/m", true);
        assert_eq!(router.send("POST", &path, &headers, body.as_bytes()).status, 200);
        let listed = until(PATIENCE, "its row is written", || {
            let page = read(&router, "/api/requests");
            page["data"].as_array().unwrap().first().cloned()
        });
        let path = format!("/api/requests/{}/replay", listed["id"].as_str().unwrap());
        // The file follows the row.
        let again = until(PATIENCE, "its body is kept", || {
            let reply = call(&router, "POST", &path, json!({}));
            (reply.status == 202).then(|| reply.json())
        });
        let copy = row(&router, &again["request_id"]);
        assert_eq!(
            (&copy["status"], &copy["model_key"]),
            (&json!("ok"), &json!("one/m")),
            "{copy}"
        );
        assert_eq!((&copy["tool"], &copy["stream"]), (&json!("opencode"), &json!(true)));
        assert_eq!(
            (&copy["api_key_id"], &copy["entrypoint"]),
            (&Value::Null, &listed["entrypoint"])
        );
        let got = first.requests();
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(json(&got[0].body), json(&got[1].body), "{dialect:?}");
        assert_eq!((&got[0].target(), got.len()), (&got[1].target(), 2), "{dialect:?}");

        let elsewhere = call(&router, "POST", &path, json!({"target": "two/x-2"}));
        assert_eq!(elsewhere.status, 202, "{}", elsewhere.brief());
        let copy = row(&router, &elsewhere.json()["request_id"]);
        assert_eq!((&copy["status"], &copy["model_key"]), (&json!("ok"), &json!("two/x-2")));
        assert_eq!(second.requests().len(), 1);
    }
}

#[test]
fn a_request_whose_body_was_not_kept_is_not_sent_again() {
    let upstream = answering(Dialect::Chat);
    let router = Setup::new().upstream(Dialect::Chat, "up", &upstream.url("/v1")).start();
    router.ask(Dialect::Chat, "up/m", false);
    let id = until(PATIENCE, "its row is written", || {
        let page = read(&router, "/api/requests");
        page["data"][0]["id"].as_str().map(str::to_owned)
    });
    let refused = call(&router, "POST", &format!("/api/requests/{id}/replay"), json!({}));
    assert_eq!(refused.status, 409);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is not kept") && message.contains("/api/capture"), "{message}");
    assert_eq!(call(&router, "POST", "/api/requests/req_none/replay", json!({})).status, 404);
    for (bad, status) in [(json!({"target": "nobody/m"}), 422), (json!({"to": "up/m"}), 400)] {
        let path = format!("/api/requests/{id}/replay");
        assert_eq!(call(&router, "POST", &path, bad).status, status);
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_combo_is_tested_by_a_real_request_whose_attempts_are_told() {
    let full = Chaos::always(reply::whole(
        429,
        &[("retry-after", "30"), ("content-type", "application/json")],
        br#"{"error":{"message":"slow down"}}"#,
    ))
    .unwrap();
    for (dialect, word) in [
        (Dialect::Chat, "openai"),
        (Dialect::Resp, "responses"),
        (Dialect::Anth, "anthropic"),
        (Dialect::Gem, "gemini"),
    ] {
        let upstream = answering(dialect);
        let router = Setup::new()
            .setting("require_api_key", true)
            .upstream(Dialect::Chat, "full", &full.url("/v1"))
            .upstream(dialect, "up", &upstream.url(dialect.base()))
            .combo("fast", &["full/m", "up/m"])
            .start();
        let combos = read(&router, "/api/combos");
        let id = combos["data"][0]["id"].as_str().unwrap();
        let path = format!("/api/combos/{id}/test");
        for stream in [false, true] {
            let body = json!({"dialect": word, "message": "say hello", "stream": stream});
            let reply = call(&router, "POST", &path, body);
            assert_eq!(reply.status, 200, "{}", reply.brief());
            assert_eq!(reply.header("content-type"), Some("text/event-stream"));
            let told = events(&reply);
            let (last, attempts) = told.split_last().unwrap();
            let of = |target: &str| -> Vec<&str> {
                let own = attempts.iter().filter(|(_, data)| data["target"] == target);
                own.map(|(_, data)| data["outcome"].as_str().unwrap()).collect()
            };
            // The second time the first target is known to be full, and passed over.
            let first: &[&str] = if stream { &["skipped"] } else { &["running", "failed"] };
            assert_eq!(of("full/m"), first, "{dialect:?}: {told:?}");
            assert_eq!(of("up/m"), ["running", "ok"], "{dialect:?}: {told:?}");
            assert_eq!(told[0].0, "request");
            let (name, result) = last;
            assert_eq!((name.as_str(), &result["ok"]), ("result", &json!(true)), "{result}");
            assert_eq!(result["http_status"], 200);
            assert_eq!(result["request"]["model_key"], "up/m");
            assert_eq!(result["request"]["id"], told[0].1["request_id"]);
            assert!(result["answer"].to_string().contains("llo"), "{result}");
            assert_eq!(row(&router, &told[0].1["request_id"])["combo_name"], "fast");
        }
        assert!(upstream.requests()[0].body.windows(9).any(|part| part == b"say hello"));
    }
}

#[test]
fn a_test_tells_of_a_combo_that_cannot_serve() {
    let broken = Chaos::always(reply::json(500, r#"{"error":{"message":"on fire"}}"#)).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "up", &broken.url("/v1"))
        .combo("fast", &["up/m"])
        .start();
    let made = json!({"name": "resting", "enabled": false, "entries": [{"target": "up/m"}]});
    let resting = call(&router, "POST", "/api/combos", made).json();
    let path = |combo: &Value| format!("/api/combos/{}/test", combo["id"].as_str().unwrap());
    assert_eq!(call(&router, "POST", &path(&resting), json!({})).status, 409);
    let combos = read(&router, "/api/combos");
    let fast = combos["data"].as_array().unwrap().iter().find(|one| one["name"] == "fast").unwrap();
    let told = events(&call(&router, "POST", &path(fast), json!({})));
    let (name, result) = told.last().unwrap();
    assert_eq!((name.as_str(), &result["ok"]), ("result", &json!(false)));
    assert!(result["http_status"].as_u64().unwrap() >= 500, "{result}");
    assert!(result["answer"]["error"].is_object(), "{result}");
    for (bad, status) in [
        (json!({"dialect": "klingon"}), 422),
        (json!({"message": "x".repeat(20_000)}), 422),
        (json!({"models": []}), 400),
    ] {
        assert_eq!(call(&router, "POST", &path(fast), bad).status, status);
    }
}
