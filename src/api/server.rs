//! The server itself: reading its files again.

use std::sync::Arc;

use serde_json::json;

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;

/// What SIGHUP does: `.env` files, the config file, everything stored (cli-and-deploy §7.5).
pub(super) async fn reload(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    let reread = Arc::clone(&api.service.reread);
    let reloaded = api.service.configured.reload_after(move || reread()).await;
    // REL-RUN-4: the old configuration stays.
    reloaded.map_err(|why| {
        ApiError::new(
            422,
            "validation_failed",
            format!("not reloaded, the old configuration stays: {why}"),
        )
    })?;
    Ok(Reply::ok(json!({"reloaded": true})))
}
