//! The immutable snapshot of everything configured, replaced as a whole on change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ninerouter_dialect::Usage;
use serde_json::Value;
use tracing::warn;
use url::Url;

use crate::actors::budgets::{Amount, Estimate, Notional};
use crate::actors::outbound;
use crate::auth::cors::CorsPolicy;
use crate::auth::glob::Glob;
use crate::auth::ipset::IpSet;
use crate::auth::key::{KeyRecord, Scopes};
use crate::auth::keyring::KeyRing;
use crate::auth::login::LoginSecrets;
use crate::auth::policy::AdmitPolicy;
use crate::config::overlays::{self, OverlayError};
use crate::config::settings::{Found, Settings};
use crate::net::NetSettings;
use crate::provider::catalog::{
    Catalog, CatalogError, Endpoint, EndpointOverride, ModelChange, Provider,
};
use crate::provider::credential::Credential;
use crate::provider::endpoint::selected;
use crate::provider::oauth::OperatorClient;
use crate::provider::oauth::client::variable_part;
use crate::provider::price::{CostFacts, CostSource, Price};
use crate::provider::proxy::{EnvironmentProxies, Hop, Route, RouteTarget, Routes};
use crate::provider::quota::Document;
use crate::provider::request::missing_params;
use crate::routing::account::{
    AccountConfig, AccountKind, AccountView, ProxyChoice, Shown, ShownAuth, Tier,
};
use crate::routing::budget::Budget;
use crate::routing::choose::AccountStrategy;
use crate::routing::error_rule::ErrorRule;
use crate::routing::gate::{Reserve, gates};
use crate::routing::ladder::LadderSettings;
use crate::routing::plan;
use crate::routing::resolve::{Names, Resolved, resolve};
use crate::routing::target::Target;
use crate::store::api_keys::ApiKeyRow;
use crate::store::former_keys::FormerKey;
use crate::store::hot_state::{HotState, StoredAuth};
use crate::store::models::ModelRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;
use crate::store::usage::PriceSource;
use crate::store::{Loaded, Store, StoreError, StoredAccount, settings};

/// Leases of one subscription account when nobody says otherwise (accounts §7.2).
const SUBSCRIPTION_LEASES: u32 = 8;
/// The same for a GLM coding plan.
const CODING_PLAN_LEASES: u32 = 3;

/// What start-up decided for the life of the process.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Settings fixed by flags and environment.
    pub locked: BTreeMap<&'static str, Value>,
    /// Defaults found on this machine.
    pub found: Found,
    /// Endpoint overrides of the environment.
    pub endpoints: Vec<EndpointOverride>,
    /// Proxies of the environment.
    pub proxies: EnvironmentProxies,
    /// The data folder: `providers.d` in it holds the operator's catalog overlays.
    pub data_dir: std::path::PathBuf,
    /// OAuth clients of the environment, by provider as variables spell it (`GEMINI_CLI`).
    pub oauth_clients: BTreeMap<String, OperatorClient>,
    /// Every listener is loopback.
    pub loopback_only: bool,
    /// Every provider is simulated (`ninerouter demo`).
    pub demo: bool,
    /// Key of the lookup MAC, and the one before it.
    pub key_secret: KeySecret,
    /// Keys of sessions, and the first password.
    pub login: LoginSecrets,
}

/// Material of API-key lookups. Never printed.
#[derive(Clone)]
pub struct KeySecret {
    /// In use.
    pub current: [u8; 32],
    /// Before a change of `API_KEY_SECRET`.
    pub previous: Option<[u8; 32]>,
}

