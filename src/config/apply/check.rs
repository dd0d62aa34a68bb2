//! Checks everything a file refers to, and gives its objects their stored ids, keys and secrets.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::auth::key;
use crate::config::apply::current::{Current, same_name};
use crate::config::apply::desired::{Desired, DesiredAccount, Secrets};
use crate::config::apply::names::{Meaning, Names};
use crate::config::apply::plan::is_managed;
use crate::config::apply::{Surroundings, budgets, proxies};
use crate::config::file::{AccountSpec, At, ConfigFile, FileError, KeySpec, Trail};
use crate::config::keys;
use crate::config::settings::Settings;
use crate::id::EntryId;
use crate::net::url::{UrlRefusal, accept};
use crate::provider::catalog::Catalog;
use crate::provider::entry::Provider;
use crate::provider::node::{Node, validate_node};
use crate::provider::sign_in::AuthKind;
use crate::routing::account::AccountKind;
use crate::routing::combo::Strategy;
use crate::secret::Secret;
use crate::store::combos::ComboRow;
use crate::store::models::ModelOrigin;

/// Length of a router key (SEC-AK-4).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

pub(super) fn check(
    file: &ConfigFile,
    current: &Current,
    around: &Surroundings<'_>,
    secrets: Secrets,
) -> Result<Desired, Vec<FileError>> {
    let mut checker = Checker {
        file,
        current,
        around,
        secrets,
        prune: file.prune || around.prune,
        combo_strategy: Strategy::Fallback,
        desired: Desired { warnings: file.warnings.clone(), ..Desired::default() },
        errors: Vec::new(),
    };
    let Some(builtin) = checker.catalog(&[]) else { return Err(checker.errors) };
    checker.nodes(&builtin);
    let nodes = checker.final_nodes();
    let Some(catalog) = checker.catalog(&nodes) else { return Err(checker.errors) };
    checker.settings(&catalog);
    proxies::check_texts(&mut checker);
    proxies::check(&mut checker);
    checker.accounts(&catalog);
    checker.models(&catalog);
    checker.combos();
    let names = checker.names(&catalog);
    checker.targets(&names);
    checker.keys(&catalog, &names);
    budgets::check(&mut checker, &catalog);
    checker.orphans(&nodes);
    proxies::check_orphans(&mut checker);
    let Checker { desired, mut errors, .. } = checker;
    if errors.is_empty() {
        return Ok(desired);
    }
    errors.sort_by_key(|e| (e.line, e.column));
    Err(errors)
}

pub(super) struct Checker<'a> {
    pub(super) file: &'a ConfigFile,
    pub(super) current: &'a Current,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) secrets: Secrets,
    pub(super) prune: bool,
    /// Strategy of combos that name none.
    combo_strategy: Strategy,
    pub(super) desired: Desired,
    errors: Vec<FileError>,
}

