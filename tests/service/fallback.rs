//! Next account, next entry, and what stays locked: accounts §5, §6.4, §6.9.

use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Received, Step, reply};
use serde_json::json;

use crate::support::closed::ClosedPort;
use crate::support::story::Story;
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, now, until};

/// Key that the router used, whatever the dialect's header for it is.
fn key_of(request: &Received) -> String {
    let bearer = request.header("authorization").map(|v| v.replace("Bearer ", ""));
    bearer
        .or_else(|| request.header("x-api-key"))
        .or_else(|| request.header("x-goog-api-key"))
        .unwrap_or_default()
}

fn keys(chaos: &Chaos) -> Vec<String> {
    chaos.requests().iter().map(key_of).collect()
}

/// The dialect's answer, streamed or whole.
fn answer(dialect: Dialect, stream: bool) -> Vec<u8> {
    if stream {
        reply::sse(&dialect.story().without_usage())
    } else {
        reply::json(200, &dialect.answer())
    }
}

fn assert_answer(dialect: Dialect, stream: bool, got: &Reply) {
    assert_eq!(got.status, 200, "{dialect:?} {}", got.brief());
    let want = if stream { dialect.story().without_usage() } else { dialect.answer().into_bytes() };
    assert_eq!(got.text(), String::from_utf8(want).unwrap(), "{dialect:?}");
}

fn too_many(dialect: Dialect, retry_after: &str) -> Vec<u8> {
    let mut headers = vec![("content-type", "application/json")];
    if !retry_after.is_empty() {
        headers.push(("retry-after", retry_after));
    }
    let body = if dialect == Dialect::Gem {
        // Google names the wait in the body.
        json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo",
                 "retryDelay": format!("{retry_after}s")}]}})
        .to_string()
    } else {
        dialect.error(429, "rate_limit_error", "rate_limit_exceeded", "slow down")
    };
    reply::whole(429, &headers, body.as_bytes())
}

#[test]
fn next_account_then_next_entry_and_the_locks_outlive_a_restart() {
    for dialect in Dialect::ALL {
        let limited = Chaos::always(too_many(dialect, "900")).unwrap();
        let good = Chaos::always(answer(dialect, true)).unwrap();
        let mut router = Setup::new()
            .node(dialect, "one", &limited.url(dialect.base()))
            .account_with("one", "first", "priority = 1")
            .account_with("one", "second", "priority = 2")
            .upstream(dialect, "two", &good.url(dialect.base()))
            .combo("stack", &["one/m", "two/m"])
            .start();
        let got = router.ask(dialect, "stack", true);
        assert_answer(dialect, true, &got);
        assert_eq!(keys(&limited), ["key-first", "key-second"]);
        assert_eq!(keys(&good), ["key-two"]);
        assert_eq!(got.header("x-ninerouter-attempts"), Some("3"));
        assert_eq!(got.header("x-ninerouter-model"), Some("two/m"));
        assert_eq!(got.header("x-ninerouter-combo"), Some("stack"));

        let locks = router.wait_rows(2, &["scope", "class", "until"], "account_locks");
        for lock in &locks {
            // accounts §5.4: a wait of more than five minutes is a quota for the vendors that say so.
            let want = match dialect {
                Dialect::Chat | Dialect::Resp => ("rate_limited", "model:m"),
                Dialect::Anth => ("quota_exhausted", "*"),
                Dialect::Gem => ("quota_exhausted", "model:m"),
            };
            assert_eq!((&lock["class"], &lock["scope"]), (&want.0.into(), &want.1.into()));
        }
        // Locked accounts are skipped without a call, before and after a restart of either kind.
        for restart in ["none", "stop", "kill"] {
            match restart {
                "stop" => {
                    assert!(router.stop().success());
                    router.launch();
                }
                "kill" => {
                    router.kill();
                    router.launch();
                }
                _ => {}
            }
            let got = router.ask(dialect, "stack", true);
            assert_answer(dialect, true, &got);
            assert_eq!(keys(&limited).len(), 2, "{dialect:?} after {restart}");
            assert_eq!(got.header("x-ninerouter-attempts"), Some("1"));
        }
        let attempts = "attempts WHERE request_id = (SELECT id FROM requests ORDER BY ts LIMIT 1) \
                        ORDER BY n";
        let rows = router.wait_rows(
            3,
            &["target", "outcome", "class", "upstream_status", "next"],
            attempts,
        );
        let seen: Vec<_> = rows.iter().map(|r| (&r["target"], &r["outcome"], &r["next"])).collect();
        assert_eq!(seen[0], (&"one/m".into(), &"failed".into(), &"next_account".into()));
        assert_eq!(seen[2].0, "two/m");
        assert_eq!(rows[0]["upstream_status"], 429);
    }
}

