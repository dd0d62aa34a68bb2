//! Connections: kept, lent again, not lent again, given up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::Stream;
use ninerouter_dialect::SplicedBody;

use super::rig::{LONG, PROMPT, ask, clients, fetch, post, scripted};
use crate::demo::chaos::reply::{LAST_CHUNK, chunk, head, json, sse, sse_head, whole};
use crate::demo::chaos::{Chaos, Reading, Step};
use crate::net::NetError;

#[actix_rt::test]
async fn a_request_arrives_as_it_was_given() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let clients = clients();
    let mut out = post(&upstream.url("/v1/a%20b?x=%C3%BC"), "");
    let parts = ["{\"model\":", "\"m\"", "}"].map(|part| Bytes::from_static(part.as_bytes()));
    out.body = SplicedBody { parts: parts.to_vec(), len: 13 };
    let reply = clients.send(out).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get("content-type").unwrap(), "application/json");
    assert_eq!(reply.body.collect(10, LONG).await.unwrap(), "{}");

    let got = upstream.requests().remove(0);
    assert_eq!(got.target(), "/v1/a%20b?x=%C3%BC");
    assert_eq!(got.body, b"{\"model\":\"m\"}");
    assert_eq!(got.header("content-length").as_deref(), Some("13"));
    assert_eq!(got.header("host"), Some(upstream.address().to_string()));
    assert_eq!(got.header("x-api-key").as_deref(), Some("canary"));
    let mut names: Vec<String> = got.headers().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    // `date` is the client library's own, and cannot be switched off.
    assert_eq!(names, ["content-length", "content-type", "date", "host", "x-api-key"]);
}

#[actix_rt::test]
async fn framing_headers_of_the_caller_are_dropped() {
    let upstream = Chaos::always(json(200, "{}")).unwrap();
    let mut out = post(&upstream.url("/"), "abc");
    for (name, value) in [
        ("host", "evil"),
        ("content-length", "9"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("connection", "close"),
    ] {
        out.headers.push((name.parse().unwrap(), value.parse().unwrap()));
    }
    clients().send(out).await.unwrap();
    let got = upstream.requests().remove(0);
    assert_eq!(got.body, b"abc");
    assert_eq!(got.header("host"), Some(upstream.address().to_string()));
    assert_eq!(got.header("content-length").as_deref(), Some("3"));
    assert_eq!(got.header("transfer-encoding"), None);
    assert_eq!(got.header("expect"), None);
}

#[actix_rt::test]
async fn answers_read_to_their_end_give_the_connection_back() {
    for reply in [
        json(200, "{\"a\":1}"),
        sse(b"data: x\n\n"),
        head(204, &[]),
        json(429, "{}"),
        whole(200, &[], b""),
    ] {
        let upstream = Chaos::always(reply.clone()).unwrap();
        let clients = clients();
        for _ in 0..3 {
            fetch(&clients, &upstream).await.unwrap();
        }
        assert_eq!(upstream.connections(), 1, "{}", String::from_utf8_lossy(&reply));
        assert_eq!(upstream.requests().len(), 3);
    }
}

#[actix_rt::test]
async fn a_counted_body_is_over_with_its_last_byte() {
    let upstream = Chaos::always(json(200, "{\"a\":1}")).unwrap();
    let clients = clients();
    for _ in 0..2 {
        let mut reply = ask(&clients, &upstream).await.unwrap();
        let next = std::future::poll_fn(|cx| Pin::new(&mut reply.body).poll_next(cx)).await;
        assert_eq!(next, Some(Ok(Bytes::from_static(b"{\"a\":1}"))));
    }
    assert_eq!(upstream.connections(), 1);
}

#[actix_rt::test]
async fn f29_a_dead_pooled_connection_costs_one_silent_retry() {
    for end in [Step::Reset, Step::Close] {
        let upstream = scripted(move |request| {
            if request.connection == 0 && request.nth == 1 {
                vec![end.clone()]
            } else {
                vec![Step::send(json(200, "{}"))]
            }
        });
        let clients = clients();
        assert_eq!(fetch(&clients, &upstream).await.unwrap().0, 200);
        assert_eq!(fetch(&clients, &upstream).await.unwrap().0, 200);
        assert_eq!(upstream.connections(), 2);
        let requests = upstream.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[1].body, requests[2].body);
        assert_eq!(requests[1].head, requests[2].head);
    }
}

