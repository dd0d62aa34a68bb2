//! From the model id a client writes to a combo or a target (providers §1.1).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::provider::catalog::Catalog;
use crate::provider::entry::Provider;
use crate::provider::glob;
use crate::routing::account::Tier;
use crate::routing::combo::Combo;
use crate::routing::live::LiveModels;
use crate::routing::near;
pub use crate::routing::target::{Target, Wishes};

/// Everything a name can mean, beside the catalog.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Combos by name.
    pub combos: HashMap<Arc<str>, Arc<Combo>>,
    /// Aliases and what they stand for; a name may hold `*`.
    pub aliases: Vec<(String, String)>,
    /// Providers with an account in use; `None` = not known, all count. Only bare model names ask for it.
    pub served: Option<HashSet<Arc<str>>>,
    /// Order of the `tier` strategy.
    pub tier_order: Vec<Tier>,
    /// What upstreams list beyond the catalog; changes while the names stay.
    pub live: LiveModels,
}

impl Names {
    /// The names of stored combos and aliases.
    #[must_use]
    pub fn new(
        combos: impl IntoIterator<Item = Combo>,
        aliases: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let by_name = |combo: Combo| (Arc::clone(&combo.name), Arc::new(combo));
        Self {
            combos: combos.into_iter().map(by_name).collect(),
            aliases: aliases.into_iter().collect(),
            served: None,
            tier_order: vec![Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free],
            live: LiveModels::default(),
        }
    }

    /// The same names, with the providers that have an account in use.
    #[must_use]
    pub fn with_served(mut self, providers: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.served = Some(providers.into_iter().collect());
        self
    }

    /// The same names, with another order of tiers. Tiers that are left out come last.
    #[must_use]
    pub fn with_tier_order(mut self, order: &[Tier]) -> Self {
        let rest = [Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free];
        self.tier_order = order.to_vec();
        self.tier_order.extend(rest.into_iter().filter(|tier| !order.contains(tier)));
        self
    }

    /// The enabled combo of this exact name.
    #[must_use]
    pub fn combo(&self, name: &str) -> Option<&Arc<Combo>> {
        self.combos.get(name).filter(|combo| combo.enabled)
    }

    /// What the alias of this exact name stands for.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.iter().find(|(alias, _)| alias == name).map(|(_, target)| target.as_str())
    }

    /// What the closest alias with `*` stands for: the one with the most characters of its own.
    fn pattern(&self, id: &str) -> Option<&(String, String)> {
        let literal = |alias: &str| alias.chars().filter(|c| *c != '*').count();
        self.aliases
            .iter()
            .filter(|(alias, _)| alias.contains('*') && glob::matches(alias, id))
            // The first listed of equals: `max_by_key` would take the last.
            .rev()
            .max_by_key(|(alias, _)| literal(alias))
    }

    fn is_served(&self, provider: &Provider) -> bool {
        self.served.as_ref().is_none_or(|served| served.contains(&provider.id))
    }
}

/// What a model id means.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A combo.
    Combo {
        /// The combo.
        combo: Arc<Combo>,
        /// Suffixes written behind its name; they apply to all entries without own ones.
        wishes: Wishes,
    },
    /// One model of one provider.
    Target(Arc<Target>),
}

/// Why an id means nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResolveError {
    /// No combo, alias, provider or rule knows it.
    #[error("Model '{id}' not found{}", hint(.prefix.as_deref(), .near))]
    NotFound {
        /// As the client wrote it.
        id: String,
        /// The part before the slash, when no provider has that prefix.
        prefix: Option<String>,
        /// Up to three names it could have meant.
        near: Vec<String>,
    },
    /// Aliases lead in a circle, or through more than five steps.
    #[error("the alias `{}` never ends: {}; change one of them", .path.first().map_or("", String::as_str), .path.join(" → "))]
    AliasCycle {
        /// The names in order.
        path: Vec<String>,
    },
    /// A combo has no entry that means anything.
    #[error("combo `{name}` has no usable entry; add one or switch one on")]
    EmptyCombo {
        /// Its name.
        name: Arc<str>,
    },
}

impl ResolveError {
    /// The `code` of the error body (endpoints §5).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "model_not_found",
            Self::AliasCycle { .. } => "alias_cycle",
            Self::EmptyCombo { .. } => "combo_empty",
        }
    }
}

fn hint(prefix: Option<&str>, near: &[String]) -> String {
    let mut text = String::new();
    if let Some(prefix) = prefix {
        text.push_str(": no provider has the prefix `");
        text.push_str(prefix);
        text.push('`');
    }
    if !near.is_empty() {
        text.push_str("; did you mean ");
        let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&quoted.join(" or "));
        text.push('?');
    }
    text
}

/// What `id` means. `unknown_model_provider` takes ids whose prefix nobody knows.
///
/// # Errors
/// When it means nothing.
pub fn resolve(
    id: &str,
    names: &Names,
    catalog: &Catalog,
    unknown_model_provider: Option<&str>,
) -> Result<Resolved, ResolveError> {
    let resolver = Resolver { asked: id, names, catalog, unknown_model_provider };
    let plain = resolver.strip_dialect(strip_router(id));
    let (name, wishes) = Wishes::split(plain);
    resolver.name(name, wishes, &mut Vec::new())
}

