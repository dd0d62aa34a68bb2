//! What routing knows of an account: its configuration and the view its actor pushes.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::id::AccountId;
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
    /// Unix ms.
    pub created_at: UnixMs,
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
    /// Percent left in the tightest quota window, when known.
    pub remaining_percent: Option<u8>,
    /// When that window resets, Unix ms.
    pub resets_at: Option<UnixMs>,
    /// Last lease, Unix ms; 0 = never.
    pub last_used_at: UnixMs,
}