#[actix_rt::test]
async fn f29_the_retry_is_not_retried() {
    let upstream = scripted(|request| {
        if request.index == 0 { vec![Step::send(json(200, "{}"))] } else { vec![Step::Reset] }
    });
    let clients = clients();
    fetch(&clients, &upstream).await.unwrap();
    let error = fetch(&clients, &upstream).await.unwrap_err();
    assert_eq!(error, NetError::Reset { pooled: false });
    assert_eq!(upstream.requests().len(), 3);
}

#[actix_rt::test]
async fn a_pooled_connection_that_began_to_answer_is_not_retried() {
    let upstream = scripted(|request| {
        if request.index == 0 {
            vec![Step::send(json(200, "{}"))]
        } else {
            vec![Step::send("HTTP/1.1 200"), Step::Close]
        }
    });
    let clients = clients();
    fetch(&clients, &upstream).await.unwrap();
    let error = fetch(&clients, &upstream).await.unwrap_err();
    assert_eq!(error, NetError::Reset { pooled: true });
    assert_eq!(upstream.requests().len(), 2);
}

#[actix_rt::test]
async fn f28_a_fresh_connection_that_dies_is_not_retried() {
    for end in [Step::Reset, Step::Close] {
        let upstream = scripted(move |_| vec![end.clone()]);
        let error = ask(&clients(), &upstream).await.unwrap_err();
        assert_eq!(error, NetError::Reset { pooled: false });
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[actix_rt::test]
async fn an_idle_connection_that_was_closed_is_not_lent() {
    let upstream = scripted(|request| {
        let mut steps = vec![Step::send(json(200, "{}"))];
        if request.nth == 0 {
            steps.push(Step::Close);
        }
        steps
    });
    let clients = clients();
    for _ in 0..3 {
        assert_eq!(fetch(&clients, &upstream).await.unwrap().0, 200);
    }
    assert_eq!(upstream.requests().len(), 3);
}

/// Answers that leave the connection in doubt: the body is what was declared, and nobody else gets that connection.
#[actix_rt::test]
async fn connections_in_doubt_are_not_lent_again() {
    let both_lengths = {
        let fields = [("transfer-encoding", "chunked"), ("content-length", "3")];
        [head(200, &fields), chunk(b"abc"), LAST_CHUNK.to_vec()].concat()
    };
    let surplus = [whole(200, &[], b"abc"), b"HTTP/1.1 200 OK\r\n\r\n".to_vec()].concat();
    let surplus_after_nothing = [head(204, &[]), b"abc".to_vec()].concat();
    let surplus_after_zero = [whole(200, &[], b""), b"abc".to_vec()].concat();
    let no_length = [head(200, &[]), b"abc".to_vec()].concat();
    let table: [(&str, Vec<u8>, &[u8]); 5] = [
        ("F12 surplus", surplus, b"abc"),
        ("F12 surplus after 204", surplus_after_nothing, b""),
        ("F12 surplus after length 0", surplus_after_zero, b""),
        ("F14 both lengths", both_lengths, b"abc"),
        ("REL-UP-2 no length", no_length, b""),
    ];
    for (name, reply, body) in table {
        let upstream = Chaos::always(reply).unwrap();
        let clients = clients();
        for round in 1..=2 {
            let (_, got) = fetch(&clients, &upstream).await.unwrap();
            assert_eq!(got, body, "{name}");
            assert_eq!(upstream.connections(), round, "{name}");
        }
    }
}

#[actix_rt::test]
async fn f14_the_body_is_still_read_when_it_comes_late() {
    let fields = [("transfer-encoding", "chunked"), ("content-length", "3")];
    let first = Bytes::from(head(200, &fields));
    let rest = Bytes::from([chunk(b"abcdef"), LAST_CHUNK.to_vec()].concat());
    let upstream =
        scripted(move |_| vec![Step::Send(first.clone()), Step::Hold, Step::Send(rest.clone())]);
    let reply = ask(&clients(), &upstream).await.unwrap();
    upstream.release();
    assert_eq!(reply.body.collect(100, LONG).await.unwrap(), "abcdef");
}

#[actix_rt::test]
async fn a_final_answer_that_follows_an_interim_one_reaches_nobody_else() {
    // The library takes 103 for the answer (REL-UP-2); the rest arrives when the connection is idle.
    let upstream = scripted(|request| match request.index {
        0 => vec![Step::send(head(103, &[])), Step::Hold, Step::send(json(200, "\"stale\""))],
        _ => vec![Step::send(json(200, "\"fresh\""))],
    });
    let clients = clients();
    assert!(matches!(ask(&clients, &upstream).await, Err(NetError::Protocol(_))));
    upstream.release();
    let (_, body) = fetch(&clients, &upstream).await.unwrap();
    assert_eq!(body, "\"fresh\"");
    assert_eq!(upstream.connections(), 2);
}

#[actix_rt::test]
async fn rel_can_1_dropping_the_future_closes_the_socket() {
    let upstream = scripted(|_| vec![Step::AwaitClient]);
    let clients = clients();
    let limited = tokio::time::timeout(PROMPT, ask(&clients, &upstream)).await;
    assert!(limited.is_err());
    assert!(upstream.wait_gone(1, PROMPT));
}

#[actix_rt::test]
async fn rel_can_1_dropping_the_body_closes_the_socket() {
    let upstream = scripted(|_| {
        vec![Step::send([sse_head(), chunk(b"data: 1\n\n")].concat()), Step::AwaitClient]
    });
    let mut reply = ask(&clients(), &upstream).await.unwrap();
    let first = std::future::poll_fn(|cx| Pin::new(&mut reply.body).poll_next(cx)).await;
    assert_eq!(first, Some(Ok(Bytes::from_static(b"data: 1\n\n"))));
    drop(reply);
    assert!(upstream.wait_gone(1, PROMPT));
}

#[actix_rt::test]
async fn f46_an_upstream_that_nobody_reads_is_held_back() {
    let block = Bytes::from(chunk(&[b'x'; 64 * 1024]));
    let upstream = scripted(move |_| {
        vec![Step::send(sse_head()), Step::Repeat { bytes: block.clone(), times: 4096 }]
    });
    let reply = ask(&clients(), &upstream).await.unwrap();
    tokio::time::sleep(PROMPT).await;
    // 256 MiB are offered; what fits the kernel's buffers is taken.
    assert!(upstream.written() < 32 * 1024 * 1024, "{}", upstream.written());
    drop(reply);
    assert!(upstream.wait_gone(1, LONG));
}

#[actix_rt::test]
async fn an_early_refusal_is_found_although_the_body_could_not_be_sent() {
    let refusal = Bytes::from(json(413, "{\"error\":1}"));
    let upstream =
        Chaos::start(Reading::Head, move |_| vec![Step::Send(refusal.clone()), Step::Close])
            .unwrap();
    let big = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    let reply = clients().send(post(&upstream.url("/"), big)).await.unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.body.collect(100, LONG).await.unwrap(), "{\"error\":1}");
}

#[test]
fn a_request_that_is_never_polled_opens_nothing() {
    let system = actix_rt::System::new();
    system.block_on(async {
        let upstream = scripted(|_| vec![Step::AwaitClient]);
        let clients = clients();
        let mut future = Box::pin(ask(&clients, &upstream));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(future);
        assert!(upstream.requests().is_empty());
    });
}
