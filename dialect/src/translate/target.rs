//! What a request is translated for: the upstream, its model, and what both can do.

use crate::effort::Levels;
use crate::ir::{SigFamily, Str};
use crate::profile::{Profile, Quirk, Think};
use crate::{Dialect, cloud_code, hosted};

use super::family::gemini_version;

/// One upstream model, as the catalog knows it. The caller fills it in for each attempt.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The dialect to write.
    pub dialect: Dialect,
    /// What is wrapped around it.
    pub envelope: Envelope,
    /// The upstream's id of the model.
    pub model: Str,
    /// The family whose signatures the model verifies.
    pub family: SigFamily,
    /// What the model can do.
    pub caps: ModelCaps,
    /// What the upstream takes and wants.
    pub profile: Profile,
    /// Rules of the upstream that no flag names.
    pub quirks: Vec<Quirk>,
    /// What the conversation goes by at this account (providers §2), for upstreams that want to know.
    pub conversation: Option<Str>,
    /// What the envelope says of account and request.
    pub ids: EnvelopeIds,
}

impl Target {
    /// An upstream of which nothing is known but its dialect: requests are converted, never clamped.
    pub fn new(dialect: Dialect, model: impl Into<Str>) -> Self {
        Self {
            dialect,
            envelope: Envelope::Plain,
            model: model.into(),
            family: SigFamily::Unknown,
            caps: ModelCaps::default(),
            profile: Profile::default(),
            quirks: Vec::new(),
            conversation: None,
            ids: EnvelopeIds::default(),
        }
    }

    /// Whether it is Claude behind Google Code Assist, which has rules of both vendors.
    pub fn is_code_assist_claude(&self) -> bool {
        self.envelope.is_code_assist() && self.family == SigFamily::Claude
    }

    /// Whether schemas go as plain JSON Schema (`parametersJsonSchema`): where the API has that field, from
    /// Gemini 2.5 on. A model of which the name tells no version gets the subset, which all of them take.
    pub fn takes_json_schema(&self) -> bool {
        self.profile.gem_json_schema && gemini_version(&self.model).is_some_and(|v| v >= (2, 5))
    }

    /// Whether Google's subset of schemas may hold `anyOf`: from Gemini 2.0 on.
    pub fn takes_any_of(&self) -> bool {
        self.profile.gem_anyof && gemini_version(&self.model).is_some_and(|v| v >= (2, 0))
    }

    /// Whether requests go by Anthropic's own rules and fields, and not only in the order of its turns.
    pub fn is_messages(&self) -> bool {
        self.dialect == Dialect::Anth && self.envelope != Envelope::Kiro
    }

    /// Whether the upstream has this quirk.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

/// What is wrapped around a dialect (translation §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Envelope {
    /// Nothing.
    Plain,
    /// The ChatGPT backend: Responses with a restricted set of fields.
    Codex,
    /// Google Code Assist as Gemini CLI speaks it: Gemini inside an object.
    CloudCode,
    /// Google Code Assist as Antigravity speaks it: more members, Claude beside Gemini.
    Antigravity,
    /// Vertex AI: Gemini without ids on calls, Messages without the model.
    Vertex,
    /// Amazon Bedrock: Messages without the model, streamed in AWS frames.
    Bedrock,
    /// AWS event stream with a JSON of its own; the dialect is [`Dialect::Anth`], in whose order turns,
    /// calls and results are put.
    Kiro,
    /// GitHub Copilot: chat or Responses with small restrictions.
    Copilot,
    /// Ollama's NDJSON chat.
    Ollama,
}

impl Envelope {
    /// Whether it is Google Code Assist's.
    pub const fn is_code_assist(self) -> bool {
        matches!(self, Self::CloudCode | Self::Antigravity)
    }

    /// Whether answers stream in binary frames of AWS.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Kiro | Self::Bedrock)
    }
}

/// Whether a body of the target's own dialect must be read and written anew all the same, because the
/// envelope holds no such body, or not this one. Otherwise it goes as it is, edited and wrapped at most.
pub fn needs_translation(body: &[u8], target: &Target) -> bool {
    match target.envelope {
        Envelope::Plain | Envelope::Codex | Envelope::Copilot => false,
        Envelope::CloudCode | Envelope::Antigravity => cloud_code::needs_translation(body, target),
        Envelope::Vertex => target.dialect == Dialect::Gem && hosted::vertex_refuses(body),
        Envelope::Bedrock | Envelope::Kiro | Envelope::Ollama => true,
    }
}