impl std::fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Everything configured, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Typed settings.
    pub settings: Settings,
    /// Catalog with overlays, overrides and nodes.
    pub catalog: Catalog,
    /// Combos and aliases.
    pub names: Names,
    /// API keys.
    pub keys: KeyRing,
    /// Who needs a key.
    pub admit: AdmitPolicy,
    /// Which web origins may call.
    pub cors: CorsPolicy,
    /// The operator's error rules, compiled.
    pub error_rules: Vec<ErrorRule>,
    /// Spending limits as configured.
    pub budgets: Vec<Budget>,
    /// What start-up decided.
    pub fixed: Arc<Fixed>,
    overrides: HashMap<String, ProviderOverride>,
    routes: Routes,
    prices: HashMap<(String, String), Price>,
    oauth_clients: HashMap<String, OperatorClient>,
}

/// An account as stored, ready for its actor.
#[derive(Clone, Debug)]
pub struct AccountSource {
    /// First view.
    pub view: AccountView,
    /// Credential; `None` when it cannot be read (SEC-KEY-3).
    pub credential: Option<Arc<Credential>>,
    /// What was last known of it.
    pub hot: HotState,
}

/// Why no snapshot could be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog, an overlay or a node is not valid.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// An overlay file cannot be read.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
}

impl Snapshot {
    /// Reads everything from the store. Blocking.
    ///
    /// # Errors
    /// See [`SnapshotError`]; the old snapshot stays in use then.
    pub fn load(
        store: &Store,
        fixed: &Arc<Fixed>,
    ) -> Result<(Self, Vec<AccountSource>), SnapshotError> {
        let loaded = store.load()?;
        let overlays = overlays::read(&fixed.data_dir)?;
        let catalog = Catalog::assemble(&overlays, &fixed.endpoints, &loaded.nodes)?
            .with_models(loaded.models.into_iter().filter_map(model_change));
        for notice in catalog.notices() {
            warn!("{notice}");
        }
        let oauth_clients = oauth_clients(store, &loaded.settings, &catalog, fixed)?;
        let (settings, problems) = Settings::resolve(&loaded.settings, &fixed.locked, &fixed.found);
        for problem in problems {
            warn!("stored {problem}; the default is used");
        }
        let Loaded {
            accounts,
            combos,
            aliases,
            keys,
            former_keys,
            provider_overrides,
            prices,
            proxies,
            budgets,
            ..
        } = loaded;
        let keys: Vec<KeyRecord> = keys.into_iter().filter_map(key_record).collect();
        let former = former_records(&keys, &former_keys);
        let snapshot = Self {
            admit: AdmitPolicy::new(&settings),
            cors: CorsPolicy::new(&settings.cors_allow_origins),
            error_rules: settings.error_rules.clone(),
            names: Names::new(combos, aliases)
                .with_tier_order(&settings.tier_order)
                .with_served(served(&accounts)),
            keys: KeyRing::new(
                &fixed.key_secret.current,
                fixed.key_secret.previous.as_ref(),
                keys.into_iter().chain(former),
            ),
            budgets: budgets.into_iter().map(|row| row.budget).collect(),
            overrides: provider_overrides.into_iter().map(|o| (o.provider.clone(), o)).collect(),
            prices: prices
                .into_iter()
                .map(|row| ((row.provider.clone(), row.model.clone()), price(&row)))
                .collect(),
            routes: outbound::routes(store, &proxies, &settings, fixed),
            settings,
            catalog,
            oauth_clients,
            fixed: Arc::clone(fixed),
        };
        let sources = accounts.into_iter().map(|a| snapshot.source(store, a)).collect();
        Ok((snapshot, sources))
    }

