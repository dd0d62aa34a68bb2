//! Execution tier C through the real binary: every dialect to every other, streamed, whole and crosswise
//! (translation §3, §4).

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::client::Reply;
use crate::support::story::{CACHED, INPUT, OUTPUT};
use crate::support::{Dialect, Router, Setup};

/// What a client understands of an answer.
#[derive(PartialEq, Eq, Debug)]
struct Said {
    text: String,
    finish: String,
    /// Input with cached, cached, output.
    usage: [u64; 3],
}

impl Said {
    /// `Héllo`, as a client of `dialect` hears it.
    fn hello(dialect: Dialect) -> Self {
        let finish = match dialect {
            Dialect::Chat => "stop",
            Dialect::Resp => "completed",
            Dialect::Anth => "end_turn",
            Dialect::Gem => "STOP",
        };
        let usage = [INPUT, CACHED, OUTPUT];
        Self { text: "Héllo".to_owned(), finish: finish.to_owned(), usage }
    }

    fn whole(dialect: Dialect, body: &Value) -> Self {
        let at = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
        let n = |path: &str| body.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let (text, finish, usage) = match dialect {
            Dialect::Chat => (
                at("/choices/0/message/content"),
                at("/choices/0/finish_reason"),
                [
                    n("/usage/prompt_tokens"),
                    n("/usage/prompt_tokens_details/cached_tokens"),
                    n("/usage/completion_tokens"),
                ],
            ),
            Dialect::Resp => (
                at("/output/0/content/0/text"),
                at("/status"),
                [
                    n("/usage/input_tokens"),
                    n("/usage/input_tokens_details/cached_tokens"),
                    n("/usage/output_tokens"),
                ],
            ),
            Dialect::Anth => {
                let cached = n("/usage/cache_read_input_tokens");
                let usage = [n("/usage/input_tokens") + cached, cached, n("/usage/output_tokens")];
                (at("/content/0/text"), at("/stop_reason"), usage)
            }
            Dialect::Gem => (
                at("/candidates/0/content/parts/0/text"),
                at("/candidates/0/finishReason"),
                [
                    n("/usageMetadata/promptTokenCount"),
                    n("/usageMetadata/cachedContentTokenCount"),
                    n("/usageMetadata/candidatesTokenCount"),
                ],
            ),
        };
        Self { text, finish, usage }
    }

    /// Puts a stream together the way a client does, from its deltas and its last counts.
    fn streamed(dialect: Dialect, body: &str) -> Self {
        let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
        let events: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let texts = |path: &str| -> String {
            events.iter().filter_map(|e| e.pointer(path)?.as_str()).collect()
        };
        let last = |path: &str| events.iter().rev().find_map(|e| e.pointer(path).cloned());
        let whole = match dialect {
            Dialect::Chat => json!({
                "choices": [{"message": {"content": texts("/choices/0/delta/content")},
                    "finish_reason": events.iter()
                        .find_map(|e| e.pointer("/choices/0/finish_reason")?.as_str())}],
                "usage": events.iter().rev().find_map(|e| e.get("usage").filter(|u| u.is_object())),
            }),
            Dialect::Resp => {
                let deltas: String = events
                    .iter()
                    .filter(|e| e["type"] == "response.output_text.delta")
                    .filter_map(|e| e["delta"].as_str())
                    .collect();
                let done = events.last().unwrap()["response"].clone();
                assert_eq!(done["output"][0]["content"][0]["text"], deltas.as_str());
                done
            }
            Dialect::Anth => {
                // The last word on each counter counts; the end need not repeat them all.
                let said = |e: &Value| e.pointer("/message/usage").or(e.get("usage")).cloned();
                let mut usage = json!({});
                for counts in events.iter().filter_map(said) {
                    usage.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
                }
                json!({
                    "content": [{"text": texts("/delta/text")}],
                    "stop_reason": last("/delta/stop_reason"),
                    "usage": usage,
                })
            }
            Dialect::Gem => json!({
                "candidates": [{"content": {"parts": [{"text": texts("/candidates/0/content/parts/0/text")}]},
                    "finishReason": last("/candidates/0/finishReason")}],
                "usageMetadata": last("/usageMetadata"),
            }),
        };
        Self::whole(dialect, &whole)
    }

    fn of(dialect: Dialect, reply: &Reply, stream: bool) -> Self {
        if stream {
            Self::streamed(dialect, &reply.text())
        } else {
            Self::whole(dialect, &reply.json())
        }
    }
}

