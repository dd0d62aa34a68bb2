//! Same dialect in and out: not a byte more or less than the rules of tier A and B allow.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

use crate::support::client::request;
use crate::support::story::{CACHED, INPUT, OUTPUT};
use crate::support::{Dialect, Router, Setup};

const KEY: &str = "sk-client-secret-1234";

/// A router with one node per dialect, all of them served by `chaos`.
fn router(chaos: &Chaos) -> Router {
    // Keyless callers may not use `?key=`; a known key may stand anywhere.
    let mut setup = Setup::new().key("client", KEY, "");
    for dialect in Dialect::ALL {
        setup = setup.upstream(dialect, dialect.name(), &chaos.url(dialect.base()));
    }
    setup.start()
}

fn model(dialect: Dialect) -> String {
    format!("{}/m-real", dialect.name())
}

fn dialect_of(target: &str) -> Dialect {
    match target {
        t if t.contains("/chat/") => Dialect::Chat,
        t if t.contains("/responses") => Dialect::Resp,
        t if t.contains("/messages") => Dialect::Anth,
        _ => Dialect::Gem,
    }
}

fn streams(body: &[u8], target: &str) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("\"stream\" : true") || target.contains(":streamGenerateContent")
}

/// An upstream that tells its story, streamed or whole as asked, in pieces of `size` bytes.
fn teller(size: usize) -> Chaos {
    Chaos::start(Reading::Whole, move |request| {
        let target = request.target();
        let dialect = dialect_of(&target);
        let bytes = if streams(&request.body, &target) {
            let usage_asked = String::from_utf8_lossy(&request.body).contains("include_usage");
            let story = dialect.story();
            let all = if usage_asked { story.all() } else { story.without_usage() };
            let chunks: Vec<_> = all.chunks(size).map(reply::chunk).collect();
            [&reply::sse_head(), &chunks.concat(), reply::LAST_CHUNK].concat()
        } else {
            reply::json(200, &dialect.answer())
        };
        vec![Step::Pieces { bytes: bytes.into(), size }]
    })
    .unwrap()
}

#[test]
fn whole_request_and_answer_are_verbatim() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
        let reply = router.ask(dialect, &model(dialect), false);
        assert_eq!(reply.status, 200, "{dialect:?} {}", reply.brief());
        assert_eq!(reply.text(), dialect.answer(), "{dialect:?}");
        let seen = &chaos.requests()[at];
        let sent = String::from_utf8(seen.body.clone()).unwrap();
        assert_eq!(sent, dialect.body("m-real", false), "{dialect:?}");
        assert_eq!(seen.header("content-length").unwrap(), sent.len().to_string());
        let target = match dialect {
            Dialect::Gem => "/v1beta/models/m-real:generateContent".to_owned(),
            other => other.path("", false),
        };
        assert_eq!(seen.target(), target);
        assert_eq!(reply.header("x-ninerouter-model"), Some(model(dialect).as_str()));
        assert_eq!(reply.header("x-ninerouter-attempts"), Some("1"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("x-request-id").is_some());
    }
}

#[test]
fn streamed_answer_is_verbatim_in_one_piece_and_byte_by_byte() {
    for size in [usize::MAX, 1] {
        let chaos = teller(size);
        let router = router(&chaos);
        for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
            let reply = router.ask(dialect, &model(dialect), true);
            assert_eq!(reply.status, 200, "{dialect:?} {}", reply.brief());
            // T009: the usage chunk that only the router asked for is withheld.
            let want = String::from_utf8(dialect.story().without_usage()).unwrap();
            assert_eq!(reply.text(), want, "{dialect:?} in pieces of {size}");
            assert!(reply.complete);
            let kind = reply.header("content-type").unwrap();
            assert_eq!(kind, "text/event-stream; charset=utf-8");
            assert_eq!(reply.header("x-accel-buffering"), Some("no"));
            assert_eq!(reply.header("content-length"), None);
            let sent = String::from_utf8(chaos.requests()[at].body.clone()).unwrap();
            let mut want = dialect.body("m-real", true);
            if dialect == Dialect::Chat {
                let injected = "{\"stream_options\":{\"include_usage\":true},";
                want = want.replacen('{', injected, 1);
            }
            assert_eq!(sent, want, "{dialect:?}");
            if dialect == Dialect::Gem {
                let target = "/v1beta/models/m-real:streamGenerateContent?alt=sse";
                assert_eq!(chaos.requests()[at].target(), target);
            }
        }
        let rows = router.wait_rows(
            4,
            &[
                "dialect",
                "input_tokens",
                "cached_tokens",
                "output_tokens",
                "estimated",
                "exec_tier",
                "status",
            ],
            "requests",
        );
        for row in rows {
            assert_eq!(row["input_tokens"], INPUT, "{row}");
            assert_eq!(
                (&row["cached_tokens"], &row["output_tokens"]),
                (&CACHED.into(), &OUTPUT.into()),
                "{row}"
            );
            assert_eq!((&row["estimated"], &row["status"]), (&0.into(), &"ok".into()), "{row}");
        }
    }
}

