//! Faults F01 to F19 as this layer sees them.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::Method;
use bytes::Bytes;

use super::rig::{LONG, SHORT, ask, clients, fetch, once, post, scripted};
use crate::demo::chaos::reply::{chunk, head, json, sse_head, whole};
use crate::demo::chaos::{Chaos, Step};
use crate::net::NetError;
use crate::net::decode::DecodeError;
use crate::net::error::{ConnectFailure, Garbage};

#[actix_rt::test]
async fn f01_connection_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = clients().send(post(&url, "{}")).await.unwrap_err();
    assert_eq!(error, NetError::Connect(ConnectFailure::Refused));
}

#[actix_rt::test]
async fn f05_silence_ends_at_the_head_limit() {
    let upstream = scripted(|_| vec![Step::AwaitClient]);
    let mut out = post(&upstream.url("/"), "{}");
    out.head_timeout = SHORT;
    assert_eq!(clients().send(out).await.unwrap_err(), NetError::HeadTimeout);
    assert!(upstream.wait_gone(1, LONG));
}

#[actix_rt::test]
async fn f05_silence_on_a_pooled_connection_is_not_retried() {
    let upstream = scripted(|request| match request.index {
        0 => vec![Step::send(json(200, "{}"))],
        _ => vec![Step::AwaitClient],
    });
    let clients = clients();
    fetch(&clients, &upstream).await.unwrap();
    let mut out = post(&upstream.url("/"), "{}");
    out.head_timeout = SHORT;
    assert_eq!(clients.send(out).await.unwrap_err(), NetError::HeadTimeout);
    assert_eq!(upstream.requests().len(), 2);
}

#[actix_rt::test]
async fn f06_a_dripping_head_ends_at_the_head_limit() {
    let upstream = scripted(|_| {
        vec![Step::Drip { bytes: json(200, "{}").into(), pause: Duration::from_millis(20) }]
    });
    let mut out = post(&upstream.url("/"), "{}");
    out.head_timeout = SHORT;
    assert_eq!(clients().send(out).await.unwrap_err(), NetError::HeadTimeout);
}

#[actix_rt::test]
async fn the_head_limit_begins_when_the_body_is_sent() {
    // Slower to read than the head limit, but never stalled.
    let upstream = scripted(|_| vec![Step::send(json(200, "{}"))]);
    let mut out = post(&upstream.url("/"), Bytes::from(vec![b'x'; 48 * 1024 * 1024]));
    out.head_timeout = LONG;
    out.send_stall = Duration::from_secs(5);
    assert_eq!(clients().send(out).await.unwrap().status, 200);
}

#[actix_rt::test]
async fn an_upstream_that_stops_reading_is_a_send_stall() {
    // The kernel accepts for it, nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut out = post(&url, Bytes::from(vec![b'x'; 32 * 1024 * 1024]));
    out.send_stall = SHORT;
    assert_eq!(clients().send(out).await.unwrap_err(), NetError::SendStall);
}

#[actix_rt::test]
async fn f07_endless_and_huge_heads_are_cut() {
    let line = Bytes::from_static(b"x-filler: 0123456789012345678901234567890123456789\r\n");
    let endless = scripted(move |_| {
        vec![
            Step::send("HTTP/1.1 200 OK\r\n"),
            Step::Repeat { bytes: line.clone(), times: 1_000_000 },
        ]
    });
    let error = ask(&clients(), &endless).await.unwrap_err();
    assert_eq!(error, NetError::Protocol(Garbage::HeadTooLarge));
    assert!(endless.wait_gone(1, LONG));

    let huge = once(head(200, &[("x", &"a".repeat(1024 * 1024))]));
    let error = ask(&clients(), &huge).await.unwrap_err();
    assert_eq!(error, NetError::Protocol(Garbage::HeadTooLarge));
}

#[actix_rt::test]
async fn f08_more_than_96_header_lines_are_refused() {
    let lines = |count: usize| {
        let names: Vec<String> = (1..count).map(|n| format!("x-{n}")).collect();
        let mut fields: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
        fields.push(("content-length", "0"));
        once(head(200, &fields))
    };
    assert_eq!(ask(&clients(), &lines(96)).await.unwrap().headers.len(), 96);
    let error = ask(&clients(), &lines(97)).await.unwrap_err();
    assert_eq!(error, NetError::Protocol(Garbage::HeadTooLarge));
}

