//! The members of a request, except its items and tools.

use std::borrow::Cow;

use super::{input, tools};
use crate::ir::{Part, Request, Role, Turn};
use crate::peek::{checked_text, json_error};
use crate::profile::CodexSystem;
use crate::resp::object::Object;
use crate::translate::{Envelope, Target, TranslateError, WarningKind, Warnings};
use crate::{Dialect, json};

/// Asks for sealed reasoning: without it the next turn cannot go on from it, as nothing is stored.
const ENCRYPTED: &str = "reasoning.encrypted_content";
/// Members that the backend takes; it refuses requests with any other.
const TAKEN: [&str; 14] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "store",
    "reasoning",
    "service_tier",
    "include",
    "prompt_cache_key",
    "client_metadata",
    "text",
];

/// What the backend is told beside the client's words.
#[derive(Clone, Copy, Debug)]
pub struct CodexRequest<'a> {
    /// The upstream's id of the model.
    pub model: &'a str,
    /// What the conversation goes by at the account: finds its cached beginning, unless the client names
    /// one itself.
    pub conversation: Option<&'a str>,
    /// The image tool is offered with every request.
    pub image_tool: bool,
}

impl<'a> CodexRequest<'a> {
    /// For a request that goes by way of the neutral form.
    pub fn of(target: &'a Target) -> Self {
        Self {
            model: &target.model,
            conversation: target.conversation.as_deref(),
            image_tool: target.profile.codex_image_tool,
        }
    }
}

/// Puts the instructions of a request for this backend where it takes them. Who speaks Responses says
/// that itself.
pub fn adapt(request: &mut Request, client: Dialect, target: &Target) {
    let stays = target.profile.codex_system == CodexSystem::Instructions;
    if target.envelope != Envelope::Codex || client == Dialect::Resp || stays {
        return;
    }
    let texts: Vec<&str> = request.system.iter().map(|part| &*part.text).collect();
    let text = texts.join("\n\n");
    if !text.is_empty() {
        let note = Part::SystemNote { text: text.into(), developer: true, cache: None };
        request.turns.insert(0, Turn::new(Role::User, vec![note]));
    }
    request.system.clear();
}

