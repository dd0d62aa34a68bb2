//! What routing knows of an account: its configuration and the view its actor pushes.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::quota::Document;
use crate::routing::gate::Gate;
use crate::routing::lock::Lock;

/// Kind of credential an account holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountKind {
    /// Signed in through OAuth; has a refresh path.
    OAuth,
    /// A plain API key.
    ApiKey,
    /// A token without a refresh path.
    Imported,
    /// A service-account document.
    ServiceAccount,
    /// No credential (local upstreams).
    None,
}

/// Price class of a target; the order of the `tier` strategy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tier {
    /// Paid for by a flat plan.
    Subscription,
    /// Pay per token, far below list price.
    Cheap,
    /// Pay per token at list price.
    Paid,
    /// Costs nothing.
    Free,
}

impl AccountKind {
    /// The name used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::ApiKey => "api_key",
            Self::Imported => "imported",
            Self::ServiceAccount => "service_account",
            Self::None => "none",
        }
    }
}

impl Tier {
    /// The name used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Cheap => "cheap",
            Self::Paid => "paid",
            Self::Free => "free",
        }
    }
}

/// Cold configuration of an account, as stored (`storage.md` §3.1), without secrets.
#[derive(Clone, PartialEq, Debug)]
pub struct AccountConfig {
    /// Stored id.
    pub id: AccountId,
    /// Catalog id, or node id.
    pub provider: Arc<str>,
    /// Kind of credential.
    pub kind: AccountKind,
    /// Operator's name for it, unique per provider.
    pub label: String,
    /// 1 is first; equal numbers form a group.
    pub priority: u16,
    /// Share under the weighted strategy; 0 = never.
    pub weight: u16,
    /// The operator's switch.
    pub enabled: bool,
    /// Free labels a combo entry may ask for.
    pub tags: Vec<String>,
    /// Globs; empty = every model.
    pub allowed_models: Vec<String>,
    /// Globs.
    pub excluded_models: Vec<String>,
    /// Concurrent leases; `None` = default of the provider.
    pub max_concurrent: Option<u32>,
    /// Pinned endpoint name of the catalog entry.
    pub endpoint: Option<String>,
    /// Values of the catalog entry's `params` (region, resource …), and `base_url` where it allows an override.
    pub params: Vec<(String, String)>,
    /// Overrides the provider's tier.
    pub tier: Option<Tier>,
    /// The router refreshes its token.
    pub refresh_enabled: bool,
    /// Who redeems its refresh token.
    pub ownership: Ownership,
    /// File of another program whose token this account follows.
    pub follow_path: Option<String>,
    /// Percent of each quota window kept in reserve; `None` = inherit.
    pub min_remaining_percent: Option<u8>,
    /// Whether it may go beyond its plan at extra cost; `None` = inherit.
    pub allow_overage: Option<bool>,
    /// The way its calls go out.
    pub proxy: ProxyChoice,
    /// Unix ms.
    pub created_at: UnixMs,
}

impl AccountConfig {
    /// A new account with the defaults of `storage.md` §3.1, made at the epoch.
    #[must_use]
    pub fn new(provider: Arc<str>, kind: AccountKind, label: String) -> Self {
        Self {
            id: AccountId::new(),
            provider,
            kind,
            label,
            priority: 1,
            weight: 1,
            enabled: true,
            tags: Vec::new(),
            allowed_models: Vec::new(),
            excluded_models: Vec::new(),
            max_concurrent: None,
            endpoint: None,
            params: Vec::new(),
            tier: None,
            refresh_enabled: true,
            ownership: Ownership::default(),
            follow_path: None,
            min_remaining_percent: None,
            allow_overage: None,
            proxy: ProxyChoice::default(),
            created_at: 0,
        }
    }
}

/// Who redeems an account's refresh token (accounts §2.1). A rotating token that two programs redeem signs one of
/// them out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ownership {
    /// The router alone.
    #[default]
    Own,
    /// The router, beside another program: for tokens that do not rotate.
    Copy,
    /// Another program: the router reads its file again.
    Follow,
}

impl Ownership {
    /// The name used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Copy => "copy",
            Self::Follow => "follow",
        }
    }
}

/// The way the calls of an account, or of a provider, go out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ProxyChoice {
    /// As the next wider scope says.
    #[default]
    Inherit,
    /// Without a proxy, whatever the wider scopes say.
    Direct,
    /// Through the proxy with this stored id.
    Proxy(String),
}

/// What an account's actor says of itself for people: nothing here decides a choice, nothing is secret.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shown {
    /// Credential state.
    pub auth: ShownAuth,
    /// End of the access token, Unix ms.
    pub expires_at: Option<UnixMs>,
    /// There is a way to a next token.
    pub refreshable: bool,
    /// Last new token, Unix ms.
    pub last_refresh_at: Option<UnixMs>,
    /// Of the credential.
    pub generation: u64,
    /// Last request served, Unix ms.
    pub last_ok_at: Option<UnixMs>,
    /// Last failure, redacted: `{"at", "class", "rule", "status"}`.
    pub last_error: Option<serde_json::Value>,
    /// Quota in the canonical form (accounts §4.1); `None` = nothing observed.
    pub quota: Option<Arc<Document>>,
}

/// Credential state as shown (accounts §0.3).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ShownAuth {
    /// Usable.
    #[default]
    Ok,
    /// A new token is on its way.
    Refreshing,
    /// The refresh token is dead; the access token works until then, Unix ms.
    Expiring {
        /// Unix ms.
        until: UnixMs,
    },
    /// No valid access token.
    Expired {
        /// Next refresh, Unix ms; `None` = no refresh path.
        next_try: Option<UnixMs>,
    },
    /// Only the operator can mend it.
    Dead {
        /// Short reason: `revoked`, `key_rejected`, `secrets_unreadable` …
        reason: String,
        /// Unix ms.
        since: UnixMs,
    },
}

/// Whether an account's credential can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthState {
    /// Usable now, or refreshed on the way.
    Ok,
    /// No valid token; a refresh may be tried from this instant on (`None` = no refresh path).
    Expired {
        /// Unix ms.
        next_try: Option<UnixMs>,
    },
    /// Only the operator can mend it.
    Dead,
}

/// What an account's actor last said of itself. The router chooses from these.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// Cold configuration.
    pub config: Arc<AccountConfig>,
    /// Credential state.
    pub auth: AuthState,
    /// Locks; expired ones may still be listed: compare `until` with now.
    pub locks: Vec<Lock>,
    /// Leases out.
    pub in_flight: u32,
    /// Ceiling of `in_flight`, defaults resolved.
    pub max_concurrent: u32,
    /// A mandatory parameter of the catalog entry has no value.
    pub missing_params: bool,
    /// Its actor died too often (REL-ACT-2): not asked until it runs again.
    pub faulted: bool,
    /// Quota windows; those whose reset passed may still be listed.
    pub gates: Vec<Gate>,
    /// Last lease, Unix ms; 0 = never.
    pub last_used_at: UnixMs,
    /// Some request was served, now or before the start.
    pub has_served: bool,
    /// Requests that ask for a lease just now and are not in `in_flight` yet; counted until the account has served.
    pub asked: u32,
    /// For people; replaced as a whole when something in it changes.
    pub shown: Arc<Shown>,
}