    fn source(&self, store: &Store, stored: StoredAccount) -> AccountSource {
        let id = stored.config.id;
        let credential = match store.credential(id) {
            Ok(credential) => Some(Arc::new(credential)),
            Err(error) => {
                warn!(account.id = %id, %error, "credential cannot be read; the account is not used");
                None
            }
        };
        let mut config = stored.config;
        let settings = self.overrides.get(config.provider.as_ref());
        config.enabled &= settings.is_none_or(|o| o.enabled);
        let provider = self.catalog.by_id(&config.provider);
        let mut missing = provider.is_none();
        if let (Some(provider), Some(credential)) = (provider, &credential) {
            missing = !missing_params(provider, &config, credential).is_empty();
            let pinned = selected(provider, &config, credential).map(str::to_owned);
            config.endpoint = pinned;
        }
        let shown = shown(&stored.hot, credential.as_deref());
        let quota = &shown.quota;
        let view = AccountView {
            auth: stored.hot.auth_state(credential.is_some()),
            locks: stored.locks,
            in_flight: 0,
            max_concurrent: self.leases(&config),
            missing_params: missing,
            faulted: false,
            gates: quota
                .as_ref()
                .map(|quota| gates(quota, self.allows_overage(&config)))
                .unwrap_or_default(),
            last_used_at: stored.hot.last_used_at.unwrap_or(0),
            has_served: stored.hot.last_ok_at.is_some(),
            asked: 0,
            shown: Arc::new(shown),
            config: Arc::new(config),
        };
        AccountSource { view, credential, hot: stored.hot }
    }

    fn leases(&self, config: &AccountConfig) -> u32 {
        let ceiling = self.settings.limits.account_in_flight;
        let usual = match (config.kind, config.provider.as_ref()) {
            (AccountKind::OAuth | AccountKind::Imported, _) => SUBSCRIPTION_LEASES,
            (_, "glm" | "glm-cn") => CODING_PLAN_LEASES,
            (AccountKind::ApiKey | AccountKind::ServiceAccount | AccountKind::None, _) => ceiling,
        };
        config.max_concurrent.unwrap_or(usual.min(ceiling))
    }

    /// Strategy among the accounts of a provider.
    #[must_use]
    pub fn account_strategy(&self, provider: &str) -> AccountStrategy {
        let own = self.overrides.get(provider).and_then(|o| o.account_strategy.as_deref());
        own.and_then(AccountStrategy::parse).unwrap_or(self.settings.account_strategy)
    }

    /// Whether an account goes on beyond its plan at extra cost.
    #[must_use]
    pub fn allows_overage(&self, account: &AccountConfig) -> bool {
        account.allow_overage.unwrap_or(self.settings.allow_overage)
    }

    /// What is kept in reserve of a provider's accounts that have no number of their own.
    #[must_use]
    pub fn reserve(&self, provider: &str) -> Reserve {
        let own = self.overrides.get(provider).and_then(|o| o.min_remaining_percent);
        Reserve {
            percent: own.unwrap_or(self.settings.min_remaining_percent),
            soft: self.settings.reserve_soft,
        }
    }

    /// Dispatches in a row under round-robin.
    #[must_use]
    pub fn sticky_count(&self, provider: &str) -> u32 {
        let own = self.overrides.get(provider).and_then(|o| o.sticky_count);
        own.unwrap_or(self.settings.sticky_count)
    }

    /// How long a conversation stays with its account of a provider after its last request.
    #[must_use]
    pub fn affinity_ttl(&self, provider: &str) -> Duration {
        let own = self.overrides.get(provider).and_then(|o| o.affinity_ttl_s);
        own.map_or(self.settings.affinity_ttl, |s| Duration::from_secs(s.into()))
    }

    /// Leases of all accounts of a provider together.
    #[must_use]
    pub fn provider_in_flight(&self, provider: &str) -> u32 {
        let own = self.overrides.get(provider).and_then(|o| o.max_in_flight);
        own.unwrap_or(u32::try_from(self.settings.limits.provider_in_flight).unwrap_or(u32::MAX))
    }

    /// What the operator set as OAuth client of a provider.
    #[must_use]
    pub fn oauth_client(&self, provider: &str) -> Option<&OperatorClient> {
        self.oauth_clients.get(provider)
    }

