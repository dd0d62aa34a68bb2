//! Reads a request: what the body says, and nothing else.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::{reasoning, tools};
use crate::anth::block;
use crate::anth::object::{Object, number};
use crate::ir::{
    Ext, OutputFormat, Part, RawJson, Request, Role, ServiceTier, Str, SystemOrigin, SystemPart,
    Turn,
};
use crate::peek::{checked_text, json_error};
use crate::translate::{TranslateError, WarningKind, Warnings};
use crate::{Dialect, json, usage};

/// Reads a request.
///
/// # Errors
/// When the body is no JSON object, or `messages` or a role in it makes no sense.
pub fn decode_request(body: &[u8], warnings: &mut Warnings) -> Result<Request, TranslateError> {
    let text = checked_text(body)?;
    // Tells what is wrong with a body that is no object.
    json::each_member(text, |_| ControlFlow::Continue(())).map_err(|error| json_error(&error))?;
    let mut root = Object::read(text).unwrap_or_default();
    let mut request = Request {
        model: root.string("model").unwrap_or_default(),
        stream: root.flag("stream").unwrap_or(false),
        ..Request::default()
    };
    if let Some(raw) = root.take("system") {
        read_system(raw, &mut request, warnings);
    }
    if let Some(raw) = root.take("messages") {
        read_messages(raw, &mut request, warnings)?;
    }
    if let Some(raw) = root.take("tools") {
        request.tools = tools::read(raw, warnings);
    }
    if let Some(raw) = root.take("tool_choice") {
        tools::read_choice(raw, &mut request, warnings);
    }
    request.max_tokens = root.or_warn("max_tokens", warnings, count);
    request.sampling.temperature = root.or_warn("temperature", warnings, number);
    request.sampling.top_p = root.or_warn("top_p", warnings, number);
    request.sampling.top_k = root.or_warn("top_k", warnings, count);
    request.stop = root.or_warn("stop_sequences", warnings, texts).unwrap_or_default();
    request.cache.automatic = block::read_mark(&mut root);
    request.service_tier = root
        .or_warn("service_tier", warnings, |raw| json::string(raw).map(Cow::into_owned))
        .map(|name| ServiceTier { dialect: Dialect::Anth, name: name.into() });
    request.context_management = root.raw("context_management").map(|raw| (Dialect::Anth, raw));
    request.user = root
        .take("metadata")
        .and_then(|raw| json::member(raw, "user_id"))
        .and_then(json::text)
        .map(Str::from);
    let mut kept = Ext::default();
    reasoning::read(&mut root, &mut request, &mut kept, warnings);
    if let Some(raw) = root.take("output_format") {
        // The older place of `output_config.format`.
        request.output = read_format(raw).unwrap_or_default();
    }
    request.ext = root.into_ext();
    for field in kept.iter() {
        request.ext.push(field.dialect, field.key.clone(), field.value.clone());
    }
    Ok(request)
}

