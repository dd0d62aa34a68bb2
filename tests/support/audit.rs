//! Rows of a running router's audit log.

use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, Router, admin, now};

/// The newest row of this event, once it is written.
pub(crate) fn row(router: &Router, event: &str) -> Value {
    row_that(router, event, |_| true)
}

/// The newest row of this event that fits, once it is written.
pub(crate) fn row_that(router: &Router, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let found = || rows(router, event).into_iter().find(&fits);
    let start = now();
    loop {
        if let Some(row) = found() {
            return row;
        }
        let rows = || Value::from(rows(router, event));
        assert!(start.elapsed() < PATIENCE, "no such row of `{event}`, but {:#}", rows());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The newest rows of this event, at most 100, newest first.
pub(crate) fn rows(router: &Router, event: &str) -> Vec<Value> {
    let socket = router.data_dir().join("admin.sock");
    let reply = admin::call(&socket, "GET", &format!("/api/audit?event={event}&limit=100"), None);
    assert_eq!(reply.status, 200, "{event}: {}", reply.brief());
    reply.json()["data"].as_array().unwrap().clone()
}
