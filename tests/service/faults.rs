//! The fault table of security §23: every line at upstream A of a combo [A, B].

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};

use crate::check;
use crate::support::client::request;
use crate::support::closed::ClosedPort;
use crate::support::tls::{Authority, Flaw};
use crate::support::{Dialect, PATIENCE, Piece, Reply, Router, Setup, for_all, now, until};

/// What the client must see.
enum Want {
    /// B's answer, whole, and A was asked.
    FromB,
    /// A's bytes as they are.
    FromA(Vec<u8>),
    /// A's answer, in the form that the client asked for.
    Adapted,
    /// A's content, then the dialect's error event, then a cut; B is not asked.
    Broken,
    /// B's answer, or a cut: what is held back before content has its limit, and beyond it A is
    /// committed to.
    NotEnded,
}

/// Where A is.
enum Place {
    Chaos(Reading, Vec<Step>),
    /// An `https` address on which somebody speaks plain HTTP.
    PlainBehindHttps,
    /// Nobody listens.
    Refused,
    Url(String),
}

struct Fault {
    name: &'static str,
    place: Place,
    want: Want,
}

struct Case {
    dialect: Dialect,
    stream: bool,
    fault: Fault,
    upstream: Option<Chaos>,
}

impl Case {
    fn name(&self) -> String {
        let mode = if self.stream { "stream" } else { "whole" };
        format!("{} {} {mode}", self.fault.name, self.dialect.name())
    }
}

fn steps(name: &'static str, want: Want, steps: Vec<Step>) -> Fault {
    reading(name, Reading::Whole, want, steps)
}

fn reading(name: &'static str, reading: Reading, want: Want, steps: Vec<Step>) -> Fault {
    Fault { name, place: Place::Chaos(reading, steps), want }
}