fn count(raw: &str) -> Option<u32> {
    usage::lenient_tokens(raw).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// A list of texts, or one text alone.
fn texts(raw: &str) -> Option<Vec<Str>> {
    if let Some(text) = json::string(raw) {
        return Some(vec![text.into_owned().into()]);
    }
    let mut texts = Vec::new();
    json::visit_elements(raw, |raw| {
        texts.extend(json::string(raw).map(|text| Str::from(text.into_owned())));
    })
    .then_some(texts)
}

/// Reads `output_config.format`.
pub(super) fn read_format(raw: &str) -> Option<OutputFormat> {
    let mut object = Object::read(raw)?;
    match object.text("type")?.as_ref() {
        "json_schema" => Some(OutputFormat::JsonSchema {
            name: object.string("name"),
            description: None,
            schema: object.raw("schema")?,
            strict: None,
        }),
        _ => None,
    }
}

fn read_system(raw: &str, request: &mut Request, warnings: &mut Warnings) {
    let part = |text: Str| SystemPart {
        text,
        cache: None,
        origin: SystemOrigin::Top,
        ext: Ext::default(),
    };
    if let Some(text) = json::string(raw) {
        request.system.push(part(text.into_owned().into()));
        return;
    }
    let whole = json::visit_elements(raw, |raw| match block::read(raw) {
        Some(Part::Text(text)) => {
            request.system.push(SystemPart { cache: text.cache, ext: text.ext, ..part(text.text) });
        }
        _ => warnings.push(WarningKind::Dropped, "system", "a block of it is no text"),
    });
    if !whole {
        warnings.push(WarningKind::Dropped, "system", "it has the wrong type");
    }
}

fn read_messages(
    raw: &str,
    request: &mut Request,
    warnings: &mut Warnings,
) -> Result<(), TranslateError> {
    let mut failed = None;
    let mut at = 0_usize;
    let walked = json::each_element(raw, |raw| match read_message(raw, at, warnings) {
        Ok(turn) => {
            request.turns.push(turn);
            at = at.saturating_add(1);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    match failed {
        Some(error) => Err(error),
        None => {
            walked.map_err(|_not_an_array| invalid("messages".into(), "messages: must be an array"))
        }
    }
}

fn invalid(param: String, message: impl Into<String>) -> TranslateError {
    TranslateError::Invalid { param: param.into(), message: message.into() }
}

fn read_message(raw: &str, at: usize, warnings: &mut Warnings) -> Result<Turn, TranslateError> {
    let Some(mut message) = Object::read(raw) else {
        return Err(invalid(
            format!("messages[{at}]"),
            format!("messages[{at}]: must be an object"),
        ));
    };
    let role = message.text("role");
    let content = message.take("content");
    let parts = match content {
        None => Vec::new(),
        Some(raw) if json::string(raw).is_some() || json::is_array(raw) => block::read_content(raw),
        Some(_) => {
            let field = format!("messages[{at}].content");
            warnings.push(WarningKind::Dropped, field, "it has the wrong type");
            Vec::new()
        }
    };
    let (role, parts) = match role.as_deref() {
        Some("user") => (Role::User, parts),
        Some("assistant") => (Role::Assistant, parts),
        // Instructions between turns; `developer` by clients that mix the dialects up.
        Some(role @ ("system" | "developer")) => {
            (Role::User, note(parts, role == "developer").into_iter().collect())
        }
        _ => {
            let message = format!("messages[{at}].role: must be `user`, `assistant` or `system`");
            return Err(invalid(format!("messages[{at}].role"), message));
        }
    };
    let mut turn = Turn::new(role, parts);
    turn.ext = message.into_ext();
    Ok(turn)
}

/// One note of all texts of a system message.
fn note(parts: Vec<Part>, developer: bool) -> Option<Part> {
    let mut texts: Vec<Str> = Vec::new();
    let mut cache = None;
    for part in parts {
        if let Part::Text(text) = part {
            texts.push(text.text);
            cache = text.cache.or(cache);
        }
    }
    let text = match texts.as_slice() {
        [] => return None,
        [text] => text.clone(),
        texts => texts.iter().map(|text| &**text).collect::<Vec<_>>().join("\n\n").into(),
    };
    Some(Part::SystemNote { text, developer, cache })
}

/// Puts together an object of fields that only this dialect knows.
pub(super) fn keep(kept: &mut Ext, key: &'static str, rest: Object<'_>) {
    if !rest.is_empty()
        && let Some(raw) = rest.into_raw()
    {
        kept.push(Dialect::Anth, key, raw);
    }
}

/// The members of a field that was put together by [`keep`].
pub(super) fn kept(ext: &Ext, key: &str) -> Vec<(String, RawJson)> {
    let mut members = Vec::new();
    if let Some(raw) = ext.get(Dialect::Anth, key) {
        json::visit(raw.get(), |key, value| {
            members.extend(RawJson::parse(value).ok().map(|raw| (key.to_owned(), raw)));
        });
    }
    members
}