#[actix_rt::test]
async fn f09_statuses_that_cannot_be_final() {
    for status in [100, 101, 102, 103, 199, 600, 999] {
        let upstream = once(head(status, &[("content-length", "0")]));
        let error = ask(&clients(), &upstream).await.unwrap_err();
        assert_eq!(error, NetError::Protocol(Garbage::Status(status)));
    }
    for line in ["HTTP/1.1 99 Low\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1\r\n\r\n"] {
        let error = ask(&clients(), &once(line)).await.unwrap_err();
        assert_eq!(error, NetError::Protocol(Garbage::Head), "{line:?}");
    }
}

#[actix_rt::test]
async fn f10_what_is_not_http() {
    for bytes in
        [&b"<html>hello</html>\r\n\r\n"[..], b"\x15\x03\x01\x00\x02\x02\x46", b"\0\0\0\0\0\0\0\0"]
    {
        let error = ask(&clients(), &once(bytes)).await.unwrap_err();
        assert_eq!(error, NetError::Protocol(Garbage::Head), "{bytes:?}");
    }
}

#[actix_rt::test]
async fn f70_a_header_with_a_line_break_is_two_headers_and_a_bare_break_is_refused() {
    let upstream =
        once("HTTP/1.1 200 OK\r\nx-request-id: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n");
    let error = ask(&clients(), &upstream).await.unwrap_err();
    assert_eq!(error, NetError::Protocol(Garbage::Head));
}

#[actix_rt::test]
async fn f11_a_short_body_is_truncated() {
    let upstream = once([head(200, &[("content-length", "10")]), b"12345".to_vec()].concat());
    let error = fetch(&clients(), &upstream).await.unwrap_err();
    assert_eq!(error, NetError::Truncated);
    let empty = once(head(200, &[("content-length", "10")]));
    assert_eq!(fetch(&clients(), &empty).await.unwrap_err(), NetError::Truncated);
}

#[actix_rt::test]
async fn f13_chunks_that_are_none() {
    for bad in ["zz\r\nabc\r\n", "-5\r\nabc\r\n", "10000000000000000\r\nabc\r\n", "3\r\nabcX\r\n"] {
        let upstream = once([sse_head(), bad.as_bytes().to_vec()].concat());
        let error = fetch(&clients(), &upstream).await.unwrap_err();
        assert_eq!(error, NetError::Protocol(Garbage::Body), "{bad:?}");
    }
}

#[actix_rt::test]
async fn f13_a_missing_last_chunk_is_told_but_is_the_dialects_to_judge() {
    let upstream = once([sse_head(), chunk(b"data: x\n\n")].concat());
    let mut reply = ask(&clients(), &upstream).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = next(&mut reply.body).await {
        all.push(piece.unwrap());
    }
    assert_eq!(all.concat(), b"data: x\n\n");
    assert!(reply.body.ended_by_close());

    let whole = once(crate::demo::chaos::reply::sse(b"data: x\n\n"));
    let mut reply = ask(&clients(), &whole).await.unwrap();
    while next(&mut reply.body).await.is_some() {}
    assert!(!reply.body.ended_by_close());
}

async fn next(body: &mut crate::net::ReplyBody) -> Option<Result<Bytes, NetError>> {
    use futures_util::Stream as _;
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_next(cx)).await
}

#[actix_rt::test]
async fn f31_a_reset_within_the_body_is_an_error() {
    for steps in [
        vec![Step::send([sse_head(), chunk(b"data: x\n\n")].concat()), Step::Hold, Step::Reset],
        vec![
            Step::send([head(200, &[("content-length", "99")]), b"x".to_vec()].concat()),
            Step::Hold,
            Step::Reset,
        ],
    ] {
        let upstream = scripted(move |_| steps.clone());
        let mut reply = ask(&clients(), &upstream).await.unwrap();
        assert!(next(&mut reply.body).await.unwrap().is_ok());
        upstream.release();
        assert_eq!(next(&mut reply.body).await, Some(Err(NetError::Reset { pooled: false })));
        assert_eq!(next(&mut reply.body).await, None);
    }
}

