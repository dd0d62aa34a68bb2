//! Declarations of tools, and which of them must be used.

use std::borrow::Cow;

use crate::json;
use crate::resp::object::{Object, elements};

/// Offers images.
const IMAGE_TOOL: &str = r#"{"type":"image_generation","output_format":"png"}"#;
/// What a tool without parameters takes.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The tools of a request.
pub(super) struct Tools<'a> {
    /// `tools`.
    pub(super) declared: String,
    /// `tool_choice`.
    pub(super) choice: Option<Cow<'a, str>>,
}

/// The tools as the backend takes them; `None` when there are none, and nothing to choose then.
pub(super) fn fit<'a>(object: &Object<'a>, image_tool: bool) -> Option<Tools<'a>> {
    let mut tools: Vec<Cow<'_, str>> = object.elements("tools").into_iter().map(tool).collect();
    let has_image_tool = || {
        tools.iter().any(|tool| {
            json::member(tool, "type").is_some_and(|kind| kind == "\"image_generation\"")
        })
    };
    if image_tool && !has_image_tool() {
        tools.push(IMAGE_TOOL.into());
    }
    (!tools.is_empty()).then(|| Tools {
        declared: format!("[{}]", tools.join(",")),
        choice: object.raw("tool_choice").map(choice),
    })
}

fn tool(text: &str) -> Cow<'_, str> {
    let Some(tool) = Object::parse(text) else { return text.into() };
    match tool.word("type").as_deref() {
        Some("function") => function(text, &tool),
        Some("namespace") => replaced(text, "tools", |members| {
            let members: Vec<_> = elements(members).into_iter().map(self::tool).collect();
            format!("[{}]", members.join(",")).into()
        }),
        Some(kind) if is_search_preview(kind) => renamed_search(text),
        _ => text.into(),
    }
}

/// The parameters of a function must have properties.
fn function<'a>(text: &'a str, tool: &Object<'a>) -> Cow<'a, str> {
    match tool.raw("parameters") {
        Some(schema) if json::is_object(schema) && !json::is_blank(schema) => {
            if json::member(schema, "properties").is_some() {
                return text.into();
            }
            let rest = schema.strip_prefix('{').unwrap_or_default();
            let schema = format!(r#"{{"properties":{{}},{rest}"#);
            replaced(text, "parameters", |_| schema.clone().into())
        }
        _ => {
            let kept =
                json::rewrite(text, |key, value| (key != "parameters").then_some(value.into()));
            let Some(mut kept) = kept else { return text.into() };
            kept.pop();
            json::push_member(&mut kept, "\"parameters\"", NO_PARAMETERS);
            kept.push('}');
            kept.into()
        }
    }
}

fn is_search_preview(kind: &str) -> bool {
    kind.starts_with("web_search_preview")
}

fn renamed_search(text: &str) -> Cow<'_, str> {
    replaced(text, "type", |_| "\"web_search\"".into())
}

/// A choice names the web search as its declaration does.
fn choice(text: &str) -> Cow<'_, str> {
    let Some(choice) = Object::parse(text) else { return text.into() };
    match choice.word("type").as_deref() {
        Some(kind) if is_search_preview(kind) => renamed_search(text),
        Some("allowed_tools") => replaced(text, "tools", |allowed| {
            let allowed: Vec<_> = elements(allowed).into_iter().map(self::choice).collect();
            format!("[{}]", allowed.join(",")).into()
        }),
        _ => text.into(),
    }
}

/// The object with another value for one of its members.
fn replaced<'a>(
    text: &'a str,
    member: &str,
    value: impl Fn(&'a str) -> Cow<'a, str>,
) -> Cow<'a, str> {
    let changed =
        json::rewrite(text, |key, old| Some(if key == member { value(old) } else { old.into() }));
    changed.map_or(Cow::Borrowed(text), Cow::Owned)
}