fn sends(name: &'static str, want: Want, bytes: impl Into<Vec<u8>>) -> Fault {
    steps(name, want, vec![Step::send(bytes.into()), Step::Close])
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Transport and framing faults, which look the same in each mode.
fn transport(dialect: Dialect, stream: bool) -> Vec<Fault> {
    let good = good(dialect, stream);
    let body = body(dialect, stream);
    let kind = if stream { "text/event-stream" } else { "application/json" };
    let whole = |headers: &[(&str, &str)], body: &[u8]| {
        reply::whole(200, &[&[("content-type", kind)], headers].concat(), body)
    };
    let head = |lines: usize| {
        let names: Vec<_> = (0..lines).map(|n| format!("x-{n}")).collect();
        let lines: Vec<_> = names.iter().map(|n| (n.as_str(), "1")).collect();
        whole(&lines, &body)
    };
    let raw = |status_line: &str| format!("{status_line}\r\ncontent-length: 2\r\n\r\n{{}}");
    let chunked = |framed: &str| {
        let head = reply::head(200, &[("content-type", kind), ("transfer-encoding", "chunked")]);
        [head, framed.as_bytes().to_vec()].concat()
    };
    let long = (body.len() + 1000).to_string();
    let short_body = reply::head(200, &[("content-type", kind), ("content-length", &long)]);
    let mut corrupt = gzip(&body);
    let middle = corrupt.len() / 2;
    corrupt[middle..].fill(0xff);
    let bomb = gzip(&vec![b' '; 100 << 20]);
    let no_wait = |bytes: Vec<u8>| vec![Step::send(bytes), Step::AwaitClient];
    vec![
        Fault { name: "F01 refused", place: Place::Refused, want: Want::FromB },
        Fault {
            name: "F03 no such name",
            place: Place::Url("http://no-such-host.invalid:8080".into()),
            want: Want::FromB,
        },
        Fault {
            name: "F04 TLS to a plain port",
            place: Place::PlainBehindHttps,
            want: Want::FromB,
        },
        steps("F05 never answers", Want::FromB, vec![Step::AwaitClient]),
        steps(
            "F06 head byte by byte",
            Want::FromB,
            vec![Step::Drip { bytes: good.clone().into(), pause: Duration::from_millis(100) }],
        ),
        steps(
            "F07 endless headers",
            Want::FromB,
            vec![
                Step::send("HTTP/1.1 200 OK\r\n"),
                Step::Repeat { bytes: "x-endless: 1\r\n".repeat(1000).into(), times: 1000 },
            ],
        ),
        steps(
            "F07 one header of 1 MiB",
            Want::FromB,
            vec![
                Step::send("HTTP/1.1 200 OK\r\nx-large: "),
                Step::Repeat { bytes: vec![b'a'; 1 << 20].into(), times: 1 },
                Step::send("\r\ncontent-length: 2\r\n\r\n{}"),
            ],
        ),
        sends("F08 200 header lines", Want::FromB, head(200)),
        sends("F09 status 99", Want::FromB, raw("HTTP/1.1 99 Odd")),
        sends("F09 status 600", Want::FromB, raw("HTTP/1.1 600 Odd")),
        sends("F09 final 103", Want::FromB, raw("HTTP/1.1 103 Early Hints")),
        sends("F09 final 100", Want::FromB, raw("HTTP/1.1 100 Continue")),
        sends("F09 garbage status line", Want::FromB, raw("HTTP/1.1 two hundred")),
        sends("F10 HTTP/0.9", Want::FromB, "<html>hi</html>"),
        sends("F10 TLS alert", Want::FromB, b"\x15\x03\x03\x00\x02\x02\x28".to_vec()),
        sends("F11 nothing of the declared body", Want::FromB, short_body),
        steps(
            "F12 more bytes than declared",
            Want::FromA(body.clone()),
            vec![Step::send([whole(&[], &body), b"surplus".to_vec()].concat())],
        ),
        sends("F13 chunk size is no number", Want::FromB, chunked("zz\r\n{}\r\n0\r\n\r\n")),
        sends("F13 negative chunk size", Want::FromB, chunked("-5\r\n{}\r\n0\r\n\r\n")),
        sends("F13 chunk size of 2^64", Want::FromB, chunked("10000000000000000\r\n{}\r\n")),
        sends("F13 no terminator, no body", Want::FromB, chunked("")),
        sends(
            "F15 gzip label on plain text",
            Want::FromB,
            whole(&[("content-encoding", "gzip")], &body),
        ),
        sends("F15 corrupt gzip", Want::FromB, whole(&[("content-encoding", "gzip")], &corrupt)),
        sends(
            "F15 gzip bomb",
            if stream { Want::NotEnded } else { Want::FromB },
            whole(&[("content-encoding", "gzip")], &bomb),
        ),
        sends(
            "F15 stack of codings",
            Want::FromB,
            whole(&[("content-encoding", "deflate, gzip")], &body),
        ),
        sends(
            "F15 honest gzip",
            Want::FromA(body.clone()),
            whole(&[("content-encoding", "gzip")], &gzip(&body)),
        ),
        sends(
            "F16 HTML",
            Want::FromB,
            reply::whole(
                200,
                &[("content-type", "text/html")],
                b"<!doctype html><html><title>Sign in</title></html>",
            ),
        ),
        sends(
            "F16 HTML that claims to be JSON",
            Want::FromB,
            reply::json(200, "<html><title>Sign in</title></html>"),
        ),
        sends("F17 error object in 200", Want::FromB, reply::json(200, &server_error(dialect))),
        sends("F18 empty body", Want::FromB, whole(&[], b"")),
        sends("F18 null", Want::FromB, reply::json(200, "null")),
        sends("F18 empty list", Want::FromB, reply::json(200, "[]")),
        sends("F18 a string", Want::FromB, reply::json(200, "\"text\"")),
        sends(
            "F18 neither length nor chunks",
            Want::FromB,
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(),
        ),
        sends("F19 204", Want::FromB, reply::head(204, &[])),
        sends("F26 500", Want::FromB, reply::json(500, &server_error(dialect))),
        sends(
            "F26 502 HTML",
            Want::FromB,
            reply::whole(502, &[("content-type", "text/html")], b"<html>bad gateway</html>"),
        ),
        sends("F26 503 empty", Want::FromB, reply::whole(503, &[], b"")),
        sends("F26 529", Want::FromB, reply::json(529, &overloaded(dialect))),
        steps("F28 reset on a fresh connection", Want::FromB, vec![Step::Reset]),
        reading(
            "F28 reset before the request is read",
            Reading::Nothing,
            Want::FromB,
            vec![Step::Reset],
        ),
        reading(
            "F28 close before the request is read",
            Reading::Nothing,
            Want::FromB,
            vec![Step::Close],
        ),
        steps(
            "F30 reset after the head",
            Want::FromB,
            vec![
                Step::send(reply::head(
                    200,
                    &[("content-type", kind), ("transfer-encoding", "chunked")],
                )),
                Step::Reset,
            ],
        ),
        steps(
            "silence after the head",
            Want::FromB,
            no_wait(reply::head(200, &[("content-type", kind), ("transfer-encoding", "chunked")])),
        ),
        sends(
            "F70 header that breaks out",
            Want::FromA(body.clone()),
            whole(&[("x-request-id", "a\r\nset-cookie: b=c")], &body),
        ),
        steps(
            "F35 one byte at a time",
            Want::FromA(body.clone()),
            vec![Step::Pieces { bytes: good.clone().into(), size: 1 }],
        ),
        sends("96 header lines", Want::FromA(body.clone()), head(90)),
    ]
}

/// Faults inside a stream of events.
fn streaming(dialect: Dialect) -> Vec<Fault> {
    let story = dialect.story();
    let begun = format!("{}{}", story.start, story.content[0]);
    let sse = |events: &str| [reply::sse_head(), reply::chunk(events.as_bytes())].concat();
    let then = |events: &str, end: Step| vec![Step::send(sse(events)), end];
    let ended = |events: &str| vec![Step::send(reply::sse(events.as_bytes()))];
    let ping = match dialect {
        Dialect::Anth => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        Dialect::Chat | Dialect::Resp | Dialect::Gem => ": ping\n\n",
    };
    let ping_steps = |first: &str| {
        let mut all = vec![Step::send(sse(first))];
        let one = reply::chunk(ping.as_bytes());
        for _ in 0..200 {
            // A pause without a byte, then the ping at once.
            all.push(Step::Drip {
                bytes: one[..1].to_vec().into(),
                pause: Duration::from_millis(60),
            });
            all.push(Step::send(one[1..].to_vec()));
        }
        all.push(Step::AwaitClient);
        all
    };
    vec![
        steps("F31 reset after content", Want::Broken, then(&begun, Step::Reset)),
        steps("F32 clean end without a terminal event", Want::Broken, ended(&begun)),
        steps("F32 close without the last chunk", Want::Broken, then(&begun, Step::Close)),
        steps("F11 short of the declared length after content", Want::Broken, {
            let head = reply::head(
                200,
                &[("content-type", "text/event-stream"), ("content-length", "100000")],
            );
            vec![Step::send([head, begun.as_bytes().to_vec()].concat()), Step::Close]
        }),
        steps(
            "F13 bad chunk after content",
            Want::Broken,
            vec![Step::send([sse(&begun), b"zz\r\n".to_vec()].concat()), Step::Close],
        ),
        steps("F33 idle after content", Want::Broken, then(&begun, Step::AwaitClient)),
        steps("F34 only pings after content", Want::Broken, ping_steps(&begun)),
        steps("F34 only pings, no content", Want::FromB, ping_steps(&story.start)),
        steps("clean end after the start", Want::FromB, ended(&story.start)),
        steps("reset after the start", Want::FromB, then(&story.start, Step::Reset)),
        steps("comments alone", Want::FromB, ended(": hi\n\n: ho\n\n")),
        steps(
            "F36 half an event, then the end",
            Want::FromB,
            ended(&story.content[1][..story.content[1].len() / 2]),
        ),
        steps(
            "T132 last event without its blank line",
            Want::FromA(trimmed(dialect)),
            vec![Step::send(reply::sse(&trimmed(dialect)))],
        ),
        sends(
            "JSON where a stream was asked for",
            Want::Adapted,
            reply::json(200, &dialect.answer()),
        ),
        sends(
            "a large JSON where a stream was asked for",
            Want::Adapted,
            reply::json(200, &format!("{}{}", dialect.answer(), " ".repeat(1 << 20))),
        ),
        sends(
            "one line of JSON that claims to be a stream",
            Want::Adapted,
            reply::sse(dialect.answer().as_bytes()),
        ),
        sends(
            "lines of JSON that claim to be a stream",
            Want::FromB,
            reply::sse(story.content.concat().replace("data:", "").as_bytes()),
        ),
        steps("no last chunk after the terminal event", Want::FromA(story.without_usage()), {
            let all = String::from_utf8(story.without_usage()).unwrap();
            then(&all, Step::Close)
        }),
    ]
}

/// Faults inside a whole body.
fn whole_body(dialect: Dialect) -> Vec<Fault> {
    let answer = dialect.answer();
    let cut = &answer[..answer.len() - 10];
    let empty = match dialect {
        Dialect::Chat => {
            r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#
        }
        Dialect::Resp => r#"{"id":"resp_1","object":"response","status":"completed","output":[]}"#,
        Dialect::Anth => {
            r#"{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":"end_turn"}"#
        }
        Dialect::Gem => {
            r#"{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP"}]}"#
        }
    };
    let length = answer.len().to_string();
    let head =
        reply::head(200, &[("content-type", "application/json"), ("content-length", &length)]);
    let begun = [&head, cut.as_bytes()].concat();
    vec![
        sends("F11 short of the declared length", Want::FromB, begun.clone()),
        steps(
            "F31 reset inside the body",
            Want::FromB,
            vec![Step::send(begun.clone()), Step::Reset],
        ),
        steps("F33 stall inside the body", Want::FromB, vec![Step::send(begun), Step::AwaitClient]),
        sends("body that is no JSON", Want::FromB, reply::json(200, cut)),
        sends(
            "chunked without the last chunk, JSON cut",
            Want::FromB,
            [
                reply::head(
                    200,
                    &[("content-type", "application/json"), ("transfer-encoding", "chunked")],
                ),
                reply::chunk(cut.as_bytes()),
            ]
            .concat(),
        ),
        sends("answer without content", Want::FromB, reply::json(200, empty)),
        steps(
            "stream where a whole answer was asked for",
            // Gemini's streams have no last event: one that does not end is not whole.
            if dialect == Dialect::Gem { Want::FromB } else { Want::Adapted },
            vec![
                Step::send(
                    [reply::sse_head(), reply::chunk(&dialect.story().without_usage())].concat(),
                ),
                Step::AwaitClient,
            ],
        ),
        sends(
            "stream that claims to be JSON",
            Want::Adapted,
            reply::whole(
                200,
                &[("content-type", "application/json")],
                &dialect.story().without_usage(),
            ),
        ),
        sends(
            "whole answer that claims to be a stream",
            Want::FromA(answer.clone().into()),
            reply::sse(answer.as_bytes()),
        ),
        steps(
            "HTTP/1.0 to the end, in pieces",
            Want::FromA(answer.clone().into()),
            late_body("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n", &answer),
        ),
        // F14: the smuggling shape is taken as chunked; the connection is not used again.
        steps(
            "F14 length and chunks, in pieces",
            Want::FromA(answer.clone().into()),
            late_body(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\
                 transfer-encoding: chunked\r\n\r\n",
                &format!("{:x}\r\n{answer}\r\n0\r\n\r\n", answer.len()),
            ),
        ),
    ]
}

/// The head, and some time later the body: what is decided at the head must not harm it.
fn late_body(head: &str, body: &str) -> Vec<Step> {
    let (first, rest) = body.as_bytes().split_at(1);
    let pause = Duration::from_millis(50);
    vec![
        Step::send(head.to_owned()),
        Step::Drip { bytes: first.to_vec().into(), pause },
        Step::Drip { bytes: rest[..1].to_vec().into(), pause },
        Step::send(rest[1..].to_vec()),
        Step::Close,
    ]
}

/// The story without the blank line that ends its last event.
fn trimmed(dialect: Dialect) -> Vec<u8> {
    let all = String::from_utf8(dialect.story().without_usage()).unwrap();
    all.trim_end().into()
}

fn server_error(dialect: Dialect) -> String {
    let kind = if dialect == Dialect::Gem { "INTERNAL" } else { "server_error" };
    dialect.error(500, kind, "internal_error", "boom")
}

fn overloaded(dialect: Dialect) -> String {
    let kind = if dialect == Dialect::Gem { "UNAVAILABLE" } else { "overloaded_error" };
    dialect.error(529, kind, "overloaded", "Overloaded")
}

fn body(dialect: Dialect, stream: bool) -> Vec<u8> {
    if stream { dialect.story().without_usage() } else { dialect.answer().into_bytes() }
}

fn good(dialect: Dialect, stream: bool) -> Vec<u8> {
    if stream { reply::sse(&body(dialect, true)) } else { reply::json(200, &dialect.answer()) }
}

/// All faults against one router; every case has a node and a combo of its own.
/// T-RES-11 (F07), T-RES-14 (F15), T-BUG-05 and T-BUG-06 (F30 to F36), T-HDR-02 (F70).
#[test]
fn faults_before_content_move_on_and_faults_after_it_are_told() {
    let mut cases = Vec::new();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let more = if stream { streaming(dialect) } else { whole_body(dialect) };
            for fault in transport(dialect, stream).into_iter().chain(more) {
                cases.push(Case { dialect, stream, fault, upstream: None });
            }
        }
    }
    let refused = ClosedPort::new();
    let (router, healthy) = start(&mut cases, &refused);
    let asked_before = healthy.requests().len();
    assert_eq!(asked_before, 0);
    for_all(&cases, 8, |case| {
        let at = cases.iter().position(|c| std::ptr::eq(c, case)).unwrap();
        let got = router.ask(case.dialect, &format!("c{at}"), case.stream);
        judge(case, &got).map_err(|why| {
            let from = format!(
                "attempts a JOIN requests r ON r.id = a.request_id \
                WHERE r.requested_model = 'c{at}'"
            );
            let attempts = router.wait_rows(1, &["target", "a.class", "message"], &from);
            format!("{}: {why}\n    {attempts:?}", case.name())
        })
    });
    // Whatever happened, nothing is left behind.
    assert_eq!(router.get("/healthz").status, 200);
    assert!(resident_mib(&router) < 200, "{} MiB", resident_mib(&router));
}