    /// A provider's tokens are refreshed when less than this is left, ms; never less often than at half of their
    /// life.
    #[must_use]
    pub fn refresh_lead_ms(&self, provider: &Provider) -> i64 {
        let own = self.overrides.get(provider.id.as_ref()).and_then(|o| o.refresh_lead_s);
        let usual = provider.oauth.as_ref().map_or(0, |oauth| oauth.refresh_lead_s);
        i64::from(own.unwrap_or(usual)).saturating_mul(1_000)
    }

    /// Price class of a target served by an account.
    #[must_use]
    pub fn tier(&self, provider: &Provider, account: Option<Tier>) -> Tier {
        let own = self.overrides.get(provider.id.as_ref()).and_then(|o| o.tier);
        account.or(own).unwrap_or(provider.tier)
    }

    /// Whether a key may ask for a name: what is behind it is allowed, of a combo all, or with
    /// `skip_forbidden_entries` some (SEC-AK-5).
    #[must_use]
    pub fn may_ask_for(&self, key: &KeyRecord, name: &str) -> bool {
        let Ok(resolved) = resolve(name, &self.names, &self.catalog, None) else { return false };
        match &resolved {
            Resolved::Target(target) => key.may_use(&target.provider.id, &target.key, None),
            Resolved::Combo { combo, .. } => {
                key.may_use_combo(Some(&combo.name)) && self.usable(key, &resolved).is_some()
            }
        }
    }

    /// How much of a combo a key may use; `None` = it is refused.
    #[must_use]
    pub fn usable(&self, key: &KeyRecord, resolved: &Resolved) -> Option<Usable> {
        let Resolved::Combo { combo, .. } = resolved else { return Some(Usable::All) };
        let leaves = self.leaves(resolved);
        let may = |t: &&Arc<Target>| key.may_use(&t.provider.id, &t.key, Some(&combo.name));
        let forbidden = leaves.len() - leaves.iter().filter(may).count();
        match forbidden {
            0 => Some(Usable::All),
            some if some < leaves.len() && self.settings.skip_forbidden_entries => {
                Some(Usable::Some)
            }
            _ => None,
        }
    }

    /// Every target a combo may reach, in listed order, without touching a rotation.
    #[must_use]
    pub fn leaves(&self, resolved: &Resolved) -> Vec<Arc<Target>> {
        plan::leaves(resolved, &self.names, &self.catalog)
    }

    /// Steps of ladder A for a provider's accounts.
    #[must_use]
    pub fn ladder(&self, provider: &str) -> LadderSettings {
        let own = self.overrides.get(provider);
        let length = |own: Option<u32>, usual: Duration| {
            own.map_or(usual, |n| Duration::from_secs(n.into()))
        };
        LadderSettings {
            base: length(own.and_then(|o| o.cooldown_base_s), self.settings.cooldown_base),
            max: length(own.and_then(|o| o.cooldown_max_s), self.settings.cooldown_max),
        }
    }

    /// The way calls for an account take, or calls about an account that does not exist yet: the one function all
    /// outbound traffic asks. `choice` = the account's own.
    #[must_use]
    pub fn route(&self, choice: &ProxyChoice, provider: &Provider) -> Route {
        const INHERIT: &ProxyChoice = &ProxyChoice::Inherit;
        let of_provider = self.overrides.get(provider.id.as_ref()).map_or(INHERIT, |o| &o.proxy);
        self.routes.choose(choice, of_provider, provider.local)
    }

    /// What stands between an account and one of its endpoints.
    #[must_use]
    pub fn hop(
        &self,
        account: &AccountConfig,
        provider: &Provider,
        endpoint: &Endpoint,
    ) -> Option<Hop> {
        let own_base = account.params.iter().find(|(name, _)| name == "base_url");
        let base = own_base.map_or(endpoint.base_url.as_str(), |(_, base)| base);
        // A host with a placeholder in it is in no list of exceptions.
        let url = Url::parse(base).ok();
        let url = url.as_ref();
        let host = url.and_then(Url::host_str).unwrap_or_default();
        self.route(&account.proxy, provider).hop(RouteTarget {
            tls: url.is_none_or(|url| url.scheme() != "http"),
            host: host.trim_start_matches('[').trim_end_matches(']'),
            port: url.and_then(Url::port_or_known_default).unwrap_or(443),
        })
    }