#[test]
fn f20_cool_down_follows_the_hint_or_the_ladder() {
    let date = {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    // Hint, then least and most seconds of the lock.
    let table = [
        ("7", 6, 9),
        (date.as_str(), 85, 95),
        ("", 1, 4),
        ("-5", 1, 4),
        ("1e9", 1, 4),
        ("0", 1, 4),
        ("86400", 1790, 1802),
    ];
    let good = Chaos::always(answer(Dialect::Chat, false)).unwrap();
    let limited: Vec<_> = table
        .iter()
        .map(|(hint, ..)| Chaos::always(too_many(Dialect::Chat, hint)).unwrap())
        .collect();
    let mut setup = Setup::new().upstream(Dialect::Chat, "good", &good.url("/v1"));
    for (at, chaos) in limited.iter().enumerate() {
        let prefix = format!("node{at}");
        setup = setup
            .upstream(Dialect::Chat, &prefix, &chaos.url("/v1"))
            .combo(&format!("c{at}"), &[&format!("{prefix}/m"), "good/m"]);
    }
    let router = setup.start();
    for (at, (hint, least, most)) in table.iter().enumerate() {
        assert_answer(Dialect::Chat, false, &router.ask(Dialect::Chat, &format!("c{at}"), false));
        let from = format!(
            "account_locks l JOIN accounts a ON a.id = l.account_id WHERE a.label = 'node{at}'"
        );
        let lock = router.wait_rows(1, &["l.until", "l.set_at"], &from).remove(0);
        let ms = lock["l.until"].as_i64().unwrap() - lock["l.set_at"].as_i64().unwrap();
        assert!((least * 1000..=most * 1000).contains(&ms), "hint {hint:?}: {ms} ms");
    }
}

#[test]
fn short_hint_is_waited_for_on_the_same_account() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::send(too_many(Dialect::Anth, "1"))],
        _ => vec![Step::send(answer(Dialect::Anth, false))],
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1")).start();
    let start = now();
    assert_answer(Dialect::Anth, false, &router.ask(Dialect::Anth, "one/m", false));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(keys(&chaos), ["key-one", "key-one"]);
}

#[test]
fn clients_own_mistake_goes_back_as_it_is_and_costs_nobody_anything() {
    for dialect in Dialect::ALL {
        for status in [400, 422] {
            let body = dialect.bad_request();
            let strict = Chaos::always(reply::json(status, &body)).unwrap();
            let good = Chaos::always(answer(dialect, false)).unwrap();
            let router = Setup::new()
                .upstream(dialect, "one", &strict.url(dialect.base()))
                .account("one", "other")
                .upstream(dialect, "two", &good.url(dialect.base()))
                .combo("stack", &["one/m", "two/m"])
                .start();
            for asked in 1..=3 {
                for (model, stream) in [("stack", false), ("one/m", true)] {
                    let got = router.ask(dialect, model, stream);
                    assert_eq!((got.status, got.text()), (status, body.clone()), "{dialect:?}");
                    assert_eq!(got.header("x-should-retry"), Some("false"));
                }
                assert_eq!(strict.requests().len(), asked * 2, "{dialect:?}");
            }
            assert!(good.requests().is_empty());
            let rows = router.wait_rows(6, &["status", "error_class"], "requests");
            assert!(rows.iter().all(|r| r["error_class"] == "bad_request"), "{rows:?}");
            assert!(router.rows(&["scope"], "account_locks").is_empty());
        }
    }
}