/// The dialect that a call was made in.
fn spoken(target: &str) -> Dialect {
    match target {
        t if t.contains("/chat/") => Dialect::Chat,
        t if t.contains("/responses") => Dialect::Resp,
        t if t.contains("/messages") => Dialect::Anth,
        _ => Dialect::Gem,
    }
}

fn asks_for_stream(target: &str, body: &Value) -> bool {
    body["stream"] == true || target.contains(":streamGenerateContent")
}

/// An upstream that answers in the dialect it is called in; `streams` decides how, whatever was asked.
fn teller(size: usize, streams: fn(bool) -> bool) -> Chaos {
    Chaos::start(Reading::Whole, move |request| {
        let target = request.target();
        let dialect = spoken(&target);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_valid(dialect, &target, &body);
        let bytes = if streams(asks_for_stream(&target, &body)) {
            let chunks: Vec<_> = dialect.story().all().chunks(size).map(reply::chunk).collect();
            [&reply::sse_head(), &chunks.concat(), reply::LAST_CHUNK].concat()
        } else {
            reply::json(200, &dialect.answer())
        };
        vec![Step::Pieces { bytes: bytes.into(), size }]
    })
    .unwrap()
}

/// A request as the dialect's owner would take it.
fn assert_valid(dialect: Dialect, target: &str, body: &Value) {
    let texts = body.to_string();
    match dialect {
        Dialect::Chat => {
            assert!(body["messages"].as_array().is_some_and(|m| !m.is_empty()), "{texts}");
            assert!(body["model"] == "m-real" && body["messages"][0]["role"] == "user", "{texts}");
        }
        Dialect::Resp => {
            assert!(body["input"].is_array() || body["input"].is_string(), "{texts}");
            assert_eq!(body["model"], "m-real", "{texts}");
        }
        Dialect::Anth => {
            assert!(body["max_tokens"].as_u64() > Some(0), "{texts}");
            assert!(body["model"] == "m-real" && body["messages"][0]["role"] == "user", "{texts}");
        }
        Dialect::Gem => {
            assert!(body["contents"].as_array().is_some_and(|c| !c.is_empty()), "{texts}");
            assert!(target.starts_with("/v1beta/models/m-real:"), "{target}");
            assert!(body.get("model").is_none() && body.get("stream").is_none(), "{texts}");
            assert!(!target.contains(":stream") || target.ends_with("?alt=sse"), "{target}");
        }
    }
}

fn router(chaos: &Chaos) -> Router {
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    setup.start()
}

/// Like [`Router::ask`]; a chat client asks for usage.
fn ask(router: &Router, client: Dialect, model: &str, stream: bool) -> Reply {
    let usage = ",\"stream_options\":{\"include_usage\":true}";
    let extra = if client == Dialect::Chat && stream { usage } else { "" };
    router.post(&client.path(model, stream), client.body_with(model, stream, extra))
}

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    let to_all = |client| Dialect::ALL.into_iter().map(move |upstream| (client, upstream));
    Dialect::ALL.into_iter().flat_map(to_all)
}

#[test]
fn every_client_understands_every_upstream() {
    for size in [usize::MAX, 1] {
        let chaos = teller(size, |asked| asked);
        let router = router(&chaos);
        let mut requests = 0;
        for (client, upstream) in pairs() {
            for stream in [false, true] {
                let model = format!("{}/m-real", upstream.name());
                let reply = ask(&router, client, &model, stream);
                let place = format!("{client:?} to {upstream:?}, stream {stream}, size {size}");
                assert_eq!(reply.status, 200, "{place}: {}", reply.brief());
                assert!(reply.complete, "{place}");
                assert_eq!(
                    Said::of(client, &reply, stream),
                    Said::hello(client),
                    "{place}: {}",
                    reply.text()
                );
                assert_eq!(reply.header("x-ninerouter-model"), Some(model.as_str()), "{place}");
                let row = &router.wait_rows(
                    requests + 1,
                    &[
                        "dialect",
                        "exec_tier",
                        "input_tokens",
                        "cached_tokens",
                        "output_tokens",
                        "estimated",
                        "status",
                    ],
                    "requests order by ts, id",
                )[requests];
                requests += 1;
                let tier = if client == upstream { row["exec_tier"].clone() } else { json!("C") };
                let want = json!({"dialect": client.name(), "exec_tier": tier, "input_tokens": INPUT,
                    "cached_tokens": CACHED, "output_tokens": OUTPUT, "estimated": 0, "status": "ok"});
                assert_eq!(*row, want, "{place}");
            }
        }
    }
}