impl Checker<'_> {
    pub(super) fn fail(&mut self, trail: &Trail, message: impl Into<String>) {
        self.errors.push(self.file.document.error(trail, message));
    }

    pub(super) fn warn(&mut self, trail: &Trail, message: impl Into<String>) {
        self.desired.warnings.push(self.file.document.error(trail, message));
    }

    fn catalog(&mut self, nodes: &[Node]) -> Option<Catalog> {
        let found = Catalog::assemble(self.around.overlays, self.around.endpoints, nodes);
        match found {
            Ok(catalog) => Some(catalog),
            Err(why) => {
                self.fail(&Trail::default(), format!("the provider catalog cannot be used: {why}"));
                None
            }
        }
    }

    fn nodes(&mut self, builtin: &Catalog) {
        for At { trail, value } in &self.file.nodes {
            let mut row = value.clone();
            let known = self.current.nodes.iter();
            let known = known.map(|n| &n.node).find(|n| same_name(&n.prefix, &row.node.prefix));
            row.node.id = match known {
                Some(known) => known.id.clone(),
                None => row.node.node_type.new_id(&EntryId::new().to_string()),
            };
            match validate_node(&row.node, builtin) {
                Ok(node) => {
                    // A host its policy refuses, whatever it resolves to, is named now and not at the
                    // first request; the connector judges again (SEC §9.4).
                    let judged = accept(&node.base_url, node.network, node.insecure_http);
                    if let Err(
                        why @ (UrlRefusal::Address(_)
                        | UrlRefusal::LocalName
                        | UrlRefusal::MetadataName),
                    ) = judged
                    {
                        self.fail(&trail.key("base_url"), format!("base url: {why}"));
                    }
                    row.node = node;
                    self.desired.nodes.push(row);
                }
                Err(problems) => {
                    for problem in problems {
                        self.fail(&trail.key(problem.field()), problem.to_string());
                    }
                }
            }
        }
    }

    /// Nodes of the file and those that stay beside them.
    fn final_nodes(&self) -> Vec<Node> {
        let named = |node: &Node| {
            self.file.nodes.iter().any(|n| same_name(&n.value.node.prefix, &node.prefix))
        };
        let stored = self.current.nodes.iter();
        let stay = stored
            .filter(|row| !named(&row.node))
            .filter(|row| !(self.prune && is_managed(row.managed_by)))
            .map(|row| row.node.clone());
        stay.chain(self.desired.nodes.iter().map(|row| row.node.clone())).collect()
    }

    fn settings(&mut self, catalog: &Catalog) {
        let mut merged: BTreeMap<String, Value> = BTreeMap::new();
        for (key, row) in &self.current.settings {
            if let Some(value) = &row.value
                && !(self.prune && is_managed(row.managed_by))
            {
                merged.insert(key.clone(), value.clone());
            }
        }
        for At { trail, value: (key, value) } in &self.file.settings {
            merged.insert((*key).to_owned(), value.clone());
            self.desired.settings.push((key, value.clone()));
            if let Some(source) = self.around.sources.get(key) {
                let message = format!("`{key}` is set by the {source}, which wins");
                self.warn(trail, message);
            }
            if *key == "unknown_model_provider"
                && let Some(id) = value.as_str()
                && provider_of(catalog, id).is_none()
            {
                self.fail(trail, no_provider(catalog, id));
            }
        }
        let (settings, errors) = Settings::resolve(&merged, self.around.locked, self.around.found);
        self.combo_strategy = settings.combo_strategy_default;
        for error in errors {
            let ours = self.file.settings.iter().find(|s| s.value.0 == error.key());
            // A stored setting of the operator that is broken by itself is not this file's fault.
            if let Some(At { trail, .. }) = ours {
                self.fail(trail, error.to_string());
            }
        }
    }

    fn accounts(&mut self, catalog: &Catalog) {
        let mut names: Vec<(String, String)> = Vec::new();
        for At { trail, value } in &self.file.accounts {
            let Some(provider) = self.provider(catalog, trail, &value.config.provider) else {
                continue;
            };
            let label = value.config.label.to_ascii_lowercase();
            let name = (provider.id.to_string(), label);
            if names.contains(&name) {
                let message = format!("`{}` has an account with this label already", provider.id);
                self.fail(&trail.key("label"), message);
                continue;
            }
            names.push(name);
            self.account_fits(trail, value, &provider);
            self.account(trail, value, &provider);
        }
    }

    fn account(&mut self, trail: &Trail, spec: &AccountSpec, provider: &Provider) {
        let mut config = spec.config.clone();
        config.provider = provider.id.as_ref().into();
        let mut stored = self.current.accounts.iter().map(|row| &row.config);
        let known =
            stored.find(|c| *c.provider == *config.provider && same_name(&c.label, &config.label));
        match known.map(|known| (known, known.kind)) {
            None => {}
            Some((known, kind)) if kind == config.kind => {
                config.id = known.id;
                config.created_at = known.created_at;
            }
            Some((_, AccountKind::OAuth | AccountKind::Imported)) => {
                self.fail(
                    &trail.key("label"),
                    "is that of a signed-in account; choose another label",
                );
                return;
            }
            // Another kind of credential is another account: the old one goes with its secrets.
            Some((_, AccountKind::ApiKey | AccountKind::ServiceAccount | AccountKind::None)) => {}
        }
        config.proxy = proxies::choice(self, trail, &spec.proxy);
        let mut secret = None;
        if let Some(reference) = &spec.api_key {
            match proxies::secret(self, &trail.key("api_key"), "api_key", reference) {
                Some(found) => secret = found,
                None => return,
            }
        }
        let notes = spec.notes.clone();
        self.desired.accounts.push(DesiredAccount { config, secret, notes });
    }

    fn account_fits(&mut self, trail: &Trail, spec: &AccountSpec, provider: &Provider) {
        let config = &spec.config;
        let takes = match config.kind {
            AccountKind::None => provider.auth.contains(&AuthKind::None),
            AccountKind::ApiKey
            | AccountKind::OAuth
            | AccountKind::Imported
            | AccountKind::ServiceAccount => provider.takes_api_key(),
        };
        if !takes {
            let message = match config.kind {
                AccountKind::None => format!("accounts of `{}` need a credential", provider.id),
                _ => format!("`{}` takes no API key; connect it in the dashboard", provider.id),
            };
            self.fail(&trail.key("provider"), message);
        }
        if let Some(name) = &config.endpoint
            && provider.endpoint(name).is_none()
        {
            let names: Vec<&str> = provider.endpoints.iter().map(|e| e.name.as_str()).collect();
            let message = format!("`{}` has the endpoints {}", provider.id, names.join(", "));
            self.fail(&trail.key("endpoint"), message);
        }
        for (name, _) in &config.params {
            let known = provider.params.iter().any(|p| p.name == *name)
                || (name == "base_url" && provider.base_url_override);
            if !known {
                let names: Vec<&str> = provider.params.iter().map(|p| p.name.as_str()).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                let message =
                    format!("`{}` has no parameter `{name}`; it has: {names}", provider.id);
                self.fail(&trail.key("params").key(name), message);
            }
        }
        for param in &provider.params {
            let given =
                config.params.iter().any(|(name, value)| *name == param.name && !value.is_empty());
            if param.required && param.default.is_empty() && !given {
                let message =
                    format!("`{}` needs `params.{}` ({})", provider.id, param.name, param.label);
                self.fail(&trail.key("params"), message);
            }
        }
    }

    fn models(&mut self, catalog: &Catalog) {
        for At { trail, value } in &self.file.models {
            let Some(provider) = self.provider(catalog, trail, &value.provider) else { continue };
            let mut row = value.clone();
            row.provider = provider.id.to_string();
            if provider.model(&row.model).is_some() {
                row.source = ModelOrigin::Override;
            }
            self.desired.models.push(row);
        }
        for At { trail, value } in &self.file.prices {
            let Some(provider) = self.provider(catalog, trail, &value.provider) else { continue };
            let mut row = value.clone();
            row.provider = provider.id.to_string();
            self.desired.prices.push(row);
        }
        for At { trail, value } in &self.file.providers {
            let Some(provider) = provider_of(catalog, &value.row.provider) else {
                self.fail(trail, no_provider(catalog, &value.row.provider));
                continue;
            };
            let mut row = value.row.clone();
            row.provider = provider.id.to_string();
            row.proxy = proxies::choice(self, trail, &value.proxy);
            if self.desired.providers.iter().any(|p| p.provider == row.provider) {
                self.fail(trail, format!("`{}` is named twice in [providers]", row.provider));
                continue;
            }
            self.desired.providers.push(row);
        }
    }

    fn combos(&mut self) {
        for At { trail, value } in &self.file.combos {
            let mut row = value.row.clone();
            if value.default_strategy {
                row.combo.strategy = self.combo_strategy;
            }
            let mut stored = self.current.combos.iter();
            let known = stored.find(|c| same_name(&c.combo.name, &row.combo.name));
            if let Some(known) = known {
                row.combo.id = known.combo.id;
                keep_entry_ids(&mut row, known);
            }
            let accounts = &self.current.accounts;
            for (index, entry) in row.combo.entries.iter().enumerate() {
                if let Some(id) = entry.account_id
                    && self.secrets == Secrets::Need
                    && !accounts.iter().any(|row| row.config.id == id)
                {
                    let trail = trail.key("entries").item(index).key("account_id");
                    self.fail(&trail, "there is no account with this id");
                }
            }
            self.desired.combos.push(row);
        }
        let aliases = self.file.aliases.iter().map(|a| a.value.clone());
        self.desired.aliases = aliases.collect();
    }

    fn names<'c>(&self, catalog: &'c Catalog) -> Names<'c> {
        let stays = |owner| !(self.prune && is_managed(owner));
        let named =
            |name: &str| self.desired.combos.iter().any(|row| same_name(&row.combo.name, name));
        let targets = |row: &ComboRow| {
            let entries = row.combo.entries.iter().filter(|e| e.enabled);
            (row.combo.name.to_string(), entries.map(|e| e.target.clone()).collect::<Vec<_>>())
        };
        let stored = self.current.combos.iter();
        let stored = stored.filter(|row| stays(row.managed_by) && !named(&row.combo.name));
        let combos = stored.chain(&self.desired.combos).map(targets).collect();
        let aliases = self.current.aliases.iter().filter(|row| stays(row.managed_by));
        let mut aliases: BTreeMap<String, String> =
            aliases.map(|row| (row.alias.clone(), row.target.clone())).collect();
        aliases.extend(self.desired.aliases.iter().cloned());
        let given = self.desired.settings.iter().find(|(key, _)| *key == "unknown_model_provider");
        let takes_unknown = match given {
            Some((_, value)) => value.is_string(),
            None => self.current.settings.contains_key("unknown_model_provider"),
        };
        Names { catalog, combos, aliases, takes_unknown }
    }

    fn targets(&mut self, names: &Names<'_>) {
        for At { trail, value } in &self.file.combos {
            let combo = &value.row.combo;
            let name = &combo.name;
            for (index, entry) in combo.entries.iter().enumerate() {
                self.target(&trail.key("entries").item(index), &entry.target, names);
            }
            if let Err(why) = names.check_nesting(name) {
                self.fail(&trail.key("entries"), format!("combo `{name}` {why}"));
            }
            if names.aliases.contains_key(&**name) {
                self.warn(
                    &trail.key("name"),
                    format!("an alias is also called `{name}`; the combo wins"),
                );
            } else if names.catalog.infer(name).next().is_some() {
                let message = format!("`{name}` is also the name of a model; the combo wins");
                self.warn(&trail.key("name"), message);
            }
        }
        for At { trail, value: (_, target) } in &self.file.aliases {
            self.target(trail, target, names);
        }
        // A combo or alias that goes away may be what another one stands on.
        if self.prune {
            self.dangling(names);
        }
    }

    fn target(&mut self, trail: &Trail, target: &str, names: &Names<'_>) {
        match names.meaning(target) {
            Ok(Meaning::Combo(_) | Meaning::Model) => {}
            Ok(Meaning::Unlisted { provider, near }) => {
                let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                let message = format!("`{provider}` does not list the model of `{target}`{near}");
                self.warn(trail, message);
            }
            Err(why) => self.fail(trail, why),
        }
    }

    fn dangling(&mut self, names: &Names<'_>) {
        let stored = |name: &str| self.current.combos.iter().any(|row| &*row.combo.name == name);
        let mut messages = Vec::new();
        for (name, targets) in &names.combos {
            if self.desired.combos.iter().any(|row| *row.combo.name == **name) {
                continue; // its targets were looked at
            }
            for target in targets {
                if let Some(inner) = target.strip_prefix("combo:")
                    && !names.combos.contains_key(inner)
                    && stored(inner)
                {
                    messages.push(format!(
                        "combo `{inner}` is no longer named, but combo `{name}` uses it; keep it or change that one"
                    ));
                }
            }
        }
        for message in messages {
            self.fail(&Trail::default().key("combos"), message);
        }
    }

    fn keys(&mut self, catalog: &Catalog, names: &Names<'_>) {
        for At { trail, value } in &self.file.keys {
            for (index, provider) in value.row.allowed_providers.iter().flatten().enumerate() {
                if provider_of(catalog, provider).is_none() {
                    let trail = trail.key("allowed_providers").item(index);
                    self.warn(&trail, no_provider(catalog, provider));
                }
            }
            for (index, combo) in value.row.allowed_combos.iter().flatten().enumerate() {
                if !names.combos.contains_key(combo) {
                    let trail = trail.key("allowed_combos").item(index);
                    self.warn(&trail, format!("there is no combo `{combo}`"));
                }
            }
            self.key(trail, value);
        }
    }

    fn key(&mut self, trail: &Trail, spec: &KeySpec) {
        let place = trail.key("key");
        let Some(Some(text)) = proxies::secret(self, &place, "key", &spec.text) else { return };
        if !is_key_text(&text) {
            let message = format!(
                "`key`: `{}`: a key has {} to {} printable ASCII characters, no blanks",
                spec.text,
                KEY_BYTES.start(),
                KEY_BYTES.end()
            );
            self.fail(&place, message);
            return;
        }
        let mut row = spec.row.clone();
        row.lookup = self.around.hasher.mac(text.expose());
        row.legacy = !key::has_key_form(text.expose());
        (row.prefix, row.last4) = key::shown_parts(text.expose(), row.legacy);
        if self.desired.keys.iter().any(|other| other.lookup == row.lookup) {
            self.fail(&place, "`key`: another key of this file has the same text");
            return;
        }
        let twin = self.current.keys.iter().find(|k| k.lookup == row.lookup && k.name != row.name);
        if let Some(twin) = twin
            && !(self.prune && is_managed(twin.managed_by))
        {
            let message = format!("`key`: the stored key `{}` has the same text", twin.name);
            self.fail(&place, message);
            return;
        }
        if let Some(known) = self.current.keys.iter().find(|k| k.name == row.name) {
            row.id = known.id;
            row.created_at = known.created_at;
            row.last_used_at = known.last_used_at;
            row.hmac_key_version = known.hmac_key_version;
            if known.lookup == row.lookup && known.revoked_at.is_some() {
                row.revoked_at = known.revoked_at;
                self.warn(
                    trail,
                    format!("key `{}` is revoked and stays so; give it another text", row.name),
                );
            }
        }
        self.desired.keys.push(row);
    }

    /// Accounts whose node goes away.
    fn orphans(&mut self, nodes: &[Node]) {
        let mut messages = Vec::new();
        for row in &self.current.nodes {
            if nodes.iter().any(|node| node.id == row.node.id) {
                continue;
            }
            for account in &self.current.accounts {
                let goes = is_managed(account.managed_by);
                if *account.config.provider == *row.node.id && !goes {
                    messages.push(format!(
                        "node `{}` is no longer named, but account `{}` hangs on it; remove that account first",
                        row.node.prefix, account.config.label
                    ));
                }
            }
        }
        for message in messages {
            self.fail(&Trail::default().key("nodes"), message);
        }
    }

    fn provider(
        &mut self,
        catalog: &Catalog,
        trail: &Trail,
        name: &str,
    ) -> Option<std::sync::Arc<Provider>> {
        let found = provider_of(catalog, name).cloned();
        if found.is_none() {
            self.fail(&trail.key("provider"), no_provider(catalog, name));
        }
        found
    }
}

/// A provider by id, by any of its prefixes, or by a node's prefix.
pub(super) fn provider_of<'c>(
    catalog: &'c Catalog,
    name: &str,
) -> Option<&'c std::sync::Arc<Provider>> {
    catalog.by_id(name).or_else(|| catalog.by_prefix(name))
}

pub(super) fn no_provider(catalog: &Catalog, name: &str) -> String {
    let near = keys::nearest(&name.to_lowercase(), catalog.prefixes());
    let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    format!("there is no provider or node `{name}`{near}")
}

/// An entry that is still there keeps its id: sessions are bound to it.
fn keep_entry_ids(row: &mut ComboRow, known: &ComboRow) {
    let mut free: Vec<_> = known.combo.entries.iter().collect();
    for entry in &mut row.combo.entries {
        if let Some(at) = free.iter().position(|old| old.target == entry.target) {
            entry.id = free.remove(at).id;
        }
    }
}

fn is_key_text(text: &Secret) -> bool {
    KEY_BYTES.contains(&text.expose().len()) && text.expose().bytes().all(|b| b.is_ascii_graphic())
}