fn start(cases: &mut [Case], refused: &ClosedPort) -> (Router, Chaos) {
    let healthy = Chaos::start(Reading::Whole, |request| {
        let target = request.target();
        let dialect = match target.as_str() {
            t if t.contains("/chat/") => Dialect::Chat,
            t if t.contains("/responses") => Dialect::Resp,
            t if t.contains("/messages") => Dialect::Anth,
            _ => Dialect::Gem,
        };
        let body = String::from_utf8_lossy(&request.body);
        let stream = body.contains("\"stream\" : true") || target.contains(":stream");
        vec![Step::send(good(dialect, stream))]
    })
    .unwrap();
    let mut setup = Setup::new()
        .setting("timeouts.connect_ms", 1500)
        .setting("timeouts.resolve_ms", 1500)
        .setting("timeouts.head_ms", 1500)
        .setting("timeouts.head_stream_ms", 1500)
        .setting("timeouts.first_content_ms", 2000)
        .setting("timeouts.stream_idle_ms", 1500)
        .setting("timeouts.content_idle_ms", 3000);
    for dialect in Dialect::ALL {
        setup =
            setup.upstream(dialect, &format!("b{}", dialect.name()), &healthy.url(dialect.base()));
    }
    for (at, case) in cases.iter_mut().enumerate() {
        let unused = || Place::Url(String::new());
        let url = match std::mem::replace(&mut case.fault.place, unused()) {
            Place::Url(url) => url,
            Place::Refused => refused.url(),
            Place::PlainBehindHttps => {
                let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                let steps = vec![Step::send(refusal), Step::Close];
                let chaos = Chaos::start(Reading::Nothing, move |_| steps.clone()).unwrap();
                let url = format!("https://{}", chaos.address());
                case.upstream = Some(chaos);
                url
            }
            Place::Chaos(reading, steps) => {
                let chaos = Chaos::start(reading, move |_| steps.clone()).unwrap();
                let url = chaos.url("");
                case.upstream = Some(chaos);
                url
            }
        };
        let (dialect, prefix) = (case.dialect, format!("a{at}"));
        setup = setup
            .upstream(dialect, &prefix, &format!("{url}{}", dialect.base()))
            .combo(&format!("c{at}"), &[&format!("{prefix}/m"), &format!("b{}/m", dialect.name())]);
    }
    (setup.start(), healthy)
}

