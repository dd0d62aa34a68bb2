//! Tier B: the bounded list of top-level edits a provider demands (translation §1.2, §5.5).

use ninerouter_dialect::chat::reasoning::kimi_version;
use ninerouter_dialect::{BodyEdit, Dialect};
use serde_json::json;

use crate::provider::catalog::{Provider, Think};
use crate::provider::profile::{MaxField, Profile, Quirk, ReasoningStyle};

/// What the edits depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EditCx<'a> {
    pub(super) provider: &'a Provider,
    pub(super) dialect: Dialect,
    pub(super) model: &'a str,
    pub(super) think: Option<Think>,
    pub(super) tools: bool,
    pub(super) path: &'a str,
}

pub(super) fn set(key: &'static str, json: String) -> BodyEdit {
    BodyEdit::Set { key: key.into(), json }
}

pub(super) fn set_if_absent(key: &'static str, json: &str) -> BodyEdit {
    BodyEdit::SetIfAbsent { key: key.into(), json: json.to_owned() }
}

pub(super) fn set_member(key: &'static str, member: &'static str, json: String) -> BodyEdit {
    BodyEdit::SetMember { key: key.into(), member: member.into(), json }
}

pub(super) fn remove(key: &'static str) -> BodyEdit {
    BodyEdit::Remove { key: key.into() }
}

fn rename(from: &'static str, to: &'static str) -> BodyEdit {
    BodyEdit::Rename { from: from.into(), to: to.into() }
}

/// Everything the provider demands, whatever the client asked for.
pub(super) fn demanded(cx: &EditCx<'_>) -> Vec<BodyEdit> {
    let mut edits = Vec::new();
    quirks(cx, &mut edits);
    if cx.dialect == Dialect::Chat {
        profile(&cx.provider.profile, cx.provider.local, cx.tools, &mut edits);
    }
    vendor(cx, &mut edits);
    // Vertex takes Anthropic bodies without model, with its own version in the body (providers §3.15)
    if cx.path.contains(":rawPredict") || cx.path.contains(":streamRawPredict") {
        edits.push(remove("model"));
        edits.push(set_if_absent("anthropic_version", &json!("vertex-2023-10-16").to_string()));
    }
    edits
}

fn quirks(cx: &EditCx<'_>, edits: &mut Vec<BodyEdit>) {
    for quirk in &cx.provider.quirks {
        match quirk {
            Quirk::DropClientMetadata => {
                if matches!(cx.dialect, Dialect::Chat | Dialect::Resp) {
                    edits.push(remove("client_metadata"));
                }
            }
            Quirk::DropOutputConfig => {
                if cx.dialect == Dialect::Anth {
                    edits.push(remove("output_config"));
                }
            }
            // asked for with the usage injection
            Quirk::StreamIncludeUsage
            // these reach into the messages: the translation's work
            | Quirk::ReasoningEchoAll
            | Quirk::ReasoningEchoToolCalls
            | Quirk::KeepCacheControl
            | Quirk::RequireSystemMessage
            | Quirk::ToolChoiceAutoWhenThinking => {}
        }
    }
}

fn profile(profile: &Profile, local: bool, tools: bool, edits: &mut Vec<BodyEdit>) {
    if profile.no_empty_tools && !tools {
        edits.extend([remove("tools"), remove("tool_choice")]);
    }
    if profile.no_parallel_flag {
        edits.push(remove("parallel_tool_calls"));
    }
    if profile.no_penalties {
        edits.extend([remove("frequency_penalty"), remove("presence_penalty")]);
    }
    if profile.no_seed {
        edits.push(remove("seed"));
    }
    match profile.max_field {
        Some(MaxField::MaxTokens) => edits.push(rename("max_completion_tokens", "max_tokens")),
        Some(MaxField::MaxCompletionTokens) => {
            edits.push(rename("max_tokens", "max_completion_tokens"));
        }
        None => {}
    }
    // Local servers ignore what they do not know, and some know more than the profile says.
    if profile.reasoning_style == Some(ReasoningStyle::None) && !local {
        edits.extend(
            ["reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget"]
                .map(remove),
        );
    }
}

/// Rules of single vendors that no flag names (providers §3.9, §3.11, §3.12).
fn vendor(cx: &EditCx<'_>, edits: &mut Vec<BodyEdit>) {
    match (&*cx.provider.id, cx.dialect) {
        ("minimax" | "minimax-cn", Dialect::Anth) => {
            edits.extend(["top_k", "stop_sequences", "context_management"].map(remove));
        }
        // reasoning apart from the text, instead of tags inside it
        ("minimax" | "minimax-cn", Dialect::Chat) => {
            edits.push(set_if_absent("reasoning_split", "true"));
        }
        ("kimi" | "kimi-coding" | "moonshot", Dialect::Chat | Dialect::Anth)
            if kimi_fixes_temperature(cx.model) =>
        {
            edits.push(remove("temperature"));
        }
        ("xai", Dialect::Chat) if cx.think.is_some() => {
            edits.extend(["presence_penalty", "frequency_penalty", "stop"].map(remove));
        }
        // stateful by default there
        ("xai", Dialect::Resp) => edits.push(set_if_absent("store", "false")),
        ("mistral", Dialect::Chat) => {
            edits.push(rename("seed", "random_seed"));
            edits.push(rename("max_completion_tokens", "max_tokens"));
            edits.extend(OPENAI_ONLY.map(remove));
        }
        ("groq", Dialect::Chat) => {
            edits.extend(["logprobs", "top_logprobs", "logit_bias"].map(remove));
            if cx.model.contains("qwen") || cx.model.contains("gpt-oss") {
                edits.push(set_if_absent("reasoning_format", &json!("parsed").to_string()));
            }
        }
        ("cerebras", Dialect::Chat) => {
            edits.push(rename("max_tokens", "max_completion_tokens"));
            edits.extend(OPENAI_ONLY.map(remove));
        }
        _ => {}
    }
}