    /// What outgoing connections need of the settings.
    #[must_use]
    pub fn net_settings(&self) -> NetSettings {
        NetSettings {
            resolve: self.settings.timeouts.resolve,
            connect: self.settings.timeouts.connect,
            allow_fake_ip: self.settings.allow_fake_ip,
            proxy_resolves_names: self.settings.proxy_resolves_names,
            proxies: self.routes.proxies(),
        }
    }

    /// Headers the operator set for a provider.
    #[must_use]
    pub fn extra_headers(&self, provider: &str) -> &[(String, String)] {
        self.overrides.get(provider).map_or(&[], |o| o.headers.as_slice())
    }

    /// Whose flat plans count towards budgets at list price.
    #[must_use]
    pub fn notional(&self) -> Notional {
        let own = self.overrides.values();
        let own = own.filter_map(|o| Some((o.provider.clone(), o.count_notional?)));
        Notional { usual: self.settings.count_notional, own: own.collect() }
    }

    fn counts_notional(&self, provider: &str) -> bool {
        let own = self.overrides.get(provider).and_then(|o| o.count_notional);
        own.unwrap_or(self.settings.count_notional)
    }

    /// What a request of this size may cost.
    #[must_use]
    pub fn price(&self, target: &Target, tier: Tier, size: Estimate) -> Billed {
        let Estimate { input, output } = size;
        let usage = Usage { input, output, ..Usage::default() };
        self.bill(target, tier, &usage, None, false)
    }

    /// The same as budgets count it.
    #[must_use]
    pub fn estimate(&self, target: &Target, tier: Tier, size: Estimate) -> Amount {
        let tokens = size.input.saturating_add(size.output);
        Amount {
            umicro: self.price(target, tier, size).counted().unwrap_or(0),
            tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
            requests: 1,
        }
    }

    /// What tokens of a model cost before a reply says so, and who says it: the operator over the catalog, else the
    /// upstream's list, else what the name suggests.
    #[must_use]
    pub fn list_price(&self, provider: &Provider, model: &str) -> Option<(Price, PriceSource)> {
        let key = (provider.id.to_string(), model.to_owned());
        let own = self.prices.get(&key).copied();
        match (own, self.listed_price(provider, model)) {
            (None, listed) => listed,
            (Some(own), None) => Some((own, PriceSource::Operator)),
            (Some(own), Some((base, _))) => Some((own.over(base), PriceSource::Operator)),
        }
    }

    /// The same without the operator's word.
    #[must_use]
    pub fn listed_price(&self, provider: &Provider, model: &str) -> Option<(Price, PriceSource)> {
        let live = || self.names.live.model(&provider.id, model)?.price;
        let catalog = self.catalog.price(provider, model);
        catalog
            .map(|price| (price, PriceSource::Catalog))
            .or_else(|| live().map(|price| (price, PriceSource::Live)))
            .or_else(|| Some((self.catalog.pattern_price(model)?, PriceSource::Pattern)))
    }

    /// What a request costs (providers §7). Flat plans and free tiers are paid with 0, but for what was served
    /// beyond a plan (`overage`).
    #[must_use]
    pub fn bill(
        &self,
        target: &Target,
        tier: Tier,
        usage: &Usage,
        reply_usd: Option<f64>,
        overage: bool,
    ) -> Billed {
        self.bill_model(&target.provider, &target.model, tier, usage, reply_usd, overage)
    }

