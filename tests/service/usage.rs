//! Rows, aggregates and the key holder's own view agree: storage §4, endpoints §4.10.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::story::{CACHED, INPUT, OUTPUT};
use crate::support::{Dialect, PATIENCE, Router, Setup, until};

const KEY: &str = "legacy-laptop-key-0001";

fn sum(rows: &[Value], column: &str) -> u64 {
    rows.iter().map(|r| r[column].as_u64().unwrap_or_default()).sum()
}

/// One answer per dialect and mode, then a client's mistake, then an upstream's failure.
fn traffic() -> (Chaos, Router) {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let target = request.target();
        let dialect = match target.as_str() {
            t if t.contains("/chat/") => Dialect::Chat,
            t if t.contains("/responses") => Dialect::Resp,
            t if t.contains("/messages") => Dialect::Anth,
            _ => Dialect::Gem,
        };
        let body = String::from_utf8_lossy(&request.body);
        let stream = body.contains("\"stream\" : true") || target.contains(":stream");
        let bytes = match () {
            () if body.contains("\"bad\"") => reply::json(400, &dialect.bad_request()),
            () if body.contains("\"down\"") => reply::json(500, "{}"),
            () if stream => reply::sse(&dialect.story().all()),
            () => reply::json(200, &dialect.answer()),
        };
        vec![Step::send(bytes)]
    })
    .unwrap();
    let mut setup = Setup::new().key("laptop", KEY, "rpm = 60");
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    let router = setup.start();
    let auth = format!("Bearer {KEY}");
    let headers = [("authorization", auth.as_str()), ("user-agent", "claude-cli/2.1.0 (x)")];
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let model = format!("{}/m", dialect.name());
            let body = dialect.body(&model, stream);
            let got = router.send("POST", &dialect.path(&model, stream), &headers, body.as_bytes());
            assert_eq!(got.status, 200, "{}", got.brief());
        }
    }
    for (model, status) in [("chat/bad", 400), ("chat/down", 500), ("no/such", 404)] {
        let body = Dialect::Chat.body(model, false);
        let got = router.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
        assert_eq!(got.status, status, "{}", got.brief());
    }
    (chaos, router)
}

#[test]
fn rows_aggregates_and_own_view_agree() {
    let (_chaos, router) = traffic();
    let columns = [
        "dialect",
        "stream",
        "status",
        "http_status",
        "error_class",
        "requested_model",
        "provider",
        "model",
        "model_key",
        "account_label",
        "api_key_name",
        "exec_tier",
        "attempts",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "estimated",
        "incomplete",
        "ttft_ms",
        "total_ms",
        "bytes_in",
        "bytes_out",
        "tool",
        "kind",
        "entrypoint",
    ];
    let rows = router.wait_rows(11, &columns, "requests ORDER BY ts, id");
    for (row, (dialect, stream)) in
        rows.iter().zip(Dialect::ALL.into_iter().flat_map(|d| [(d, false), (d, true)]))
    {
        let model = format!("{}/m", dialect.name());
        let want = json!({"dialect": dialect.name(), "stream": u8::from(stream), "status": "ok",
            "http_status": 200, "error_class": null, "requested_model": model, "model": "m",
            "model_key": model, "account_label": dialect.name(), "api_key_name": "laptop",
            "attempts": 1, "input_tokens": INPUT, "cached_tokens": CACHED,
            "output_tokens": OUTPUT, "estimated": 0, "incomplete": 0, "tool": "claude-code"});
        for (name, value) in want.as_object().unwrap() {
            assert_eq!(&row[name], value, "{name} of {row}");
        }
        assert!(row["total_ms"].is_i64() && row["bytes_in"].as_u64() > Some(0), "{row}");
        assert!(!stream || row["ttft_ms"].is_i64(), "{row}");
        let tier = row["exec_tier"].as_str().unwrap();
        assert!(matches!(tier, "A" | "B"), "{row}");
    }
    let failed = &rows[8..];
    assert_eq!(
        (&failed[0]["error_class"], &failed[0]["http_status"]),
        (&"bad_request".into(), &400.into())
    );
    assert_eq!(
        (&failed[1]["error_class"], &failed[1]["status"]),
        (&"transient".into(), &"error".into())
    );

    let daily =
        router.rows(&["requests", "ok", "failed", "input_tokens", "output_tokens"], "usage_daily");
    let hourly = router.rows(
        &["requests", "ok", "failed", "input_tokens", "cached_tokens", "output_tokens"],
        "usage_hourly",
    );
    for aggregate in [&daily, &hourly] {
        assert_eq!(sum(aggregate, "ok"), 8);
        assert_eq!(sum(aggregate, "input_tokens"), 8 * INPUT);
        assert_eq!(sum(aggregate, "output_tokens"), 8 * OUTPUT);
    }
    assert_eq!(sum(&hourly, "requests"), sum(&daily, "requests"));
    let lifetime = router.rows(&["value"], "counters WHERE name = 'requests_lifetime'");
    assert_eq!(lifetime[0]["value"].as_u64(), Some(11));

    let view = until(PATIENCE, "the own view shows the traffic", || {
        let auth = format!("Bearer {KEY}");
        let view = router.send("GET", "/v1/usage?period=today", &[("authorization", &auth)], b"");
        assert_eq!(view.status, 200, "{}", view.brief());
        let view = view.json();
        (view["totals"]["input_tokens"] == 8 * INPUT).then_some(view)
    });
    assert_eq!(view["object"], "usage");
    assert_eq!(view["key"]["name"], "laptop");
    assert_eq!(view["totals"]["output_tokens"], 8 * OUTPUT);
    assert_eq!(view["totals"]["cached_tokens"], 8 * CACHED);
    let rpm = view["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|l| l["kind"] == "requests_per_minute")
        .unwrap();
    assert_eq!(rpm["limit"], 60);
    assert_eq!(rpm["remaining"].as_u64().unwrap() + rpm["used"].as_u64().unwrap(), 60);
    let text = view.to_string();
    assert!(!text.contains(KEY) && !text.contains("account"), "{text}");
    assert!(view["by_model"].as_array().unwrap().iter().any(|m| m["model"] == "chat/m"));
}

#[test]
fn e029_own_view_is_for_keys_only() {
    let (_chaos, router) = traffic();
    assert_eq!(router.get("/v1/usage").status, 401);
    let auth = format!("Bearer {KEY}");
    let get = |path: &str| router.send("GET", path, &[("authorization", &auth)], b"").status;
    for period in ["today", "24h", "7d", "30d", "month"] {
        assert_eq!(get(&format!("/v1/usage?period={period}")), 200);
    }
    assert_eq!(get("/v1/usage"), 200);
    assert_eq!(get("/v1/usage?period=year"), 400);
}

#[test]
fn missing_usage_is_estimated_and_marked() {
    let story = Dialect::Chat.story();
    let events = story.without_usage();
    let chaos = Chaos::always(reply::sse(&events)).unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "chat", &chaos.url("/v1")).start();
    assert_eq!(router.ask(Dialect::Chat, "chat/m", true).status, 200);
    let row =
        router.wait_rows(1, &["estimated", "input_tokens", "output_tokens"], "requests").remove(0);
    assert_eq!(row["estimated"], 1, "{row}");
    assert!(row["input_tokens"].as_u64() > Some(10), "{row}");
    assert!(row["output_tokens"].as_u64() > Some(0), "{row}");
}
