//! What the operator added to the models of a provider, or changed in them (`storage.md` §3.3).

use crate::provider::entry::Provider;
use crate::provider::model::{Caps, Model, ModelKind, Think};

/// One model as the operator wants it; what is `None` stays as the catalog says.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelChange {
    /// Provider or node it belongs to, by id.
    pub provider: String,
    /// Its id behind the prefix.
    pub model: String,
    /// False = left out of lists.
    pub listed: bool,
    /// Display name.
    pub name: Option<String>,
    /// What it is for.
    pub kind: ModelKind,
    /// Largest prompt in tokens.
    pub ctx: Option<u32>,
    /// Largest output in tokens.
    pub out: Option<u32>,
    /// Everything it can do.
    pub caps: Option<Caps>,
    /// How it is told to reason.
    pub think: Option<Think>,
}

/// Puts the change into the provider's models.
pub(super) fn apply(provider: &mut Provider, change: ModelChange) {
    let at = provider.models.iter().position(|model| model.id == change.model);
    let at = at.unwrap_or_else(|| {
        provider.models.push(Model::bare(&change.model));
        provider.models.len() - 1
    });
    if let Some(model) = provider.models.get_mut(at) {
        model.by_operator = true;
        model.listed = change.listed;
        model.kind = change.kind;
        model.name = change.name.unwrap_or_else(|| std::mem::take(&mut model.name));
        model.ctx = change.ctx.or(model.ctx);
        model.out = change.out.or(model.out);
        model.caps = change.caps.unwrap_or(model.caps);
        model.think = change.think.or(model.think);
    }
    provider.index_models();
}