/// T-BUG-07: each kind of failure, with and without somebody left to ask.
#[test]
fn failures_pick_their_status_and_code_in_every_dialect() {
    // What the only account answers; status and code at the client.
    type Row = (&'static str, fn(Dialect) -> Vec<Step>, u16, &'static str);
    let table: [Row; 9] = [
        ("401", |d| refuse(d, 401), 502, "upstream_auth_failed"),
        ("402", |d| refuse(d, 402), 503, ""),
        // The spec leaves open which of the two it is; it must not look like the client's own 403.
        ("403", |d| refuse(d, 403), 0, ""),
        ("429", |d| vec![Step::send(too_many(d, "12"))], 429, "all_targets_unavailable"),
        ("500", |d| refuse(d, 500), 500, ""),
        ("reset", |_| vec![Step::Reset], 502, ""),
        ("silence", |_| vec![Step::AwaitClient], 504, "upstream_timeout"),
        ("html", |_| html(200), 502, ""),
        ("garbage", |_| vec![Step::send("zzz\r\n\r\n"), Step::Close], 502, ""),
    ];
    let closed = ClosedPort::new();
    for dialect in Dialect::ALL {
        let upstreams: Vec<_> = table
            .iter()
            .map(|row| {
                let plan = row.1;
                Chaos::start(Reading::Whole, move |_| plan(dialect)).unwrap()
            })
            .collect();
        let mut setup = Setup::new()
            .setting("timeouts.head_ms", 1000)
            .setting("timeouts.head_stream_ms", 1000)
            .node(dialect, "nobody", &format!("{}/v1", closed.url()))
            .upstream(dialect, "refused", &format!("{}/v1", closed.url()));
        for (row, chaos) in table.iter().zip(&upstreams) {
            setup = setup.upstream(dialect, &format!("n{}", row.0), &chaos.url(dialect.base()));
        }
        let router = setup.start();
        let mut cases: Vec<_> = table.iter().map(|r| (format!("n{}/m", r.0), r.2, r.3)).collect();
        cases.push(("refused/m".into(), 502, "upstream_unreachable"));
        cases.push(("nobody/m".into(), 404, "no_credentials"));
        cases.push(("who/knows".into(), 404, "model_not_found"));
        for (model, status, code) in cases {
            // Errors stay JSON for streaming clients as long as nothing was sent.
            let got = router.ask(dialect, &model, true);
            let as_told = got.status == status || (status == 0 && matches!(got.status, 502 | 503));
            assert!(as_told, "{dialect:?} {model} {}", got.brief());
            assert_eq!(got.header("content-type"), Some("application/json"), "{model}");
            let message = dialect.error_message(&got).unwrap();
            assert!(!message.contains("key-"), "{message}");
            if let Some(found) = dialect.error_code(&got).filter(|_| !code.is_empty()) {
                assert_eq!(found, code, "{dialect:?} {model}");
            }
            if status == 429 {
                let wait: u64 = got.header("retry-after").unwrap().parse().unwrap();
                assert!((11..=14).contains(&wait), "{wait}");
            }
            if model == "who/knows" {
                assert!(message.starts_with("Model 'who/knows' not found"), "{message}");
            }
        }
    }
}

/// The dialect's refusal with the given status, in a vendor's usual words.
fn refuse(dialect: Dialect, status: u16) -> Vec<Step> {
    let (kind, gem) = match status {
        401 => ("authentication_error", "UNAUTHENTICATED"),
        402 => ("billing_error", "FAILED_PRECONDITION"),
        403 => ("permission_error", "PERMISSION_DENIED"),
        _ => ("api_error", "INTERNAL"),
    };
    let kind = if dialect == Dialect::Gem { gem } else { kind };
    vec![Step::send(reply::json(status, &dialect.error(status, kind, kind, "no")))]
}

