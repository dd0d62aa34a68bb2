//! One provider and model a request can go to, and the names its locks go by.

use std::sync::Arc;

use crate::provider::effort::Effort;
use crate::provider::entry::Provider;
use crate::provider::family::ErrorFamily;
use crate::provider::upstream_id::{UpstreamId, dotted_form, upstream_id};
use crate::routing::live::{LiveList, LiveModels};
use crate::routing::lock::Scope;

/// A provider and a model of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The model in the catalog's spelling.
    pub model: String,
    /// The id that is sent.
    pub upstream_model: String,
    /// Id of its locks: the upstream id without suffixes, in lower case (accounts §5.6).
    pub canonical: String,
    /// `prefix/model`, as shown to people.
    pub key: String,
    /// Effort asked for by the client's suffix, else by the id itself; outranks the body.
    pub effort: Option<Effort>,
    /// Effort when neither those nor the body say one.
    pub default_effort: Option<Effort>,
    /// `[1m]` was written: the 1M context is asked for.
    pub long_context: bool,
    /// Families of quota the model belongs to, lower case: `opus`, `premium`, `review`.
    pub families: Vec<String>,
}

/// What a client's id says beside the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// `(level)`.
    pub effort: Option<Effort>,
    /// `[1m]`.
    pub long_context: bool,
}

impl Wishes {
    /// Takes both suffixes off an id, in either order.
    #[must_use]
    pub fn split(id: &str) -> (&str, Self) {
        const LONG: &str = "[1m]";
        let (rest, long_last) = strip_long(id, LONG);
        let (rest, effort) = Effort::split_suffix(rest);
        let (rest, long_first) = strip_long(rest, LONG);
        (rest, Self { effort, long_context: long_last || long_first })
    }

    /// These wishes where stated, else `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            effort: self.effort.or(weaker.effort),
            long_context: self.long_context || weaker.long_context,
        }
    }
}

fn strip_long<'a>(id: &'a str, mark: &str) -> (&'a str, bool) {
    let cut = id.len().checked_sub(mark.len()).filter(|at| *at > 0).and_then(|at| {
        let tail = id.get(at..)?;
        if tail.eq_ignore_ascii_case(mark) { id.get(..at) } else { None }
    });
    match cut {
        Some(rest) => (rest, true),
        None => (id, false),
    }
}

impl Target {
    /// The target for `model` (what stands behind the prefix, without suffixes) of `provider`; `None` when
    /// the provider neither lists it nor takes ids outside its list.
    #[must_use]
    pub fn new(provider: &Arc<Provider>, model: &str, wishes: Wishes) -> Option<Self> {
        let id = upstream_id(provider, model);
        let known = provider.model(&id.model).is_some() || provider.takes_any_model();
        (known && !model.is_empty()).then(|| Self::of(provider, id, wishes))
    }

    /// As [`Target::new`]; a model that only the upstream's own list holds is known too (providers §1.2).
    #[must_use]
    pub fn with_live(
        provider: &Arc<Provider>,
        model: &str,
        wishes: Wishes,
        live: &LiveModels,
    ) -> Option<Self> {
        Self::new(provider, model, wishes).or_else(|| {
            let list = live.of(&provider.id)?;
            Some(Self::of(provider, in_list(&list, provider, model)?, wishes))
        })
    }

    fn of(provider: &Arc<Provider>, id: UpstreamId, wishes: Wishes) -> Self {
        let canonical = canonical(provider, &id.upstream);
        Self {
            families: families(provider, &canonical, id.review),
            key: format!("{}/{}", provider.prefix(), id.model),
            canonical,
            effort: wishes.effort.or(id.effort),
            default_effort: id.default_effort,
            long_context: wishes.long_context,
            provider: Arc::clone(provider),
            model: id.model,
            upstream_model: id.upstream,
        }
    }

    /// True when a lock of that scope keeps requests for this target away.
    #[must_use]
    pub fn is_covered(&self, scope: &Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Model(model) => *model == self.canonical,
            Scope::Family(family) => self.families.contains(family),
            // Features belong to requests, not to models: nobody knows them before the attempt.
            Scope::Feature(_) => false,
        }
    }

    /// Largest prompt in tokens, when the catalog lists it.
    #[must_use]
    pub fn window(&self) -> Option<u32> {
        self.provider.model(&self.model).and_then(|model| model.ctx)
    }
}

/// The id in the list's own spelling: as the client wrote it, else as the vendor writes it.
fn in_list(list: &LiveList, provider: &Provider, model: &str) -> Option<UpstreamId> {
    let renamed = upstream_id(provider, model);
    let as_written = UpstreamId { effort: None, review: false, ..renamed.clone() };
    let dotted = dotted_form(provider, &renamed.model);
    let tries = [
        (Some(model), &as_written),
        (Some(renamed.model.as_str()), &renamed),
        (dotted.as_deref(), &renamed),
    ];
    tries.into_iter().find_map(|(id, form)| {
        let found = list.model(id?)?;
        Some(UpstreamId { model: found.id.clone(), upstream: found.id.clone(), ..form.clone() })
    })
}