/// What stands in an envelope beside the request itself. The caller fills it in for each attempt; what
/// is `None` is left out.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct EnvelopeIds {
    /// The cloud project that Code Assist bills. An account without one is not asked at all.
    pub project: Option<Str>,
    /// This request, a UUID.
    pub request: Option<Str>,
    /// When this request is made, Unix milliseconds.
    pub sent_ms: u64,
    /// ARN of the account's CodeWhisperer profile (Kiro).
    pub profile_arn: Option<Str>,
}

/// What a model can do. `None` = unknown: the request goes through as the client wrote it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ModelCaps {
    /// How it reasons.
    pub thinking: ThinkingCaps,
    /// The words in which it is told, where the catalog names them.
    pub think: Option<Think>,
    /// The most that it writes, tokens.
    pub max_output: Option<u32>,
    /// It takes no `temperature`, `top_p`, `top_k`, penalties, `logprobs` or stop texts.
    pub default_sampling_only: bool,
    /// It goes on from an unfinished assistant turn.
    pub prefill: Option<bool>,
    /// It sees images.
    pub vision: Option<bool>,
    /// It reads PDF documents.
    pub pdf: Option<bool>,
    /// It hears.
    pub audio_in: Option<bool>,
    /// It follows a JSON schema.
    pub structured_output: Option<bool>,
    /// It calls several tools at once.
    pub parallel_tools: Option<bool>,
}

/// How a model reasons, and how it is told (translation §1.6).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum ThinkingCaps {
    /// Not known: what the client asks is converted, never clamped.
    #[default]
    Unknown,
    /// Not at all.
    None,
    /// On and off, nothing between.
    Switch,
    /// By a number of tokens.
    Budget(BudgetCaps),
    /// By named steps.
    Levels(LevelCaps),
    /// As much as it likes, guided by named steps; a number of tokens is refused.
    Adaptive(LevelCaps),
    /// By a number of tokens, or as [`ThinkingCaps::Adaptive`].
    Hybrid(BudgetCaps, LevelCaps),
}

impl ThinkingCaps {
    /// The named steps, where the model has any.
    pub fn levels(&self) -> Option<&Levels> {
        match self {
            Self::Levels(caps) | Self::Adaptive(caps) | Self::Hybrid(_, caps) => Some(&caps.levels),
            Self::Unknown | Self::None | Self::Switch | Self::Budget(_) => None,
        }
    }
}

/// A range of thinking budgets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BudgetCaps {
    /// The least, tokens.
    pub min: u32,
    /// The most, tokens.
    pub max: u32,
    /// It can be switched off.
    pub off: bool,
    /// The model can choose.
    pub dynamic: bool,
}

/// A set of named steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelCaps {
    /// The steps.
    pub levels: Levels,
    /// It can be switched off.
    pub off: bool,
    /// The model can choose.
    pub dynamic: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_upstream_clamps_nothing() {
        let target = Target::new(Dialect::Anth, "m");
        assert_eq!(target.caps.thinking, ThinkingCaps::Unknown);
        assert_eq!(target.caps.max_output, None);
        assert!(!target.caps.default_sampling_only);
        assert!(!target.has(Quirk::KeepCacheControl));
    }

    #[test]
    fn plain_schemas_need_an_api_and_a_model_that_take_them() {
        let profile = Profile { gem_json_schema: true, gem_anyof: true, ..Profile::default() };
        for (model, plain, any_of) in [
            ("gemini-1.5-pro", false, false),
            ("gemini-2.0-flash", false, true),
            ("models/gemini-2.5-pro", true, true),
            ("gemini-3-pro-preview", true, true),
            ("gemini-flash-latest", false, false),
            ("gemma-3-27b-it", false, false),
        ] {
            let unknown = Target::new(Dialect::Gem, model);
            assert!(!unknown.takes_json_schema() && !unknown.takes_any_of(), "{model}");
            let public = Target { profile: profile.clone(), ..unknown };
            assert_eq!(
                (public.takes_json_schema(), public.takes_any_of()),
                (plain, any_of),
                "{model}"
            );
        }
    }
}
