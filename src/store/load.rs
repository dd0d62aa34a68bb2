//! Everything the server needs at start, read in one transaction; and the calls of account actors.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::id::{AccountId, ProxyId};
use crate::provider::credential::Credential;
use crate::provider::node::Node;
use crate::routing::account::AccountConfig;
use crate::routing::combo::Combo;
use crate::routing::lock::Lock;
use crate::secret::Secret;
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::column::Owner;
use crate::store::error::StoreError;
use crate::store::former_keys::{self, FormerKey};
use crate::store::hot_state::{self, HotState};
use crate::store::models::{self, ModelRow};
use crate::store::open::Store;
use crate::store::prices::{self, PriceRow};
use crate::store::provider_overrides::{self, ProviderOverride};
use crate::store::proxies::{self, ProxyRow};
use crate::store::{accounts, aliases, combos, nodes, secrets, settings};

/// Configuration and state as stored, of one instant.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Settings that differ from their defaults, without the secret ones.
    pub settings: BTreeMap<String, Value>,
    /// Settings the operator does not own.
    pub setting_owners: BTreeMap<String, Owner>,
    /// Custom nodes, by name.
    pub nodes: Vec<Node>,
    /// Accounts, by provider, priority and label.
    pub accounts: Vec<StoredAccount>,
    /// Combos, by name.
    pub combos: Vec<Combo>,
    /// Aliases with their targets, by name.
    pub aliases: Vec<(String, String)>,
    /// API keys, by name.
    pub keys: Vec<ApiKeyRow>,
    /// Texts of rotated keys that are still valid.
    pub former_keys: Vec<FormerKey>,
    /// Settings of providers.
    pub provider_overrides: Vec<ProviderOverride>,
    /// The operator's prices.
    pub prices: Vec<PriceRow>,
    /// Outbound proxies, by name.
    pub proxies: Vec<ProxyRow>,
    /// Models that differ from the catalog.
    pub models: Vec<ModelRow>,
}

/// An account with what was last known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredAccount {
    /// Cold configuration.
    pub config: AccountConfig,
    /// Locks that are still open.
    pub locks: Vec<Lock>,
    /// Hot state.
    pub hot: HotState,
    /// Who owns it; `None` = the operator.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

/// What an account's actor begins with, beside its configuration.
#[derive(Debug)]
pub struct AccountState {
    /// Credential; `None` when it cannot be read (SEC-KEY-3).
    pub credential: Option<Credential>,
    /// Hot state.
    pub hot: HotState,
    /// Locks that are still open.
    pub locks: Vec<Lock>,
}

impl Store {
    /// Reads configuration and state.
    ///
    /// # Errors
    ///
    /// The database fails, or a row cannot be read ([`StoreError::Corrupt`] names it).
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let now = self.clock().now_ms();
        self.read(|conn| {
            let hot = hot_state::load(conn, now)?;
            let mut hot: HashMap<_, _> =
                hot.into_iter().map(|(id, hot, locks)| (id, (hot, locks))).collect();
            let rows = accounts::list(conn)?.into_iter();
            let accounts = rows.map(|row| {
                let (hot, locks) = hot.remove(&row.config.id).unwrap_or_default();
                let accounts::AccountRow { config, managed_by, rev, .. } = row;
                StoredAccount { config, locks, hot, managed_by, rev }
            });
            let (mut settings, mut setting_owners) = (BTreeMap::new(), BTreeMap::new());
            for (key, row) in settings::list(conn)? {
                if let Some(owner) = row.managed_by {
                    setting_owners.insert(key.clone(), owner);
                }
                if let Some(value) = row.value {
                    settings.insert(key, value);
                }
            }
            Ok(Loaded {
                accounts: accounts.collect(),
                settings,
                setting_owners,
                nodes: nodes::list(conn)?.into_iter().map(|row| row.node).collect(),
                combos: combos::list(conn)?.into_iter().map(|row| row.combo).collect(),
                aliases: aliases::list(conn)?.into_iter().map(|a| (a.alias, a.target)).collect(),
                keys: api_keys::list(conn)?,
                former_keys: former_keys::list(conn)?,
                provider_overrides: provider_overrides::list(conn)?,
                prices: prices::list(conn)?,
                proxies: proxies::list(conn)?,
                models: models::list(conn)?,
            })
        })
    }

    /// Credential, hot state and locks of one account.
    ///
    /// # Errors
    ///
    /// No such account; the database fails, or a row cannot be read.
    pub fn account_state(&self, id: AccountId) -> Result<AccountState, StoreError> {
        let now = self.clock().now_ms();
        let credential = match self.credential(id) {
            Ok(credential) => Some(credential),
            Err(StoreError::SecretsUnreadable) => None,
            Err(error) => return Err(error),
        };
        let (hot, locks) = self.read(|conn| hot_state::load_one(conn, id, now))?;
        Ok(AccountState { credential, hot, locks })
    }

    /// The credential of an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::SecretsUnreadable`] with another master key (SEC-KEY-3); the sealed value is
    /// damaged; no such account; the database fails.
    pub fn credential(&self, id: AccountId) -> Result<Credential, StoreError> {
        self.read(|conn| {
            if accounts::find(conn, id)?.is_none() {
                return Err(StoreError::not_found("accounts", id.to_string()));
            }
            secrets::credential(conn, self.sealer(), id)
        })
    }

    /// The URL of an outbound proxy, password included.
    ///
    /// # Errors
    ///
    /// As [`Store::credential`].
    pub fn proxy_url(&self, id: ProxyId) -> Result<Secret, StoreError> {
        self.read(|conn| proxies::url(conn, self.sealer(), id))
    }

    /// The value of a secret setting.
    ///
    /// # Errors
    ///
    /// The master key is another one, the value is damaged, or the database fails.
    pub fn secret_setting(&self, key: &str) -> Result<Option<Secret>, StoreError> {
        self.read(|conn| settings::secret(conn, self.sealer(), key))
    }

    /// Writes an account's hot state and locks. Callers coalesce: at most once a second per account,
    /// at once for dead accounts and locks over five minutes (`storage.md` §3.2).
    ///
    /// # Errors
    ///
    /// No such account, or the database fails.
    pub fn save_locks(
        &self,
        id: AccountId,
        locks: &[Lock],
        hot: &HotState,
    ) -> Result<(), StoreError> {
        let now = self.clock().now_ms();
        self.write(|conn| hot_state::save(conn, id, locks, hot, now))
    }
}
