//! A chat request into the neutral form.

use std::ops::ControlFlow;

use crate::ir::{
    AudioOutput, ImageOutput, Modality, OutputFormat, Request, ServiceTier, Str, Verbosity,
};
use crate::peek::{checked_text, json_error};
use crate::translate::{TranslateError, Warnings};
use crate::{Dialect, json};

use super::lenient::{
    Lenient, boolean, cache_mark, count, integer, number, object, raw_json, text, word,
};
use super::message_in::Messages;
use super::reasoning_in::ReasoningFields;
use super::tools_in;

/// Reads a request as it stands: no repair, no defaults.
///
/// # Errors
/// A body that is no JSON object, `messages` that are no list, a message without a known role.
pub fn decode_request(body: &[u8], warnings: &mut Warnings) -> Result<Request, TranslateError> {
    let text = checked_text(body)?;
    let mut decoder = Decoder {
        request: Request::default(),
        reasoning: ReasoningFields::default(),
        completion_tokens: None,
        lenient: Lenient { warnings },
        failed: None,
    };
    let walked = json::each_member(text, |member| {
        decoder.member(&member.key, member.value);
        if decoder.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walked.map_err(|error| json_error(&error))?;
    decoder.finish()
}

struct Decoder<'w> {
    request: Request,
    reasoning: ReasoningFields,
    /// `max_completion_tokens`, which wins over `max_tokens`.
    completion_tokens: Option<u32>,
    lenient: Lenient<'w>,
    failed: Option<TranslateError>,
}

impl Decoder<'_> {
    fn finish(mut self) -> Result<Request, TranslateError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.request.reasoning = self.reasoning.finish();
        self.request.max_tokens = self.completion_tokens.or(self.request.max_tokens);
        Ok(self.request)
    }

    fn member(&mut self, key: &str, raw: &str) {
        let Self { request, lenient, .. } = self;
        match key {
            "messages" => self.messages(raw),
            "model" => request.model = lenient.take(key, raw, text).unwrap_or_default(),
            "stream" => request.stream = raw == "true",
            "stream_options" => {
                request.include_usage = json::member(raw, "include_usage") == Some("true");
            }
            "max_tokens" => request.max_tokens = lenient.take(key, raw, count),
            "max_completion_tokens" => self.completion_tokens = lenient.take(key, raw, count),
            "stop" => request.stop = stop(raw),
            "n" => request.n = lenient.take(key, raw, count),
            "logprobs" => request.logprobs = lenient.take(key, raw, boolean),
            "top_logprobs" => {
                let read = |raw: &str| u8::try_from(count(raw)?).ok();
                request.top_logprobs = lenient.take(key, raw, read);
            }
            "logit_bias" => request.logit_bias = lenient.take(key, raw, object),
            "response_format" => self.response_format(raw),
            "verbosity" => request.verbosity = lenient.take(key, raw, verbosity),
            "prompt_cache_key" => request.cache.key = lenient.take(key, raw, word),
            "prompt_cache_retention" => request.cache.retention = lenient.take(key, raw, word),
            "cache_control" => request.cache.automatic = lenient.take(key, raw, cache_mark),
            "user" => request.user = lenient.take(key, raw, word),
            "safety_identifier" => request.safety_identifier = lenient.take(key, raw, word),
            "metadata" => {
                let read = |raw: &str| serde_json::from_str(raw).ok();
                request.metadata = lenient.take(key, raw, read).unwrap_or_default();
            }
            "store" => request.store = lenient.take(key, raw, boolean),
            "service_tier" => {
                let name = lenient.take(key, raw, word);
                request.service_tier =
                    name.map(|name| ServiceTier { dialect: Dialect::Chat, name });
            }
            "tools" | "functions" => {
                let tools = tools_in::tools(key, raw, lenient);
                request.tools.extend(tools);
            }
            "tool_choice" | "function_call" => {
                let choice = lenient.take(key, raw, tools_in::choice);
                request.tool_choice = choice.or(request.tool_choice.take());
            }
            "parallel_tool_calls" => {
                request.parallel_tool_calls = lenient.take(key, raw, boolean);
            }
            "web_search_options" => {
                request.tools.extend(lenient.take(key, raw, tools_in::web_search));
            }
            "modalities" => request.modalities = modalities(raw),
            "audio" => request.audio = lenient.take(key, raw, audio),
            "image_config" => request.image = lenient.take(key, raw, image),
            _ => self.sampling(key, raw),
        }
    }

    fn sampling(&mut self, key: &str, raw: &str) {
        let (sampling, lenient) = (&mut self.request.sampling, &mut self.lenient);
        match key {
            "temperature" => sampling.temperature = lenient.take(key, raw, number),
            "top_p" => sampling.top_p = lenient.take(key, raw, number),
            "top_k" => sampling.top_k = lenient.take(key, raw, count),
            "frequency_penalty" => sampling.frequency_penalty = lenient.take(key, raw, number),
            "presence_penalty" => sampling.presence_penalty = lenient.take(key, raw, number),
            "seed" => sampling.seed = lenient.take(key, raw, integer),
            "min_p" => sampling.min_p = lenient.take(key, raw, number),
            "repetition_penalty" => sampling.repetition_penalty = lenient.take(key, raw, number),
            _ if self.reasoning.take(key, raw) => {}
            _ => {
                self.reasoning.look_into(key, raw);
                if let Some(value) = raw_json(raw).filter(|_| raw != "null") {
                    self.request.ext.push(Dialect::Chat, key.to_owned(), value);
                }
            }
        }
    }

    fn messages(&mut self, raw: &str) {
        let mut messages = Messages::new(&mut self.lenient);
        let mut index = 0_usize;
        let mut failed = None;
        let walked = json::each_element(raw, |message| {
            let taken = messages.take(index, message);
            index = index.saturating_add(1);
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if walked.is_err() {
            failed = Some(TranslateError::Invalid {
                param: "messages".into(),
                message: "`messages` must be a list".to_owned(),
            });
        }
        (self.request.system, self.request.turns) = messages.finish();
        self.failed = failed;
    }

    fn response_format(&mut self, raw: &str) {
        let kind = json::member(raw, "type").and_then(json::string);
        match kind.as_deref() {
            Some("json_object") => self.request.output = OutputFormat::JsonObject,
            Some("json_schema") => {
                let inner = json::member(raw, "json_schema").unwrap_or(raw);
                match json_schema(inner) {
                    Some(output) => self.request.output = output,
                    None => self.lenient.drop("response_format", "no schema in it"),
                }
            }
            Some("text") | None => {}
            Some(_) => self.lenient.drop("response_format", "of an unknown type"),
        }
    }
}

fn json_schema(raw: &str) -> Option<OutputFormat> {
    let member = |key| json::member(raw, key);
    Some(OutputFormat::JsonSchema {
        name: member("name").and_then(word),
        description: member("description").and_then(word),
        schema: member("schema").and_then(object)?,
        strict: member("strict").and_then(boolean),
    })
}

/// A string, or a list of them.
fn stop(raw: &str) -> Vec<Str> {
    let mut all: Vec<Str> = text(raw).into_iter().collect();
    json::visit_elements(raw, |element| all.extend(text(element)));
    all.retain(|text| !text.is_empty());
    all
}

fn verbosity(raw: &str) -> Option<Verbosity> {
    match json::string(raw)?.as_ref() {
        "low" => Some(Verbosity::Low),
        "medium" => Some(Verbosity::Medium),
        "high" => Some(Verbosity::High),
        _ => None,
    }
}

fn modalities(raw: &str) -> Vec<Modality> {
    let mut all = Vec::new();
    json::visit_elements(raw, |element| {
        all.extend(match json::string(element).as_deref() {
            Some("text") => Some(Modality::Text),
            Some("image") => Some(Modality::Image),
            Some("audio") => Some(Modality::Audio),
            _ => None,
        });
    });
    all
}

fn audio(raw: &str) -> Option<AudioOutput> {
    object(raw)?;
    // A voice of one's own is an object with an id.
    let voice = json::member(raw, "voice");
    let voice = voice.and_then(|voice| word(voice).or_else(|| word(json::member(voice, "id")?)));
    Some(AudioOutput { voice, format: json::member(raw, "format").and_then(word), raw: None })
}

fn image(raw: &str) -> Option<ImageOutput> {
    object(raw)?;
    Some(ImageOutput {
        aspect_ratio: json::member(raw, "aspect_ratio").and_then(word),
        size: json::member(raw, "image_size").and_then(word),
    })
}
