//! Names in the state a file leads to: what a target of a combo or an alias means, and whether names go in circles.

use std::collections::BTreeMap;

use crate::config::keys;
use crate::provider::catalog::Catalog;
use crate::provider::glob;
use crate::routing::target::{Target, Wishes};
use crate::store::nodes::NodeRow;

/// Deepest nesting of combos and of aliases (accounts §6.2, providers §1.1).
const DEEPEST: usize = 5;
/// Most leaf entries of a combo with everything it contains (accounts §6.2).
const MOST_LEAVES: usize = 64;

/// Providers as people know them: nodes by their prefix.
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    pub(super) fn new(desired: &[NodeRow], current: &[NodeRow]) -> Self {
        let rows = current.iter().chain(desired);
        Self(rows.map(|row| (row.node.id.clone(), row.node.prefix.clone())).collect())
    }

    pub(super) fn of(&self, provider: &str) -> String {
        self.0.get(provider).cloned().unwrap_or_else(|| provider.to_owned())
    }
}

/// All names there will be.
#[derive(Debug)]
pub struct Names<'a> {
    /// Providers and their models.
    pub catalog: &'a Catalog,
    /// Targets of the enabled entries of each combo.
    pub combos: BTreeMap<String, Vec<String>>,
    /// Aliases and what they stand for.
    pub aliases: BTreeMap<String, String>,
    /// Setting `unknown_model_provider` is in use.
    pub takes_unknown: bool,
}

/// What a target means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// A combo.
    Combo(String),
    /// A model.
    Model,
    /// The provider is known, but lists no such model; a live list may have it.
    Unlisted {
        /// Its id.
        provider: String,
        /// A model with a like name.
        near: Option<String>,
    },
}

impl Names<'_> {
    /// The meaning of a target, in the order of providers §1.1.
    ///
    /// # Errors
    /// Why it means nothing, with the nearest name.
    pub fn meaning(&self, target: &str) -> Result<Meaning, String> {
        self.meaning_at(target, 0)
    }

    fn meaning_at(&self, target: &str, depth: usize) -> Result<Meaning, String> {
        if depth > DEEPEST {
            return Err(format!("aliases lead in a circle or are nested deeper than {DEEPEST}"));
        }
        let (id, wishes) = Wishes::split(target);
        let id = id.strip_prefix("9router/").or(id.strip_prefix("ninerouter/")).unwrap_or(id);
        if let Some(name) = id.strip_prefix("combo:") {
            return self.combo(name).ok_or_else(|| self.no_combo(name));
        }
        if let Some(combo) = self.combo(id) {
            return Ok(combo);
        }
        if let Some(target) = self.alias(id) {
            return self.meaning_at(target, depth + 1);
        }
        if let Some((prefix, model)) = id.split_once('/')
            && let Some(provider) = self.catalog.by_prefix(prefix)
        {
            if Target::new(provider, model, wishes).is_some() {
                return Ok(Meaning::Model);
            }
            let near = keys::nearest(model, provider.models.iter().map(|m| m.id.as_str()));
            return Ok(Meaning::Unlisted {
                provider: provider.id.to_string(),
                near: near.map(|near| format!("{prefix}/{near}")),
            });
        }
        if self.catalog.infer(id).next().is_some() || self.takes_unknown {
            return Ok(Meaning::Model);
        }
        Err(self.unknown(id))
    }

    fn combo(&self, name: &str) -> Option<Meaning> {
        self.combos.contains_key(name).then(|| Meaning::Combo(name.to_owned()))
    }

    fn alias(&self, id: &str) -> Option<&str> {
        if let Some(target) = self.aliases.get(id) {
            return Some(target);
        }
        let literal = |pattern: &str| pattern.chars().filter(|c| *c != '*').count();
        let fits = self.aliases.iter().filter(|(a, _)| a.contains('*') && glob::matches(a, id));
        fits.max_by_key(|(alias, _)| literal(alias)).map(|(_, target)| target.as_str())
    }

    fn no_combo(&self, name: &str) -> String {
        let near = keys::nearest(name, self.combos.keys().map(String::as_str));
        let near = near.map(|n| format!("; did you mean `combo:{n}`?")).unwrap_or_default();
        format!("there is no combo `{name}`{near}")
    }

    fn unknown(&self, id: &str) -> String {
        if let Some((prefix, model)) = id.split_once('/') {
            let near = keys::nearest(&prefix.to_lowercase(), self.catalog.prefixes());
            let near = near.map(|n| format!("; did you mean `{n}/{model}`?")).unwrap_or_default();
            return format!("no provider or node has the prefix `{prefix}`{near}");
        }
        let names = self.combos.keys().chain(self.aliases.keys()).map(String::as_str);
        let near = keys::nearest(id, names);
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        format!("`{id}` is no model id, alias or combo{near}")
    }

    /// Looks at a combo with everything it contains.
    ///
    /// # Errors
    /// It contains itself, is nested too deeply, or has too many leaves.
    pub fn check_nesting(&self, combo: &str) -> Result<(), String> {
        let mut path = vec![combo.to_owned()];
        let leaves = self.count_leaves(&mut path)?;
        if leaves > MOST_LEAVES {
            return Err(format!(
                "has {leaves} entries with those of the combos inside; at most {MOST_LEAVES}"
            ));
        }
        Ok(())
    }

    fn count_leaves(&self, path: &mut Vec<String>) -> Result<usize, String> {
        let entries = path.last().and_then(|name| self.combos.get(name));
        let mut leaves = 0;
        for target in entries.into_iter().flatten() {
            match self.meaning(target) {
                Ok(Meaning::Combo(inner)) => {
                    let is_circle = path.contains(&inner);
                    path.push(inner);
                    if is_circle {
                        return Err(format!("contains itself: {}", path.join(" → ")));
                    }
                    if path.len() > DEEPEST {
                        return Err(format!(
                            "is nested deeper than {DEEPEST}: {}",
                            path.join(" → ")
                        ));
                    }
                    leaves += self.count_leaves(path)?;
                    path.pop();
                }
                // Targets that mean nothing are reported where they stand.
                Ok(Meaning::Model | Meaning::Unlisted { .. }) | Err(_) => leaves += 1,
            }
        }
        Ok(leaves)
    }
}
