//! Many models at once: their lists fetched, each of them tried with a real request, switched on and off.

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::management::call;
use crate::support::{Dialect, PATIENCE, Reply, Router, Setup, until};

/// The job that a call began, at its end.
fn finished(router: &Router, begun: &Reply) -> Value {
    assert_eq!(begun.status, 202, "{}", begun.brief());
    let path = format!("/api/jobs/{}", begun.json()["job"]["id"].as_str().unwrap());
    until(PATIENCE, "the job ends", || {
        let job = call(router, "GET", &path, Value::Null).json();
        job["finished"].is_i64().then_some(job)
    })
}

/// State and message of an item.
fn item<'j>(job: &'j Value, name: &str) -> (&'j str, &'j str) {
    let items = job["items"].as_array().unwrap();
    let item =
        items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name}: {job}"));
    (item["state"].as_str().unwrap(), item["message"].as_str().unwrap_or_default())
}

/// Lists two models, of which one answers and one is not there.
fn upstream() -> Chaos {
    Chaos::start(Reading::Whole, |request| {
        if request.target().ends_with("/models") {
            return vec![Step::send(reply::json(
                200,
                r#"{"data":[{"id":"alpha"},{"id":"beta"}]}"#,
            ))];
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        vec![Step::send(match body["model"].as_str() {
            Some("alpha") => reply::json(200, &Dialect::Chat.answer()),
            _ => reply::json(
                404,
                r#"{"error":{"message":"no such model","code":"model_not_found"}}"#,
            ),
        })]
    })
    .unwrap()
}

fn models(router: &Router) -> Vec<Value> {
    let list = call(router, "GET", "/api/models?provider=up&include=disabled", Value::Null).json();
    list["data"].as_array().unwrap().clone()
}

#[test]
fn a_list_is_fetched_and_its_models_are_tested_on_demand() {
    let chaos = upstream();
    let router = Setup::new().upstream(Dialect::Chat, "up", &chaos.url("/v1")).start();
    assert!(models(&router).is_empty());
    let fetched =
        finished(&router, &call(&router, "POST", "/api/providers/up/models/fetch", json!({})));
    assert_eq!((&fetched["kind"], &fetched["state"]), (&json!("fetch_models"), &json!("done")));
    let keys: Vec<Value> = models(&router).iter().map(|model| model["key"].clone()).collect();
    assert_eq!(keys, ["up/alpha", "up/beta"], "{fetched}");
    assert_eq!(fetched["items"][0]["message"], "2 models");

    let tested =
        finished(&router, &call(&router, "POST", "/api/providers/up/models/test", json!({})));
    assert_eq!((&tested["ok"], &tested["failed"]), (&json!(1), &json!(1)), "{tested}");
    assert_eq!(item(&tested, "up/alpha").0, "ok");
    let (state, why) = item(&tested, "up/beta");
    assert_eq!(state, "failed");
    assert!(why.contains("404"), "{why}");
    let smallest = chaos.requests().into_iter().find(|request| !request.body.is_empty()).unwrap();
    let smallest: Value = serde_json::from_slice(&smallest.body).unwrap();
    assert_eq!(smallest["max_tokens"], 1);
    let listed = models(&router);
    assert_eq!(listed[0]["last_test"]["ok"], true);
    assert_eq!(listed[1]["last_test"]["ok"], false, "{}", listed[1]);

    let one = json!({"models": ["alpha"]});
    let tested = finished(&router, &call(&router, "POST", "/api/providers/up/models/test", one));
    assert_eq!((&tested["total"], &tested["ok"]), (&json!(1), &json!(1)));
    let wrong = json!({"models": ["gamma"]});
    assert_eq!(call(&router, "POST", "/api/providers/up/models/test", wrong).status, 422);
    for action in ["fetch", "test"] {
        let path = format!("/api/providers/nobody/models/{action}");
        assert_eq!(call(&router, "POST", &path, json!({})).status, 404);
    }
}

#[test]
fn a_provider_without_an_account_has_no_list_to_fetch() {
    let router = Setup::new().start();
    for provider in ["deepseek", "claude"] {
        let path = format!("/api/providers/{provider}/models/fetch");
        let refused = call(&router, "POST", &path, json!({}));
        assert_eq!(refused.status, 409, "{}", refused.brief());
    }
    // Nobody could serve them: they are left out, and say why.
    let path = "/api/providers/deepseek/models/test";
    let tested = finished(&router, &call(&router, "POST", path, json!({})));
    assert!(tested["total"].as_u64().unwrap() > 0);
    for item in tested["items"].as_array().unwrap() {
        assert!(item["message"].as_str().unwrap().starts_with("left out: "), "{item}");
    }
    let path = "/api/providers/deepseek/models/test";
    let tried = finished(&router, &call(&router, "POST", path, json!({"include_blocked": true})));
    assert_eq!(tried["ok"], 0, "{tried}");
}

#[test]
fn many_models_are_switched_and_tested_at_once() {
    let chaos = upstream();
    let router = Setup::new().upstream(Dialect::Chat, "up", &chaos.url("/v1")).start();
    finished(&router, &call(&router, "POST", "/api/providers/up/models/fetch", json!({})));
    let batch = |keys: &[&str], action: &str| {
        call(&router, "POST", "/api/models/batch", json!({"keys": keys, "action": action}))
    };
    let done = batch(&["up/alpha", "up/beta", "up/none", "nonsense"], "disable");
    assert_eq!(done.status, 200, "{}", done.brief());
    let done = done.json();
    assert_eq!((&done["ok"], &done["failed"]), (&json!(2), &json!(2)), "{done}");
    let enabled =
        || models(&router).iter().map(|model| model["enabled"].clone()).collect::<Vec<_>>();
    assert_eq!(enabled(), [false, false]);
    // What is off is not tested along with the rest.
    assert_eq!(call(&router, "POST", "/api/providers/up/models/test", json!({})).status, 409);
    assert_eq!(batch(&["up/alpha", "up/beta"], "enable").json()["ok"], 2);
    assert_eq!(enabled(), [true, true]);
    let tested = finished(&router, &batch(&["up/alpha"], "test"));
    assert_eq!((&tested["kind"], &tested["ok"]), (&json!("test_models"), &json!(1)));
    assert_eq!(batch(&[], "enable").status, 422);
    assert_eq!(batch(&["up/alpha"], "explode").status, 422);
}
