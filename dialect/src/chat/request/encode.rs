//! The neutral form into a chat request.

use crate::Dialect;
use crate::ir::{Request, Verbosity};
use crate::translate::{EncodedRequest, Target, TranslateError, WarningKind, Warnings};

use super::message_out::Writer;
use super::params_out::{
    Body, StreamOptions, Unknown, WireSampling, audio, image, max_fields, modality, reasoning,
    response_format,
};
use super::tools_out::{Declared, choice};

/// Writes a request that is already repaired and fitted to the target.
///
/// # Errors
/// None for any request: what chat cannot carry is left out, with a warning.
pub fn encode_request(
    request: &Request,
    target: &Target,
    warnings: &mut Warnings,
) -> Result<EncodedRequest, TranslateError> {
    let profile = &target.profile;
    let Declared { tools, web_search_options } = Declared::of(request, target, warnings);
    let has_tools = !tools.is_empty();
    let (max_tokens, max_completion_tokens) = max_fields(request, target);
    let store = request.store == Some(true);
    if !store && !request.metadata.is_empty() {
        warnings.push(WarningKind::Dropped, "metadata", "taken for stored answers only");
    }
    let tier = request.service_tier.as_ref();
    let body = Body {
        model: &target.model,
        sampling: WireSampling::of(request, target, warnings),
        messages: Writer::write(request, target, warnings),
        stream: request.stream,
        stream_options: (request.stream && profile.supports_stream_usage)
            .then_some(StreamOptions { include_usage: true }),
        max_tokens,
        max_completion_tokens,
        stop: &request.stop,
        n: request.n,
        logprobs: request.logprobs,
        top_logprobs: request.top_logprobs,
        logit_bias: request.logit_bias.as_ref(),
        response_format: response_format(&request.output, target),
        verbosity: request.verbosity.map(|verbosity| match verbosity {
            Verbosity::Low => "low",
            Verbosity::Medium => "medium",
            Verbosity::High => "high",
        }),
        modalities: request.modalities.iter().copied().map(modality).collect(),
        audio: request.audio.as_ref().map(audio),
        image_config: request.image.as_ref().map(image),
        tool_choice: request.tool_choice.as_ref().filter(|_| has_tools).map(choice),
        parallel_tool_calls: request
            .parallel_tool_calls
            .filter(|_| has_tools && !profile.no_parallel_flag),
        tools,
        web_search_options,
        prompt_cache_key: request.cache.key.as_deref(),
        prompt_cache_retention: request.cache.retention.as_deref(),
        user: request.user.as_deref(),
        safety_identifier: request.safety_identifier.as_deref(),
        // OpenAI refuses notes on an answer that it does not keep; not to keep it is the default.
        metadata: Some(&request.metadata).filter(|notes| store && !notes.is_empty()),
        store,
        service_tier: tier
            .filter(|tier| matches!(tier.dialect, Dialect::Chat | Dialect::Resp))
            .map(|tier| &*tier.name),
        reasoning: reasoning(request, target),
        extra: Unknown { ext: &request.ext, target },
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Ok(EncodedRequest { body, betas: Vec::new() })
}