    /// The same of a provider's model in the catalog's spelling.
    #[must_use]
    pub fn bill_model(
        &self,
        provider: &Provider,
        model: &str,
        tier: Tier,
        usage: &Usage,
        reply_usd: Option<f64>,
        overage: bool,
    ) -> Billed {
        let operator = if self.prices.is_empty() {
            None
        } else {
            let key = (provider.id.to_string(), model.to_owned());
            self.prices.get(&key).copied()
        };
        let catalog = self.catalog.price(provider, model);
        let live = || self.names.live.model(&provider.id, model)?.price;
        let facts = CostFacts {
            operator,
            reply_usd,
            catalog,
            live: if catalog.is_none() { live() } else { None },
            pattern: self.catalog.pattern_price(model),
        };
        let Some(cost) = facts.cost(usage) else { return Billed::default() };
        let covered = matches!(tier, Tier::Subscription | Tier::Free) && !overage;
        Billed {
            notional: covered && self.counts_notional(&provider.id),
            list: Some(cost.umicro),
            paid: Some(if covered { 0 } else { cost.umicro }),
            source: match cost.source {
                CostSource::Operator => PriceSource::Operator,
                CostSource::Reply => PriceSource::Reply,
                CostSource::Catalog => PriceSource::Catalog,
                CostSource::Live => PriceSource::Live,
                CostSource::Pattern => PriceSource::Pattern,
            },
        }
    }
}

/// How much of a combo a key may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usable {
    /// Every entry.
    All,
    /// Some; the others are skipped.
    Some,
}

/// What a request cost, micro-USD; `None` = nobody knows the price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Billed {
    /// At list price.
    pub list: Option<i64>,
    /// Really paid.
    pub paid: Option<i64>,
    /// Where the price came from.
    pub source: PriceSource,
    /// Budgets count the list price, though a plan covers it.
    pub notional: bool,
}

impl Billed {
    /// What counts towards budgets, micro-USD; `None` = nobody knows the price.
    #[must_use]
    pub fn counted(&self) -> Option<i64> {
        if self.notional { self.list } else { self.paid }
    }
}

/// The operator's OAuth clients by catalog id: `oauth.<provider>.client_id` and `.client_secret` as stored, and the
/// environment's over them. A secret that cannot be read is left out, with a word.
fn oauth_clients(
    store: &Store,
    stored: &BTreeMap<String, Value>,
    catalog: &Catalog,
    fixed: &Fixed,
) -> Result<HashMap<String, OperatorClient>, StoreError> {
    let with_sign_in = catalog.providers().filter(|provider| provider.oauth.is_some());
    let ids: Vec<&Arc<str>> = with_sign_in.map(|provider| &provider.id).collect();
    let secrets: Vec<_> = store.read(|conn| {
        let key = |id| format!("oauth.{id}.client_secret");
        Ok(ids.iter().map(|id| settings::secret(conn, store.sealer(), &key(id))).collect())
    })?;
    let mut clients = HashMap::new();
    for (id, secret) in ids.into_iter().zip(secrets) {
        let stored_id = stored.get(&format!("oauth.{id}.client_id")).and_then(Value::as_str);
        let secret = secret.unwrap_or_else(|error| {
            warn!(%error, "setting `oauth.{id}.client_secret` cannot be read and is not used");
            None
        });
        let own = fixed.oauth_clients.get(&variable_part(id)).cloned().unwrap_or_default();
        let client = OperatorClient {
            client_id: own.client_id.or_else(|| stored_id.map(str::to_owned)),
            client_secret: own.client_secret.or(secret),
        };
        if client != OperatorClient::default() {
            clients.insert(id.to_string(), client);
        }
    }
    Ok(clients)
}

