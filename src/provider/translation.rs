//! What the translation core must know of one upstream and its model: the catalog's facts over those
//! that the model's name tells (translation §1.6).

use ninerouter_dialect::Dialect;
use ninerouter_dialect::ir::SigFamily;
use ninerouter_dialect::translate::family::family_caps;
use ninerouter_dialect::translate::{
    BudgetCaps, Envelope, LevelCaps, ModelCaps, Source, Target, ThinkingCaps,
};

use crate::provider::catalog::{Cap, Endpoint, ModelFacts, Provider, Think};

/// One upstream model, seen by a request that is translated for it.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// What its endpoint takes.
    pub dialect: Dialect,
    /// What is wrapped around it.
    pub envelope: Envelope,
    /// The upstream's id of the model.
    pub model: &'a str,
    /// What is known of the model.
    pub facts: Option<ModelFacts<'a>>,
}

impl<'a> Upstream<'a> {
    /// A model behind an endpoint; `None` when the endpoint speaks a protocol that the router does not.
    #[must_use]
    pub fn at(
        provider: &'a Provider,
        endpoint: &Endpoint,
        model: &'a str,
        facts: Option<ModelFacts<'a>>,
    ) -> Option<Self> {
        let (dialect, envelope) = endpoint.speaks()?;
        Some(Self { provider, dialect, envelope, model, facts })
    }

    /// What a request is written for.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            envelope: self.envelope,
            family: family_of(self.model),
            caps: caps(self.model, self.facts),
            profile: self.provider.profile.clone(),
            quirks: self.provider.quirks.clone(),
            ..Target::new(self.dialect, self.model.to_owned())
        }
    }

    /// What its answers are read as. Gemini is asked for server-sent events, see [`crate::provider::request`].
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            family: family_of(self.model),
            profile: self.provider.profile.clone(),
            envelope: self.envelope,
            context_window: self.facts.and_then(|facts| facts.ctx),
            ..Source::new(self.dialect)
        }
    }
}

/// Whose signatures a model makes and verifies.
fn family_of(model: &str) -> SigFamily {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    if name.contains("claude") {
        SigFamily::Claude
    } else if name.contains("gemini") {
        SigFamily::Gemini
    } else if begins(&["gpt-", "o1", "o3", "o4", "codex", "chatgpt"]) {
        SigFamily::OpenAi
    } else if name.contains("grok") {
        SigFamily::Grok
    } else {
        SigFamily::Unknown
    }
}

/// The catalog lists abilities whole: what a listed model does not name it does not have. A pattern
/// knows some of them only.
fn caps(model: &str, facts: Option<ModelFacts<'_>>) -> ModelCaps {
    let by_name = family_caps(model);
    let Some(facts) = facts else { return by_name };
    let able = |cap| (facts.listed || facts.caps.has(cap)).then(|| facts.caps.has(cap));
    ModelCaps {
        thinking: thinking(by_name.thinking, facts),
        think: facts.think,
        max_output: facts.out.or(by_name.max_output),
        vision: able(Cap::Vision).or(by_name.vision),
        pdf: able(Cap::Pdf).or(by_name.pdf),
        audio_in: able(Cap::AudioIn).or(by_name.audio_in),
        ..by_name
    }
}

fn thinking(by_name: ThinkingCaps, facts: ModelFacts<'_>) -> ThinkingCaps {
    if facts.listed && facts.think.is_none() && !facts.caps.has(Cap::Thinking) {
        return ThinkingCaps::None;
    }
    let levels = facts.levels.filter(|levels| !levels.steps().is_empty());
    let Some(levels) = levels else { return by_name };
    let levels = LevelCaps { levels: levels.clone(), off: facts.think_off, dynamic: true };
    match (by_name, facts.think) {
        (ThinkingCaps::Hybrid(budget, _), _) => ThinkingCaps::Hybrid(budget, levels),
        // Levels beside a budget are the suffixes the id may have; the wire wants a number.
        (by_name @ ThinkingCaps::Budget(_), Some(Think::ClaudeBudget | Think::GeminiBudget)) => {
            by_name
        }
        (_, Some(Think::ClaudeBudget | Think::GeminiBudget)) => ThinkingCaps::Budget(BudgetCaps {
            min: 1_024,
            max: facts.out.map_or(32_768, |out| out.saturating_sub(1)),
            off: facts.think_off,
            dynamic: true,
        }),
        (_, Some(Think::ClaudeAdaptive)) => ThinkingCaps::Adaptive(levels),
        _ => ThinkingCaps::Levels(levels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    fn target(prefix: &str, model: &str) -> Target {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_prefix(prefix).unwrap();
        let upstream = Upstream {
            provider,
            dialect: Dialect::Chat,
            envelope: Envelope::Plain,
            model,
            facts: catalog.model_facts(provider, model),
        };
        upstream.target()
    }

    #[test]
    fn the_catalog_stands_over_what_the_name_tells() {
        let opus = target("anthropic", "claude-opus-4-6");
        assert_eq!(opus.family, SigFamily::Claude);
        assert!(matches!(opus.caps.thinking, ThinkingCaps::Hybrid(..) | ThinkingCaps::Adaptive(_)));
        assert_eq!((opus.caps.vision, opus.caps.pdf), (Some(true), Some(true)));
        assert_eq!(opus.caps.audio_in, Some(false), "listed without it");
        let gpt = target("openai", "gpt-5");
        assert_eq!(gpt.family, SigFamily::OpenAi);
        assert!(matches!(gpt.caps.thinking, ThinkingCaps::Levels(_)), "{:?}", gpt.caps.thinking);
        assert!(gpt.caps.default_sampling_only);
    }

    #[test]
    fn of_an_unknown_model_nothing_is_claimed() {
        let unknown = target("openai", "somebody-elses-model");
        assert_eq!(unknown.family, SigFamily::Unknown);
        assert_eq!(unknown.caps.vision, None);
        assert_eq!(unknown.caps.thinking, ThinkingCaps::Unknown);
    }
}