fn html(status: u16) -> Vec<Step> {
    let page = b"<html><head><title>Nice page</title></head></html>";
    vec![Step::send(reply::whole(status, &[("content-type", "text/html")], page))]
}

#[test]
fn f21_smallest_wait_of_all_is_told() {
    for dialect in Dialect::ALL {
        let slow = Chaos::always(too_many(dialect, "600")).unwrap();
        let soon = Chaos::always(too_many(dialect, "40")).unwrap();
        let router = Setup::new()
            .upstream(dialect, "one", &slow.url(dialect.base()))
            .upstream(dialect, "two", &soon.url(dialect.base()))
            .combo("stack", &["one/m", "two/m"])
            .start();
        // The second time nobody is asked: both are locked.
        for _ in 0..2 {
            let got = router.ask(dialect, "stack", false);
            assert_eq!(got.status, 429, "{dialect:?} {}", got.brief());
            let wait: u64 = got.header("retry-after").unwrap().parse().unwrap();
            assert!((38..=42).contains(&wait), "{dialect:?} {wait}");
            let message = dialect.error_message(&got).unwrap();
            assert!(message.contains("one/m") && message.contains("two/m"), "{message}");
            assert_eq!(got.header("x-should-retry"), Some("false"));
        }
        assert_eq!((slow.requests().len(), soon.requests().len()), (1, 1));
    }
}

#[test]
fn dead_key_is_set_aside_and_stays_so() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        if key_of(request) == "key-first" {
            let error = Dialect::Chat.error(401, "invalid_request_error", "invalid_api_key", "no");
            return vec![Step::send(reply::json(401, &error))];
        }
        vec![Step::send(answer(Dialect::Chat, false))]
    })
    .unwrap();
    let mut router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "first", "priority = 1")
        .account_with("one", "second", "priority = 2")
        .start();
    assert_answer(Dialect::Chat, false, &router.ask(Dialect::Chat, "one/m", false));
    until(PATIENCE, "the refusal is stored", || {
        let dead = router.rows(&["auth"], "account_hot_state WHERE auth = 'dead'").len();
        let locked = router.rows(&["scope"], "account_locks WHERE scope = '*'").len();
        (dead + locked > 0).then_some(())
    });
    router.kill();
    router.launch();
    assert_answer(Dialect::Chat, false, &router.ask(Dialect::Chat, "one/m", false));
    assert_eq!(keys(&chaos), ["key-first", "key-second", "key-second"]);
}

#[test]
fn lock_ends_and_the_first_account_serves_again() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::send(too_many(Dialect::Chat, "4"))],
        _ => vec![Step::send(answer(Dialect::Chat, false))],
    })
    .unwrap();
    let router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "first", "priority = 1")
        .account_with("one", "second", "priority = 2")
        .start();
    router.ask(Dialect::Chat, "one/m", false);
    assert_eq!(keys(&chaos), ["key-first", "key-second"]);
    until(PATIENCE, "the first account is used again", || {
        router.ask(Dialect::Chat, "one/m", false);
        (keys(&chaos).last().unwrap() == "key-first").then_some(())
    });
    until(PATIENCE, "success clears the stored lock", || {
        router.rows(&["scope"], "account_locks").is_empty().then_some(())
    });
}

#[test]
fn lock_covers_its_model_only() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        if String::from_utf8_lossy(&request.body).contains("\"big\"") {
            return vec![Step::send(too_many(Dialect::Chat, "600"))];
        }
        vec![Step::send(answer(Dialect::Chat, false))]
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    assert_eq!(router.ask(Dialect::Chat, "one/big", false).status, 429);
    assert_answer(Dialect::Chat, false, &router.ask(Dialect::Chat, "one/small", false));
    assert_eq!(router.ask(Dialect::Chat, "one/big", false).status, 429);
    assert_eq!(chaos.requests().len(), 2);
}