#[actix_rt::test]
async fn http_1_0_is_read_to_its_end() {
    let upstream = once("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end");
    assert_eq!(fetch(&clients(), &upstream).await.unwrap(), (200, Bytes::from("to the end")));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[actix_rt::test]
async fn f15_codings() {
    let gz = ("content-encoding", "gzip");
    let upstream = once(whole(200, &[gz], &gzip(b"{\"a\":1}")));
    let reply = ask(&clients(), &upstream).await.unwrap();
    assert!(reply.headers.get("content-encoding").is_none());
    assert!(reply.headers.get("content-length").is_none());
    assert_eq!(reply.body.collect(100, LONG).await.unwrap(), "{\"a\":1}");

    let bad = |error| NetError::BadEncoding(error);
    let cut = gzip(&(0..4000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let bomb = gzip(&vec![0; 100 * 1024 * 1024]);
    let table: [(&str, &[u8], NetError); 5] = [
        ("gzip", b"{\"plain\":1}", bad(DecodeError::Corrupt)),
        ("gzip", &cut[..cut.len() / 2], NetError::Truncated),
        ("gzip", &bomb, bad(DecodeError::Bomb)),
        ("deflate, gzip", b"xx", bad(DecodeError::Stacked)),
        ("snappy", b"xx", bad(DecodeError::Unknown)),
    ];
    for (coding, body, want) in table {
        let upstream = once(whole(200, &[("content-encoding", coding)], body));
        assert_eq!(fetch(&clients(), &upstream).await.unwrap_err(), want, "{coding}");
    }
    // A label on nothing is no fault.
    let upstream = once(whole(200, &[gz], b""));
    assert_eq!(fetch(&clients(), &upstream).await.unwrap().1, "");
    let upstream = once(head(204, &[gz]));
    assert_eq!(fetch(&clients(), &upstream).await.unwrap().0, 204);
}

#[actix_rt::test]
async fn a_decoded_answer_gives_its_connection_back() {
    let reply = whole(200, &[("content-encoding", "gzip")], &gzip(b"hello"));
    let upstream = Chaos::always(reply).unwrap();
    let clients = clients();
    for _ in 0..3 {
        assert_eq!(fetch(&clients, &upstream).await.unwrap().1, "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[actix_rt::test]
async fn collecting_is_bounded_in_size_and_in_silence() {
    let declared = once(whole(200, &[], &[b'x'; 1000]));
    let reply = ask(&clients(), &declared).await.unwrap();
    assert_eq!(reply.body.collect(999, LONG).await, Err(NetError::BodyTooLarge(999)));

    let block = Bytes::from(chunk(&[b'x'; 1000]));
    let endless = scripted(move |_| {
        vec![Step::send(sse_head()), Step::Repeat { bytes: block.clone(), times: 1_000_000 }]
    });
    let reply = ask(&clients(), &endless).await.unwrap();
    assert_eq!(reply.body.collect(100_000, LONG).await, Err(NetError::BodyTooLarge(100_000)));
    assert!(endless.wait_gone(1, LONG));

    let silent = scripted(|_| vec![Step::send(sse_head()), Step::AwaitClient]);
    let reply = ask(&clients(), &silent).await.unwrap();
    assert_eq!(reply.body.collect(100, SHORT).await, Err(NetError::Idle));
    assert!(silent.wait_gone(1, LONG));
}

#[actix_rt::test]
async fn answers_beyond_the_librarys_two_mebibytes_are_collected() {
    let body = vec![b'x'; 5 * 1024 * 1024];
    let upstream = once(whole(200, &[], &body));
    assert_eq!(fetch(&clients(), &upstream).await.unwrap().1.len(), body.len());
}

#[actix_rt::test]
async fn an_answer_to_head_has_no_body() {
    let upstream = Chaos::always(head(200, &[("content-length", "10")])).unwrap();
    let clients = clients();
    for _ in 0..2 {
        let mut out = post(&upstream.url("/"), "");
        out.method = Method::HEAD;
        let reply = clients.send(out).await.unwrap();
        assert_eq!(reply.body.collect(0, LONG).await.unwrap(), "");
    }
    assert_eq!(upstream.connections(), 1);
}
