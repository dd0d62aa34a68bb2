//! Budgets of a file: what their scopes name, in the state the file leads to.

use std::collections::HashMap;

use crate::config::apply::check::{Checker, no_provider, provider_of};
use crate::config::apply::current::{Current, same_name};
use crate::config::apply::desired::Desired;
use crate::config::apply::names::Labels;
use crate::config::apply::plan::is_managed;
use crate::config::file::{At, BudgetSpec};
use crate::id::{AccountId, BudgetId, ComboId, KeyId};
use crate::provider::catalog::Catalog;
use crate::routing::account::{AccountConfig, ProxyChoice};
use crate::routing::budget::{Budget, BudgetScope};
use crate::store::Owner;
use crate::store::accounts::AccountRow;
use crate::store::api_keys::ApiKeyRow;
use crate::store::budgets::BudgetRow;
use crate::store::combos::ComboRow;
use crate::store::nodes::NodeRow;
use crate::store::proxies::ProxyRow;

/// Looks up what budgets name and gives them their stored ids.
pub(super) fn check(checker: &mut Checker<'_>, catalog: &Catalog) {
    let file = checker.file;
    for At { trail, value } in &file.budgets {
        let scope = match scope(checker, catalog, value) {
            Ok(Some(scope)) => scope,
            // It is right, but its id is known only when the file is applied.
            Ok(None) => continue,
            Err(why) => {
                let named = ["id", "scope_id"].into_iter().map(|member| trail.key(member));
                let named = named.into_iter().find(|trail| file.document.has(trail));
                checker.fail(&named.unwrap_or_else(|| trail.clone()), why);
                continue;
            }
        };
        let same = |budget: &Budget| budget.scope == scope && budget.window == value.window;
        if checker.desired.budgets.iter().any(|row| same(&row.budget)) {
            let message = "another budget of this file counts the same over the same window";
            checker.fail(trail, message);
            continue;
        }
        let known = checker.current.budgets.iter().find(|row| same(&row.budget));
        let BudgetSpec { window, limits, tz, action, notify_at, enabled, .. } = value.clone();
        let id = known.map_or_else(BudgetId::new, |row| row.budget.id);
        let budget = Budget { id, scope, window, limits, tz, action, notify_at, enabled };
        checker.desired.budgets.push(BudgetRow::new(budget));
    }
}

fn scope(
    checker: &Checker<'_>,
    catalog: &Catalog,
    spec: &BudgetSpec,
) -> Result<Option<BudgetScope>, String> {
    let name = spec.scope_id.as_str();
    let stays = |owner: Option<Owner>| !(checker.prune && is_managed(owner));
    let (file, desired, current) = (checker.file, &checker.desired, checker.current);
    match spec.scope {
        "provider" => match provider_of(catalog, name) {
            Some(provider) => Ok(Some(BudgetScope::Provider(provider.id.to_string()))),
            None => Err(no_provider(catalog, name)),
        },
        "account" => {
            let wanted: Option<AccountId> = name.parse().ok();
            let parts = name.split_once('/').and_then(|(provider, label)| {
                Some((provider_of(catalog, provider)?.id.to_string(), label))
            });
            let fits = |id: AccountId, provider: &str, label: &str| {
                wanted == Some(id)
                    || parts.as_ref().is_some_and(|(p, l)| *p == provider && same_name(l, label))
            };
            let stored = current.accounts.iter().filter(|row| stays(row.managed_by));
            let stored = stored.map(|row| &row.config);
            let configs = desired.accounts.iter().map(|want| &want.config).chain(stored);
            let mut configs = configs.filter(|c| fits(c.id, &c.provider, &c.label));
            match configs.next() {
                Some(config) => Ok(Some(BudgetScope::Account(config.id))),
                None => Err(format!(
                    "there is no account `{name}`; an account is written `provider/label`"
                )),
            }
        }
        "combo" => {
            let wanted: Option<ComboId> = name.parse().ok();
            let stored = current.combos.iter().filter(|row| stays(row.managed_by));
            let mut combos = desired.combos.iter().chain(stored).map(|row| &row.combo);
            match combos.find(|c| wanted == Some(c.id) || same_name(&c.name, name)) {
                Some(combo) => Ok(Some(BudgetScope::Combo(combo.id))),
                None => Err(format!("there is no combo `{name}`")),
            }
        }
        "api_key" => {
            let wanted: Option<KeyId> = name.parse().ok();
            let stored = current.keys.iter().filter(|row| stays(row.managed_by));
            let mut keys = desired.keys.iter().chain(stored);
            if let Some(key) = keys.find(|key| wanted == Some(key.id) || key.name == name) {
                return Ok(Some(BudgetScope::ApiKey(key.id)));
            }
            if file.keys.iter().any(|key| key.value.row.name == name) {
                return Ok(None);
            }
            Err(format!("there is no API key `{name}`"))
        }
        _ => Ok(Some(BudgetScope::All)),
    }
}

