//! Rows of a running router's audit log.

use serde_json::Value;

use super::{PATIENCE, Router, admin, until};

/// The newest row of this event, once it is written.
pub(crate) fn row(router: &Router, event: &str) -> Value {
    row_that(router, event, |_| true)
}

/// The newest row of this event that fits, once it is written.
pub(crate) fn row_that(router: &Router, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(PATIENCE, event, || rows(router, event).into_iter().find(&fits))
}

/// The newest rows of this event, at most 100, newest first.
pub(crate) fn rows(router: &Router, event: &str) -> Vec<Value> {
    let socket = router.data_dir().join("admin.sock");
    let reply = admin::call(&socket, "GET", &format!("/api/audit?event={event}&limit=100"), None);
    assert_eq!(reply.status, 200, "{event}: {}", reply.brief());
    reply.json()["data"].as_array().unwrap().clone()
}
