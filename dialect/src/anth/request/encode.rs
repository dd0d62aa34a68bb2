//! Writes a request that was repaired and adapted to its target.

use std::borrow::Cow;

use serde::Serialize;

use super::reasoning::{self, OutputConfig};
use super::tools::{self, WireTool};
use crate::anth::betas::{self, Used};
use crate::anth::block;
use crate::anth::wire::{Block, Mark, Rest, Text};
use crate::ir::{Ext, Request, Role, Turn};
use crate::translate::{EncodedRequest, Target, TranslateError, WarningKind, Warnings, ids};
use crate::{Dialect, ir};

/// The output limit for a model of which nothing is known; the API demands one.
const DEFAULT_MAX_TOKENS: u32 = 8192;
/// Longest name of an end user that the API takes, characters.
const MAX_USER: usize = 256;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<tools::Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<reasoning::Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_management: Option<&'a ir::RawJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    rest: Rest<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
    #[serde(flatten)]
    rest: Rest<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: Cow<'a, str>,
}

/// Writes a request.
///
/// # Errors
/// None of its own: what this dialect cannot say was found before.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let max_tokens = request.max_tokens.filter(|max| *max > 0).unwrap_or(DEFAULT_MAX_TOKENS);
    let (thinking, effort) = reasoning::write(request, target, max_tokens);
    let output_config = OutputConfig::new(request, effort);
    let tools = tools::write(&request.tools, warnings);
    let context_management = request
        .context_management
        .as_ref()
        .filter(|(dialect, _)| *dialect == Dialect::Anth)
        .map(|(_, raw)| raw);
    // Both were taken apart and are put together elsewhere.
    let ext = without(&request.ext, &["thinking", "output_config"]);
    let betas = betas::betas(
        request,
        &Used {
            budget: thinking.as_ref().is_some_and(reasoning::Thinking::has_budget),
            effort: output_config.as_ref().is_some_and(OutputConfig::has_effort),
        },
    );
    let body = Body {
        model: &target.model,
        max_tokens,
        system: request.system.iter().filter_map(write_system).collect(),
        messages: messages(&request.turns, warnings),
        tool_choice: tools::Choice::new(request, &tools),
        tools,
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        top_k: request.sampling.top_k,
        stop_sequences: stop(&request.stop),
        thinking,
        output_config,
        metadata: user(request).map(|user_id| Metadata { user_id }),
        service_tier: request.service_tier.as_ref().and_then(tier),
        cache_control: Mark::of(request.cache.automatic.as_ref()),
        context_management,
        stream: request.stream,
        rest: Rest(&ext),
    };
    Ok(EncodedRequest { body: serde_json::to_vec(&body).unwrap_or_default(), betas })
}

fn write_system(part: &ir::SystemPart) -> Option<Block<'_>> {
    (!part.text.trim().is_empty()).then(|| {
        Block::Text(Text {
            text: Cow::Borrowed(&part.text),
            citations: Vec::new(),
            cache_control: Mark::of(part.cache.as_ref()),
            rest: Rest(&part.ext),
        })
    })
}

fn messages<'a>(turns: &'a [Turn], warnings: &mut Warnings) -> Vec<Message<'a>> {
    let mut out = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate() {
        let mut content = Vec::with_capacity(turn.parts.len());
        for part in &turn.parts {
            let before = content.len();
            content.extend(block::write(part));
            if content.len() == before && !is_blank(part) {
                let field = format!("messages[{at}]");
                warnings.push(WarningKind::Dropped, field, "a part that this API does not have");
            }
        }
        if !content.is_empty() {
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            out.push(Message { role, content, rest: Rest(&turn.ext) });
        }
    }
    out
}

fn is_blank(part: &ir::Part) -> bool {
    matches!(part, ir::Part::Text(text) if text.text.trim().is_empty())
}

/// Texts that end the answer. The API refuses blank ones (T088).
fn stop(stop: &[ir::Str]) -> Vec<&str> {
    stop.iter().map(|text| &**text).filter(|text| !text.trim().is_empty()).collect()
}

/// Who the end user is, in at most as many characters as the API takes (T099).
fn user(request: &Request) -> Option<Cow<'_, str>> {
    let own = request.metadata.get("user_id").and_then(serde_json::Value::as_str);
    let user = own
        .or(request.safety_identifier.as_deref())
        .or(request.user.as_deref())
        .filter(|user| !user.is_empty())?;
    Some(if user.chars().count() > MAX_USER {
        Cow::Owned(ids::sha256_hex(user))
    } else {
        Cow::Borrowed(user)
    })
}

/// The speed class (§2.1). The other dialects know more of them than this one.
fn tier(tier: &ir::ServiceTier) -> Option<&str> {
    match (&*tier.name, tier.dialect) {
        (name, Dialect::Anth) => Some(name),
        ("auto" | "priority" | "flex", _) => Some("auto"),
        ("default" | "standard" | "standard_only", _) => Some("standard_only"),
        _ => None,
    }
}

/// Unknown fields without those that were taken care of.
fn without(ext: &Ext, keys: &[&str]) -> Ext {
    let mut rest = Ext::default();
    for field in ext.of(Dialect::Anth).filter(|field| !keys.contains(&&*field.key)) {
        rest.push(field.dialect, field.key.clone(), field.value.clone());
    }
    rest
}
