//! Calls of a router's management API, over its own admin socket.

use serde_json::Value;

use super::client::Reply;
use super::{Router, admin};

/// One call; `null` is no body.
pub(crate) fn call(router: &Router, method: &str, target: &str, body: Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    admin::call(&router.data_dir().join("admin.sock"), method, target, body.as_ref())
}

/// What a `GET` that must succeed gives.
pub(crate) fn read(router: &Router, target: &str) -> Value {
    let reply = call(router, "GET", target, Value::Null);
    assert_eq!(reply.status, 200, "{target}: {}", reply.brief());
    reply.json()
}
