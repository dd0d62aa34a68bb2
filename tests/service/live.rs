//! Live events over the management API: what a script that watches hears.

use std::path::PathBuf;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::feed::{Feed, Heard};
use crate::support::{Dialect, PATIENCE, Router, Setup, admin, until};

fn socket(router: &Router) -> PathBuf {
    router.data_dir().join("admin.sock")
}

fn feed(router: &Router, query: &str) -> Feed {
    let feed = Feed::open(&socket(router), &format!("/api/events{query}"), "");
    assert_eq!((feed.status, feed.content_type.as_str()), (200, "text/event-stream"));
    feed
}

/// A router with an account at an upstream that always answers.
fn answering() -> (Chaos, Router) {
    let chaos = Chaos::always(reply::json(200, &Dialect::Chat.answer())).unwrap();
    let router =
        Setup::new().upstream(Dialect::Chat, "one", &chaos.url(Dialect::Chat.base())).start();
    (chaos, router)
}

/// The row of a request that ended well. It may have been told as running before.
fn is_end(heard: &Heard) -> bool {
    heard.name.starts_with("req") && heard.json()["status"] == "ok"
}

#[test]
fn a_request_is_told_as_it_ends_with_what_hangs_on_it() {
    let (_chaos, router) = answering();
    let mut feed = feed(&router, "?topics=req,acct,stats");
    assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
    let row = feed.wait_for("the row", is_end).json();
    assert_eq!((&row["requested_model"], &row["status"]), (&json!("one/m"), &json!("ok")));
    assert_eq!((&row["http_status"], &row["path"]), (&json!(200), &json!(["one/m"])));
    let stats = feed.wait_for("the figures", |heard| heard.name == "stats").json();
    assert_eq!(stats["requests"], 1);
    let accounts = admin::call(&socket(&router), "GET", "/api/accounts", None).json();
    let id = accounts["data"][0]["id"].as_str().unwrap().to_owned();
    let name = format!("acct-{id}");
    let account = feed.wait_for("the account", |heard| {
        heard.name == name && heard.json()["state"]["last_used_at"].is_i64()
    });
    assert_eq!(account.json()["id"], id.as_str());
    assert!(!account.data.contains("key-one"), "no event holds a secret");
}

#[test]
fn what_runs_is_told_while_it_runs_and_its_row_is_replaced() {
    let story = Dialect::Chat.story();
    let opened = reply::chunk(format!("{}{}", story.start, story.content[0]).as_bytes());
    let rest = format!("{}{}{}{}", story.content[1], story.finish, story.usage, story.done);
    let rest = reply::chunk(rest.as_bytes());
    let chaos = Chaos::start(Reading::Whole, move |_| {
        vec![
            Step::send(reply::sse_head()),
            Step::send(opened.clone()),
            Step::Hold,
            Step::send(rest.clone()),
            Step::send(reply::LAST_CHUNK),
        ]
    })
    .unwrap();
    let router =
        Setup::new().upstream(Dialect::Chat, "one", &chaos.url(Dialect::Chat.base())).start();
    let mut feed = feed(&router, "?topics=req,inflight");
    let mut client = router.connect();
    client.send(&crate::support::client::request(
        "POST",
        "/v1/chat/completions",
        &[],
        Dialect::Chat.body("one/m", true).as_bytes(),
    ));
    let running = |heard: &Heard| {
        heard.name == "inflight"
            && heard.json().as_array().is_some_and(|list| {
                list.iter()
                    .any(|one| one["output_tokens"].as_u64() > Some(0) && one["target"] == "one/m")
            })
    };
    let mut row = None;
    let list = loop {
        let heard = feed.next().expect("the feed goes on");
        if heard.name == "req" {
            row = Some(heard.json());
        }
        if running(&heard) && row.is_some() {
            break heard.json();
        }
    };
    let row = row.unwrap();
    assert_eq!((&row["status"], &row["http_status"]), (&json!("running"), &Value::Null));
    assert_eq!((&list[0]["request_id"], &list[0]["account_label"]), (&row["id"], &json!("one")));
    chaos.release();
    assert_eq!(client.head(false).unwrap().status, 200);
    client.read_to(story.done.trim().as_bytes());
    let name = format!("req-{}", row["id"].as_str().unwrap());
    let ended = feed.wait_for("its end", |heard| heard.name == name).json();
    assert_eq!((&ended["status"], &ended["id"]), (&json!("ok"), &row["id"]));
    feed.wait_for("the empty list", |heard| heard.name == "inflight" && heard.data == "[]");
}

#[test]
fn a_feed_goes_on_where_it_was_cut() {
    let (_chaos, router) = answering();
    let mut first = feed(&router, "?topics=req");
    // Keeps the events coming while the first one is away.
    let mut second = feed(&router, "?topics=req");
    let id_of = |feed: &mut Feed| {
        router.ask(Dialect::Chat, "one/m", false);
        let heard = feed.wait_for("a row", is_end);
        (heard.id.clone(), heard.json()["id"].clone())
    };
    let (known, _) = id_of(&mut first);
    drop(first);
    second.wait_for("the first row", is_end);
    let (_, missed) = id_of(&mut second);
    let headers = format!("last-event-id: {known}\r\n");
    let mut back = Feed::open(&socket(&router), "/api/events?topics=req&since=1-1", &headers);
    let heard = back.wait_for("what was missed", is_end);
    assert_eq!(heard.json()["id"], missed, "the later of the two ids counts");
    let mut stranger = feed(&router, "?topics=req&since=1-1");
    assert_eq!(stranger.next().unwrap().name, "resync");
}

#[test]
fn feeds_are_counted_and_narrowed_and_end_with_the_router() {
    let mut router = Setup::new().setting("limits.feeds_total", 2).start();
    let call = |query: &str| {
        let target = format!("/api/events{query}");
        admin::call(&socket(&router), "GET", &target, None)
    };
    for (query, status) in [("?topics=nothing", 422), ("?topic=req", 400), ("?level=loud", 422)] {
        assert_eq!(call(query).status, status, "{query}");
    }
    let one = feed(&router, "");
    let mut two = feed(&router, "?topics=acct:0190");
    let refused = call("");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limited")));
    drop(one);
    until(PATIENCE, "the place is free", || (call_status(&router) == 200).then_some(()));
    router.stop();
    assert_eq!(two.next(), None);
}

/// Status of a feed that is opened and left.
fn call_status(router: &Router) -> u16 {
    Feed::open(&socket(router), "/api/events", "").status
}

/// F66: a client that does not read holds nobody up.
#[test]
fn f66_a_feed_that_is_not_read_holds_nobody_up() {
    let (_chaos, router) = answering();
    let _stalled = feed(&router, "?topics=req");
    let mut reader = feed(&router, "?topics=req");
    for _ in 0..20 {
        assert_eq!(router.ask(Dialect::Chat, "one/m", false).status, 200);
    }
    let mut heard = 0;
    while heard < 20 {
        let event = reader.next().expect("the feed goes on");
        if event.json()["status"] == "ok" {
            heard += 1;
        }
    }
}
