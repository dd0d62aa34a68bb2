//! The server itself: reading its files again, starting anew, ending.

use std::sync::Arc;

use serde_json::json;

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::config::restart::is_supervised;

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

/// Ends as after SIGTERM, for whoever watches over the process to start it again (cli-and-deploy §7.5).
pub(super) async fn restart(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    if !is_supervised(&api.service.options) {
        let message = "nothing would start the router again: no service manager runs it; restart it by hand, or set \
                       `NINEROUTER_AUTO_RESTART` where something else watches over it";
        return Err(ApiError::new(409, "conflict", message));
    }
    stop(api, "restarting")
}

/// Ends as after SIGTERM: what runs is finished, within the drain's time.
pub(super) async fn shut_down(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    stop(api, "stopping")
}

fn stop(api: &Api, word: &str) -> Result<Reply, ApiError> {
    if api.service.public.is_none() {
        return Err(ApiError::unavailable("no router runs here"));
    }
    api.shared().drain.ask_stop();
    Ok(Reply { status: 202, ..Reply::ok(json!({ "state": word })) })
}
