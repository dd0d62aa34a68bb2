//! `generationConfig`, in.

use super::super::wire::{integer, string};
use super::keep;
use crate::effort::{Effort, Level};
use crate::ir::{AudioOutput, ImageOutput, Modality, OutputFormat, RawJson, Request, Str, Summary};
use crate::json;
use crate::translate::{WarningKind, Warnings};

/// Reads the configuration. Fields of the wrong type are left out, unknown ones kept together as
/// `generationConfig`.
pub(super) fn decode(raw: &str, request: &mut Request, warnings: &mut Warnings) {
    let (mut mime, mut schema, mut unknown) = (None, None, Vec::new());
    let mut odd = Vec::new();
    let known = json::visit(raw, |key, raw| {
        if raw == "null" {
            return;
        }
        let understood = match key {
            "maxOutputTokens" | "max_output_tokens" => {
                let tokens = integer(raw);
                // Nothing at all is no cap.
                let cap = tokens.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
                request.max_tokens = cap;
                tokens.is_some()
            }
            "temperature" => set(&mut request.sampling.temperature, number(raw)),
            "topP" | "top_p" => set(&mut request.sampling.top_p, number(raw)),
            "topK" | "top_k" => set(&mut request.sampling.top_k, count(raw)),
            "seed" => set(&mut request.sampling.seed, integer(raw)),
            "presencePenalty" | "presence_penalty" => {
                set(&mut request.sampling.presence_penalty, number(raw))
            }
            "frequencyPenalty" | "frequency_penalty" => {
                set(&mut request.sampling.frequency_penalty, number(raw))
            }
            "candidateCount" | "candidate_count" => set(&mut request.n, count(raw)),
            "responseLogprobs" | "response_logprobs" => {
                set(&mut request.logprobs, serde_json::from_str(raw).ok())
            }
            "logprobs" => {
                set(&mut request.top_logprobs, integer(raw).and_then(|n| u8::try_from(n).ok()))
            }
            "stopSequences" | "stop_sequences" => {
                json::visit_elements(raw, |stop| request.stop.extend(word(stop)))
            }
            "responseMimeType" | "response_mime_type" => set(&mut mime, Some(raw)),
            "responseSchema"
            | "response_schema"
            | "responseJsonSchema"
            | "response_json_schema"
            | "_responseJsonSchema" => set(&mut schema, Some(raw)),
            "responseModalities" | "response_modalities" => json::visit_elements(raw, |raw| {
                request.modalities.extend(string(raw).and_then(|word| modality(&word)));
            }),
            "imageConfig" | "image_config" => image(raw, request),
            "speechConfig" | "speech_config" => {
                let raw = RawJson::parse(raw).ok();
                request.audio = Some(AudioOutput { raw, ..AudioOutput::default() });
                true
            }
            "thinkingConfig" | "thinking_config" => thinking(raw, request),
            _ => {
                unknown.push((key.to_owned(), raw));
                true
            }
        };
        if !understood {
            odd.push(key.to_owned());
        }
    });
    if !known {
        odd.push("generationConfig".to_owned());
    }
    for key in odd {
        warnings.push(WarningKind::Dropped, key, "not of the type that it must have");
    }
    match mime.and_then(string).as_deref() {
        None | Some("application/json") => {
            request.output = match schema.and_then(|raw| RawJson::parse(raw).ok()) {
                Some(schema) => {
                    OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }
                }
                None if mime.is_some() => OutputFormat::JsonObject,
                None => OutputFormat::Text,
            };
        }
        Some("text/plain") => {}
        // `text/x.enum` and whatever else only Gemini knows.
        Some(_) => {
            unknown.extend(mime.map(|raw| ("responseMimeType".to_owned(), raw)));
            unknown.extend(schema.map(|raw| ("responseSchema".to_owned(), raw)));
        }
    }
    if !unknown.is_empty() {
        let members: Vec<String> =
            unknown.iter().map(|(key, raw)| format!("{}:{raw}", json::quote(key))).collect();
        keep(&mut request.ext, "generationConfig", &format!("{{{}}}", members.join(",")));
    }
}

/// Fills a field; `false` when there is nothing to fill it with.
fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let understood = value.is_some();
    *field = value.or(field.take());
    understood
}

fn number(raw: &str) -> Option<f64> {
    raw.parse().ok().filter(|number: &f64| number.is_finite())
}

fn count(raw: &str) -> Option<u32> {
    integer(raw).and_then(|count| u32::try_from(count).ok())
}

fn word(raw: &str) -> Option<Str> {
    string(raw).filter(|word| !word.is_empty()).map(|word| word.as_ref().into())
}

fn modality(word: &str) -> Option<Modality> {
    match word.to_ascii_uppercase().as_str() {
        "TEXT" => Some(Modality::Text),
        "IMAGE" => Some(Modality::Image),
        "AUDIO" => Some(Modality::Audio),
        _ => None,
    }
}

fn image(raw: &str, request: &mut Request) -> bool {
    let mut image = ImageOutput::default();
    let understood = json::visit(raw, |key, raw| match key {
        "aspectRatio" | "aspect_ratio" => image.aspect_ratio = word(raw),
        "imageSize" | "image_size" => image.size = word(raw),
        _ => {}
    });
    if image != ImageOutput::default() {
        request.image = Some(image);
    }
    understood
}

fn thinking(raw: &str, request: &mut Request) -> bool {
    let (mut budget, mut level) = (None, None);
    let reasoning = &mut request.reasoning;
    let understood = json::visit(raw, |key, raw| match key {
        "thinkingBudget" | "thinking_budget" => budget = integer(raw),
        "thinkingLevel" | "thinking_level" => {
            level = string(raw).and_then(|word| Level::parse(&word)).map(Effort::Level);
        }
        "includeThoughts" | "include_thoughts" => {
            reasoning.summary = match raw {
                "true" => Summary::Auto,
                "false" => Summary::None,
                _ => Summary::Unset,
            };
        }
        _ => {}
    });
    let budget = budget.map(|tokens| match u32::try_from(tokens) {
        Ok(0) => Effort::Off,
        Ok(tokens) => Effort::Budget(tokens),
        Err(_) => Effort::Auto,
    });
    reasoning.effort = level.or(budget);
    understood
}
