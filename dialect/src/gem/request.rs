//! Requests: `GenerateContentRequest` in and out (translation §2).

mod config;
mod encode;
mod encode_config;
mod history;
mod tools;

use std::ops::ControlFlow;

use super::wire::string;
use crate::ir::{Ext, RawJson, Request, ServiceTier, SystemOrigin, SystemPart};
use crate::peek::{checked_text, json_error};
use crate::translate::{TranslateError, WarningKind, Warnings};
use crate::{Dialect, json};

pub use encode::encode_request;
pub(crate) use encode_config::is_gemini_3;

/// Reads a request. The model stays empty and `stream` false: both stand in the path.
///
/// # Errors
/// When the body is no JSON object, or `contents` makes no sense.
pub fn decode_request(body: &[u8], warnings: &mut Warnings) -> Result<Request, TranslateError> {
    let text = checked_text(body)?;
    // A client of Code Assist sends the request in its envelope (providers §3.3).
    let text = crate::cloud_code::inner_request(text).unwrap_or(text);
    let mut request = Request::default();
    let (mut contents, mut system, mut tool_list) = (None, None, None);
    let (mut tool_config, mut generation) = (None, None);
    json::each_member(text, |member| {
        let raw = member.value;
        if raw == "null" {
            return ControlFlow::Continue(());
        }
        match &*member.key {
            "contents" => contents = Some(raw),
            "systemInstruction" | "system_instruction" => system = Some(raw),
            "tools" => tool_list = Some(raw),
            "toolConfig" | "tool_config" => tool_config = Some(raw),
            "generationConfig" | "generation_config" => generation = Some(raw),
            "safetySettings" | "safety_settings" => {
                request.safety_settings = RawJson::parse(raw).ok();
            }
            "cachedContent" | "cached_content" => {
                request.cache.cached_content = string(raw).map(|name| name.as_ref().into());
            }
            "serviceTier" | "service_tier" => {
                let tier = |name: std::borrow::Cow<'_, str>| ServiceTier {
                    dialect: Dialect::Gem,
                    name: name.as_ref().into(),
                };
                request.service_tier = string(raw).map(tier);
            }
            "store" => request.store = serde_json::from_str(raw).ok(),
            "labels" => request.metadata = serde_json::from_str(raw).unwrap_or_default(),
            // The path names the model.
            "model" => {}
            key => keep(&mut request.ext, key, raw),
        }
        ControlFlow::Continue(())
    })
    .map_err(|error| json_error(&error))?;
    if let Some(raw) = generation {
        config::decode(raw, &mut request, warnings);
    }
    if let Some(raw) = tool_list {
        request.tools = tools::decode(raw, warnings);
    }
    if let Some(raw) = tool_config {
        tools::decode_config(raw, &mut request);
    }
    if let Some(raw) = system {
        system_parts(raw, &mut request, warnings);
    }
    if let Some(raw) = contents {
        request.turns = history::decode(raw, warnings)?;
    }
    Ok(request)
}

/// Keeps an unknown field.
fn keep(ext: &mut Ext, key: &str, raw: &str) {
    if let Ok(value) = RawJson::parse(raw) {
        ext.push(Dialect::Gem, key, value);
    }
}

/// Instructions: a content, its parts alone, or plain text (seen in the wild).
fn system_parts(raw: &str, request: &mut Request, warnings: &mut Warnings) {
    let mut push = |text: &str| {
        request.system.push(SystemPart {
            text: text.into(),
            cache: None,
            origin: SystemOrigin::Top,
            ext: Ext::default(),
        });
    };
    if let Some(text) = string(raw) {
        push(&text);
        return;
    }
    let parts = json::member(raw, "parts").unwrap_or(raw);
    let part = |raw, push: &mut dyn FnMut(&str)| match json::member(raw, "text").and_then(string) {
        Some(text) => push(&text),
        None => warnings.push(WarningKind::Dropped, "systemInstruction", "only text is taken"),
    };
    let mut part = part;
    if json::is_array(parts) {
        json::visit_elements(parts, |raw| part(raw, &mut push));
    } else {
        part(parts, &mut push);
    }
}

#[cfg(test)]
mod tests;