fn judge(case: &Case, got: &Reply) -> Result<(), String> {
    let dialect = case.dialect;
    let served = got.header("x-ninerouter-model").unwrap_or_default().to_owned();
    check!(got.status == 200, "{}", got.brief());
    check!(got.header("set-cookie").is_none(), "a cookie of the upstream came through");
    if let Some(chaos) = &case.upstream {
        check!(chaos.connections() > 0, "A was never asked");
    }
    match &case.fault.want {
        Want::NotEnded => {
            let by_b = served == format!("b{}/m", dialect.name());
            check!(by_b || !got.complete, "bytes of A with a proper end: {}", got.brief());
        }
        Want::FromB => {
            let want = body(dialect, case.stream);
            check!(served == format!("b{}/m", dialect.name()), "served by {served}");
            check!(got.body == want && got.complete, "not B's answer: {}", got.brief());
        }
        Want::FromA(want) => {
            check!(served.starts_with('a'), "served by {served}: {}", got.brief());
            check!(got.body == *want && got.complete, "not A's bytes: {}", got.brief());
        }
        Want::Adapted => {
            check!(served.starts_with('a'), "served by {served}: {}", got.brief());
            check!(got.complete && got.text().contains("llo"), "not A's answer: {}", got.brief());
            let is_stream =
                got.header("content-type").is_some_and(|kind| kind.contains("event-stream"));
            check!(is_stream == case.stream, "not in the form asked for: {}", got.brief());
        }
        Want::Broken => {
            let story = dialect.story();
            let begun = format!("{}{}", story.start, story.content[0]);
            let text = got.text();
            check!(text.starts_with(&begun), "content lost: {}", got.brief());
            check!(
                text[begun.len()..].contains(dialect.stream_error_mark()),
                "no error event: {}",
                got.brief()
            );
            for mark in dialect.end_marks() {
                check!(!text.contains(mark), "looks finished ({mark}): {}", got.brief());
            }
            check!(!got.complete, "ends as if all were well: {}", got.brief());
            check!(served.starts_with('a'), "served by {served}");
        }
    }
    Ok(())
}