/// Fields of OpenAI's own service that clients send everywhere and that upstreams which answer 422
/// to unknown fields do not have.
const OPENAI_ONLY: [&str; 5] =
    ["store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "verbosity"];

/// K2.5 and later, and the names the server resolves to them.
fn kimi_fixes_temperature(model: &str) -> bool {
    let by_name = ["kimi-for-coding", "kimi-latest"];
    kimi_version(model).is_some_and(|v| v >= (2, 5))
        || by_name.iter().any(|name| model.to_ascii_lowercase().starts_with(name))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::provider::catalog::Catalog;

    static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());

    fn edits(id: &str, dialect: Dialect, model: &str, tools: bool) -> Vec<BodyEdit> {
        let catalog = &*BUILTIN;
        let provider = catalog.by_id(id).unwrap();
        let think = catalog.model_facts(provider, model).and_then(|f| f.think);
        demanded(&EditCx { provider, dialect, model, think, tools, path: "/v1/x" })
    }

    fn removed(edits: &[BodyEdit]) -> Vec<&str> {
        edits
            .iter()
            .filter_map(|e| match e {
                BodyEdit::Remove { key } => Some(key.as_ref()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn most_providers_demand_nothing() {
        for (id, dialect) in [
            ("openai", Dialect::Chat),
            ("openai", Dialect::Resp),
            ("anthropic", Dialect::Anth),
            ("gemini", Dialect::Gem),
            ("openrouter", Dialect::Chat),
            ("deepseek", Dialect::Chat),
            ("ollama-local", Dialect::Chat),
            ("glm", Dialect::Anth),
        ] {
            assert_eq!(edits(id, dialect, "m", true), [], "{id}");
        }
    }

    #[test]
    fn quirks_apply_on_their_wire_only() {
        assert_eq!(
            removed(&edits("minimax", Dialect::Anth, "MiniMax-M3", true)),
            ["output_config", "top_k", "stop_sequences", "context_management"]
        );
        assert_eq!(
            edits("minimax", Dialect::Chat, "MiniMax-M3", true),
            [set_if_absent("reasoning_split", "true")]
        );
    }

    #[test]
    fn empty_tools_go_with_their_choice_and_others_stay() {
        assert_eq!(removed(&edits("alicode", Dialect::Chat, "q", false)), ["tools", "tool_choice"]);
        assert_eq!(edits("alicode", Dialect::Chat, "q", true), []);
        assert_eq!(edits("alicode", Dialect::Anth, "q", false), []);
    }

    #[test]
    fn vendors_lose_what_they_refuse() {
        let xai = edits("xai", Dialect::Chat, "grok-4.5", true);
        assert_eq!(removed(&xai), ["presence_penalty", "frequency_penalty", "stop"]);
        assert_eq!(
            edits("xai", Dialect::Resp, "grok-4.5", true),
            [set_if_absent("store", "false")]
        );
        let mistral = edits("mistral", Dialect::Chat, "codestral-latest", true);
        assert!(mistral.contains(&rename("seed", "random_seed")));
        assert!(removed(&mistral).contains(&"client_metadata"));
        assert!(removed(&mistral).contains(&"reasoning_effort"));
        let groq = edits("groq", Dialect::Chat, "openai/gpt-oss-20b", true);
        assert!(groq.contains(&set_if_absent("reasoning_format", "\"parsed\"")));
        assert!(removed(&groq).contains(&"logit_bias"));
        assert!(removed(&groq).contains(&"presence_penalty"));
        let llama = edits("groq", Dialect::Chat, "llama-3.3-70b-versatile", true);
        assert!(!llama.contains(&set_if_absent("reasoning_format", "\"parsed\"")));
        let cerebras = edits("cerebras", Dialect::Chat, "gpt-oss-120b", true);
        assert!(cerebras.contains(&rename("max_tokens", "max_completion_tokens")));
        assert_eq!(
            removed(&edits("cohere", Dialect::Chat, "x", true)).first(),
            Some(&"parallel_tool_calls")
        );
    }

    #[test]
    fn kimi_keeps_temperature_before_2_5() {
        for (model, dropped) in [
            ("kimi-k2.5", true),
            ("kimi-k3", true),
            ("k3", true),
            ("kimi-for-coding", true),
            ("kimi-k2-thinking", false),
            ("moonshot-v1-128k", false),
        ] {
            let got = edits("moonshot", Dialect::Chat, model, true);
            assert_eq!(removed(&got).contains(&"temperature"), dropped, "{model}");
        }
    }
}
