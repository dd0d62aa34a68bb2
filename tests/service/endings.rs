//! How a stream ends, and what an idle one costs: translation §4.7 and §4.8, security §17 and §19.

use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

use crate::support::client::request;
use crate::support::{Dialect, PATIENCE, Piece, Router, Setup, now, until};

/// Pings for half a minute, one every 20 ms.
fn pings() -> Vec<Step> {
    let ping = reply::chunk(b": ping\n\n");
    let one = |_| {
        let pause = Duration::from_millis(20);
        let first = Step::Drip { bytes: ping[..1].to_vec().into(), pause };
        [first, Step::send(ping[1..].to_vec())]
    };
    (0..1500).flat_map(one).chain([Step::AwaitClient]).collect()
}

#[test]
fn a_stream_ends_with_its_last_event_though_the_connection_stays_open() {
    for dialect in Dialect::ALL {
        for pings_follow in [false, true] {
            let all = dialect.story().without_usage();
            let sent = all.clone();
            let chaos = Chaos::start(Reading::Whole, move |_| {
                let whole = [reply::sse_head(), reply::chunk(&sent)].concat();
                let after = if pings_follow { pings() } else { vec![Step::AwaitClient] };
                [vec![Step::send(whole)], after].concat()
            })
            .unwrap();
            let router = Setup::new().upstream(dialect, "one", &chaos.url(dialect.base())).start();
            let start = now();
            let got = router.ask(dialect, "one/m", true);
            let took = start.elapsed();
            assert!(got.complete, "{dialect:?} {}", got.brief());
            assert!(got.body.starts_with(&all), "{dialect:?} {}", got.brief());
            // The rule says 250 ms; a busy machine gets more, an idle limit is far away.
            assert!(took < Duration::from_secs(3), "{dialect:?} pings: {pings_follow} {took:?}");
            assert!(chaos.wait_gone(1, PATIENCE));
            let row = router.wait_rows(1, &["status", "output_tokens"], "requests").remove(0);
            assert_eq!(row["status"], "ok", "{row}");
        }
    }
}

