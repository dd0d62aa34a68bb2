//! Failures that routers of this kind have had in the field, each with a test (security §16), and crowds that must hold up
//! nobody (security §10).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::check;
use crate::support::client::request;
use crate::support::router::printed_port;
use crate::support::{Conn, Dialect, PATIENCE, Router, Setup, for_all, until};

fn good(dialect: Dialect) -> Chaos {
    Chaos::always(reply::json(200, &dialect.answer())).unwrap()
}

fn resident_mib(router: &Router) -> u64 {
    let status = format!("/proc/{}/status", router.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn t_bug_01_the_first_requests_of_all_are_translated_like_any_other() {
    let upstreams: Vec<(Dialect, Chaos)> =
        Dialect::ALL.into_iter().map(|dialect| (dialect, good(dialect))).collect();
    let setup = upstreams.iter().fold(Setup::new(), |setup, (dialect, chaos)| {
        setup.upstream(*dialect, dialect.name(), &chaos.url(dialect.base()))
    });
    let mut router = setup.prepare();
    router.spawn(&["serve", "--port", "0", "--no-background"]);
    let port = until(PATIENCE, "the port is printed", || printed_port(&router.output()));
    router.address.set_port(port);
    let pairs = Dialect::ALL
        .into_iter()
        .flat_map(|client| Dialect::ALL.into_iter().map(move |upstream| (client, upstream)));
    let pairs: Vec<_> = pairs.cycle().take(200).collect();
    for_all(&pairs, 50, |(client, upstream)| {
        let model = format!("{}/m", upstream.name());
        let got = router.ask(*client, &model, false);
        check!(got.status == 200, "{client:?} at {upstream:?}: {}", got.brief());
        let text = got.text();
        check!(text.contains("H\u{e9}") || text.contains("H\\u00e9"), "{client:?}: {text}");
        Ok(())
    });
}

/// An upstream of the Chat dialect that says what its client said, word for word in pieces.
fn echo() -> Chaos {
    Chaos::start(Reading::Whole, |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let said = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let said = said.as_str().map(str::to_owned);
        let said = said.unwrap_or_else(|| {
            body.pointer("/messages/0/content/0/text").unwrap().as_str().unwrap().to_owned()
        });
        let piece = |delta: Value, reason: Value| {
            let chunk = json!({
                "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            });
            format!("data: {chunk}\n\n")
        };
        let mut story = piece(json!({"role": "assistant", "content": ""}), Value::Null);
        for _ in 0..20 {
            story += &piece(json!({"content": said}), Value::Null);
        }
        story += &piece(json!({}), json!("stop"));
        story += "data: [DONE]\n\n";
        vec![Step::send(reply::sse(story.as_bytes()))]
    })
    .unwrap()
}

#[test]
fn t_bug_09_no_stream_gets_anything_of_another_one() {
    const STREAMS: usize = 300;
    let chaos = echo();
    let router = Setup::new()
        .setting("limits.provider_in_flight", 1_000)
        .node(Dialect::Chat, "up", &chaos.url("/v1"))
        .account_with("up", "only", "max_concurrent = 1000")
        .start();
    let ids = Mutex::new(std::collections::BTreeSet::new());
    let numbers: Vec<usize> = (0..STREAMS).collect();
    for_all(&numbers, 100, |number| {
        let mark = format!("<mark-{number}>");
        let body = json!({
            "model": "up/m", "max_tokens": 99, "stream": true,
            "messages": [{"role": "user", "content": mark}],
        });
        let got = router.post("/v1/messages", body.to_string());
        let text = got.text();
        check!(got.status == 200 && text.contains("message_stop"), "{}", got.brief());
        let marks: Vec<&str> =
            text.split("<mark-").skip(1).filter_map(|rest| rest.split('>').next()).collect();
        let own = number.to_string();
        check!(marks.len() == 20, "{number}: {} of its pieces", marks.len());
        check!(marks.iter().all(|mark| *mark == own), "{number}: {marks:?}");
        let id = got.header("x-request-id").unwrap_or_default().to_owned();
        check!(ids.lock().unwrap().insert(id), "an id came twice");
        Ok(())
    });
}

#[test]
fn t_bug_10_streams_that_fail_leave_nothing_in_memory() {
    let chaos = Chaos::start(Reading::Whole, |_| {
        let story = Dialect::Chat.story();
        let cut = format!("{}{}data: {{\"choices\":", story.start, story.content[0]);
        vec![Step::send([reply::sse_head(), reply::chunk(cut.as_bytes())].concat()), Step::Close]
    })
    .unwrap();
    let router = Setup::new()
        .setting("limits.provider_in_flight", 1_000)
        .node(Dialect::Chat, "up", &chaos.url("/v1"))
        .account_with("up", "only", "max_concurrent = 1000")
        .start();
    let fail = |count: usize| {
        let all: Vec<usize> = (0..count).collect();
        for_all(&all, 16, |_| {
            // A broken stream locks nobody out: it is cut, and the next one begins.
            router.ask(Dialect::Anth, "up/m", true);
            Ok(())
        });
        resident_mib(&router)
    };
    let warm = fail(400);
    let after = fail(1_600);
    assert!(after < warm + 24, "{warm} MiB, then {after} MiB");
}

#[test]
fn t_bug_16_the_log_of_the_database_is_folded_in_at_the_end() {
    let chaos = good(Dialect::Chat);
    let mut router = Setup::new().upstream(Dialect::Chat, "up", &chaos.url("/v1")).start();
    for _ in 0..20 {
        assert_eq!(router.ask(Dialect::Chat, "up/m", false).status, 200);
    }
    assert!(router.stop().success());
    let left = std::fs::metadata(router.data_dir().join("ninerouter.sqlite-wal"));
    assert_eq!(left.map_or(0, |file| file.len()), 0);
    assert_eq!(router.rows(&["id"], "requests").len(), 20);
}

/// A client that asks again when nobody was there, or who was there was leaving.
#[test]
fn t_run_04_a_restart_fails_no_client_that_asks_again() {
    let chaos = good(Dialect::Chat);
    let mut router = Setup::new().upstream(Dialect::Chat, "up", &chaos.url("/v1")).start();
    let address = Mutex::new(router.address);
    let (over, served) = (AtomicBool::new(false), Mutex::new(0_usize));
    let body = Dialect::Chat.body("up/m", false);
    let bytes =
        request("POST", "/v1/chat/completions", &[("connection", "close")], body.as_bytes());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let now_at = *address.lock().unwrap();
                    let Some(mut conn) = Conn::try_open(now_at) else {
                        std::thread::yield_now();
                        continue;
                    };
                    conn.try_send(&bytes);
                    match conn.reply(false) {
                        Some(got) if got.status == 503 => {
                            assert_eq!(got.header("connection"), Some("close"));
                        }
                        Some(got) => {
                            assert_eq!(got.status, 200, "{}", got.brief());
                            assert!(got.complete, "{}", got.brief());
                            *served.lock().unwrap() += 1;
                        }
                        // It was in the queue of a listener that closed: nobody has read it.
                        None => {}
                    }
                }
            });
        }
        for _ in 0..2 {
            let before = *served.lock().unwrap();
            until(PATIENCE, "clients are served", || {
                (*served.lock().unwrap() > before + 50).then_some(())
            });
            assert_eq!(router.stop().code(), Some(0), "{}", router.output());
            router.launch();
            *address.lock().unwrap() = router.address;
        }
        over.store(true, Ordering::Relaxed);
    });
    let served = served.into_inner().unwrap();
    let answered = "requests WHERE http_status = 200";
    let rows = router.wait_rows(served, &["status"], answered);
    assert!(rows.iter().all(|row| row["status"] == "ok"), "{rows:?}");
    assert_eq!((rows.len(), chaos.requests().len()), (served, served), "nothing is asked twice");
    // Who came while it was leaving was sent away.
    let refused = router.rows(&["http_status"], "requests WHERE http_status <> 200");
    assert!(refused.iter().all(|row| row["http_status"] == 503), "{refused:?}");
}

