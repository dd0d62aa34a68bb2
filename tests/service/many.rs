//! Many accounts at once, the jobs that work on them, and the alerts that tell what needs the operator.

use std::time::Duration;

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::{Value, json};

use crate::support::{Dialect, Reply, Router, Setup, admin, until};

/// Longest wait for something that happens in the background.
const SOON: Duration = Duration::from_secs(40);

impl Router {
    fn manage(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = Some(body).filter(|body| !body.is_null());
        let target = format!("/api{path}");
        admin::call(&self.data_dir().join("admin.sock"), method, &target, body.as_ref())
    }

    fn look(&self, path: &str) -> Value {
        let reply = self.manage("GET", path, Value::Null);
        assert_eq!(reply.status, 200, "{path}: {}", reply.brief());
        reply.json()
    }

    /// Looks again and again until it is as wanted.
    fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(SOON, path, || Some(self.look(path)).filter(|seen| wanted(seen)))
    }

    fn finished(&self, begun: &Reply) -> Value {
        assert_eq!(begun.status, 202, "{}", begun.brief());
        let id = begun.json()["job"]["id"].as_str().unwrap().to_owned();
        self.until(&format!("/jobs/{id}"), |job| job["finished"].is_i64())
    }
}

/// A host of the OpenAI kind that takes keys which begin with `sk-good`.
fn host() -> Chaos {
    Chaos::start(Reading::Whole, |request| {
        let key = request.header("authorization").unwrap_or_default();
        let answer = match (key.starts_with("Bearer sk-good"), &*request.target()) {
            (false, _) => reply::json(401, r#"{"error":{"message":"no such key"}}"#),
            (true, "/v1/models") => reply::json(200, r#"{"data":[{"id":"m"}]}"#),
            (true, _) => reply::json(200, &Dialect::Chat.answer()),
        };
        vec![Step::send(answer)]
    })
    .unwrap()
}

#[test]
fn a_list_of_keys_is_a_job_that_tells_each_outcome_and_survives_a_restart() {
    let host = host();
    let mut router = Setup::new().start();
    let node = json!({
        "type": "openai-compatible", "name": "Lab", "prefix": "lab",
        "base_url": host.url("/v1"), "network": "loopback",
    });
    assert_eq!(router.manage("POST", "/nodes", node).status, 201);
    let keys = json!([
        "one|sk-good-0000000001",
        "two|sk-bad-00000000002",
        "sk-good-0000000003",
        "sk-good-0000000003"
    ]);
    let begun = router.manage("POST", "/accounts/bulk", json!({"provider": "lab", "keys": keys}));
    let job = router.finished(&begun);
    assert_eq!(
        (&job["total"], &job["ok"], &job["failed"]),
        (&json!(3), &json!(2), &json!(1)),
        "{job}"
    );
    assert_eq!((&job["state"], &job["kind"]), (&json!("done"), &json!("add_keys")));
    assert_eq!(
        (&job["items"][0]["name"], &job["items"][0]["state"]),
        (&json!("two"), &json!("failed"))
    );
    assert!(!job.to_string().contains("sk-bad-0"), "{job}");
    let accounts = router.look("/accounts?provider=lab");
    assert_eq!(accounts["total"], 2, "{accounts}");

    let path = format!("/jobs/{}/report?format=csv", job["id"].as_str().unwrap());
    let report = router.manage("GET", &path, Value::Null);
    assert_eq!(report.status, 200);
    assert!(report.header("content-disposition").unwrap().contains(".csv"));
    assert!(String::from_utf8_lossy(&report.body).contains("\"two\",\"failed\""));
    let over = format!("/jobs/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(router.manage("POST", &over, Value::Null).status, 409);

    router.stop();
    router.launch();
    let kept = router.look("/jobs");
    assert_eq!((&kept["data"][0]["id"], &kept["data"][0]["items"]), (&job["id"], &job["items"]));
    let none = router.manage("POST", "/accounts/bulk", json!({"provider": "lab", "keys": [" "]}));
    assert_eq!(none.status, 422, "{}", none.brief());
}

#[test]
fn several_accounts_are_switched_tested_ordered_and_deleted_together() {
    let host = host();
    let router = Setup::new().start();
    let node = json!({
        "type": "openai-compatible", "name": "Lab", "prefix": "lab",
        "base_url": host.url("/v1"), "network": "loopback",
    });
    router.manage("POST", "/nodes", node);
    let make = |label: &str, key: &str| {
        let body = json!({"provider": "lab", "label": label, "api_key": key, "save_anyway": true});
        let made = router.manage("POST", "/accounts", body);
        assert_eq!(made.status, 201, "{}", made.brief());
        made.json()["account"]["id"].as_str().unwrap().to_owned()
    };
    let ids = [make("a", "sk-good-1"), make("b", "sk-bad-2"), make("c", "sk-good-3")];

    let tested = router.manage("POST", "/accounts/batch", json!({"ids": ids, "action": "test"}));
    let job = router.finished(&tested);
    assert_eq!((&job["ok"], &job["failed"]), (&json!(2), &json!(1)), "{job}");
    assert!(job["items"][0]["name"].as_str().unwrap().ends_with("/b"), "{job}");

    let turned = [&ids[2], &ids[0]];
    let order =
        router.manage("POST", "/accounts/reorder", json!({"provider": "lab", "ids": turned}));
    assert_eq!(order.status, 200, "{}", order.brief());
    let labels = |list: &Value| {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| row["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut listed = router.look("/accounts?provider=lab");
    listed["data"].as_array_mut().unwrap().sort_by_key(|row| row["priority"].as_i64());
    assert_eq!(labels(&listed), ["c", "a", "b"]);
    let stranger = json!({"provider": "lab", "ids": ["01890a5d-ac96-774b-bcce-b302099a8057"]});
    assert_eq!(router.manage("POST", "/accounts/reorder", stranger).status, 422);
    let twice = json!({"provider": "lab", "ids": [ids[0], ids[0]]});
    assert_eq!(router.manage("POST", "/accounts/reorder", twice).status, 422);

    let off = json!({"ids": [ids[0], "nobody"], "action": "disable"});
    let off = router.manage("POST", "/accounts/batch", off).json();
    assert_eq!((&off["ok"], &off["failed"]), (&json!(1), &json!(1)), "{off}");
    let set = json!({"ids": ids, "action": "set", "set": {"priority": 7}});
    assert_eq!(router.manage("POST", "/accounts/batch", set).json()["ok"], 3);
    for id in &ids {
        assert_eq!(router.look(&format!("/accounts/{id}"))["priority"], 7);
    }
    let other = json!({"ids": ids, "action": "set", "set": {"label": "x"}});
    assert_eq!(router.manage("POST", "/accounts/batch", other).status, 400);
    let gone = json!({"ids": ids, "action": "delete"});
    assert_eq!(router.manage("POST", "/accounts/batch", gone).json()["ok"], 3);
    assert_eq!(router.look("/accounts?provider=lab")["total"], 0);
}

#[test]
fn an_account_that_needs_its_operator_is_an_alert_until_it_is_well() {
    let host = Chaos::always(reply::json(401, r#"{"error":{"message":"no such key"}}"#)).unwrap();
    let router =
        Setup::new().upstream(Dialect::Chat, "mine", &host.url("/v1")).background().start();
    let combo = json!({"name": "all", "entries": [{"target": "mine/m"}]});
    assert_eq!(router.manage("POST", "/combos", combo).status, 201);
    assert!(router.ask(Dialect::Chat, "all", false).status >= 400);
    let has = |list: &Value, kind: &str| {
        list["data"].as_array().unwrap().iter().any(|alert| alert["kind"] == kind)
    };
    let open =
        router.until("/alerts", |list| has(list, "account_refused") && has(list, "combo_unserved"));
    assert_eq!(open["data"][0]["severity"], "bad", "{open}");
    let alerts = open["data"].as_array().unwrap();
    let dead = alerts.iter().find(|alert| alert["kind"] == "account_refused").unwrap();
    let path = format!("/alerts/{}/dismiss", dead["id"].as_str().unwrap());
    assert_eq!(router.manage("POST", &path, Value::Null).status, 204);
    assert!(!has(&router.look("/alerts"), "account_refused"));
    assert_eq!(router.manage("POST", "/alerts/nothing/dismiss", Value::Null).status, 404);
    // Switched off on purpose: nothing needs the operator but the combo.
    let account = router.look("/accounts")["data"][0]["id"].as_str().unwrap().to_owned();
    router.manage("DELETE", &format!("/accounts/{account}"), json!({"force": true}));
    router.until("/alerts", |list| !has(list, "account_refused") && has(list, "combo_unserved"));
}
