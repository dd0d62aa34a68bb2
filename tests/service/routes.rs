//! Routes of the management API as such: those that are still to come, wrong methods, and the end of the server.

use ninerouter::api::ROUTES;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Reply, Router, Setup, admin};

fn call(router: &Router, method: &str, target: &str, body: Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body.as_ref())
}

#[test]
fn a_feature_that_is_still_to_come_says_so() {
    let router = Setup::new().start();
    let document = call(&router, "GET", "/api/openapi.json", Value::Null).json();
    let mut count = 0;
    for (route, feature) in ROUTES.iter().filter_map(|route| Some((route, route.later?))) {
        let path = route.path.replace(['{', '}'], "");
        let body = if route.method == "GET" { Value::Null } else { json!({"anything": 1}) };
        let reply = call(&router, route.method, &path, body);
        assert_eq!(reply.status, 501, "{route:?}: {}", reply.brief());
        let error = &reply.json()["error"];
        assert_eq!(error["code"], "not_implemented");
        assert!(error["message"].as_str().unwrap().starts_with(feature), "{error}");
        assert!(error["request_id"].as_str().unwrap().starts_with("req_"));
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        assert!(operation["responses"]["501"].is_object(), "{route:?}");
        count += 1;
    }
    assert!(count > 20, "only {count} routes");
    // Nothing happened: nothing is noted.
    let audit = call(&router, "GET", "/api/audit?limit=100", Value::Null).text();
    assert!(!audit.contains("anything"), "{audit}");
}

#[test]
fn a_server_is_restarted_by_those_who_watch_over_it_and_stopped_by_anybody() {
    let mut router = Setup::new().start();
    let refused = call(&router, "POST", "/api/server/restart", json!({}));
    assert_eq!(refused.status, 409, "{}", refused.brief());
    assert_eq!(call(&router, "POST", "/api/server/shutdown", json!({"now": true})).status, 400);
    let stopping = call(&router, "POST", "/api/server/shutdown", json!({}));
    assert_eq!((stopping.status, &stopping.json()["state"]), (202, &json!("stopping")));
    assert!(router.wait(PATIENCE).success());

    let mut watched = Setup::new().env("NINEROUTER_AUTO_RESTART", "1").start();
    let restarting = call(&watched, "POST", "/api/server/restart", json!({}));
    assert_eq!((restarting.status, &restarting.json()["state"]), (202, &json!("restarting")));
    assert!(watched.wait(PATIENCE).success());
}