/// Names of this program that some client integrations write in front as a provider.
fn strip_router(id: &str) -> &str {
    ["9router/", "ninerouter/"]
        .into_iter()
        .find_map(|own| strip_prefix(id, own))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(id)
}

fn strip_prefix<'a>(id: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = id.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

struct Resolver<'a> {
    asked: &'a str,
    names: &'a Names,
    catalog: &'a Catalog,
    unknown_model_provider: Option<&'a str>,
}

impl Resolver<'_> {
    /// Most aliases followed in a row.
    const MAX_ALIASES: usize = 5;

    /// `models/` is how Gemini clients write any model.
    fn strip_dialect<'i>(&self, id: &'i str) -> &'i str {
        match id.strip_prefix("models/") {
            Some(rest) if !rest.is_empty() && self.catalog.by_prefix("models").is_none() => rest,
            Some(_) | None => id,
        }
    }

    fn name(
        &self,
        name: &str,
        wishes: Wishes,
        trail: &mut Vec<String>,
    ) -> Result<Resolved, ResolveError> {
        let bare = self.own_name_behind_anthropic(name).unwrap_or(name);
        if let Some(combo) = self.names.combo(bare) {
            return Ok(Resolved::Combo { combo: Arc::clone(combo), wishes });
        }
        if let Some(target) = self.names.alias(bare) {
            return self.follow(bare, target, wishes, trail);
        }
        // A pattern may fit its own target: it is asked only about what the client wrote.
        if trail.is_empty()
            && let Some((pattern, target)) = self.names.pattern(bare)
        {
            return self.follow(pattern, target, wishes, trail);
        }
        self.model(bare, wishes)
    }

    /// Claude's clients list only ids with `anthropic` in them; combos and aliases are listed a second time
    /// in that form (endpoints §4.5).
    fn own_name_behind_anthropic<'i>(&self, name: &'i str) -> Option<&'i str> {
        let rest = strip_prefix(name, "anthropic/")?;
        let ours = self.names.combo(rest).is_some() || self.names.alias(rest).is_some();
        let theirs = self.catalog.by_id("anthropic").is_some_and(|p| p.model(rest).is_some());
        (ours && !theirs).then_some(rest)
    }

    fn follow(
        &self,
        alias: &str,
        target: &str,
        wishes: Wishes,
        trail: &mut Vec<String>,
    ) -> Result<Resolved, ResolveError> {
        let is_cycle = trail.iter().any(|seen| seen == alias);
        trail.push(alias.to_owned());
        if is_cycle || trail.len() > Self::MAX_ALIASES {
            return Err(ResolveError::AliasCycle { path: std::mem::take(trail) });
        }
        let (name, own) = Wishes::split(target.strip_prefix("combo:").unwrap_or(target));
        self.name(name, wishes.or(own), trail)
    }

    fn model(&self, id: &str, wishes: Wishes) -> Result<Resolved, ResolveError> {
        let found = |target| Ok(Resolved::Target(Arc::new(target)));
        if let Some((prefix, model)) = id.split_once('/')
            && let Some(provider) = self.catalog.by_prefix(prefix)
        {
            return match self.target(provider, model, wishes) {
                Some(target) => found(target),
                None => Err(self.not_found(id, Some(provider), None)),
            };
        }
        let default = self.unknown_model_provider.and_then(|id| self.catalog.by_id(id));
        if let Some(target) = default.and_then(|p| self.target(p, id, wishes)) {
            return found(target);
        }
        // Guessing a provider without an account would bill nobody and answer nothing.
        let mut inferred = self.catalog.infer(id).filter(|p| self.names.is_served(p));
        if let Some(target) = inferred.find_map(|p| self.target(p, id, wishes)) {
            return found(target);
        }
        let prefix = id.split_once('/').map(|(prefix, _)| prefix.to_owned());
        Err(self.not_found(id, None, prefix))
    }

    fn target(&self, provider: &Arc<Provider>, model: &str, wishes: Wishes) -> Option<Target> {
        Target::with_live(provider, model, wishes, &self.names.live)
    }

    fn not_found(
        &self,
        id: &str,
        provider: Option<&Arc<Provider>>,
        prefix: Option<String>,
    ) -> ResolveError {
        let mut near = near::Nearest::to(id);
        self.names.combos.values().filter(|c| c.enabled).for_each(|c| near.offer(&c.name));
        self.names
            .aliases
            .iter()
            .filter(|(a, _)| !a.contains('*'))
            .for_each(|(a, _)| near.offer(a));
        match (provider, id.split_once('/')) {
            (Some(provider), Some((written, _))) => {
                provider.models.iter().for_each(|m| near.offer(&format!("{written}/{}", m.id)));
            }
            (None, Some((_, rest))) => {
                self.catalog.prefixes().for_each(|p| near.offer(&format!("{p}/{rest}")));
            }
            (Some(_) | None, None) => {
                let served = self.catalog.providers().filter(|p| self.names.is_served(p));
                served.flat_map(|p| &p.models).for_each(|model| near.offer(&model.id));
            }
        }
        ResolveError::NotFound { id: self.asked.to_owned(), prefix, near: near.found() }
    }
}

#[cfg(test)]
mod tests;
