//! Media that requests name by address, for models that read none: translation §2.9, security §9 (class C3).

use ninerouter::demo::chaos::{Chaos, reply};
use serde_json::{Value, json};

use crate::support::{Dialect, Router, Setup};

const METADATA: &str = "http://169.254.169.254/latest/meta-data/?token=secret";

/// A request of a client with an image behind `url`.
fn image(dialect: Dialect, model: &str, url: &str) -> Value {
    match dialect {
        Dialect::Chat => json!({"model": model, "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}},
        ]}]}),
        Dialect::Resp => json!({"model": model, "input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": url},
        ]}]}),
        Dialect::Anth => json!({"model": model, "max_tokens": 9, "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": url}}]},
        ]}),
        Dialect::Gem => unreachable!("its own addresses go as they are"),
    }
}

fn ask(router: &Router, dialect: Dialect, model: &str, url: &str) -> (u16, Value) {
    let body = image(dialect, model, url).to_string();
    let got = router.post(&dialect.path(model, false), body);
    (got.status, got.json())
}

#[test]
fn t104_t_out_06_nothing_is_fetched_from_inside_in_any_dialect() {
    let chaos = Chaos::always(reply::json(200, &Dialect::Gem.answer())).unwrap();
    let router = Setup::new().upstream(Dialect::Gem, "gem", &chaos.url("/v1beta")).start();
    for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Anth] {
        for (url, why) in [
            (METADATA, "plain http"),
            ("https://169.254.169.254/latest", "not public"),
            ("https://127.0.0.1/a.png", "not public"),
            ("https://[::ffff:a00:1]/a.png", "not public"),
            ("https://localhost/a.png", "not public"),
            (&chaos.url("/a.png").replace("http:", "https:"), "not public"),
        ] {
            let (status, body) = ask(&router, dialect, "gem/m", url);
            assert_eq!(status, 400, "{dialect:?} {url}: {body}");
            let error = &body["error"];
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("could not fetch image"), "{dialect:?} {url}: {message}");
            assert!(message.contains(why), "{dialect:?} {url}: {message}");
            assert!(!message.contains("secret"), "{message}");
            if dialect != Dialect::Anth {
                assert_eq!(error["code"], "invalid_image_url", "{body}");
            }
        }
    }
    assert_eq!(chaos.connections(), 0, "neither the model nor the address was reached");
}

#[test]
fn an_address_that_cannot_be_fetched_goes_to_a_model_that_reads_addresses() {
    let gem = Chaos::always(reply::json(200, &Dialect::Gem.answer())).unwrap();
    let anth = Chaos::always(reply::json(200, &Dialect::Anth.answer())).unwrap();
    let router = Setup::new()
        .upstream(Dialect::Gem, "gem", &gem.url("/v1beta"))
        .upstream(Dialect::Anth, "anth", &anth.url("/v1"))
        .combo("sees", &["gem/m", "anth/m"])
        .start();
    let url = "https://192.168.1.1/a.png";
    let (status, body) = ask(&router, Dialect::Chat, "sees", url);
    assert_eq!(status, 200, "{body}");
    assert_eq!(gem.connections(), 0);
    let sent: Value = serde_json::from_slice(&anth.requests()[0].body).unwrap();
    let source = json!({"type": "url", "url": url});
    assert_eq!(sent["messages"][0]["content"][0]["source"], source, "{sent}");
    // Nobody's account was to blame.
    let locks = router.rows(&["scope"], "account_locks");
    assert!(locks.is_empty(), "{locks:?}");
}