#[test]
fn conversation_stays_with_its_account_while_others_rotate() {
    let chaos = Chaos::always(answer(Dialect::Chat, false)).unwrap();
    let router = Setup::new()
        .setting("account_strategy", "\"round-robin\"")
        .setting("sticky_count", 1)
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account("one", "a")
        .account("one", "b")
        .account("one", "c")
        .start();
    let body = Dialect::Chat.body("one/m", false);
    for _ in 0..6 {
        router.send("POST", "/v1/chat/completions", &[("x-session-id", "s1")], body.as_bytes());
    }
    let bound = keys(&chaos);
    assert!(bound.iter().all(|k| *k == bound[0]), "{bound:?}");
    for _ in 0..6 {
        router.post("/v1/chat/completions", &body);
    }
    let free = &keys(&chaos)[6..];
    for label in ["a", "b", "c"] {
        let count = free.iter().filter(|k| **k == format!("key-{label}")).count();
        assert_eq!(count, 2, "{free:?}");
    }
}

#[test]
fn conversation_is_known_again_when_its_client_begins_to_send_an_id() {
    let chaos = Chaos::always(answer(Dialect::Chat, false)).unwrap();
    let router = Setup::new()
        .setting("account_strategy", "\"round-robin\"")
        .setting("sticky_count", 1)
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account("one", "a")
        .account("one", "b")
        .account("one", "c")
        .start();
    let talk = |first: &str| {
        format!(
            r#"{{"model":"one/m","messages":[{{"role":"user","content":"{first}"}},
                {{"role":"assistant","content":"yes"}},{{"role":"user","content":"go on"}}]}}"#
        )
    };
    let send = |id: Option<&str>, body: &str| {
        let headers: Vec<_> = id.map(|id| ("x-session-id", id)).into_iter().collect();
        router.send("POST", "/v1/chat/completions", &headers, body.as_bytes())
    };
    send(None, &talk("known by its words"));
    send(Some("s1"), &talk("known by its words"));
    // The id is bound as well now: the words may change, and another's words lead elsewhere.
    send(Some("s1"), &talk("compacted"));
    send(Some("s2"), &talk("somebody else"));
    let bound = keys(&chaos);
    assert!(bound[..3].iter().all(|key| *key == bound[0]), "{bound:?}");
    assert_ne!(bound[3], bound[0], "{bound:?}");
}

#[test]
fn nested_combos_aliases_and_suffixes_resolve() {
    let chaos = Chaos::always(answer(Dialect::Chat, false)).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .combo("inner", &["one/deep/model:v1"])
        .combo("outer", &["combo:inner"])
        .toml("[aliases]\nfast = \"outer\"\n\"haiku-*\" = \"one/small\"\n")
        .start();
    let table = [
        ("outer", "deep/model:v1"),
        ("fast", "deep/model:v1"),
        ("ninerouter/fast", "deep/model:v1"),
        ("anthropic/outer", "deep/model:v1"),
        ("haiku-9", "small"),
        ("ONE/m", "m"),
    ];
    for (at, (model, sent)) in table.iter().enumerate() {
        let got = router.ask(Dialect::Chat, model, false);
        assert_answer(Dialect::Chat, false, &got);
        let body = String::from_utf8(chaos.requests()[at].body.clone()).unwrap();
        assert!(body.contains(&format!("\"model\" : \"{sent}\"")), "{model}: {body}");
    }
}

#[test]
fn waiting_for_a_free_account_ends_with_router_busy() {
    let chaos = Chaos::start(Reading::Whole, |_| vec![Step::Hold]).unwrap();
    let router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "a", "max_concurrent = 1")
        .start();
    std::thread::scope(|scope| {
        scope.spawn(|| router.raw(&ask_bytes()));
        assert!(chaos.wait_requests(1, PATIENCE));
        let start = now();
        let got = router.ask(Dialect::Chat, "one/m", false);
        assert_eq!(got.status, 429, "{}", got.brief());
        assert_eq!(Dialect::Chat.error_code(&got).as_deref(), Some("router_busy"));
        let wait: u64 = got.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&wait));
        assert!((9..=12).contains(&start.elapsed().as_secs()));
        chaos.release();
        drop(chaos);
    });
}