fn resident_mib(router: &Router) -> u64 {
    let file = format!("/proc/{}/statm", router.pid().as_raw_nonzero());
    let pages: u64 =
        std::fs::read_to_string(file).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4 / 1024
}

#[test]
fn f02_black_hole_is_left_after_the_connect_limit() {
    // A listener whose queue is full drops every further SYN.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let short = Duration::from_millis(200);
    let filled: Vec<_> =
        (0..4).filter_map(|_| std::net::TcpStream::connect_timeout(&address, short).ok()).collect();
    let healthy = Chaos::always(good(Dialect::Chat, false)).unwrap();
    let router = Setup::new()
        .setting("timeouts.connect_ms", 700)
        .upstream(Dialect::Chat, "hole", &format!("http://{address}/v1"))
        .upstream(Dialect::Chat, "good", &healthy.url("/v1"))
        .combo("stack", &["hole/m", "good/m"])
        .start();
    let start = now();
    let got = router.ask(Dialect::Chat, "stack", false);
    assert_eq!(got.text(), Dialect::Chat.answer());
    assert!(start.elapsed() > Duration::from_millis(600), "{:?}", start.elapsed());
    drop(filled);
}

#[test]
fn f04_certificates_are_checked_and_a_good_one_is_taken() {
    let upstream = Chaos::always(good(Dialect::Chat, false)).unwrap();
    let healthy = Chaos::always(good(Dialect::Chat, false)).unwrap();
    let authority = Authority::new();
    let folder = tempfile::TempDir::new().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    let flaws = [Flaw::None, Flaw::Expired, Flaw::OtherName, Flaw::SelfSigned];
    let mut setup = Setup::new().env("SSL_CERT_FILE", roots.to_str().unwrap()).upstream(
        Dialect::Chat,
        "good",
        &healthy.url("/v1"),
    );
    for (at, flaw) in flaws.into_iter().enumerate() {
        let port = authority.front(upstream.address(), flaw);
        setup = setup
            .upstream(Dialect::Chat, &format!("t{at}"), &format!("https://localhost:{port}/v1"))
            .combo(&format!("c{at}"), &[&format!("t{at}/m"), "good/m"]);
    }
    let router = setup.start();
    for (at, flaw) in flaws.into_iter().enumerate() {
        let got = router.ask(Dialect::Chat, &format!("c{at}"), false);
        let by = if flaw == Flaw::None { "t0/m" } else { "good/m" };
        assert_eq!(got.header("x-ninerouter-model"), Some(by), "{flaw:?} {}", got.brief());
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn f12_connection_with_surplus_bytes_is_not_used_again() {
    for (name, tail) in [
        ("surplus", "surplus"),
        (
            "whole reply",
            "HTTP/1.1 200 OK\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        ),
    ] {
        let chaos = Chaos::always([good(Dialect::Chat, false), tail.into()].concat()).unwrap();
        let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
        for _ in 0..3 {
            let got = router.ask(Dialect::Chat, "one/m", false);
            assert_eq!(got.text(), Dialect::Chat.answer(), "{name}");
        }
        assert_eq!(chaos.connections(), 3, "{name}");
    }
}

#[test]
fn f29_reset_on_a_pooled_connection_is_repeated_silently_on_the_same_account() {
    for dialect in Dialect::ALL {
        for end in [Step::Reset, Step::Close] {
            let end_of_first = end.clone();
            // The second request of a connection finds it dead.
            let chaos = Chaos::start(Reading::Whole, move |request| match request.nth {
                0 => vec![Step::send(good(dialect, false))],
                _ => vec![end_of_first.clone()],
            })
            .unwrap();
            let router = Setup::new().upstream(dialect, "one", &chaos.url(dialect.base())).start();
            for _ in 0..2 {
                let got = router.ask(dialect, "one/m", false);
                assert_eq!(got.status, 200, "{dialect:?} {end:?} {}", got.brief());
                assert_eq!(got.text(), dialect.answer());
            }
            assert!(chaos.connections() >= 2);
            assert!(router.rows(&["scope"], "account_locks").is_empty());
        }
    }
}

#[test]
fn f27_redirects_are_not_followed() {
    let secret = Chaos::always(good(Dialect::Chat, false)).unwrap();
    for status in [301, 302, 307, 308] {
        let to = secret.url("/v1/chat/completions");
        let chaos = Chaos::always(reply::whole(status, &[("location", &to)], b"")).unwrap();
        let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
        let got = router.ask(Dialect::Chat, "one/m", false);
        assert_eq!(got.status, 502, "{}", got.brief());
        assert_eq!(got.header("location"), None);
    }
    assert_eq!(secret.connections(), 0);
}

#[test]
fn f30_switch_is_silent_while_only_comments_went_out() {
    for dialect in Dialect::ALL {
        let start = dialect.story().start;
        let late = Chaos::start(Reading::Whole, move |_| {
            let begun = [reply::sse_head(), reply::chunk(start.as_bytes())].concat();
            vec![Step::send(begun), Step::Hold, Step::Reset]
        })
        .unwrap();
        let healthy = Chaos::always(good(dialect, true)).unwrap();
        let router = Setup::new()
            .setting("timeouts.early_head_ms", 100)
            .setting("timeouts.keep_alive_ms", 100)
            .upstream(dialect, "late", &late.url(dialect.base()))
            .upstream(dialect, "good", &healthy.url(dialect.base()))
            .combo("stack", &["late/m", "good/m"])
            .start();
        let mut conn = router.connect();
        let body = dialect.body("stack", true);
        conn.send(&request("POST", &dialect.path("stack", true), &[], body.as_bytes()));
        let head = conn.head(false).unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("x-ninerouter-model"), None, "the target may still change");
        let first = conn.piece();
        let comment = dialect.keep_alive(false);
        assert_eq!(first, Piece::Data(comment.into()), "{dialect:?}");
        late.release();
        let mut text = String::new();
        while let Piece::Data(data) = conn.piece() {
            text += &String::from_utf8(data).unwrap();
        }
        let without_comments = text.trim_start_matches(comment);
        let want = String::from_utf8(body_of(dialect)).unwrap();
        assert_eq!(without_comments, want, "{dialect:?}");
    }
}

fn body_of(dialect: Dialect) -> Vec<u8> {
    dialect.story().without_usage()
}

#[test]
fn keep_alives_stand_between_events_only() {
    for dialect in Dialect::ALL {
        let story = dialect.story();
        let half = story.content[1].len() / 2;
        let (one, two) = story.content[1].split_at(half);
        let begun = format!("{}{}{one}", story.start, story.content[0]);
        let rest = format!("{two}{}{}", story.finish, story.done);
        let all = format!("{begun}{rest}");
        let at = begun.len() - one.len();
        let chaos = Chaos::start(Reading::Whole, move |_| {
            let first = [reply::sse_head(), reply::chunk(begun.as_bytes())].concat();
            let last = [reply::chunk(rest.as_bytes()), reply::LAST_CHUNK.to_vec()].concat();
            vec![
                Step::send(first),
                Step::Drip { bytes: last[..1].to_vec().into(), pause: Duration::from_millis(600) },
                Step::send(last[1..].to_vec()),
            ]
        })
        .unwrap();
        let router = Setup::new()
            .setting("timeouts.keep_alive_ms", 100)
            .upstream(dialect, "one", &chaos.url(dialect.base()))
            .start();
        let got = router.ask(dialect, "one/m", true);
        // Half an event is not handed on, so the client is between two events all the time.
        let comment = dialect.keep_alive(true);
        let text = got.text();
        let (before, after) = text.split_at(at);
        assert_eq!(before, &all[..at], "{dialect:?}");
        assert!(after.starts_with(comment), "{dialect:?} {}", got.brief());
        assert_eq!(after.trim_start_matches(comment), &all[at..], "{dialect:?}");
    }
}

#[test]
fn f36_every_split_of_the_stream_gives_the_same_bytes() {
    for dialect in Dialect::ALL {
        let all = reply::sse(&body_of(dialect));
        let chaos = Chaos::start(Reading::Whole, move |request| {
            let (one, two) = all.split_at((request.index * 13) % all.len());
            vec![
                Step::send(one.to_vec()),
                Step::Drip { bytes: two[..1].to_vec().into(), pause: Duration::from_millis(5) },
                Step::send(two[1..].to_vec()),
            ]
        })
        .unwrap();
        let router = Setup::new().upstream(dialect, "one", &chaos.url(dialect.base())).start();
        for at in 0..60 {
            let got = router.ask(dialect, "one/m", true);
            assert_eq!(got.body, body_of(dialect), "{dialect:?} split at {}", at * 13);
        }
    }
}

/// T-RES-13, T-BUG-11.
#[test]
fn f37_f38_large_events_pass_or_end_in_an_error_in_bounded_memory() {
    let event = |bytes: usize| {
        let text = "x".repeat(bytes);
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let story = Dialect::Chat.story();
    let many = event(1000).repeat(5000);
    let five = format!("{}{many}{}{}", story.start, story.finish, story.done);
    let huge = format!("{}{}{}{}", story.start, event(17 << 20), story.finish, story.done);
    let endless = format!("{}{}", story.start, "event: x".repeat(2 << 20));
    let table = [
        ("F37 5 MiB in one chunk", five, true),
        ("F38 17 MiB event", huge, false),
        ("F38 16 MiB without a newline", endless, false),
    ];
    for (name, events, passes) in table {
        let chaos = Chaos::always(reply::sse(events.as_bytes())).unwrap();
        let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
        let got = router.ask(Dialect::Chat, "one/m", true);
        assert_eq!(got.complete && got.status == 200, passes, "{name}");
        if passes {
            assert_eq!(got.body, events.as_bytes(), "{name}");
        }
        assert!(resident_mib(&router) < 220, "{name}: {} MiB", resident_mib(&router));
        assert_eq!(router.get("/healthz").status, 200);
    }
}

#[test]
fn f39_to_f45_odd_events_pass_verbatim() {
    let story = Dialect::Chat.story();
    let [one, two] = &story.content;
    let usage = |prompt: &str| {
        format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":2}}}}\n\n"
        )
    };
    let story_with = |middle: &str, end: &str| {
        format!("{}{one}{middle}{two}{}{end}", story.start, story.finish).into_bytes()
    };
    let mut bad_utf8 = story_with("data: {\"x\":\"@\"}\n\n", &story.done);
    let at = bad_utf8.iter().position(|b| *b == b'@').unwrap();
    bad_utf8[at] = 0xff;
    // Bytes, and the input tokens the usage row must show (when it is told).
    let table = [
        ("F39 invalid UTF-8", bad_utf8, None),
        ("F40 invalid JSON", story_with("data: {\"a\":\n\n", &story.done), None),
        (
            "F41 unknown event",
            story_with("event: x\ndata: {\"type\":\"x\"}\n\n", &story.done),
            None,
        ),
        (
            "F42 arguments never closed",
            story_with(
                "data: {\"choices\":[{\"index\":0,\"delta\":\
            {\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\
            \"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
                &story.done,
            ),
            None,
        ),
        (
            "F43 usage twice",
            story_with(&usage("5"), &format!("{}{}", usage("9"), story.done)),
            Some(9),
        ),
        ("F43 negative usage", story_with(&usage("-7"), &story.done), Some(0)),
        (
            "F45 data after the end",
            story_with("", &format!("{}{}data: {{\"z\":1}}\n\n", story.done, story.done)),
            None,
        ),
        ("data: null and empty data", story_with("data: null\n\ndata:\n\n", &story.done), None),
        (
            "F69 control words inside text",
            story_with(
                "data: {\"choices\":[{\"index\":0,\"delta\":\
            {\"content\":\"event: error\\ndata: [DONE]\"}}]}\n\n",
                &story.done,
            ),
            None,
        ),
    ];
    let answers: Vec<_> = table.iter().map(|row| row.1.clone()).collect();
    let chaos = Chaos::start(Reading::Whole, move |request| {
        vec![Step::send(reply::sse(&answers[request.index]))]
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let body =
        Dialect::Chat.body_with("one/m", true, ",\"stream_options\":{\"include_usage\":true}");
    for (at, (name, want, input)) in table.iter().enumerate() {
        let got = router.post("/v1/chat/completions", &body);
        assert_eq!(got.body, *want, "{name}");
        let rows = router.wait_rows(at + 1, &["status", "input_tokens"], "requests ORDER BY ts");
        assert_eq!(rows[at]["status"], "ok", "{name}");
        if let Some(input) = input {
            assert_eq!(rows[at]["input_tokens"], *input, "{name}");
        }
    }
}

#[test]
fn f46_upstream_is_read_no_faster_than_the_client_reads() {
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"xxxxxxxx\"}}]}\n\n";
    let chunk = reply::chunk(content.repeat(800).as_bytes());
    let chaos = Chaos::start(Reading::Whole, move |_| {
        vec![
            Step::send(reply::sse_head()),
            Step::Repeat { bytes: chunk.clone().into(), times: 4000 },
            Step::AwaitClient,
        ]
    })
    .unwrap();
    let router = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1")).start();
    let mut conn = router.connect();
    let body = Dialect::Chat.body("one/m", true);
    conn.send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
    assert_eq!(conn.head(false).unwrap().status, 200);
    // The writer comes to a stand: the same number at two looks, well apart.
    let mut last = (0, now());
    let stood = until(PATIENCE, "the upstream's writer stands still", || {
        let written = chaos.written();
        if written != last.0 {
            last = (written, now());
        }
        (last.1.elapsed() > Duration::from_millis(700)).then_some(written)
    });
    assert!(stood < 100 << 20, "{stood} bytes were taken from the upstream");
    assert!(resident_mib(&router) < 100, "{} MiB", resident_mib(&router));
    drop(conn);
    assert!(chaos.wait_gone(1, Duration::from_secs(1)));
}

/// T-RES-18.
#[test]
fn f47_client_that_reads_nothing_is_cut() {
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"xxxxxxxx\"}}]}\n\n";
    let chunk = reply::chunk(content.repeat(800).as_bytes());
    let chaos = Chaos::start(Reading::Whole, move |_| {
        vec![
            Step::send(reply::sse_head()),
            Step::Repeat { bytes: chunk.clone().into(), times: 4000 },
        ]
    })
    .unwrap();
    let router = Setup::new()
        .setting("timeouts.client_stall_ms", 2000)
        .upstream(Dialect::Chat, "one", &chaos.url("/v1"))
        .start();
    let mut conn = router.connect();
    let body = Dialect::Chat.body("one/m", true);
    conn.send(&request("POST", "/v1/chat/completions", &[], body.as_bytes()));
    assert!(chaos.wait_requests(1, PATIENCE));
    assert!(chaos.wait_gone(1, PATIENCE), "the upstream call outlives the stalled client");
}

#[test]
fn f26_breaker_skips_a_dead_host_and_asks_it_again_later() {
    let healthy = Chaos::always(good(Dialect::Chat, false)).unwrap();
    let dead = Chaos::start(Reading::Whole, |_| vec![Step::Reset]).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Chat, "dead", &dead.url("/v1"))
        .upstream(Dialect::Chat, "good", &healthy.url("/v1"))
        .combo("stack", &["dead/m", "good/m"])
        .start();
    for _ in 0..30 {
        assert_eq!(router.ask(Dialect::Chat, "stack", false).status, 200);
    }
    let asked = dead.requests().len();
    assert!(asked < 30, "{asked} calls to a host that is down");
    until(Duration::from_secs(60), "the host is probed again", || {
        assert_eq!(router.ask(Dialect::Chat, "stack", false).status, 200);
        (dead.requests().len() > asked).then_some(())
    });
}
