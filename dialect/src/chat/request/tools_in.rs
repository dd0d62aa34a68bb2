//! Declarations and choice of tools (translation §2.5).

use crate::ir::{
    Builtin, BuiltinConfig, BuiltinTool, FunctionTool, RawJson, Tool, ToolChoice, ToolMode,
};
use crate::{Dialect, json};

use super::lenient::{Lenient, boolean, cache_mark, raw_json, text, word};

/// The declarations in `tools`, or in the older `functions`, whose elements lack the outer object.
pub(super) fn tools(key: &str, list: &str, lenient: &mut Lenient<'_>) -> Vec<Tool> {
    let mut tools = Vec::new();
    let mut index = 0_usize;
    json::visit_elements(list, |raw| {
        match tool(raw) {
            Some(tool) => tools.push(tool),
            None => lenient.drop(format!("{key}[{index}]"), "no declaration of a tool"),
        }
        index = index.saturating_add(1);
    });
    tools
}

fn tool(raw: &str) -> Option<Tool> {
    let kind = json::member(raw, "type").and_then(json::string);
    match kind.as_deref() {
        Some("custom") => custom(json::member(raw, "custom").unwrap_or(raw)),
        Some("function") | None => function(raw),
        Some(kind) => Some(Tool::Builtin(BuiltinTool {
            kind: builtin(kind),
            name: json::member(raw, "name").and_then(word),
            origin: Dialect::Chat,
            raw: raw_json(raw)?,
            config: BuiltinConfig::default(),
        })),
    }
}

/// What a vendor's own type of tool does. Names carry versions and prefixes of vendors.
fn builtin(kind: &str) -> Builtin {
    let known = [
        ("web_search", Builtin::WebSearch),
        ("web_fetch", Builtin::WebFetch),
        ("code_interpreter", Builtin::CodeExecution),
        ("file_search", Builtin::FileSearch),
        ("image_generation", Builtin::ImageGeneration),
        ("mcp", Builtin::Mcp),
    ];
    known.into_iter().find(|(name, _)| kind.contains(name)).map_or(Builtin::Other, |(_, kind)| kind)
}

fn function(raw: &str) -> Option<Tool> {
    let mut tool = FunctionTool::default();
    let mut named = false;
    let mut member = |key: &str, value: &str| match key {
        "name" => {
            named = true;
            tool.name = text(value).unwrap_or_default();
        }
        "description" => tool.description = text(value),
        // Anthropic's spelling, from clients that mix them up.
        "parameters" | "input_schema" => tool.schema = schema(value),
        "strict" => tool.strict = boolean(value),
        "cache_control" => tool.cache = cache_mark(value),
        "defer_loading" => tool.defer_loading = boolean(value),
        "type" | "function" => {}
        _ => {
            if let Some(value) = raw_json(value) {
                tool.ext.push(Dialect::Chat, key.to_owned(), value);
            }
        }
    };
    if let Some(inner) = json::member(raw, "function") {
        json::visit(inner, &mut member);
        // Beside the function stand marks, but no second declaration.
        json::visit(raw, |key, value| {
            if matches!(key, "cache_control" | "defer_loading" | "strict") {
                member(key, value);
            }
        });
    } else {
        json::visit(raw, &mut member);
    }
    named.then_some(Tool::Function(tool))
}

fn schema(raw: &str) -> Option<RawJson> {
    if json::is_object(raw) { raw_json(raw) } else { None }
}

fn custom(raw: &str) -> Option<Tool> {
    let format = json::member(raw, "format").filter(|format| json::is_object(format));
    Some(Tool::Custom {
        name: json::member(raw, "name").and_then(text)?,
        description: json::member(raw, "description").and_then(text),
        format: format.and_then(flat_format),
    })
}

/// Chat puts a grammar into an object of its own, Responses beside the type. The neutral form is the
/// latter.
fn flat_format(raw: &str) -> Option<RawJson> {
    let Some(grammar) = json::member(raw, "grammar") else { return raw_json(raw) };
    let mut flat = serde_json::Map::new();
    flat.insert("type".into(), "grammar".into());
    json::visit(grammar, |key, value| {
        if let Ok(value) = serde_json::from_str(value) {
            flat.insert(key.to_owned(), value);
        }
    });
    Some(RawJson::from(serde_json::Value::Object(flat)))
}

/// `web_search_options`: the search of OpenAI's search models.
pub(super) fn web_search(raw: &str) -> Option<Tool> {
    let place = json::member(raw, "user_location").filter(|place| json::is_object(place));
    // Chat nests the place in a member named after its type.
    let user_location = place.map(|place| {
        let mut flat = serde_json::Map::new();
        flat.insert("type".into(), "approximate".into());
        json::visit(json::member(place, "approximate").unwrap_or(place), |key, value| {
            if let Ok(value) = serde_json::from_str(value) {
                flat.insert(key.to_owned(), value);
            }
        });
        RawJson::from(serde_json::Value::Object(flat))
    });
    if !json::is_object(raw) {
        return None;
    }
    Some(Tool::Builtin(BuiltinTool {
        kind: Builtin::WebSearch,
        name: None,
        origin: Dialect::Chat,
        raw: raw_json(raw)?,
        config: BuiltinConfig { user_location, ..BuiltinConfig::default() },
    }))
}

/// `tool_choice`, or the older `function_call`.
pub(super) fn choice(raw: &str) -> Option<ToolChoice> {
    if let Some(word) = json::string(raw) {
        return match word.as_ref() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" | "any" => Some(ToolChoice::Any),
            _ => None,
        };
    }
    let member = |key| json::member(raw, key);
    let name = || {
        let inner = member("function").or_else(|| member("custom")).unwrap_or(raw);
        json::member(inner, "name").and_then(word).map(ToolChoice::Named)
    };
    match member("type").and_then(json::string).as_deref() {
        Some("allowed_tools") => Some(allowed(member("allowed_tools").unwrap_or(raw))),
        // Anthropic's forms, from clients that mix them up.
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some("any" | "required") => Some(ToolChoice::Any),
        _ => name(),
    }
}

fn allowed(raw: &str) -> ToolChoice {
    let required = json::member(raw, "mode") == Some("\"required\"");
    let mut names = Vec::new();
    json::visit_elements(json::member(raw, "tools").unwrap_or_default(), |tool| {
        let inner = json::member(tool, "function").or_else(|| json::member(tool, "custom"));
        names.extend(json::member(inner.unwrap_or(tool), "name").and_then(word));
    });
    ToolChoice::Allowed { mode: if required { ToolMode::Any } else { ToolMode::Auto }, names }
}