/// Endings that make a variant of a model, not another model.
const VARIANTS: [&str; 7] =
    ["-thinking", "-none", "-minimal", "-low", "-medium", "-high", "-xhigh"];

/// The id locks go by. Variants share the upstream's limits, so they share one lock.
#[must_use]
pub fn canonical(provider: &Provider, upstream: &str) -> String {
    let (id, _) = Wishes::split(upstream);
    let id = id.to_ascii_lowercase();
    let base = VARIANTS.iter().find_map(|end| id.strip_suffix(end)).filter(|b| !b.is_empty());
    match base {
        // `mistral-medium` is a model of its own name; `x-high` beside a listed `x` is not.
        Some(base) if provider.model(base).is_some() || !lists(provider, &id) => base.to_owned(),
        Some(_) | None => id,
    }
}

fn lists(provider: &Provider, id: &str) -> bool {
    provider.model(id).is_some()
        || provider
            .models
            .iter()
            .any(|m| m.upstream.as_deref().is_some_and(|up| up.eq_ignore_ascii_case(id)))
}

/// Copilot's models that do not draw on the premium allowance.
const INCLUDED: [&str; 5] = ["gpt-4.1", "gpt-4o", "gpt-4o-mini", "gpt-5-mini", "raptor-mini"];

fn families(provider: &Provider, canonical: &str, review: bool) -> Vec<String> {
    let one = |name: &str| vec![name.to_owned()];
    match provider.family {
        // `claude-3-5-haiku-20241022` belongs to `haiku`.
        ErrorFamily::Anthropic => canonical
            .split('-')
            .find(|word| {
                !matches!(*word, "claude" | "latest" | "preview" | "instant")
                    && word.len() > 2
                    && word.bytes().all(|b| b.is_ascii_lowercase())
            })
            .map(one)
            .unwrap_or_default(),
        ErrorFamily::Copilot if !INCLUDED.contains(&canonical) => one("premium"),
        ErrorFamily::Codex if review => one("review"),
        ErrorFamily::Copilot
        | ErrorFamily::Codex
        | ErrorFamily::Google
        | ErrorFamily::Kiro
        | ErrorFamily::Qwen
        | ErrorFamily::IFlow
        | ErrorFamily::Cursor
        | ErrorFamily::Zai
        | ErrorFamily::MiniMax
        | ErrorFamily::Kimi
        | ErrorFamily::OpenAi
        | ErrorFamily::DeepSeek
        | ErrorFamily::OpenRouter
        | ErrorFamily::XAi
        | ErrorFamily::Groq
        | ErrorFamily::Azure
        | ErrorFamily::Generic => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;
    use crate::provider::effort::Level;

    fn target(prefix: &str, model: &str) -> Target {
        let catalog = Catalog::builtin().unwrap();
        let (model, wishes) = Wishes::split(model);
        Target::new(catalog.by_prefix(prefix).unwrap(), model, wishes).unwrap()
    }

    #[test]
    fn suffixes_come_off_in_either_order() {
        let high = Some(Effort::Level(Level::High));
        let table = [
            ("m", "m", None, false),
            ("m(high)", "m", high, false),
            ("m[1m]", "m", None, true),
            ("m[1M]", "m", None, true),
            ("m(high)[1m]", "m", high, true),
            ("m[1m](high)", "m", high, true),
            ("foo(bar)", "foo(bar)", None, false),
            ("[1m]", "[1m]", None, false),
        ];
        for (id, rest, effort, long_context) in table {
            assert_eq!(Wishes::split(id), (rest, Wishes { effort, long_context }), "{id}");
        }
    }

    #[test]
    fn variants_share_one_lock() {
        let table = [
            ("cc", "claude-opus-4-6", "claude-opus-4-6"),
            ("cc", "claude-opus-4.6(high)", "claude-opus-4-6"),
            ("cc", "claude-opus-4-6[1m]", "claude-opus-4-6"),
            ("cx", "gpt-5.3-codex-high", "gpt-5.3-codex"),
            ("cx", "gpt-5.5-review", "gpt-5.5"),
            ("cx", "gpt-5.1-codex-max", "gpt-5.1-codex-max"),
            ("kr", "claude-sonnet-4.5-thinking-agentic", "claude-sonnet-4.5"),
            ("or", "vendor/Model-thinking", "vendor/model"),
            ("or", "vendor/Model-high", "vendor/model"),
        ];
        for (prefix, model, want) in table {
            assert_eq!(target(prefix, model).canonical, want, "{prefix}/{model}");
        }
    }

    #[test]
    fn families_are_read_from_the_model() {
        let table = [
            ("cc", "claude-opus-4-6", vec!["opus"]),
            ("cx", "gpt-5.5-review", vec!["review"]),
            ("cx", "gpt-5.5", vec![]),
            ("gh", "gpt-5-mini", vec![]),
            ("gh", "claude-4.5-sonnet", vec!["premium"]),
            ("openai", "gpt-5.5", vec![]),
        ];
        for (prefix, model, want) in table {
            assert_eq!(target(prefix, model).families, want, "{prefix}/{model}");
        }
    }
}
