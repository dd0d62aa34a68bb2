//! The time a request may take: the combo's `deadline_ms`, the router's total, the client's own wish
//! (security §17, accounts §6.4), and the end of the drain.

use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use rustix::process::Signal;
use serde_json::Value;

use crate::check;
use crate::support::client::request;
use crate::support::{Dialect, PATIENCE, Piece, Reply, Router, Setup, for_all, until};

/// Who sets the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Combo,
    Total,
    Client,
}

/// Where the upstream is slow, whatever else it does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slow {
    Connect,
    /// It does not read the request.
    Send,
    Head,
    /// Streams: comments. Whole answers: byte after byte.
    Body,
}

const SLOW: [Slow; 4] = [Slow::Connect, Slow::Send, Slow::Head, Slow::Body];

/// Longer than every socket buffer.
const LARGE: usize = 20 << 20;

/// A listener whose queue is full drops every further SYN.
struct BlackHole {
    url: String,
    _listener: std::net::TcpListener,
    _filled: Vec<std::net::TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(200);
        let connect = |_| std::net::TcpStream::connect_timeout(&address, short).ok();
        let filled = (0..4).filter_map(connect).collect();
        Self { url: format!("http://{address}"), _listener: listener, _filled: filled }
    }
}

fn trickle(stream: bool) -> Vec<Step> {
    let (head, bytes) = if stream {
        (reply::sse_head(), reply::chunk(b": hi\n\n").repeat(2000))
    } else {
        let head =
            reply::head(200, &[("content-type", "application/json"), ("content-length", "9999")]);
        (head, b" ".repeat(9999))
    };
    vec![
        Step::send(head),
        Step::Drip { bytes: bytes.into(), pause: Duration::from_millis(20) },
        Step::AwaitClient,
    ]
}

/// An upstream that is slow in the given way, and its URL.
fn upstream(slow: Slow, stream: bool, hole: &BlackHole) -> (Option<Chaos>, String) {
    let (reading, steps) = match slow {
        Slow::Connect => return (None, hole.url.clone()),
        // Only connections are accepted.
        Slow::Send => (Reading::Nothing, vec![Step::Hold]),
        Slow::Head => (Reading::Whole, vec![Step::AwaitClient]),
        Slow::Body => (Reading::Whole, trickle(stream)),
    };
    let chaos = Chaos::start(reading, move |_| steps.clone()).unwrap();
    let url = chaos.url("");
    (Some(chaos), url)
}

fn body(dialect: Dialect, model: &str, stream: bool, slow: Slow) -> String {
    match slow {
        Slow::Send => {
            let padding = "x".repeat(LARGE);
            dialect.body_with(model, stream, &format!(",\"padding\":\"{padding}\""))
        }
        Slow::Connect | Slow::Head | Slow::Body => dialect.body(model, stream),
    }
}

fn is_timeout(dialect: Dialect, got: &Reply) -> Result<(), String> {
    check!(got.status == 504, "{}", got.brief());
    let message = dialect.error_message(got)?;
    check!(message.contains("within the request's limit"), "{message}");
    let code = dialect.error_code(got);
    check!(code.is_none_or(|code| code == "upstream_timeout"), "{}", got.brief());
    Ok(())
}

