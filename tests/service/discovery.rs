//! Live model lists: providers §6, endpoints §4.5.

use ninerouter::demo::chaos::{Chaos, Reading, Received, Step, reply};
use rustix::process::Signal;

use crate::support::{Dialect, PATIENCE, Router, Setup, until};

const LIST: &str = r#"{"object":"list","data":[{"id":"live-1","context_window":4096},{"id":"Live/2"},{"id":"a b"},{"id":"vec","type":"embedding"}]}"#;

fn is_list(request: &Received) -> bool {
    request.target().contains("/models")
}

fn listed(router: &Router) -> Vec<String> {
    let list = router.get("/v1/models").json();
    let data = list["data"].as_array().unwrap();
    data.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

fn until_listed(router: &Router, id: &str) {
    until(PATIENCE, id, || listed(router).iter().any(|m| m == id).then_some(()));
}

#[test]
fn models_of_a_node_appear_after_a_start_that_does_not_wait_for_them() {
    let chaos =
        Chaos::start(Reading::Whole, |_| vec![Step::Hold, Step::send(reply::json(200, LIST))])
            .unwrap();
    let setup = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1"));
    let mut router = setup.background().start();
    assert!(chaos.wait_requests(1, PATIENCE), "the list is asked for");
    assert_eq!(listed(&router), [""; 0], "and nothing waits for the answer");
    chaos.release();
    until_listed(&router, "one/live-1");
    assert_eq!(listed(&router), ["one/Live/2", "one/live-1"], "embeddings and broken ids are not");
    let one = router.get("/v1/models/one/live-1").json();
    assert_eq!(one["context_window"], 4096);
    let asked = &chaos.requests()[0];
    assert_eq!(asked.target(), "/v1/models");
    assert_eq!(asked.header("authorization").as_deref(), Some("Bearer key-one"));

    router.stop();
    drop(chaos);
    router.launch();
    assert_eq!(listed(&router), ["one/Live/2", "one/live-1"], "the list survives the restart");
}

#[test]
fn an_upstream_that_fails_leaves_the_list_and_the_account_as_they_were() {
    let bad = [
        reply::json(500, r#"{"error":{"message":"down"}}"#),
        reply::json(401, r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#),
        reply::json(429, r#"{"error":{"message":"slow down"}}"#),
        reply::whole(200, &[("content-type", "text/html")], b"<html>no list</html>"),
        reply::whole(302, &[("location", "/elsewhere")], b""),
    ];
    let failures = bad.len();
    let lists = std::sync::atomic::AtomicUsize::new(0);
    let chaos = Chaos::start(Reading::Whole, move |request| {
        if !is_list(request) {
            return vec![Step::send(reply::json(200, &Dialect::Chat.answer()))];
        }
        let n = lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let answer = n.checked_sub(1).map(|n| bad[n % bad.len()].clone());
        vec![Step::send(answer.unwrap_or_else(|| reply::json(200, LIST)))]
    })
    .unwrap();
    let setup = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1"));
    let router = setup.background().start();
    until_listed(&router, "one/live-1");
    for round in 0..failures {
        router.signal(Signal::HUP);
        assert!(chaos.wait_requests(2 + round, PATIENCE), "a reload asks again ({round})");
    }
    let answer = router.ask(Dialect::Chat, "one/live-1", false);
    assert_eq!(answer.status, 200, "no lock, no penalty: {}", answer.brief());
    assert_eq!(listed(&router), ["one/Live/2", "one/live-1"]);
    assert!(chaos.requests().iter().all(|r| r.target() != "/elsewhere"));
}

#[test]
fn a_model_that_only_the_live_list_of_a_catalog_provider_has_is_served() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let text = match is_list(request) {
            true => r#"{"data":[{"id":"gpt-99"},{"id":"text-embedding-3-small"}]}"#.to_owned(),
            false => Dialect::Chat.answer(),
        };
        vec![Step::send(reply::json(200, &text))]
    })
    .unwrap();
    let setup =
        Setup::new().account("openai", "o").env("NINEROUTER_ENDPOINT_OPENAI_API", &chaos.url(""));
    let router = setup.background().start();
    until_listed(&router, "openai/gpt-99");
    let list = listed(&router);
    assert!(!list.iter().any(|m| m.contains("embedding")), "the catalog knows better: {list:?}");
    for id in ["openai/gpt-99", "OPENAI/GPT-99"] {
        let answer = router.ask(Dialect::Chat, id, false);
        assert_eq!(answer.status, 200, "{id}: {}", answer.brief());
        assert!(chaos.requests().last().unwrap().body.windows(8).any(|w| w == b"\"gpt-99\""));
    }
    assert_eq!(router.ask(Dialect::Chat, "openai/gpt-98", false).status, 404);
}

#[test]
fn a_list_in_pages_is_read_to_its_end() {
    let chaos = Chaos::start(Reading::Whole, |request| {
        let page = match request.target().split_once("after_id=").map(|(_, id)| id.to_owned()) {
            None => r#"{"data":[{"type":"model","id":"c-1","display_name":"C1"}],"has_more":true,"last_id":"c-1"}"#,
            Some(id) if id == "c-1" => r#"{"data":[{"type":"model","id":"c-2"}],"has_more":true,"last_id":"c-1"}"#,
            // A circle: nothing new, yet more.
            Some(_) => r#"{"data":[{"type":"model","id":"c-2"}],"has_more":true,"last_id":"c-2"}"#,
        };
        vec![Step::send(reply::json(200, page))]
    })
    .unwrap();
    let setup = Setup::new().upstream(Dialect::Anth, "one", &chaos.url("/v1"));
    let router = setup.background().start();
    until_listed(&router, "one/c-2");
    assert_eq!(listed(&router), ["one/c-1", "one/c-2"]);
    assert_eq!(chaos.requests()[0].header("x-api-key").as_deref(), Some("key-one"));
}

#[test]
fn a_list_the_operator_wrote_is_shown_and_nothing_is_fetched_in_its_place() {
    let chaos = Chaos::start(Reading::Whole, |_| vec![Step::send(reply::json(200, LIST))]).unwrap();
    let own = format!(
        r#"
[[nodes]]
name = "Own list"
prefix = "own"
type = "openai-compatible"
base_url = "{}"
network = "loopback"
model_source = "manual"
[[models]]
provider = "own"
id = "big/1"
name = "Big one"
ctx = 9000
[[models]]
provider = "own"
id = "hidden"
enabled = false
[[models]]
provider = "one"
id = "live-1"
ctx = 1234
[[models]]
provider = "one"
id = "Live/2"
enabled = false
"#,
        chaos.url("/own/v1")
    );
    let setup = Setup::new().upstream(Dialect::Chat, "one", &chaos.url("/v1"));
    let router = setup.toml(&own).account("own", "own").background().start();
    until(PATIENCE, "the other node's list", || {
        chaos.requests().iter().any(|r| r.target() == "/v1/models").then_some(())
    });
    let mut ids = listed(&router);
    ids.sort();
    assert_eq!(ids, ["one/live-1", "own/big/1"]);
    let context =
        |id: &str| router.get(&format!("/v1/models/{id}")).json()["context_window"].clone();
    assert_eq!(context("own/big/1"), 9000);
    assert_eq!(context("one/live-1"), 1234, "the operator outranks the upstream's own list");
    assert!(chaos.requests().iter().all(|r| !r.target().starts_with("/own/")));
    let answer = router.ask(Dialect::Chat, "own/hidden", false);
    assert!(chaos.requests().iter().any(|r| r.target() == "/own/v1/chat/completions"));
    assert_ne!(answer.status, 404, "left out of the list, not refused: {}", answer.brief());
}
