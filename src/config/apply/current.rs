//! What the store holds, as far as a config file can change it.

use std::collections::{BTreeMap, HashMap};

use crate::store::Connection;
use sha2::{Digest, Sha256};

use crate::config::file::ConfigFile;
use crate::id::{AccountId, ProxyId};
use crate::routing::account::AccountKind;
use crate::secret::Secret;
use crate::store::accounts::{self, AccountRow};
use crate::store::aliases::{self, AliasRow};
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::budgets::{self, BudgetRow};
use crate::store::combos::{self, ComboRow};
use crate::store::models::{self, ModelRow};
use crate::store::nodes::{self, NodeRow};
use crate::store::prices::{self, PriceRow};
use crate::store::provider_overrides::{self, ProviderOverride};
use crate::store::proxies::{self, ProxyRow};
use crate::store::settings::{self, SettingRow};
use crate::store::{Sealer, StoreError, secrets};

/// Digest of a secret, to compare it without keeping it.
pub(super) type Digest32 = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) settings: BTreeMap<String, SettingRow>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) accounts: Vec<AccountRow>,
    /// Keys of accounts the file names.
    pub(super) secrets: HashMap<AccountId, Digest32>,
    pub(super) proxies: Vec<ProxyRow>,
    /// URLs of proxies the file names.
    pub(super) urls: HashMap<ProxyId, Digest32>,
    /// Secret settings the file names.
    pub(super) texts: HashMap<String, Digest32>,
    pub(super) combos: Vec<ComboRow>,
    pub(super) aliases: Vec<AliasRow>,
    pub(super) keys: Vec<ApiKeyRow>,
    pub(super) models: Vec<ModelRow>,
    pub(super) prices: Vec<PriceRow>,
    pub(super) providers: Vec<ProviderOverride>,
    pub(super) budgets: Vec<BudgetRow>,
}

impl Current {
    pub(super) fn load(
        conn: &mut Connection,
        sealer: &Sealer,
        file: &ConfigFile,
    ) -> Result<Self, StoreError> {
        let mut current = Self {
            settings: settings::list(conn)?,
            nodes: nodes::list(conn)?,
            accounts: accounts::list(conn)?,
            secrets: HashMap::new(),
            proxies: proxies::list(conn)?,
            urls: HashMap::new(),
            texts: HashMap::new(),
            combos: combos::list(conn)?,
            aliases: aliases::list(conn)?,
            keys: api_keys::list(conn)?,
            models: models::list(conn)?,
            prices: prices::list(conn)?,
            providers: provider_overrides::list(conn)?,
            budgets: budgets::list(conn)?,
        };
        for row in &current.accounts {
            let config = &row.config;
            let named =
                file.accounts.iter().any(|spec| same_name(&spec.value.config.label, &config.label));
            if named && config.kind == AccountKind::ApiKey {
                let credential = secrets::credential(conn, sealer, config.id)?;
                let key = credential.api_key.as_ref().map(digest);
                current.secrets.extend(key.map(|digest| (config.id, digest)));
            }
        }
        for row in &current.proxies {
            if file.proxies.iter().any(|spec| same_name(&spec.value.name, &row.name)) {
                let url = proxies::url(conn, sealer, row.id)?;
                current.urls.insert(row.id, digest(&url));
            }
        }
        for (key, row) in &current.settings {
            if row.value.is_none() && file.texts.iter().any(|text| text.value.0 == *key) {
                let secret = settings::secret(conn, sealer, key)?;
                current.texts.extend(secret.map(|secret| (key.clone(), digest(&secret))));
            }
        }
        Ok(current)
    }
}

/// Names are unique without regard to case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

pub(super) fn digest(secret: &Secret) -> Digest32 {
    Sha256::digest(secret.expose().as_bytes()).into()
}
