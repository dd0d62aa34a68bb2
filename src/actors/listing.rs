//! What a caller may ask for: combos, aliases, and models of providers that have an account.

use std::sync::Arc;

use crate::actors::snapshot::Snapshot;
use crate::auth::key::KeyRecord;
use crate::provider::catalog::{Model, ModelKind, Provider};
use crate::provider::models::{LiveModel, has_list};
use crate::routing::live::LiveList;

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
#[must_use]
pub fn list(snapshot: &Snapshot, served: &[Arc<str>], key: Option<&KeyRecord>) -> Vec<Listed> {
    let mut out = Vec::new();
    let mut combos: Vec<_> = snapshot.names.combos.values().filter(|combo| combo.enabled).collect();
    combos.sort_by(|a, b| a.name.cmp(&b.name));
    for combo in combos {
        if key.is_none_or(|key| snapshot.may_ask_for(key, &combo.name)) {
            out.push(Listed::plain(combo.name.to_string(), "combo".into()));
        }
    }
    for (alias, _) in snapshot.names.aliases.iter().filter(|(alias, _)| !alias.contains('*')) {
        if key.is_none_or(|key| snapshot.may_ask_for(key, alias)) {
            out.push(Listed::plain(alias.clone(), "alias".into()));
        }
    }
    for provider in snapshot.catalog.providers().filter(|p| served.contains(&p.id)) {
        let live = snapshot.names.live.of(&provider.id);
        provider_models(provider, live.as_deref(), key, &mut out);
    }
    out
}

fn provider_models(
    provider: &Provider,
    live: Option<&LiveList>,
    key: Option<&KeyRecord>,
    out: &mut Vec<Listed>,
) {
    let prefix = provider.prefix();
    let allowed = |model: &str| {
        key.is_none_or(|key| key.may_use(&provider.id, &format!("{prefix}/{model}"), None))
    };
    // A list that was fetched before the operator chose to write it is not shown on.
    let live = live.filter(|_| has_list(provider));
    let chat = provider.models.iter().filter(|m| m.kind == ModelKind::Chat && m.listed);
    for model in chat.filter(|m| allowed(&m.id)) {
        let listed = live.and_then(|live| live.model(&model.id));
        out.push(Listed::of(provider, model, listed));
    }
    // What the catalog lists is in already, or is no model for answers.
    let fresh = |model: &&LiveModel| provider.model(&model.id).is_none() && allowed(&model.id);
    let live = live.map_or(&[][..], LiveList::models);
    out.extend(live.iter().filter(fresh).map(|model| Listed::live(provider, model)));
}

impl Listed {
    /// A name without facts.
    #[must_use]
    pub fn plain(id: String, owner: Arc<str>) -> Self {
        Self { name: id.clone(), id, owner, context: None, output: None }
    }

    fn live(provider: &Provider, model: &LiveModel) -> Self {
        let plain =
            Self::plain(format!("{}/{}", provider.prefix(), model.id), Arc::clone(&provider.id));
        Self {
            name: model.name.clone().unwrap_or_else(|| plain.id.clone()),
            context: model.ctx,
            output: model.out,
            ..plain
        }
    }

    /// What the upstream says of a model now outranks the catalog, the operator outranks both
    /// (providers §6).
    fn of(provider: &Provider, model: &Model, live: Option<&LiveModel>) -> Self {
        let (ctx, out) = (live.and_then(|live| live.ctx), live.and_then(|live| live.out));
        let (context, output) = if model.by_operator {
            (model.ctx.or(ctx), model.out.or(out))
        } else {
            (ctx.or(model.ctx), out.or(model.out))
        };
        Self {
            id: format!("{}/{}", provider.prefix(), model.id),
            owner: Arc::clone(&provider.id),
            name: model.name.clone(),
            context,
            output,
        }
    }
}