#[test]
fn clients_own_stream_options_are_respected() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    let story = Dialect::Chat.story();
    // T010: asked for usage: body untouched, chunk delivered. Without the member: it is set inside.
    let table = [
        (",\"stream_options\":{ \"include_usage\":true}", None, story.all()),
        (",\"stream_options\":{\"x\":1.0}", Some("\"include_usage\":true"), story.without_usage()),
        (
            ",\"stream_options\":{\"include_usage\":false}",
            Some("\"include_usage\":true"),
            story.without_usage(),
        ),
    ];
    for (at, (extra, set, want)) in table.into_iter().enumerate() {
        let body = Dialect::Chat.body_with("chat/m-real", true, extra);
        let reply = router.post("/v1/chat/completions", &body);
        assert_eq!(reply.text(), String::from_utf8(want).unwrap(), "{extra}");
        let sent = String::from_utf8(chaos.requests()[at].body.clone()).unwrap();
        match set {
            None => assert_eq!(sent, body.replace("chat/m-real", "m-real")),
            Some(set) => {
                assert!(sent.contains(set), "{sent}");
                assert_eq!(sent.matches("stream_options").count(), 1, "{sent}");
                assert_eq!(sent.contains("\"x\":1.0"), extra.contains("\"x\":1.0"), "{sent}");
            }
        }
    }
}

#[test]
fn refused_usage_option_is_left_out_on_the_second_try_and_remembered() {
    for status in [400, 422] {
        let chaos = Chaos::start(Reading::Whole, move |request| {
            if String::from_utf8_lossy(&request.body).contains("stream_options") {
                let message = "Unrecognized request argument supplied: stream_options";
                let kind = "invalid_request_error";
                let error = Dialect::Chat.error(status, kind, "unknown", message);
                return vec![Step::send(reply::json(status, &error))];
            }
            vec![Step::send(reply::sse(&Dialect::Chat.story().without_usage()))]
        })
        .unwrap();
        let router = router(&chaos);
        for asked in [2, 3] {
            let answer = router.ask(Dialect::Chat, "chat/m-real", true);
            assert_eq!(answer.status, 200, "{status}: {}", answer.brief());
            assert_eq!(answer.body, Dialect::Chat.story().without_usage());
            assert_eq!(chaos.requests().len(), asked, "{status}");
        }
    }
}

#[test]
fn only_the_listed_headers_go_upstream_and_none_of_the_credentials() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", KEY),
        ("x-goog-api-key", KEY),
        ("api-key", KEY),
        ("cookie", "session=1"),
        ("user-agent", "claude-cli/2.1"),
        ("x-stainless-lang", "python"),
        ("x-request-timeout-ms", "20000"),
        ("x-claude-code-session-id", "s1"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a-2026-01-01"),
        ("openai-beta", "b=1"),
        ("idempotency-key", "i-1"),
        ("accept-encoding", "gzip, br"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("x-unknown", "1"),
    ];
    for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
        let path = dialect.path(&model(dialect), true);
        let path = if dialect == Dialect::Gem { format!("{path}&key={KEY}") } else { path };
        let body = dialect.body(&model(dialect), true);
        let reply = router.send("POST", &path, &headers, body.as_bytes());
        assert_eq!(reply.status, 200, "{dialect:?} {}", reply.brief());
        let seen = &chaos.requests()[at];
        let whole = String::from_utf8_lossy(&seen.head).into_owned();
        assert!(!whole.contains(KEY), "{dialect:?} leaks the client's key: {whole}");
        let key = format!("key-{}", dialect.name());
        let auth = match dialect {
            Dialect::Chat | Dialect::Resp => ("authorization", format!("Bearer {key}")),
            Dialect::Anth => ("x-api-key", key),
            Dialect::Gem => ("x-goog-api-key", key),
        };
        assert_eq!(seen.header(auth.0), Some(auth.1), "{dialect:?}");
        for name in [
            "cookie",
            "x-stainless-lang",
            "x-request-timeout-ms",
            "x-hop",
            "x-unknown",
            "api-key",
            "x-claude-code-session-id",
        ] {
            assert_eq!(seen.header(name), None, "{dialect:?}");
        }
        let agent = seen.header("user-agent").unwrap();
        assert!(agent.starts_with("NineRouter/"), "{agent}");
        assert_eq!(seen.header("accept-encoding").as_deref(), Some("identity"));
        assert_eq!(seen.header("accept").as_deref(), Some("text/event-stream"));
        assert_eq!(seen.header("host"), Some(chaos.address().to_string()));
        assert_eq!(seen.header("idempotency-key").as_deref(), Some("i-1"));
        if dialect == Dialect::Anth {
            assert_eq!(seen.header("anthropic-version").as_deref(), Some("2026-10-21"));
            assert!(seen.header("anthropic-beta").is_some_and(|b| b.contains("a-2026-01-01")));
        }
    }
}

