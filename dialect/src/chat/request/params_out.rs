//! The top-level fields of a request, written (translation §2.1, §2.6).

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::effort::Effort;
use crate::ir::{
    AudioOutput, Ext, ImageOutput, Modality, OutputFormat, RawJson, Request, Str, Summary,
};
use crate::profile::{MaxField, ReasoningStyle};
use crate::translate::{Target, ThinkingCaps, WarningKind, Warnings, foreign_fields};
use crate::{Dialect, json};

use super::super::reasoning::{Reasoner, fields};
use super::message_out::{Message, is_open_ai_reasoner};
use super::tools_out::WireTool;

/// A request body.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    pub(super) model: &'a str,
    pub(super) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_completion_tokens: Option<u32>,
    #[serde(flatten)]
    pub(super) sampling: WireSampling,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) stop: &'a [Str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logit_bias: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verbosity: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) modalities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audio: Option<WireAudio<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image_config: Option<WireImage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web_search_options: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_cache_retention: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'a str>,
    #[serde(flatten)]
    pub(super) reasoning: Map<String, Value>,
    #[serde(flatten)]
    pub(super) extra: Unknown<'a>,
}

#[derive(Serialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

#[derive(Serialize)]
pub(super) struct WireSampling {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<Value>,
}

impl WireSampling {
    pub(super) fn of(request: &Request, target: &Target, warnings: &mut Warnings) -> Self {
        let (asked, profile) = (&request.sampling, &target.profile);
        let mut kept = |kept: bool, field: &'static str, asked: bool| {
            if asked && !kept {
                warnings.push(WarningKind::Dropped, field, "the upstream refuses it");
            }
            kept
        };
        let top_k = kept(profile.top_k, "top_k", asked.top_k.is_some());
        let seed = kept(!profile.no_seed, "seed", asked.seed.is_some());
        let penalised = asked.frequency_penalty.is_some() || asked.presence_penalty.is_some();
        let penalties = kept(!profile.no_penalties, "frequency_penalty", penalised);
        Self {
            temperature: asked.temperature.map(short),
            top_p: asked.top_p.map(short),
            top_k: asked.top_k.filter(|_| top_k),
            frequency_penalty: asked.frequency_penalty.filter(|_| penalties).map(short),
            presence_penalty: asked.presence_penalty.filter(|_| penalties).map(short),
            seed: asked.seed.filter(|_| seed),
            min_p: asked.min_p.map(short),
            repetition_penalty: asked.repetition_penalty.map(short),
        }
    }
}

/// A number without a needless fraction: `1`, not `1.0`.
fn short(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e9 {
        format!("{number:.0}").parse::<i64>().map_or_else(|_| number.into(), Value::from)
    } else {
        number.into()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'a> },
}

#[derive(Serialize)]
pub(super) struct JsonSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a RawJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

pub(super) fn response_format<'a>(
    output: &'a OutputFormat,
    target: &Target,
) -> Option<ResponseFormat<'a>> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(ResponseFormat::JsonObject),
        OutputFormat::JsonSchema { .. } if target.profile.no_response_schema => {
            Some(ResponseFormat::JsonObject)
        }
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            let name = name.as_deref().unwrap_or("response");
            let description = description.as_deref();
            let json_schema = JsonSchema { name, description, schema, strict: *strict };
            Some(ResponseFormat::JsonSchema { json_schema })
        }
    }
}

#[derive(Serialize)]
pub(super) struct WireAudio<'a> {
    voice: &'a str,
    format: &'a str,
}

/// Both members are required by OpenAI.
pub(super) fn audio(audio: &AudioOutput) -> WireAudio<'_> {
    WireAudio {
        voice: audio.voice.as_deref().unwrap_or("alloy"),
        format: audio.format.as_deref().unwrap_or("wav"),
    }
}

#[derive(Serialize)]
pub(super) struct WireImage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aspect_ratio: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_size: Option<&'a str>,
}

pub(super) fn image(image: &ImageOutput) -> WireImage<'_> {
    WireImage { aspect_ratio: image.aspect_ratio.as_deref(), image_size: image.size.as_deref() }
}

pub(super) fn modality(modality: Modality) -> &'static str {
    match modality {
        Modality::Text => "text",
        Modality::Image => "image",
        Modality::Audio => "audio",
    }
}

/// The output cap in the upstream's spelling: `max_tokens`, `max_completion_tokens`.
pub(super) fn max_fields(request: &Request, target: &Target) -> (Option<u32>, Option<u32>) {
    let completion = match target.profile.max_field {
        Some(MaxField::MaxCompletionTokens) => true,
        Some(MaxField::MaxTokens) => false,
        None => is_open_ai_reasoner(&target.model),
    };
    if completion { (None, request.max_tokens) } else { (request.max_tokens, None) }
}

/// The fields that ask for reasoning.
pub(super) fn reasoning(request: &Request, target: &Target) -> Map<String, Value> {
    let style = target.profile.reasoning_style;
    let mut out = Map::new();
    let unknown = target.caps.thinking == ThinkingCaps::Unknown && target.caps.think.is_none();
    let effort = request.reasoning.effort.filter(|effort| match (effort, style) {
        // `none` is a word that only some models know; the others think when asked to.
        (Effort::Off, None | Some(ReasoningStyle::Effort)) => !unknown,
        _ => target.caps.thinking != ThinkingCaps::None,
    });
    if let Some(effort) = effort {
        let cx = Reasoner {
            model: &target.model,
            style,
            think: target.caps.think,
            levels: target.caps.thinking.levels(),
        };
        for (field, value) in fields(effort, &cx) {
            out.extend(value.map(|value| (field.to_owned(), value)));
        }
    }
    if style == Some(ReasoningStyle::Openrouter) && request.reasoning.summary == Summary::None {
        let reasoning = out.entry("reasoning").or_insert_with(|| json!({}));
        if let Value::Object(members) = reasoning {
            members.insert("exclude".into(), true.into());
        }
    }
    out
}

/// Fields that are written from the neutral form, and so never from unknown ones.
const KNOWN: [&str; 43] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "min_p",
    "repetition_penalty",
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "response_format",
    "verbosity",
    "modalities",
    "audio",
    "image_config",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "parallel_tool_calls",
    "web_search_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "service_tier",
    "reasoning_effort",
    "reasoning",
    "include_reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
];

/// Unknown fields of chat clients, and those of others that chat upstreams know; what stands in
/// `extra_body` belongs to the top level.
pub(super) struct Unknown<'a> {
    pub(super) ext: &'a Ext,
    pub(super) target: &'a Target,
}

impl Serialize for Unknown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut written: Vec<String> = Vec::new();
        let mut entry = |key: &str, value: &RawJson| {
            if KNOWN.contains(&key) || written.iter().any(|other| other == key) {
                return Ok(());
            }
            written.push(key.to_owned());
            map.serialize_entry(key, value)
        };
        for field in self.ext.of(Dialect::Chat).chain(foreign_fields(self.ext, self.target)) {
            if field.key != "extra_body" {
                entry(&field.key, &field.value)?;
                continue;
            }
            let mut inner = Vec::new();
            json::visit(field.value.get(), |key, raw| {
                inner.extend(RawJson::parse(raw).map(|value| (key.to_owned(), value)));
            });
            inner.iter().try_for_each(|(key, value)| entry(key, value))?;
        }
        map.end()
    }
}
