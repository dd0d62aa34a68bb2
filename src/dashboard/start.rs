//! The start page: where clients point and what they may ask for.

use std::sync::Arc;

use ninerouter_templates::{ModelRow, StartPage, start_page};

use crate::actors::listing::list;
use crate::actors::shared::Shared;
use crate::config::settings::RequireApiKey;

/// Model rows shown; the list itself is `/v1/models`.
const ROWS: usize = 200;

/// Renders the page for a browser that reached the router as `host`; `served` are the providers with
/// an account.
#[must_use]
pub fn render(shared: &Shared, served: &[Arc<str>], host: &str) -> String {
    let snapshot = shared.snapshot.load();
    let listed = list(&snapshot, served, None);
    let base = format!("http://{host}");
    let access = match (snapshot.settings.require_api_key, snapshot.fixed.loopback_only) {
        (RequireApiKey::Auto | RequireApiKey::Never, true) => {
            "No API key is needed on this computer."
        }
        (RequireApiKey::Never, false) => "Trusted addresses need no API key, others do.",
        (RequireApiKey::Always, _) | (RequireApiKey::Auto, false) => "Clients need an API key.",
    };
    let model = listed.first().map_or("provider/model", |m| m.id.as_str());
    let view = StartPage {
        simulated: snapshot.fixed.demo,
        openai_url: format!("{base}/v1"),
        anthropic_url: base.clone(),
        gemini_url: format!("{base}/v1beta"),
        access: access.to_owned(),
        curl: curl(&base, model),
        models: listed
            .iter()
            .take(ROWS)
            .map(|m| ModelRow { id: m.id.clone(), owner: m.owner.to_string() })
            .collect(),
    };
    start_page(&view).into_string()
}

/// A streaming request that works as printed.
#[must_use]
pub fn curl(base: &str, model: &str) -> String {
    let body = serde_json::json!({
        "model": model,
        "stream": true,
        "messages": [{"role": "user", "content": "Say hello"}],
    });
    // A model id holds no quote that the shell would see: ids with one are not listed.
    format!(
        "curl -N {base}/v1/chat/completions -H 'content-type: application/json' -d '{}'",
        body.to_string().replace('\'', "'\\''")
    )
}