/// Names of what objects refer to, for people and for files.
pub(in crate::config) struct Titles {
    labels: Labels,
    scopes: HashMap<BudgetScope, String>,
    proxies: HashMap<String, String>,
}

impl Titles {
    /// Of what is stored.
    pub(in crate::config) fn of_stored(
        nodes: &[NodeRow],
        accounts: &[AccountRow],
        combos: &[ComboRow],
        keys: &[ApiKeyRow],
        proxies: &[ProxyRow],
    ) -> Self {
        let mut titles = Self {
            labels: Labels::new(&[], nodes),
            scopes: HashMap::new(),
            proxies: proxies.iter().map(|row| (row.id.to_string(), row.name.clone())).collect(),
        };
        titles.add(accounts.iter().map(|row| &row.config), combos, keys);
        titles
    }

    /// Of the state a file leads to, and of what it replaces.
    pub(super) fn new(desired: &Desired, current: &Current) -> Self {
        let mut titles = Self {
            labels: Labels::new(&desired.nodes, &current.nodes),
            scopes: HashMap::new(),
            proxies: HashMap::new(),
        };
        let accounts = current.accounts.iter().map(|row| &row.config);
        titles.add(accounts, &current.combos, &current.keys);
        let accounts = desired.accounts.iter().map(|want| &want.config);
        titles.add(accounts, &desired.combos, &desired.keys);
        titles
    }

    fn add<'r>(
        &mut self,
        accounts: impl Iterator<Item = &'r AccountConfig>,
        combos: &[ComboRow],
        keys: &[ApiKeyRow],
    ) {
        for config in accounts {
            let name = format!("{}/{}", self.labels.of(&config.provider), config.label);
            self.scopes.insert(BudgetScope::Account(config.id), name);
        }
        let combos = combos.iter().map(|row| &row.combo);
        self.scopes.extend(combos.map(|c| (BudgetScope::Combo(c.id), c.name.to_string())));
        self.scopes.extend(keys.iter().map(|key| (BudgetScope::ApiKey(key.id), key.name.clone())));
    }

    /// A provider as people know it: a node by its prefix.
    pub(in crate::config) fn provider(&self, id: &str) -> String {
        self.labels.of(id)
    }

    /// What a budget counts, as a file names it; empty for everything. `None` = it is no longer there.
    pub(in crate::config) fn name(&self, scope: &BudgetScope) -> Option<String> {
        match scope {
            BudgetScope::All => Some(String::new()),
            BudgetScope::Provider(id) => Some(self.labels.of(id)),
            BudgetScope::Account(_) | BudgetScope::Combo(_) | BudgetScope::ApiKey(_) => {
                self.scopes.get(scope).cloned()
            }
        }
    }

    /// A way out as a file names it; `None` = its absence means the same.
    pub(in crate::config) fn way(&self, choice: &ProxyChoice) -> Option<String> {
        match choice {
            ProxyChoice::Inherit => None,
            ProxyChoice::Direct => Some("direct".to_owned()),
            ProxyChoice::Proxy(id) => Some(self.proxies.get(id).unwrap_or(id).clone()),
        }
    }

    /// `provider glm, month`.
    pub(super) fn of(&self, budget: &Budget) -> String {
        let (scope, window) = (&budget.scope, budget.window.as_str());
        if *scope == BudgetScope::All {
            return format!("all, {window}");
        }
        let name = self.name(scope).unwrap_or_else(|| scope.id());
        format!("{} {name}, {window}", scope.as_str())
    }
}
