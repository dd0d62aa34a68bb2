//! The catalog: every provider there is, built-in, laid over and added, and the look-ups on it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::provider::glob::Patterns;
use crate::provider::model_change;
use crate::provider::node::Node;
use crate::provider::overlay::Files;
use crate::provider::overrides;
use crate::provider::price::{Price, PricePattern};

pub use crate::provider::apis::Apis;
pub use crate::provider::entry::{Provider, Support, UpstreamStatus};
pub use crate::provider::model::{
    Cap, Caps, Model, ModelFacts, ModelKind, ModelPattern, PriceOrigin, Think,
};
pub use crate::provider::model_change::ModelChange;
pub use crate::provider::overlay::{CatalogError, InferRule};
pub use crate::provider::overrides::{EndpointOverride, OverrideError, Role};
pub use crate::provider::quota::{Quota, QuotaKind, QuotaSource, QuotaUnit};
pub use crate::provider::sign_in::{
    AuthKind, CredentialForm, OAuth, OAuthFlow, Param, TokenEncoding, Validate, ValidateMethod,
};
pub use crate::provider::transport::{Auth, Endpoint, HeaderRule, Scheme, Wire};

/// Every provider of this router. Immutable; assembled anew when a file or a node changes.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<Arc<Provider>>,
    ids: HashMap<String, usize>,
    prefixes: HashMap<String, usize>,
    model_patterns: Vec<ModelPattern>,
    model_globs: Patterns,
    price_patterns: Vec<PricePattern>,
    price_globs: Patterns,
    infer: Vec<InferRule>,
    notices: Vec<String>,
}

impl Catalog {
    /// The built-in catalog alone.
    ///
    /// # Errors
    /// Never with the file this program was built with; a test sees to that.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::assemble(&[], &[], &[])
    }

    /// The built-in catalog, the operator's files over it (name and text, in order), the endpoint
    /// overrides of the environment, and the operator's nodes.
    ///
    /// # Errors
    /// When a file or an override cannot be used; the error names it, and the key in it.
    pub fn assemble(
        overlays: &[(String, String)],
        overrides: &[EndpointOverride],
        nodes: &[Node],
    ) -> Result<Self, CatalogError> {
        let mut files = Files::builtin(!overlays.is_empty())?;
        for (name, text) in overlays {
            files = files.laid_over(name, text)?;
        }
        for change in overrides {
            let target = files.providers.iter_mut().find(|p| change.is_for(&p.id));
            let Some(provider) = target else {
                return Err(OverrideError::Provider(change.provider.clone()).into());
            };
            overrides::apply(provider, change)?;
        }
        let notices =
            files.unknown_keys.iter().map(|key| format!("{key}: unknown key, ignored")).collect();
        let model_globs = Patterns::new(files.model_patterns.iter().map(|p| p.pattern.as_str()));
        let price_globs = Patterns::new(files.price_patterns.iter().map(|p| p.pattern.as_str()));
        // A test compiles the built-in ones.
        if !overlays.is_empty() {
            let too_large = |error: regex::Error| CatalogError::Patterns(error.to_string());
            model_globs.compile().map_err(too_large)?;
            price_globs.compile().map_err(too_large)?;
        }
        let mut catalog = Self {
            providers: Vec::with_capacity(files.providers.len() + nodes.len()),
            ids: HashMap::new(),
            prefixes: HashMap::new(),
            model_patterns: files.model_patterns,
            model_globs,
            price_patterns: files.price_patterns,
            price_globs,
            infer: files.infer,
            notices,
        };
        for provider in files.providers {
            catalog.add(provider);
        }
        for node in nodes {
            catalog.add(node.to_provider());
        }
        Ok(catalog)
    }

    /// The catalog with the operator's own and changed models in it. A change for a provider that is
    /// gone changes nothing.
    #[must_use]
    pub fn with_models(mut self, changes: impl IntoIterator<Item = ModelChange>) -> Self {
        for change in changes {
            let at = self.ids.get(&change.provider).copied();
            if let Some(provider) = at.and_then(|at| self.providers.get_mut(at)) {
                model_change::apply(Arc::make_mut(provider), change);
            }
        }
        self
    }

    /// The provider with that id, nodes included.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Provider>> {
        self.ids.get(id).and_then(|at| self.providers.get(*at))
    }

    /// The provider whose model ids begin with `prefix/`, in any case.
    #[must_use]
    pub fn by_prefix(&self, prefix: &str) -> Option<&Arc<Provider>> {
        let at = if prefix.bytes().any(|b| b.is_ascii_uppercase()) {
            self.prefixes.get(prefix.to_ascii_lowercase().as_str())
        } else {
            self.prefixes.get(prefix)
        };
        at.and_then(|at| self.providers.get(*at))
    }

    /// Every provider, in listed order, nodes last.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.iter()
    }

    /// Every accepted prefix in lower case, in no order: for near matches.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.keys().map(String::as_str)
    }

    /// Providers of a bare model name, preferred first.
    pub fn infer(&self, model: &str) -> impl Iterator<Item = &Arc<Provider>> {
        let begins = |rule: &&InferRule| {
            model
                .get(..rule.prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(&rule.prefix))
        };
        self.infer
            .iter()
            .find(begins)
            .into_iter()
            .flat_map(|rule| rule.providers.iter().filter_map(|id| self.by_id(id)))
    }

    /// What is known of a model: its entry, else the first pattern its name fits.
    #[must_use]
    pub fn model_facts<'a>(
        &'a self,
        provider: &'a Provider,
        model: &str,
    ) -> Option<ModelFacts<'a>> {
        if let Some(listed) = provider.model(model) {
            return Some(listed.into());
        }
        self.model_globs.first(model).and_then(|at| self.model_patterns.get(at)).map(Into::into)
    }

    /// The catalog's price of a model; `None` when it lists none. Patterns are asked apart, because
    /// a live list stands between the two (providers §7).
    #[must_use]
    pub fn price(&self, provider: &Provider, model: &str) -> Option<Price> {
        provider.model(model).and_then(|m| m.price)
    }

    /// The price that the name of a model suggests.
    #[must_use]
    pub fn pattern_price(&self, model: &str) -> Option<Price> {
        self.price_globs.first(model).and_then(|at| self.price_patterns.get(at)).map(|p| p.price)
    }

    /// Things the operator should know: unknown keys in files, prefixes that are taken.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    fn add(&mut self, provider: Provider) {
        if self.ids.contains_key(&*provider.id) {
            // a node must not stand in for a provider of the catalog
            self.notices.push(format!("node `{}`: id is taken, node ignored", provider.id));
            return;
        }
        let at = self.providers.len();
        for alias in &provider.aliases {
            // A prefix may have been taken by a later catalog file. The node stays reachable by
            // its id and the start of the router does not hang on it.
            match self.prefixes.entry(alias.to_ascii_lowercase()) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(at);
                }
                std::collections::hash_map::Entry::Occupied(_) => self.notices.push(format!(
                    "node `{}`: prefix `{alias}` is taken; choose another one",
                    provider.id
                )),
            }
        }
        self.ids.insert(provider.id.to_string(), at);
        self.providers.push(Arc::new(provider));
    }
}

#[cfg(test)]
mod tests;