#[test]
fn waiting_request_is_served_when_the_account_is_free_again() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::Hold, Step::send(answer(Dialect::Chat, false))],
        _ => vec![Step::send(answer(Dialect::Chat, false))],
    })
    .unwrap();
    let router = Setup::new()
        .node(Dialect::Chat, "one", &chaos.url("/v1"))
        .account_with("one", "a", "max_concurrent = 1")
        .start();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| router.ask(Dialect::Chat, "one/m", false));
        assert!(chaos.wait_requests(1, PATIENCE));
        let waiting: Vec<_> =
            (0..3).map(|_| scope.spawn(|| router.ask(Dialect::Chat, "one/m", false))).collect();
        chaos.release();
        assert_answer(Dialect::Chat, false, &first.join().unwrap());
        for thread in waiting {
            assert_answer(Dialect::Chat, false, &thread.join().unwrap());
        }
    });
}

#[test]
fn error_event_before_content_switches_and_after_content_does_not() {
    for dialect in Dialect::ALL {
        let early = format!("{}{}", dialect.story().start, overloaded(dialect));
        let Story { start, content, .. } = dialect.story();
        let late = format!("{start}{}{}", content[0], overloaded(dialect));
        let good = Chaos::always(answer(dialect, true)).unwrap();
        for (events, switches) in [(early, true), (late.clone(), false)] {
            let bad = Chaos::always(reply::sse(events.as_bytes())).unwrap();
            let router: Router = Setup::new()
                .upstream(dialect, "bad", &bad.url(dialect.base()))
                .upstream(dialect, "good", &good.url(dialect.base()))
                .combo("stack", &["bad/m", "good/m"])
                .start();
            let before = good.requests().len();
            let got = router.ask(dialect, "stack", true);
            if switches {
                assert_answer(dialect, true, &got);
            } else {
                // The vendor's own error event has reached the client: it is the end.
                assert!(got.text().starts_with(&late), "{dialect:?} {}", got.brief());
                // `response.failed` is an end of its own (REL-UP-1).
                assert!(!got.complete || dialect == Dialect::Resp, "{dialect:?} {}", got.brief());
                assert_eq!(good.requests().len(), before);
            }
        }
    }
}

/// The dialect's "overloaded" as an event of a stream.
fn overloaded(dialect: Dialect) -> String {
    match dialect {
        Dialect::Chat => format!(
            "data: {}\n\n",
            dialect.error(503, "server_error", "server_is_overloaded", "overloaded")
        ),
        Dialect::Resp => "event: response.failed\ndata: {\"type\":\"response.failed\",\
            \"sequence_number\":9,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\
            \"status\":\"failed\",\"error\":{\"code\":\"server_is_overloaded\",\
            \"message\":\"overloaded\"},\"output\":[]}}\n\n"
            .into(),
        Dialect::Anth => format!(
            "event: error\ndata: {}\n\n",
            dialect.error(529, "overloaded_error", "", "Overloaded")
        ),
        Dialect::Gem => {
            format!("data: {}\r\n\r\n", dialect.error(503, "UNAVAILABLE", "", "No capacity"))
        }
    }
}

fn ask_bytes() -> Vec<u8> {
    let body = Dialect::Chat.body("one/m", false);
    crate::support::client::request("POST", "/v1/chat/completions", &[], body.as_bytes())
}