/// A request of Responses as the backend takes it; what need not change keeps its bytes.
///
/// # Errors
/// When the body is no request, or when it continues what only a server that stores answers could know.
pub fn fit_request(
    body: &[u8],
    cx: &CodexRequest<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, TranslateError> {
    let object = read(body)?;
    stateless(&object)?;
    warn_of_what_is_left_out(&object, &TAKEN, warnings);
    let mut out = begin(&object, cx, warnings)?;
    let tools = tools::fit(&object, cx.image_tool);
    if let Some(tools) = &tools {
        push(&mut out, "tools", &tools.declared);
        if let Some(choice) = &tools.choice {
            push(&mut out, "tool_choice", choice);
        }
        let parallel = object.raw("parallel_tool_calls").filter(|raw| *raw == "false");
        push(&mut out, "parallel_tool_calls", parallel.unwrap_or("true"));
    }
    if let Some(reasoning) = object.raw("reasoning").filter(|raw| json::is_object(raw)) {
        push(&mut out, "reasoning", &with_summary(reasoning));
    }
    push_as_written(&mut out, &object, "text");
    if let Some(include) = include(&object) {
        push(&mut out, "include", &include);
    }
    end(&mut out, &object, cx, warnings);
    push(&mut out, "store", "false");
    push(&mut out, "stream", "true");
    out.push('}');
    Ok(out.into_bytes())
}

/// A request that asks for a shorter form of a conversation, as the backend takes it. Its answer does not
/// stream.
///
/// # Errors
/// As [`fit_request`].
pub fn fit_compact(
    body: &[u8],
    cx: &CodexRequest<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, TranslateError> {
    let object = read(body)?;
    stateless(&object)?;
    let refused = ["stream", "store", "include", "reasoning", "parallel_tool_calls"];
    let taken: Vec<&str> = TAKEN.into_iter().filter(|key| !refused.contains(key)).collect();
    warn_of_what_is_left_out(&object, &taken, warnings);
    let mut out = begin(&object, cx, warnings)?;
    if let Some(tools) = tools::fit(&object, false) {
        push(&mut out, "tools", &tools.declared);
        if let Some(choice) = &tools.choice {
            push(&mut out, "tool_choice", choice);
        }
    }
    push_as_written(&mut out, &object, "text");
    end(&mut out, &object, cx, warnings);
    out.push('}');
    Ok(out.into_bytes())
}

fn read(body: &[u8]) -> Result<Object<'_>, TranslateError> {
    let text = checked_text(body)?;
    json::each_member(text, |_| std::ops::ControlFlow::Continue(()))
        .map_err(|error| json_error(&error))?;
    Ok(Object::parse(text).unwrap_or_default())
}

/// The backend stores nothing. To leave these out would answer a conversation without its beginning.
fn stateless(object: &Object<'_>) -> Result<(), TranslateError> {
    for (given, param) in [
        (object.name("previous_response_id").is_some(), "previous_response_id"),
        (object.raw("conversation").is_some_and(|raw| !json::is_blank(raw)), "conversation"),
        (object.flag("background") == Some(true), "background"),
    ] {
        if given {
            return Err(TranslateError::Unsupported {
                param: param.into(),
                message: format!("{param} is not supported by this route; send the full input"),
            });
        }
    }
    Ok(())
}

fn warn_of_what_is_left_out(object: &Object<'_>, taken: &[&str], warnings: &mut Warnings) {
    for field in object.others(taken).iter() {
        warnings.push(WarningKind::Dropped, field.key.clone(), "the upstream refuses it");
    }
}

fn push(out: &mut String, key: &str, value: &str) {
    json::push_member(out, &json::quote(key), value);
}

fn push_as_written(out: &mut String, object: &Object<'_>, key: &str) {
    if let Some(raw) = object.raw(key) {
        push(out, key, raw);
    }
}

/// What every request begins with.
fn begin(
    object: &Object<'_>,
    cx: &CodexRequest<'_>,
    warnings: &mut Warnings,
) -> Result<String, TranslateError> {
    let mut out = String::from("{");
    push(&mut out, "model", &json::quote(cx.model));
    let instructions = object.raw("instructions");
    let text = instructions.filter(|raw| raw.starts_with('"'));
    if instructions.is_some() && text.is_none() {
        warnings.push(WarningKind::Dropped, "instructions", "of the wrong type");
    }
    push(&mut out, "instructions", text.unwrap_or("\"\""));
    push(&mut out, "input", &input::fit(object, warnings)?);
    Ok(out)
}

/// What any request may end with.
fn end(out: &mut String, object: &Object<'_>, cx: &CodexRequest<'_>, warnings: &mut Warnings) {
    match object.word("service_tier").as_deref() {
        Some("priority" | "fast") => push(out, "service_tier", "\"priority\""),
        None | Some("auto" | "default") => {}
        Some(_) => warnings.push(WarningKind::Dropped, "service_tier", "no such class there"),
    }
    let own = object.name("prompt_cache_key");
    if let Some(key) = own.as_deref().or(cx.conversation) {
        push(out, "prompt_cache_key", &json::quote(key));
    }
    push_as_written(out, object, "client_metadata");
}

/// Reasoning comes along in words unless the client says how.
fn with_summary(reasoning: &str) -> Cow<'_, str> {
    if json::member(reasoning, "summary").is_some_and(|raw| raw != "null") {
        return Cow::Borrowed(reasoning);
    }
    let kept = json::rewrite(reasoning, |key, value| (key != "summary").then_some(value.into()));
    let mut text = kept.unwrap_or_else(|| "{}".to_owned());
    text.pop();
    push(&mut text, "summary", "\"auto\"");
    text.push('}');
    Cow::Owned(text)
}

/// The client's list, and sealed reasoning with it unless there will be no reasoning.
fn include(object: &Object<'_>) -> Option<String> {
    let mut words: Vec<&str> = object.elements("include");
    let reasons = object
        .object("reasoning")
        .and_then(|reasoning| reasoning.word("effort"))
        .is_none_or(|effort| effort != "none");
    let has_it = words.iter().any(|word| json::string(word).is_some_and(|word| word == ENCRYPTED));
    let quoted = json::quote(ENCRYPTED);
    if reasons && !has_it {
        words.push(&quoted);
    }
    (!words.is_empty()).then(|| format!("[{}]", words.join(",")))
}
