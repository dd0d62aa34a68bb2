//! What a caller may ask for: combos, aliases, and models of providers that have an account.

use std::collections::HashSet;
use std::sync::Arc;

use crate::actors::shared::LiveModels;
use crate::actors::snapshot::Snapshot;
use crate::auth::key::KeyRecord;
use crate::provider::catalog::{Model, ModelKind, Provider};

/// One name a caller may ask for.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What the client writes.
    pub id: String,
    /// `combo`, `alias` or the provider's id.
    pub owner: Arc<str>,
    /// For people.
    pub name: String,
    /// Largest prompt, in tokens.
    pub context: Option<u32>,
    /// Largest answer, in tokens.
    pub output: Option<u32>,
}

/// All names, combos first, then aliases, then models of `served` providers; stable order.
///
/// `live` names models of a provider that its catalog entry does not list.
#[must_use]
pub fn list(
    snapshot: &Snapshot,
    served: &[Arc<str>],
    live: &LiveModels,
    key: Option<&KeyRecord>,
) -> Vec<Listed> {
    let mut out = Vec::new();
    let mut combos: Vec<_> = snapshot.names.combos.values().filter(|combo| combo.enabled).collect();
    combos.sort_by(|a, b| a.name.cmp(&b.name));
    for combo in combos {
        if key.is_none_or(|key| key.may_use_combo(Some(&combo.name))) {
            out.push(Listed::plain(combo.name.to_string(), "combo".into()));
        }
    }
    for (alias, _) in snapshot.names.aliases.iter().filter(|(alias, _)| !alias.contains('*')) {
        if key.is_none_or(|key| snapshot.may_ask_for(key, alias)) {
            out.push(Listed::plain(alias.clone(), "alias".into()));
        }
    }
    for provider in snapshot.catalog.providers().filter(|p| served.contains(&p.id)) {
        let live = live.get(&provider.id).map_or(&[][..], Vec::as_slice);
        provider_models(provider, live, key, &mut out);
    }
    out
}

fn provider_models(
    provider: &Provider,
    live: &[String],
    key: Option<&KeyRecord>,
    out: &mut Vec<Listed>,
) {
    let prefix = provider.prefix();
    let allowed = |model: &str| {
        key.is_none_or(|key| key.may_use(&provider.id, &format!("{prefix}/{model}"), None))
    };
    let mut seen = HashSet::new();
    let chat = provider.models.iter().filter(|m| m.kind == ModelKind::Chat);
    for model in chat.filter(|m| allowed(&m.id)) {
        seen.insert(model.id.as_str());
        out.push(Listed::of(provider, model));
    }
    for id in live.iter().filter(|id| !seen.contains(id.as_str()) && allowed(id)) {
        out.push(Listed::plain(format!("{prefix}/{id}"), Arc::clone(&provider.id)));
    }
}

impl Listed {
    /// A name without facts.
    #[must_use]
    pub fn plain(id: String, owner: Arc<str>) -> Self {
        Self { name: id.clone(), id, owner, context: None, output: None }
    }

    fn of(provider: &Provider, model: &Model) -> Self {
        Self {
            id: format!("{}/{}", provider.prefix(), model.id),
            owner: Arc::clone(&provider.id),
            name: model.name.clone(),
            context: model.ctx,
            output: model.out,
        }
    }
}