#[test]
fn t_res_21_and_22_heads_and_bodies_that_do_not_come_hold_up_nobody() {
    let chaos = good(Dialect::Chat);
    let router = Setup::new().upstream(Dialect::Chat, "up", &chaos.url("/v1")).start();
    let body = Dialect::Chat.body("up/m", false);
    let whole = request("POST", "/v1/chat/completions", &[], body.as_bytes());
    let mut crowd: Vec<Conn> = (0..400).map(|_| router.connect()).collect();
    for (at, conn) in crowd.iter_mut().enumerate() {
        // Half a head, or all but the end of a body.
        conn.send(if at % 2 == 0 { &whole[..30] } else { &whole[..whole.len() - 5] });
    }
    for _ in 0..20 {
        assert_eq!(router.ask(Dialect::Chat, "up/m", false).status, 200);
    }
    assert_eq!(chaos.requests().len(), 20);
}

#[test]
fn t_res_05_bodies_beyond_the_memory_set_aside_for_them_wait_their_turn() {
    let chaos = Chaos::start(Reading::Whole, |request| match request.index {
        0 => vec![Step::Hold, Step::send(reply::json(200, &Dialect::Chat.answer()))],
        _ => vec![Step::send(reply::json(200, &Dialect::Chat.answer()))],
    })
    .unwrap();
    let router = Setup::new()
        .setting("limits.bodies_in_memory_mib", 1)
        .upstream(Dialect::Chat, "up", &chaos.url("/v1"))
        .start();
    let large =
        Dialect::Chat.body_with("up/m", false, &format!(",\"f\":\"{}\"", "x".repeat(700 << 10)));
    let mut first = router.connect();
    first.send(&request("POST", "/v1/chat/completions", &[], large.as_bytes()));
    assert!(chaos.wait_requests(1, PATIENCE));
    let refused = router.post("/v1/chat/completions", &large);
    assert_eq!(refused.status, 503, "{}", refused.brief());
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(router.ask(Dialect::Chat, "up/m", false).status, 200, "a small one has room");
    chaos.release();
    assert_eq!(first.reply(false).unwrap().status, 200);
    assert_eq!(router.post("/v1/chat/completions", &large).status, 200);
}

#[test]
fn t_res_12_an_answer_without_end_is_an_upstreams_error() {
    let endless = Chaos::start(Reading::Whole, |_| {
        let head = reply::head(
            200,
            &[("content-type", "application/json"), ("transfer-encoding", "chunked")],
        );
        let piece = reply::chunk("x".repeat(1 << 20).as_bytes());
        let begun = reply::chunk(b"{\"choices\":[{\"message\":{\"content\":\"");
        let mut steps = vec![Step::send(head), Step::send(begun)];
        steps.extend((0..80).map(|_| Step::send(piece.clone())));
        steps
    })
    .unwrap();
    let serving = good(Dialect::Chat);
    let router = Setup::new()
        .upstream(Dialect::Chat, "one", &endless.url("/v1"))
        .upstream(Dialect::Chat, "two", &serving.url("/v1"))
        .combo("stack", &["one/m", "two/m"])
        .start();
    let got = router.ask(Dialect::Anth, "stack", false);
    assert_eq!((got.status, serving.requests().len()), (200, 1), "{}", got.brief());
    assert!(endless.written() < 80 << 20, "it was cut: {} bytes", endless.written());
}
