//! The items of a request.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Value, json};

use crate::json;
use crate::resp::object::{Object, elements};
use crate::translate::{TranslateError, WarningKind, Warnings, ids};

/// The items as the backend takes them, as a JSON array.
///
/// # Errors
/// When there are none: an invented one would be answered.
pub(super) fn fit(object: &Object<'_>, warnings: &mut Warnings) -> Result<String, TranslateError> {
    let raw = object.raw("input").unwrap_or_default();
    if let Some(text) = json::string(raw) {
        if text.trim().is_empty() {
            return Err(empty());
        }
        return Ok(format!(
            r#"[{{"type":"message","role":"user","content":[{{"type":"input_text","text":{raw}}}]}}]"#
        ));
    }
    let mut items = Items { calls: HashSet::new(), warnings };
    let mut out = String::with_capacity(raw.len());
    out.push('[');
    for text in elements(raw) {
        if let Some(item) = items.item(text)? {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&item);
        }
    }
    if out.len() == 1 {
        return Err(empty());
    }
    out.push(']');
    Ok(out)
}

fn empty() -> TranslateError {
    TranslateError::Invalid { param: "input".into(), message: "`input` must not be empty".into() }
}

struct Items<'w> {
    /// Ids of the calls so far.
    calls: HashSet<String>,
    warnings: &'w mut Warnings,
}

impl Items<'_> {
    fn item<'a>(&mut self, text: &'a str) -> Result<Option<Cow<'a, str>>, TranslateError> {
        let Some(item) = Object::parse(text) else { return Ok(Some(text.into())) };
        let kind = item.word("type").unwrap_or_default();
        Ok(Some(match &*kind {
            "item_reference" => {
                let message = "item references are not supported by this route; send the items";
                return Err(TranslateError::Unsupported {
                    param: "input".into(),
                    message: message.into(),
                });
            }
            "reasoning" => {
                // Without its seal the backend looks for the item in its store, and finds none there.
                if item.name("encrypted_content").is_none() {
                    let note = "reasoning that is not sealed";
                    self.warnings.push(WarningKind::Dropped, "input", note);
                    return Ok(None);
                }
                text.into()
            }
            kind if kind.ends_with("_output") => self.output(text, &item),
            _ => {
                if let Some(id) = item.name("call_id") {
                    self.calls.insert(id.to_string());
                }
                rewritten(text, &item, &["id"])
            }
        }))
    }

    /// What a tool answered. To what no call asked for there is no answer: it is told in words (§2.4).
    fn output<'a>(&mut self, text: &'a str, item: &Object<'a>) -> Cow<'a, str> {
        // The oldest kind goes by the call's id alone.
        let (key, dropped): (_, &[&str]) =
            if item.raw("call_id").is_some() { ("call_id", &["id"]) } else { ("id", &[]) };
        match item.name(key) {
            Some(id) if !self.calls.contains(&*id) => {
                let note = "a tool result without a call became text";
                self.warnings.push(WarningKind::Changed, "input", note);
                in_words(&id, item).into()
            }
            _ => rewritten(text, item, dropped),
        }
    }
}

/// The item without what the backend refuses; as it stands where there is nothing of it.
fn rewritten<'a>(text: &'a str, item: &Object<'a>, dropped: &[&str]) -> Cow<'a, str> {
    let is_message = item.word("type").is_none_or(|kind| kind == "message");
    let value = |key: &str, value: &'a str| -> Option<Cow<'a, str>> {
        match key {
            key if dropped.contains(&key) => None,
            "role" if is_message && value == "\"system\"" => Some("\"developer\"".into()),
            "call_id" | "id" => Some(short_id(value)),
            "content" | "output" => Some(parts(value)),
            _ => Some(value.into()),
        }
    };
    let mut changes = false;
    json::visit(text, |key, old| {
        changes |= value(key, old).is_none_or(|new| matches!(new, Cow::Owned(_)) || new != old);
    });
    if !changes {
        return text.into();
    }
    json::rewrite(text, value).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn short_id(raw: &str) -> Cow<'_, str> {
    let Some(id) = json::string(raw) else { return raw.into() };
    match ids::short_call_id(&id) {
        Cow::Borrowed(_) => raw.into(),
        Cow::Owned(short) => json::quote(&short).into(),
    }
}

/// The content of a message, or what a tool answered, where it is a list of parts.
fn parts(raw: &str) -> Cow<'_, str> {
    let odd = |text: &str| text.contains("prompt_cache_breakpoint") || text.contains("input_image");
    if !json::is_array(raw) || !odd(raw) {
        return raw.into();
    }
    let parts: Vec<Cow<'_, str>> = elements(raw).into_iter().map(part).collect();
    if parts.iter().all(|part| matches!(part, Cow::Borrowed(_))) {
        return raw.into();
    }
    format!("[{}]", parts.join(",")).into()
}

fn part(text: &str) -> Cow<'_, str> {
    let Some(part) = Object::parse(text) else { return text.into() };
    let lacks_detail =
        part.word("type").is_some_and(|kind| kind == "input_image") && part.raw("detail").is_none();
    if !lacks_detail && part.raw("prompt_cache_breakpoint").is_none() {
        return text.into();
    }
    let kept = json::rewrite(text, |key, value| {
        let goes = key == "prompt_cache_breakpoint" || (lacks_detail && key == "detail");
        (!goes).then_some(value.into())
    });
    let Some(mut kept) = kept else { return text.into() };
    if lacks_detail {
        kept.pop();
        json::push_member(&mut kept, "\"detail\"", "\"auto\"");
        kept.push('}');
    }
    kept.into()
}

/// A result as a message of the user's. Its images stay images.
fn in_words(id: &str, item: &Object<'_>) -> String {
    let output = item.raw("output").unwrap_or_default();
    let mut text = format!("[tool result {id}] ");
    let mut images: Vec<Value> = Vec::new();
    match json::string(output) {
        Some(said) => text.push_str(&said),
        None if json::is_array(output) => {
            for element in elements(output) {
                let part = Object::parse(element).unwrap_or_default();
                match (part.word("type").as_deref(), part.word("text")) {
                    (Some("input_image"), _) => {
                        images.extend(serde_json::from_str::<Value>(&self::part(element)).ok());
                    }
                    (_, Some(said)) => text.push_str(&said),
                    (_, None) => text.push_str(element),
                }
            }
        }
        None => text.push_str(output),
    }
    let mut content = vec![json!({ "type": "input_text", "text": text })];
    content.append(&mut images);
    json!({ "type": "message", "role": "user", "content": content }).to_string()
}