#[test]
fn the_limit_cuts_connect_send_head_and_body_in_every_dialect() {
    let hole = BlackHole::new();
    let healthy = Chaos::always(reply::json(200, "{}")).unwrap();
    let mut cases = Vec::new();
    let (mut combos, mut plain) = (Setup::new(), Setup::new());
    for dialect in Dialect::ALL {
        let good = format!("good{}", dialect.name());
        combos = combos.upstream(dialect, &good, &healthy.url(dialect.base()));
        for stream in [false, true] {
            // Megabytes that nobody takes are the same in each format.
            let slow = SLOW.iter().filter(|s| **s != Slow::Send || dialect == Dialect::Chat);
            for slow in slow.copied() {
                let (chaos, url) = upstream(slow, stream, &hole);
                let (prefix, url) =
                    (format!("n{}", cases.len()), format!("{url}{}", dialect.base()));
                combos = combos.upstream(dialect, &prefix, &url).toml(&format!(
                    "[[combos]]\nname = \"c{prefix}\"\nstrategy = \"fallback\"\ndeadline_ms = 400\n\
                     entries = [\"{prefix}/m\", \"{good}/m\"]\n"
                ));
                plain = plain.upstream(dialect, &prefix, &url);
                cases.push((dialect, stream, slow, prefix, chaos));
            }
        }
    }
    let combos = combos.start();
    let plain = plain.setting("timeouts.request_total_ms", 400).start();
    for_all(&cases, 8, |(dialect, stream, slow, prefix, chaos)| {
        for limit in [Limit::Combo, Limit::Total, Limit::Client] {
            let what = format!("{dialect:?} stream: {stream} {slow:?} {limit:?}");
            let (router, model, headers) = match limit {
                Limit::Combo => (&combos, format!("c{prefix}"), vec![]),
                Limit::Total => (&plain, format!("{prefix}/m"), vec![]),
                Limit::Client => {
                    (&combos, format!("{prefix}/m"), vec![("x-request-timeout-ms", "300")])
                }
            };
            let before = chaos.as_ref().map_or(0, Chaos::gone);
            let body = body(*dialect, &model, *stream, *slow);
            let path = dialect.path(&model, *stream);
            let got = router.send("POST", &path, &headers, body.as_bytes());
            is_timeout(*dialect, &got).map_err(|why| format!("{what}: {why}"))?;
            if let Some(chaos) = chaos {
                let closed = chaos.wait_gone(before + 1, PATIENCE);
                // A script that reads nothing sees no end.
                check!(closed || *slow == Slow::Send, "{what}: the upstream is still open");
            }
        }
        Ok(())
    });
    assert!(healthy.requests().is_empty(), "no time was left for the second entry");
}

#[test]
fn the_clients_own_limit_is_nobodys_fault_and_the_operators_is() {
    let silent = || Chaos::start(Reading::Whole, |_| vec![Step::AwaitClient]).unwrap();
    let (one, two) = (silent(), silent());
    let router = Setup::new()
        .upstream(Dialect::Chat, "one", &one.url("/v1"))
        .upstream(Dialect::Chat, "two", &two.url("/v1"))
        .toml("[[combos]]\nname = \"stack\"\nstrategy = \"fallback\"\nentries = [\"two/m\"]\ndeadline_ms = 200\n")
        .start();
    let ask = |model: &str, headers: &[(&str, &str)]| {
        let body = Dialect::Chat.body(model, false);
        let got = router.send("POST", "/v1/chat/completions", headers, body.as_bytes());
        assert_eq!(got.status, 504, "{}", got.brief());
    };
    // Two transient failures within a minute set a lock, five open the breaker.
    for _ in 0..8 {
        ask("one/m", &[("x-request-timeout-ms", "100")]);
    }
    assert_eq!(one.requests().len(), 8);
    let (mine, other) = ("a.label = 'one'", "a.label = 'two'");
    let locks = |whose: &str| {
        let from = format!("account_locks l JOIN accounts a ON a.id = l.account_id WHERE {whose}");
        router.rows(&["l.scope"], &from)
    };
    let rows = router.wait_rows(8, &["status", "http_status", "error_code"], "requests");
    assert!(rows.iter().all(|r| r["http_status"] == 504 && r["status"] == "error"), "{rows:?}");
    assert!(rows.iter().all(|r| r["error_code"] == "upstream_timeout"), "{rows:?}");
    for _ in 0..2 {
        ask("stack", &[]);
    }
    until(PATIENCE, "the account that was too slow for its operator is locked", || {
        (!locks(other).is_empty()).then_some(())
    });
    assert!(locks(mine).is_empty(), "{:?}", locks(mine));
}

