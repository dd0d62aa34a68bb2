//! The members of a request, except its items and tools.

use super::{input, tools};
use crate::effort::Effort;
use crate::ir::{
    CachePolicy, OutputFormat, Request, Sampling, ServiceTier, Str, Summary, Verbosity,
};
use crate::resp::object::{Object, flag, raw_json, str_of};
use crate::translate::{TranslateError, WarningKind, Warnings};
use crate::usage::lenient_tokens;
use crate::{Dialect, json, peek};

/// Members with a place of their own in the neutral form; all others are carried along.
const KNOWN: [&str; 25] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "include",
    "text",
    "reasoning",
    "prompt_cache_key",
    "prompt_cache_retention",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "service_tier",
    "previous_response_id",
    "conversation",
    "truncation",
    "background",
    "stream",
];

/// Asks for log probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";
/// Asks for sealed reasoning.
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Reads a request: what the body says, nothing repaired, no defaults.
///
/// # Errors
/// When the body is no JSON object, or when `input`, an item or a role is of a type that no server takes.
pub fn decode_request(body: &[u8], warnings: &mut Warnings) -> Result<Request, TranslateError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = peek::checked_text(body)?;
    let object = Object::parse(text).ok_or_else(|| TranslateError::Invalid {
        param: "body".into(),
        message: "the body is no JSON object".into(),
    })?;
    let mut fields = Fields { object: &object, warnings };
    let mut request = Request {
        model: fields.take("model", text_of).unwrap_or_default(),
        max_tokens: fields.take("max_output_tokens", count),
        sampling: Sampling {
            temperature: fields.take("temperature", number),
            top_p: fields.take("top_p", number),
            ..Sampling::default()
        },
        top_logprobs: fields.take("top_logprobs", |raw| raw.parse().ok()),
        parallel_tool_calls: fields.take("parallel_tool_calls", flag),
        cache: CachePolicy {
            key: fields.take("prompt_cache_key", text_of),
            retention: fields.take("prompt_cache_retention", text_of),
            ..CachePolicy::default()
        },
        user: fields.take("user", text_of),
        safety_identifier: fields.take("safety_identifier", text_of),
        metadata: fields.take("metadata", |raw| serde_json::from_str(raw).ok()).unwrap_or_default(),
        store: fields.take("store", flag),
        service_tier: fields
            .take("service_tier", text_of)
            .map(|name| ServiceTier { dialect: Dialect::Resp, name }),
        previous_response_id: fields.take("previous_response_id", text_of),
        conversation: fields.take("conversation", |raw| Some(raw_json(raw))),
        truncation: fields.take("truncation", text_of),
        background: fields.take("background", flag),
        context_management: fields
            .take("context_management", |raw| Some((Dialect::Resp, raw_json(raw)))),
        // Anything but `true` is a request for the whole answer (T015).
        stream: object.raw("stream") == Some("true"),
        ..Request::default()
    };
    include(&mut fields, &mut request);
    reasoning(&mut fields, &mut request);
    text_options(&mut fields, &mut request);
    tools::decode(&object, &mut request, fields.warnings);
    input::decode(&object, &mut request, fields.warnings)?;
    for field in object.others(&KNOWN).iter() {
        if field.key != "context_management" {
            request.ext.push(Dialect::Resp, field.key.clone(), field.value.clone());
        }
    }
    Ok(request)
}

/// Members of the body; one of the wrong type counts as absent.
struct Fields<'a, 'w> {
    object: &'a Object<'a>,
    warnings: &'w mut Warnings,
}

impl<'a> Fields<'a, '_> {
    fn take<T>(&mut self, key: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let raw = self.object.raw(key)?;
        let value = read(raw);
        if value.is_none() {
            self.warnings.push(WarningKind::Dropped, key.to_owned(), "of the wrong type");
        }
        value
    }
}

fn text_of(raw: &str) -> Option<Str> {
    json::string(raw).map(str_of)
}

fn number(raw: &str) -> Option<f64> {
    raw.parse().ok()
}

/// A token count; one that does not fit is as good as the most that does.
fn count(raw: &str) -> Option<u32> {
    lenient_tokens(raw).map(|count| u32::try_from(count).unwrap_or(u32::MAX)).filter(|n| *n > 0)
}

fn include(fields: &mut Fields<'_, '_>, request: &mut Request) {
    let Some(raw) = fields.take("include", |raw| json::is_array(raw).then_some(raw)) else {
        return;
    };
    json::visit_elements(raw, |element| request.include.extend(text_of(element)));
    let asks = |request: &Request, what: &str| request.include.iter().any(|word| word == what);
    request.logprobs = asks(request, LOGPROBS).then_some(true);
    request.reasoning.include_encrypted = asks(request, ENCRYPTED);
}

fn reasoning(fields: &mut Fields<'_, '_>, request: &mut Request) {
    let Some(reasoning) = fields.take("reasoning", Object::parse) else { return };
    request.reasoning.effort = reasoning.word("effort").and_then(|word| Effort::parse(&word));
    // `generate_summary` is the older name.
    let summary = reasoning.word("summary").or_else(|| reasoning.word("generate_summary"));
    request.reasoning.summary = match summary.as_deref() {
        Some("auto") => Summary::Auto,
        Some("concise") => Summary::Concise,
        Some("detailed") => Summary::Detailed,
        Some("none") => Summary::None,
        Some(_) | None => Summary::Unset,
    };
    for field in reasoning.others(&["effort", "summary", "generate_summary"]).iter() {
        let path = format!("reasoning.{}", field.key);
        fields.warnings.push(WarningKind::Dropped, path, "unknown");
    }
}

fn text_options(fields: &mut Fields<'_, '_>, request: &mut Request) {
    let Some(text) = fields.take("text", Object::parse) else { return };
    request.verbosity = text.word("verbosity").and_then(|word| match &*word {
        "low" => Some(Verbosity::Low),
        "medium" => Some(Verbosity::Medium),
        "high" => Some(Verbosity::High),
        _ => None,
    });
    let Some(format) = text.object("format") else { return };
    request.output = match format.word("type").as_deref() {
        Some("json_object") => OutputFormat::JsonObject,
        Some("json_schema") => {
            // Some clients nest it as chat does.
            let nested = format.object("json_schema");
            let format = nested.as_ref().unwrap_or(&format);
            OutputFormat::JsonSchema {
                name: format.name("name"),
                description: format.text("description"),
                schema: format.json("schema").unwrap_or_else(|| raw_json("{}")),
                strict: format.flag("strict"),
            }
        }
        Some("text") | None => OutputFormat::Text,
        Some(_) => {
            fields.warnings.push(WarningKind::Dropped, "text.format", "unknown type");
            OutputFormat::Text
        }
    };
}