/// What comes after a chat finish reason may take its time.
#[test]
fn usage_and_done_are_waited_for_after_the_finish_reason() {
    let story = Dialect::Chat.story();
    let rest = format!("{}{}", story.usage, story.done);
    let begun = [&story.start, &story.content[0], &story.content[1], &story.finish]
        .map(String::as_str)
        .concat();
    let sent = begun.clone();
    let chaos = Chaos::start(Reading::Whole, move |_| {
        let late = [reply::chunk(rest.as_bytes()), reply::LAST_CHUNK.to_vec()].concat();
        let pause = Duration::from_millis(1500);
        vec![
            Step::send([reply::sse_head(), reply::chunk(sent.as_bytes())].concat()),
            Step::Drip { bytes: late[..1].to_vec().into(), pause },
            Step::send(late[1..].to_vec()),
        ]
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let got = router.ask(Dialect::Chat, "one/m", true);
    assert_eq!(got.text(), begun + &story.done);
    let row = router.wait_rows(1, &["output_tokens", "estimated"], "requests").remove(0);
    assert_eq!((&row["output_tokens"], &row["estimated"]), (&5.into(), &0.into()), "{row}");
}

/// Times that all threads of the process gave up the processor to wait.
fn waits(router: &Router) -> u64 {
    let tasks = format!("/proc/{}/task", router.pid().as_raw_nonzero());
    let of = |path: std::path::PathBuf| {
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    std::fs::read_dir(tasks).unwrap().map(|task| of(task.unwrap().path())).sum()
}

/// The official JavaScript SDK, and with it Gemini CLI, knows an error inside a stream by that.
#[test]
fn gemini_clients_get_the_error_alone_in_a_chunk_of_the_body() {
    let dialect = Dialect::Gem;
    let story = dialect.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let chaos = Chaos::start(Reading::Whole, move |_| {
        let all = [reply::sse_head(), reply::chunk(begun.as_bytes()), reply::LAST_CHUNK.to_vec()];
        vec![Step::send(all.concat())]
    })
    .unwrap();
    let router = Setup::new().upstream(dialect, "one", &chaos.url(dialect.base())).start();
    let mut conn = router.connect();
    let body = dialect.body("one/m", true);
    conn.send(&request("POST", &dialect.path("one/m", true), &[], body.as_bytes()));
    conn.head(false).unwrap();
    let mut chunks = Vec::new();
    while let Piece::Data(data) = conn.piece() {
        chunks.push(String::from_utf8(data).unwrap());
    }
    let bare: serde_json::Value = serde_json::from_str(&chunks.pop().unwrap()).unwrap();
    assert_eq!(bare["error"]["code"], 502, "{bare}");
    assert_eq!(chunks.pop().unwrap(), format!("data: {bare}\r\n\r\n"));
}

/// A keep-alive is due and may not be sent: that must not keep a timer spinning.
#[test]
fn a_stream_that_is_silent_in_the_middle_of_an_event_costs_nothing() {
    for dialect in [Dialect::Resp, Dialect::Anth, Dialect::Gem] {
        let story = dialect.story();
        let (half, rest) = story.content[1].split_at(story.content[1].len() / 2);
        let begun = format!("{}{}{half}", story.start, story.content[0]);
        let rest = format!("{rest}{}", story.finish);
        let chaos = Chaos::start(Reading::Whole, move |_| {
            let late = [reply::chunk(rest.as_bytes()), reply::LAST_CHUNK.to_vec()].concat();
            let pause = Duration::from_millis(1500);
            vec![
                Step::send([reply::sse_head(), reply::chunk(begun.as_bytes())].concat()),
                Step::Drip { bytes: late[..1].to_vec().into(), pause },
                Step::send(late[1..].to_vec()),
            ]
        })
        .unwrap();
        let router = Setup::new()
            .setting("timeouts.keep_alive_ms", 100)
            .upstream(dialect, "one", &chaos.url(dialect.base()))
            .start();
        let mut conn = router.connect();
        let body = dialect.body("one/m", true);
        conn.send(&request("POST", &dialect.path("one/m", true), &[], body.as_bytes()));
        conn.head(false).unwrap();
        conn.read_to("Hé".as_bytes());
        let before = waits(&router);
        while let Piece::Data(_) = conn.piece() {}
        let woken = waits(&router) - before;
        assert!(woken < 500, "{dialect:?}: woken {woken} times in 1.5 s of silence");
    }
}

/// Bytes that are no content keep the transport's limit away and the content's limit running.
#[test]
fn a_trickle_is_judged_by_its_content() {
    for dialect in Dialect::ALL {
        let story = dialect.story();
        let begun = format!("{}{}", story.start, story.content[0]);
        let chaos = Chaos::start(Reading::Whole, move |_| {
            let first = [reply::sse_head(), reply::chunk(begun.as_bytes())].concat();
            [vec![Step::send(first)], pings()].concat()
        })
        .unwrap();
        let router = Setup::new()
            .setting("timeouts.stream_idle_ms", 1000)
            .setting("timeouts.content_idle_ms", 2500)
            .upstream(dialect, "one", &chaos.url(dialect.base()))
            .start();
        let start = now();
        let got = router.ask(dialect, "one/m", true);
        assert!(!got.complete, "{dialect:?} {}", got.brief());
        assert!(got.text().contains("no content for too long"), "{dialect:?} {}", got.brief());
        assert!(start.elapsed() > Duration::from_millis(2400), "{:?}", start.elapsed());
        let row = router.wait_rows(1, &["error_code", "incomplete"], "requests").remove(0);
        assert_eq!(row["error_code"], "stream_idle_timeout", "{row}");
        assert!(chaos.wait_gone(1, PATIENCE));
    }
}

/// The same limit where a stream came although a whole answer was asked for.
#[test]
fn a_trickle_that_is_gathered_is_judged_by_its_content() {
    for dialect in Dialect::ALL {
        let story = dialect.story();
        let begun = format!("{}{}", story.start, story.content[0]);
        let chaos = Chaos::start(Reading::Whole, move |_| {
            let first = [reply::sse_head(), reply::chunk(begun.as_bytes())].concat();
            [vec![Step::send(first)], pings()].concat()
        })
        .unwrap();
        let router = Setup::new()
            .setting("timeouts.stream_idle_ms", 1000)
            .setting("timeouts.content_idle_ms", 2500)
            .upstream(dialect, "one", &chaos.url(dialect.base()))
            .start();
        let got = router.ask(dialect, "one/m", false);
        assert_eq!(got.status, 504, "{dialect:?} {}", got.brief());
        let row = router.wait_rows(1, &["error_code", "status"], "requests").remove(0);
        assert_eq!(row["error_code"], "upstream_timeout", "{row}");
        assert!(chaos.wait_gone(1, PATIENCE));
    }
}

/// While the client takes nothing, no limit of the upstream runs (security §26).
#[test]
fn a_slow_reader_is_not_the_upstreams_fault() {
    // Megabytes that are no content: nothing that is read after the stall excuses it.
    let noise = reply::chunk(format!(": {}\n\n", "x".repeat(500)).repeat(100).as_bytes());
    let story = Dialect::Chat.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let end = reply::chunk(format!("{}{}", story.finish, story.done).as_bytes());
    let chaos = Chaos::start(Reading::Whole, move |_| {
        let ping = reply::chunk(b": ping\n\n");
        vec![
            Step::send([reply::sse_head(), reply::chunk(begun.as_bytes())].concat()),
            Step::Repeat { bytes: noise.clone().into(), times: 600 },
            // A look at the limits, then the rest.
            Step::send(ping.clone()),
            Step::Drip { bytes: ping[..1].to_vec().into(), pause: Duration::from_millis(300) },
            Step::send(ping[1..].to_vec()),
            Step::send([end.clone(), reply::LAST_CHUNK.to_vec()].concat()),
        ]
    })
    .unwrap();
    let router = Setup::new()
        .setting("timeouts.stream_idle_ms", 1500)
        .setting("timeouts.content_idle_ms", 1500)
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .start();
    let mut conn = router.connect();
    let body = Dialect::Chat.body("one/m", true);
    conn.send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
    assert_eq!(conn.head(false).unwrap().status, 200);
    let mut last = (0, now());
    until(PATIENCE, "nothing moves for longer than the limits", || {
        let written = chaos.written();
        if written != last.0 {
            last = (written, now());
        }
        (last.1.elapsed() > Duration::from_millis(2000)).then_some(())
    });
    let mut last_piece = Vec::new();
    let end = loop {
        match conn.piece() {
            Piece::Data(data) => last_piece = data,
            end => break end,
        }
    };
    assert_eq!((end, last_piece.ends_with(b"[DONE]\n\n")), (Piece::End, true));
}