/// What the store says of an account, before its actor speaks.
fn shown(hot: &HotState, credential: Option<&Credential>) -> Shown {
    let auth = match &hot.auth {
        _ if credential.is_none() => {
            ShownAuth::Dead { reason: "secrets_unreadable".to_owned(), since: 0 }
        }
        StoredAuth::Ok | StoredAuth::Refreshing => ShownAuth::Ok,
        StoredAuth::Expiring { until, .. } => ShownAuth::Expiring { until: *until },
        StoredAuth::Expired { next_try } => ShownAuth::Expired { next_try: *next_try },
        StoredAuth::Dead { reason, since } => {
            ShownAuth::Dead { reason: reason.clone(), since: *since }
        }
    };
    Shown {
        auth,
        expires_at: credential.and_then(|credential| credential.expires_at),
        refreshable: false,
        last_refresh_at: None,
        generation: credential.map_or(0, |credential| credential.generation),
        last_ok_at: hot.last_ok_at,
        last_error: hot.last_error.clone(),
        quota: hot.quota_detail.as_ref().and_then(Document::of_stored).map(Arc::new),
    }
}

fn price(row: &PriceRow) -> Price {
    Price {
        input: row.input,
        output: row.output,
        cached: row.cached,
        cache_write_5m: row.cache_write_5m,
        cache_write_1h: row.cache_write_1h,
        reasoning: row.reasoning,
        per_request: row.per_request,
    }
}

/// A stored model as the catalog takes it. A row with a word nobody knows changes nothing.
fn model_change(row: ModelRow) -> Option<ModelChange> {
    let kind = serde_json::from_value(Value::String(row.kind));
    let caps = row.caps.map(|caps| serde_json::from_value(Value::from(caps))).transpose();
    let think = row.think.map(|think| serde_json::from_value(Value::String(think))).transpose();
    let (Ok(kind), Ok(caps), Ok(think)) = (kind, caps, think) else {
        warn!(provider = %row.provider, model = %row.model, "a stored model is unreadable and not used");
        return None;
    };
    Some(ModelChange {
        provider: row.provider,
        model: row.model,
        listed: row.enabled,
        name: row.name,
        kind,
        ctx: row.ctx,
        out: row.max_output,
        caps,
        think,
    })
}

/// Providers with an account that is switched on: bare model names go to these alone.
fn served(accounts: &[StoredAccount]) -> Vec<Arc<str>> {
    let enabled = accounts.iter().filter(|a| a.config.enabled);
    enabled.map(|a| Arc::clone(&a.config.provider)).collect()
}

/// Rotated keys under their old texts: the same keys, with an end.
fn former_records(keys: &[KeyRecord], former: &[FormerKey]) -> Vec<KeyRecord> {
    let record = |old: &FormerKey| {
        let key = keys.iter().find(|key| key.id == old.key)?;
        let until = key.revoked_at.map_or(old.until, |at| at.min(old.until));
        Some(KeyRecord { lookup: old.lookup, revoked_at: Some(until), ..key.clone() })
    };
    former.iter().filter_map(record).collect()
}

/// A key's row as admission reads it. A row with a list nobody can read allows nothing (P6).
fn key_record(row: ApiKeyRow) -> Option<KeyRecord> {
    let globs = |list: Vec<String>| list.iter().map(|text| Glob::new(text)).collect();
    let small = |n: Option<i64>| n.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let allowed_cidrs = match row.allowed_cidrs.map(|list| IpSet::parse(&list)).transpose() {
        Ok(set) => set,
        Err(_bad) => {
            warn!(key = %row.name, "an API key has an unreadable address list and is not used");
            return None;
        }
    };
    Some(KeyRecord {
        id: row.id,
        name: row.name,
        lookup: row.lookup,
        legacy: row.legacy,
        enabled: row.enabled,
        revoked_at: row.revoked_at,
        expires_at: row.expires_at,
        scopes: Scopes::from_names(row.scopes.iter().map(String::as_str)),
        allowed_models: row.allowed_models.map(globs),
        allowed_providers: row.allowed_providers,
        allowed_combos: row.allowed_combos,
        allowed_cidrs,
        rpm: small(row.rpm),
        tpm: small(row.tpm),
        max_concurrent: small(row.max_concurrent),
        usd_day: row.usd_day,
        usd_month: row.usd_month,
        usd_total: row.usd_total,
        capture_bodies: row.capture_bodies,
    })
}