/// Translation §4.9: an upstream that only streams, or never does.
#[test]
fn the_form_that_the_client_wants_is_made_of_the_other_one() {
    for size in [usize::MAX, 1] {
        for streams in [|_| true, |_| false] {
            let chaos = teller(size, streams);
            let router = router(&chaos);
            for (client, upstream) in pairs() {
                for stream in [false, true] {
                    let model = format!("{}/m-real", upstream.name());
                    let reply = ask(&router, client, &model, stream);
                    let place = format!("{client:?} to {upstream:?}, stream {stream}, size {size}");
                    assert_eq!(reply.status, 200, "{place}: {}", reply.brief());
                    let said = Said::of(client, &reply, stream);
                    assert_eq!(said, Said::hello(client), "{place}: {}", reply.text());
                }
            }
        }
    }
}

/// T-BUG-05, T-BUG-06: the translation fails at the first chunk, in the middle, at the end.
#[test]
fn a_broken_answer_never_looks_complete_in_the_clients_dialect() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let story = spoken(&request.target()).story();
        let [one, _] = &story.content;
        let start =
            [reply::sse_head(), reply::chunk((story.start.clone() + one).as_bytes())].concat();
        // The transport says "clean end".
        vec![Step::send(start), Step::send(reply::LAST_CHUNK.to_vec())]
    })
    .unwrap();
    for client in Dialect::ALL {
        // A break locks the account for a while.
        let router = router(&chaos);
        for upstream in Dialect::ALL {
            let reply = ask(&router, client, &format!("{}/m-real", upstream.name()), true);
            let place = format!("{client:?} to {upstream:?}: {}", reply.text());
            assert_eq!(reply.status, 200, "{place}");
            assert!(!reply.complete, "{place}");
            assert!(reply.text().contains(client.stream_error_mark()), "{place}");
            for mark in client.end_marks() {
                assert!(!reply.text().contains(mark), "{mark} in {place}");
            }
        }
    }
}

#[test]
fn an_upstreams_refusal_speaks_the_clients_dialect() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        vec![Step::send(reply::json(400, &spoken(&request.target()).bad_request()))]
    })
    .unwrap();
    let router = router(&chaos);
    for (client, upstream) in pairs() {
        let reply = ask(&router, client, &format!("{}/m-real", upstream.name()), false);
        assert_eq!(reply.status, 400, "{client:?} to {upstream:?}: {}", reply.brief());
        let message = client.error_message(&reply).unwrap();
        assert!(message.contains("rate limit exceeded"), "{client:?} to {upstream:?}: {message}");
    }
}

/// Translation §2.8: what a target cannot do is a 400 before any call; a combo goes to one that can.
#[test]
fn what_cannot_be_said_is_refused_before_any_call_or_goes_where_it_can() {
    let chaos = teller(usize::MAX, |asked| asked);
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    let router = setup.combo("mixed", &["anth/m-real", "chat/m-real"]).start();
    let two = |model: &str| Dialect::Chat.body_with(model, false, ",\"n\":2");
    let reply = router.post("/v1/chat/completions", two("anth/m-real"));
    assert_eq!((reply.status, chaos.requests().len()), (400, 0), "{}", reply.brief());
    assert_eq!(Dialect::Chat.error_code(&reply).as_deref(), Some("unsupported_parameter"));
    assert_eq!(reply.json()["error"]["param"], "n");
    let reply = router.post("/v1/chat/completions", two("mixed"));
    assert_eq!(reply.status, 200, "{}", reply.brief());
    assert_eq!(reply.header("x-ninerouter-model"), Some("chat/m-real"));
    assert_eq!(chaos.requests().len(), 1);
}

/// A fallback from one dialect to another in the middle of a combo, unseen by the client.
#[test]
fn a_combo_falls_back_across_dialects() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let dialect = spoken(&request.target());
        if dialect != Dialect::Gem {
            let error = dialect.error(429, "rate_limit_error", "rate_limit_exceeded", "slow down");
            return vec![Step::send(reply::json(429, &error))];
        }
        vec![Step::send(reply::sse(&dialect.story().all()))]
    })
    .unwrap();
    let mut setup = Setup::new();
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    let router =
        setup.combo("all", &["anth/m-real", "chat/m-real", "resp/m-real", "gem/m-real"]).start();
    for client in Dialect::ALL {
        let reply = ask(&router, client, "all", true);
        assert_eq!(reply.status, 200, "{client:?}: {}", reply.brief());
        assert_eq!(
            Said::of(client, &reply, true),
            Said::hello(client),
            "{client:?}: {}",
            reply.text()
        );
    }
}