#[test]
fn the_limit_ends_the_wait_for_a_place() {
    let chaos = Chaos::start(Reading::Whole, |_| vec![Step::AwaitClient]).unwrap();
    for dialect in Dialect::ALL {
        let router = Setup::new()
            .node(dialect, "one", &chaos.url(dialect.base()))
            .account_with("one", "a", "max_concurrent = 1")
            .start();
        let before = chaos.requests().len();
        let mut first = router.connect();
        let body = dialect.body("one/m", false);
        let path = dialect.path("one/m", false);
        first.send(&request("POST", &path, &[], body.as_bytes()));
        assert!(chaos.wait_requests(before + 1, PATIENCE));
        let headers = [("x-request-timeout-ms", "300")];
        let got = router.send("POST", &path, &headers, body.as_bytes());
        is_timeout(dialect, &got).unwrap();
        assert_eq!(chaos.requests().len(), before + 1);
    }
}

#[test]
fn after_an_early_head_the_failure_is_an_event_and_the_row_tells_the_truth() {
    for dialect in Dialect::ALL {
        let chaos = Chaos::start(Reading::Whole, |_| vec![Step::AwaitClient]).unwrap();
        let router = Setup::new()
            .setting("timeouts.early_head_ms", 50)
            .setting("timeouts.keep_alive_ms", 100)
            .upstream(dialect, "one", &chaos.url(dialect.base()))
            .start();
        let mut conn = router.connect();
        let body = dialect.body("one/m", true);
        let headers = [("x-request-timeout-ms", "500")];
        conn.send(&request("POST", &dialect.path("one/m", true), &headers, body.as_bytes()));
        let got = conn.reply(false).unwrap();
        assert_eq!(got.status, 200, "{}", got.brief());
        assert!(!got.complete, "{dialect:?} looks complete: {}", got.brief());
        let text = got.text();
        assert!(text.starts_with(dialect.keep_alive(false)), "{dialect:?} {text:?}");
        assert!(text.contains(dialect.stream_error_mark()), "{dialect:?} {text:?}");
        assert!(text.contains("within the request's limit"), "{dialect:?} {text:?}");
        let columns = ["status", "http_status", "error_code", "provider", "bytes_out"];
        let row = router.wait_rows(1, &columns, "requests").remove(0);
        assert_eq!((&row["status"], &row["http_status"]), (&"error".into(), &504.into()), "{row}");
        assert_eq!(row["error_code"], "upstream_timeout");
        assert_eq!(row["bytes_out"], got.body.len(), "{row}");
    }
}

#[test]
fn requests_without_content_are_told_when_the_drain_ends() {
    let chaos = Chaos::start(Reading::Whole, |_| vec![Step::AwaitClient]).unwrap();
    let mut router = Setup::new()
        .env("NINEROUTER_DRAIN_SECONDS", "1")
        .setting("timeouts.early_head_ms", 100)
        .node(Dialect::Anth, "one", &chaos.url("/v1"))
        .account_with("one", "a", "max_concurrent = 1")
        .start();
    let send = |router: &Router, stream| {
        let mut conn = router.connect();
        let body = Dialect::Anth.body("one/m", stream);
        conn.send(&request("POST", "/v1/messages", &[], body.as_bytes()));
        conn
    };
    let mut asking = send(&router, false);
    assert!(chaos.wait_requests(1, PATIENCE));
    // Both wait for the place; the second has its head already.
    let mut waiting = send(&router, false);
    let mut early = send(&router, true);
    assert_eq!(early.head(false).unwrap().status, 200);
    router.signal(Signal::TERM);
    for conn in [&mut asking, &mut waiting] {
        let got = conn.reply(false).expect("an answer, not a cut");
        assert_eq!(got.status, 503, "{}", got.brief());
        assert_eq!(got.header("connection"), Some("close"));
        assert!(got.text().contains("shutting down"), "{}", got.brief());
    }
    let mut text = String::new();
    let end = loop {
        match early.piece() {
            Piece::Data(data) => text += &String::from_utf8(data).unwrap(),
            end => break end,
        }
    };
    assert_eq!(end, Piece::Cut);
    assert!(text.contains("event: error") && text.contains("shutting down"), "{text:?}");
    assert_eq!(router.wait(PATIENCE).code(), Some(0), "{}", router.output());
    let rows = router.rows(&["http_status", "error_code"], "requests");
    let all_told = |r: &Value| r["http_status"] == 503 && r["error_code"] == "shutting_down";
    assert!(rows.len() == 3 && rows.iter().all(all_told), "{rows:?}");
}
