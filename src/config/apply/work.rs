//! The changes of a plan, in an order in which none of them trips over another.

use crate::config::apply::desired::DesiredAccount;
use crate::store::Connection;
use serde_json::Value;

use crate::id::{AccountId, BudgetId, ComboId, KeyId, ProxyId};
use crate::secret::Secret;
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::budgets::{self, BudgetRow};
use crate::store::combos::{self, ComboRow};
use crate::store::models::{self, ModelRow};
use crate::store::nodes::{self, NodeRow};
use crate::store::prices::{self, PriceRow};
use crate::store::provider_overrides::{self, ProviderOverride};
use crate::store::proxies::{self, NewProxy};
use crate::store::{Sealer, Stamp, StoreError, accounts, aliases, settings};

/// One write.
#[derive(Clone, Debug)]
pub(super) enum Step {
    PutSetting(String, Value),
    PutNode(Box<NodeRow>),
    PutSecretSetting(String, Secret),
    PutProxy(Box<NewProxy>),
    PutAccount(Box<DesiredAccount>),
    PutCombo(Box<ComboRow>),
    PutAlias(String, String),
    PutKey(Box<ApiKeyRow>),
    PutModel(Box<ModelRow>),
    PutPrice(Box<PriceRow>),
    PutProvider(Box<ProviderOverride>),
    PutBudget(Box<BudgetRow>),
    DropSetting(String),
    DropNode(String),
    DropAccount(AccountId),
    DropCombo(ComboId),
    DropAlias(String),
    DropKey(KeyId),
    DropModel(String, String),
    DropPrice(String, String),
    DropProvider(String),
    DropBudget(BudgetId),
    DropProxy(ProxyId),
}

/// All writes of a plan.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) steps: Vec<Step>,
}

impl Work {
    /// Removals go first: a name that moves to another object is free by then. Proxies go last, when nothing goes
    /// through them any more.
    pub(super) fn run(
        self,
        conn: &mut Connection,
        sealer: &Sealer,
        stamp: Stamp,
    ) -> Result<(), StoreError> {
        let is_proxy = |step: &Step| matches!(step, Step::DropProxy(_));
        let (last, steps): (Vec<Step>, Vec<Step>) = self.steps.into_iter().partition(is_proxy);
        let (drops, puts): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(Step::is_removal);
        for step in drops.into_iter().chain(puts).chain(last) {
            step.run(conn, sealer, stamp)?;
        }
        Ok(())
    }
}

impl Step {
    fn is_removal(&self) -> bool {
        match self {
            Self::DropSetting(_)
            | Self::DropNode(_)
            | Self::DropAccount(_)
            | Self::DropCombo(_)
            | Self::DropAlias(_)
            | Self::DropKey(_)
            | Self::DropModel(..)
            | Self::DropPrice(..)
            | Self::DropProvider(_)
            | Self::DropBudget(_)
            | Self::DropProxy(_) => true,
            Self::PutSetting(..)
            | Self::PutNode(_)
            | Self::PutSecretSetting(..)
            | Self::PutProxy(_)
            | Self::PutAccount(_)
            | Self::PutCombo(_)
            | Self::PutAlias(..)
            | Self::PutKey(_)
            | Self::PutModel(_)
            | Self::PutPrice(_)
            | Self::PutProvider(_)
            | Self::PutBudget(_) => false,
        }
    }

    fn run(self, conn: &mut Connection, sealer: &Sealer, stamp: Stamp) -> Result<(), StoreError> {
        let existed = match self {
            Self::PutSetting(key, value) => return settings::set(conn, &key, &value, stamp),
            Self::PutNode(row) => return nodes::upsert(conn, &row, stamp),
            Self::PutSecretSetting(key, secret) => {
                return settings::set_secret(conn, sealer, &key, &secret, stamp);
            }
            Self::PutProxy(proxy) => return proxies::upsert(conn, sealer, &proxy, stamp),
            Self::PutAccount(account) => {
                let DesiredAccount { config, secret, notes } = *account;
                accounts::upsert(conn, sealer, &config, secret.as_ref(), stamp)?;
                return accounts::set_notes(conn, config.id, notes.as_deref());
            }
            Self::PutCombo(row) => return combos::upsert(conn, &row, stamp),
            Self::PutAlias(alias, target) => return aliases::set(conn, &alias, &target, stamp),
            Self::PutKey(row) => return api_keys::upsert(conn, &row, stamp),
            Self::PutModel(row) => return models::upsert(conn, &row, stamp),
            Self::PutPrice(row) => return prices::upsert(conn, &row, stamp),
            Self::PutProvider(row) => return provider_overrides::upsert(conn, &row, stamp),
            Self::PutBudget(row) => return budgets::upsert(conn, &row, stamp),
            Self::DropSetting(key) => settings::delete(conn, &key),
            Self::DropNode(id) => nodes::delete(conn, &id),
            Self::DropAccount(id) => accounts::delete(conn, id),
            Self::DropCombo(id) => combos::delete(conn, id),
            Self::DropAlias(alias) => aliases::delete(conn, &alias),
            Self::DropKey(id) => api_keys::delete(conn, id),
            Self::DropModel(provider, model) => models::delete(conn, &provider, &model),
            Self::DropPrice(provider, model) => prices::delete(conn, &provider, &model),
            Self::DropProvider(provider) => provider_overrides::delete(conn, &provider),
            Self::DropBudget(id) => budgets::delete(conn, id),
            Self::DropProxy(id) => proxies::delete(conn, id),
        };
        // Everything is of one transaction: what was there when it was planned is there now.
        existed.map(|_was_there| ())
    }
}
