//! What Ollama's clients look up before they ask: models and what is known of them (endpoints §4.9).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A model that may be asked for.
#[derive(Clone, Copy, Debug)]
pub struct ListedModel<'a> {
    /// What clients write.
    pub id: &'a str,
    /// Who serves it.
    pub owner: &'a str,
    /// The longest conversation, tokens.
    pub context: Option<u32>,
    /// It calls tools; unless something is known against it, it does.
    pub tools: bool,
    /// It sees images.
    pub vision: bool,
    /// It reasons.
    pub thinking: bool,
}

/// `/api/tags`. `modified_at` (RFC 3339) is that of all models: lists of the same models are alike.
pub fn tags(models: &[ListedModel<'_>], modified_at: &str) -> Value {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "name": model.id,
                "model": model.id,
                "modified_at": modified_at,
                "size": 0,
                "digest": digest(model.id),
                "details": details(model),
            })
        })
        .collect();
    json!({ "models": models })
}

/// `/api/show`.
pub fn show(model: &ListedModel<'_>, modified_at: &str) -> Value {
    let mut info = json!({ "general.architecture": "api" });
    if let (Some(context), Value::Object(info)) = (model.context, &mut info) {
        info.insert("api.context_length".into(), context.into());
    }
    let mut capabilities = vec!["completion"];
    for (can, capability) in
        [(model.tools, "tools"), (model.vision, "vision"), (model.thinking, "thinking")]
    {
        if can {
            capabilities.push(capability);
        }
    }
    json!({
        "details": details(model),
        "model_info": info,
        "capabilities": capabilities,
        "modified_at": modified_at,
    })
}

/// The model that a request to `/api/show` names, in its newer or its older member.
pub fn shown_model(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let named = |key| crate::json::member(text, key).and_then(crate::json::text);
    named("model").or_else(|| named("name"))
}

fn details(model: &ListedModel<'_>) -> Value {
    json!({
        "parent_model": "",
        "format": "api",
        "family": model.owner,
        "families": [model.owner],
        "parameter_size": "",
        "quantization_level": "",
    })
}

fn digest(id: &str) -> String {
    Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
