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
use crate::routing::budget::{Budget, BudgetScope};
use crate::store::Owner;
use crate::store::budgets::BudgetRow;

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

/// Names of what budgets count, for people.
pub(super) struct Titles(HashMap<BudgetScope, String>);

impl Titles {
    pub(super) fn new(desired: &Desired, current: &Current) -> Self {
        let labels = Labels::new(&desired.nodes, &current.nodes);
        let accounts = current.accounts.iter().map(|row| &row.config);
        let accounts = accounts.chain(desired.accounts.iter().map(|want| &want.config));
        let accounts = accounts.map(|config| {
            let name = format!("{}/{}", labels.of(&config.provider), config.label);
            (BudgetScope::Account(config.id), name)
        });
        let combos = current.combos.iter().chain(&desired.combos);
        let combos = combos.map(|c| (BudgetScope::Combo(c.combo.id), c.combo.name.to_string()));
        let keys = current.keys.iter().chain(&desired.keys);
        let keys = keys.map(|key| (BudgetScope::ApiKey(key.id), key.name.clone()));
        Self(accounts.chain(combos).chain(keys).collect())
    }

    /// `provider glm, month`.
    pub(super) fn of(&self, budget: &Budget, labels: &Labels) -> String {
        let window = budget.window.as_str();
        let name = match &budget.scope {
            BudgetScope::All => return format!("all, {window}"),
            BudgetScope::Provider(id) => labels.of(id),
            scope => self.0.get(scope).cloned().unwrap_or_else(|| scope.id()),
        };
        format!("{} {name}, {window}", budget.scope.as_str())
    }
}