#[test]
fn a_picture_goes_past_the_model_that_sees_none() {
    let up = || Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let (blind, seeing) = (up(), up());
    let router = Setup::new()
        .account("glm", "g")
        .account("openai", "o")
        .env("NINEROUTER_ENDPOINT_GLM_API", &blind.url(""))
        .env("NINEROUTER_ENDPOINT_OPENAI_API", &seeing.url(""))
        .combo("stack", &["glm/glm-4.7", "openai/gpt-4o"])
        .start();
    let ask = |turns: &str| {
        let body = format!(r#"{{"model":"stack","messages":[{turns}]}}"#);
        let answer = router.post("/v1/chat/completions", body);
        assert_eq!(answer.status, 200, "{}", answer.brief());
        (blind.requests().len(), seeing.requests().len())
    };
    let text = r#"{"role":"user","content":"hi"}"#;
    let picture =
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/x.png"}}]}"#;
    assert_eq!(ask(text), (1, 0));
    assert_eq!(ask(picture), (1, 1));
    let old = format!(r#"{picture},{{"role":"assistant","content":"a cat"}},{text}"#);
    assert_eq!(ask(&old), (2, 1), "a picture in old history does not count");
}

#[test]
fn failed_and_skipped_attempts_leave_complete_rows() {
    let failing = Chaos::always(reply::json(500, "{}")).unwrap();
    let limited = Chaos::always(too_many(Dialect::Anth, "900")).unwrap();
    let good = Chaos::always(answer(Dialect::Anth, false)).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Anth, "lim", &limited.url("/v1"))
        .upstream(Dialect::Anth, "bad", &failing.url("/v1"))
        .upstream(Dialect::Anth, "good", &good.url("/v1"))
        .combo("failing", &["lim/m", "bad/m"])
        .combo("stack", &["lim/m", "good/m"])
        .start();
    let body = Dialect::Anth.body("failing", false);
    let headers = [("x-session-id", "my-own-session")];
    let got = router.send("POST", "/v1/messages", &headers, body.as_bytes());
    assert!(got.status >= 429, "{}", got.brief());
    let columns = [
        "provider",
        "account_label",
        "tier",
        "model_key",
        "entry_index",
        "bytes_out",
        "hex(session_hash)",
    ];
    let row = router.wait_rows(1, &columns, "requests").remove(0);
    assert_eq!((&row["account_label"], &row["model_key"]), (&"bad".into(), &"bad/m".into()));
    assert!(row["provider"].is_string() && row["tier"].is_string(), "{row}");
    assert_eq!(row["entry_index"], 1, "{row}");
    assert_eq!(row["bytes_out"], got.body.len(), "{row}");
    let hash = row["hex(session_hash)"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64, "{row}");
    let timed = "attempts WHERE outcome = 'failed' AND connect_ms IS NOT NULL \
                 AND head_ms >= connect_ms AND total_ms >= head_ms";
    router.wait_rows(2, &["n"], timed);

    // The lock of the first request is a skip of the second, in a row before the call that served.
    let body = Dialect::Anth.body("stack", false);
    let got = router.send("POST", "/v1/messages", &headers, body.as_bytes());
    assert_answer(Dialect::Anth, false, &got);
    let from = "attempts a JOIN requests r ON r.id = a.request_id \
                WHERE r.requested_model = 'stack' ORDER BY a.n";
    let columns = ["outcome", "target", "a.account_label", "hex(session_hash)"];
    let rows = router.wait_rows(2, &columns, from);
    let seen: Vec<_> = rows.iter().map(|r| (&r["outcome"], &r["target"])).collect();
    let skipped = (&"skipped".into(), &"lim/m".into());
    assert_eq!(seen, [skipped, (&"ok".into(), &"good/m".into())]);
    assert_eq!(rows[0]["a.account_label"], "lim", "{rows:?}");
    assert_eq!(rows[1]["hex(session_hash)"], hash.as_str(), "one session, one hash");
}

#[test]
fn no_status_of_the_upstream_makes_the_clients_own_key_look_wrong() {
    // A refusal that is the client's fault by its code, under a status that is about a credential.
    for dialect in [Dialect::Chat, Dialect::Resp] {
        for stream in [false, true] {
            let body = dialect.error(401, "invalid_request_error", "content_filter", "no");
            let chaos = Chaos::always(reply::json(401, &body)).unwrap();
            let router = Setup::new().upstream(dialect, "one", &chaos.url("/v1")).start();
            let got = router.ask(dialect, "one/m", stream);
            assert!(!matches!(got.status, 401 | 403), "{dialect:?} {}", got.brief());
            assert_eq!(got.header("www-authenticate"), None);
            dialect.error_message(&got).unwrap();
        }
    }
}

#[test]
fn the_combo_sets_the_number_of_attempts() {
    let failing = Chaos::always(reply::json(500, "{}")).unwrap();
    let mut setup = Setup::new();
    for prefix in ["a", "b", "c"] {
        setup = setup.upstream(Dialect::Chat, prefix, &failing.url("/v1"));
    }
    let router = setup
        .toml(
            "[[combos]]\nname = \"stack\"\nstrategy = \"fallback\"\nmax_attempts = 2\n\
             entries = [\"a/m\", \"b/m\", \"c/m\"]\n",
        )
        .start();
    let got = router.ask(Dialect::Chat, "stack", false);
    assert_eq!(got.status, 500, "{}", got.brief());
    assert_eq!(keys(&failing), ["key-a", "key-b"]);
}

#[test]
fn a_cool_down_within_the_operators_limit_is_waited_for() {
    for waits in [false, true] {
        let chaos = Chaos::start(Reading::Whole, |request| match request.index {
            0 => vec![Step::send(too_many(Dialect::Chat, "4"))],
            _ => vec![Step::send(answer(Dialect::Chat, false))],
        })
        .unwrap();
        let router = Setup::new()
            .setting("wait_for_cooldown_s", if waits { 10 } else { 0 })
            .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
            .start();
        let start = now();
        let got = router.ask(Dialect::Chat, "one/m", false);
        if waits {
            assert_answer(Dialect::Chat, false, &got);
            assert!(start.elapsed() >= Duration::from_secs(4));
            assert_eq!(chaos.requests().len(), 2);
        } else {
            assert_eq!(got.status, 429, "{}", got.brief());
        }
    }
}

#[test]
fn content_policy_goes_on_only_where_the_combo_says_so() {
    let refusal = Dialect::Chat.error(400, "invalid_request_error", "content_filter", "no");
    for (goes_on, status) in [(false, 400), (true, 200)] {
        let strict = Chaos::always(reply::json(400, &refusal)).unwrap();
        let good = Chaos::always(answer(Dialect::Chat, false)).unwrap();
        let router = Setup::new()
            .upstream(Dialect::Chat, "strict", &strict.url("/v1"))
            .upstream(Dialect::Chat, "good", &good.url("/v1"))
            .toml(&format!(
                "[[combos]]\nname = \"stack\"\nstrategy = \"fallback\"\n\
                 fallback_on_policy = {goes_on}\nentries = [\"strict/m\", \"good/m\"]\n"
            ))
            .start();
        let got = router.ask(Dialect::Chat, "stack", false);
        assert_eq!(got.status, status, "{}", got.brief());
        assert_eq!(good.requests().len(), usize::from(goes_on));
    }
}

#[test]
fn the_next_model_of_a_provider_is_tried_with_the_same_accounts() {
    for (status, accounts) in [(500, 1), (500, 2), (429, 2), (404, 1), (503, 2)] {
        let chaos = Chaos::start(Reading::Whole, move |request| {
            let asked = String::from_utf8_lossy(&request.body).into_owned();
            if asked.contains("\"last\"") {
                return vec![Step::send(answer(Dialect::Chat, false))];
            }
            let name = if asked.contains("\"first\"") { "first" } else { "second" };
            let why = format!("the model `{name}` does not exist here");
            let body = Dialect::Chat.error(status, "some_error", "some_code", &why);
            vec![Step::send(reply::json(status, &body))]
        })
        .unwrap();
        let mut setup = Setup::new().node(Dialect::Chat, "one", &chaos.url("/v1"));
        for n in 1..=accounts {
            setup = setup.account_with("one", &format!("a{n}"), &format!("priority = {n}"));
        }
        let router = setup.combo("stack", &["one/first", "one/second", "one/last"]).start();
        let got = router.ask(Dialect::Chat, "stack", false);
        assert_answer(Dialect::Chat, false, &got);
        assert_eq!(got.header("x-ninerouter-model"), Some("one/last"), "{status} {accounts}");
        let tried = chaos.requests().iter().filter(|r| key_of(r) == "key-a1").count();
        assert_eq!(tried, 3, "{status}: the account serves each model, {:?}", keys(&chaos));
    }
}