#[test]
fn only_the_listed_headers_come_back() {
    let upstream = [
        ("content-type", "application/json"),
        ("x-ratelimit-remaining-requests", "9"),
        ("anthropic-ratelimit-requests-remaining", "8"),
        ("openai-processing-ms", "7"),
        ("request-id", "req_up"),
        ("set-cookie", "a=b"),
        ("server", "cloud"),
        ("cf-ray", "1"),
        ("openai-organization", "org-secret"),
        ("x-request-id", "upstream-id"),
    ];
    let answer = reply::whole(200, &upstream, Dialect::Chat.answer().as_bytes());
    let chaos = Chaos::always(answer).unwrap();
    let router = router(&chaos);
    let body = Dialect::Chat.body("chat/m-real", false);
    let id = [("x-request-id", "my-id.1")];
    let got = router.send("POST", "/v1/chat/completions", &id, body.as_bytes());
    for (name, value) in &upstream[1..5] {
        assert_eq!(got.header(name), Some(*value));
    }
    for (name, _) in &upstream[5..9] {
        assert_eq!(got.header(name), None);
    }
    assert_eq!(got.header("x-request-id"), Some("my-id.1"));
    // E026: an unusable id of the client's is replaced.
    let got =
        router.send("POST", "/v1/chat/completions", &[("x-request-id", "a b")], body.as_bytes());
    let own = got.header("x-request-id").unwrap();
    assert!(own.starts_with("req_") && own.len() == 30, "{own}");
}

#[test]
fn stream_is_only_what_says_true() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    // T015; a client that posts to the wrong habit's path is still answered whole.
    for extra in ["", ",\"stream\":null", ",\"stream\":false", ",\"stream\":\"true\""] {
        for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Anth] {
            let body = dialect.body_with(&model(dialect), false, extra);
            let headers = [("accept", "*/*")];
            let reply = router.send("POST", &dialect.path("", false), &headers, body.as_bytes());
            assert_eq!(reply.text(), dialect.answer(), "{dialect:?} {extra}");
        }
    }
}

#[test]
fn gemini_array_stream_is_verbatim() {
    let body = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hé\"}]}}]}\r\n,\r\n\
                {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}]},\"finishReason\":\
                \"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}]";
    let head =
        reply::head(200, &[("content-type", "application/json"), ("transfer-encoding", "chunked")]);
    let answer = [&head, &reply::chunk(body.as_bytes()), reply::LAST_CHUNK].concat();
    let chaos = Chaos::start(Reading::Whole, move |_| {
        vec![Step::Pieces { bytes: answer.clone().into(), size: 3 }]
    })
    .unwrap();
    let router = router(&chaos);
    let path = "/v1beta/models/gem%2Fm-real:streamGenerateContent";
    let got = router.post(path, Dialect::Gem.body("", true));
    assert_eq!(got.text(), body);
    assert!(got.header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(chaos.requests()[0].target(), "/v1beta/models/m-real:streamGenerateContent");
}

#[test]
fn path_aliases_reach_the_same_endpoint() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    let table = [
        (Dialect::Chat, "//v1//chat/completions/"),
        (Dialect::Chat, "/chat/completions"),
        (Dialect::Chat, "/v1/v1/chat/completions"),
        (Dialect::Chat, "/v1/chat/completions/chat/completions"),
        (Dialect::Chat, "/openai/v1/chat/completions"),
        (Dialect::Chat, "/v1beta/openai/chat/completions"),
        (Dialect::Resp, "/responses"),
        (Dialect::Resp, "/codex/responses"),
        (Dialect::Resp, "/backend-api/codex/responses"),
        (Dialect::Resp, "/v1/responses/responses"),
        (Dialect::Anth, "/v1/v1/messages?beta=true"),
        (Dialect::Anth, "/anthropic/v1/messages"),
        (Dialect::Anth, "/messages"),
        (Dialect::Gem, "/v1/models/gem/m-real:generateContent"),
        (Dialect::Gem, "/v1/gem/m-real:generateContent"),
        (Dialect::Gem, "/v1beta/gem/m-real:generateContent"),
        (Dialect::Gem, "/v1beta/models/gem%2Fm-real:generateContent"),
        (Dialect::Gem, "/v1alpha/models/gem/m-real:generateContent"),
    ];
    for (dialect, path) in table {
        let reply = router.post(path, dialect.body(&model(dialect), false));
        assert_eq!(reply.text(), dialect.answer(), "{path} {}", reply.status);
    }
}

#[test]
fn reused_connections_serve_many_requests() {
    let chaos = teller(usize::MAX);
    let router = router(&chaos);
    let mut conn = router.connect();
    let body = Dialect::Chat.body("chat/m-real", true);
    for _ in 0..5 {
        conn.send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
        assert!(conn.reply(false).unwrap().complete);
    }
    // Polled to its end after the terminator, the upstream connection goes back to the pool.
    assert_eq!(chaos.connections(), 1);
}
