//! Combos: named lists of entries with a strategy, and their flattening into attempts.

use std::sync::Arc;

use crate::id::{AccountId, ComboId, EntryId};
use crate::routing::account::Tier;

/// Order in which a combo's entries are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// As listed.
    Fallback,
    /// Start rotates.
    RoundRobin,
    /// Smooth weighted round-robin for the first, then by weight.
    Weighted,
    /// By price class, inside a class by `tier_inner`.
    Tier,
}

impl Strategy {
    /// The name used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::Tier => "tier",
        }
    }
}

/// One entry of a combo.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Stored id.
    pub id: EntryId,
    /// `prefix/model`, an alias, or `combo:<name>`.
    pub target: String,
    /// Share under the weighted strategy.
    pub weight: u16,
    /// Overrides the provider's tier.
    pub tier: Option<Tier>,
    /// The operator's switch.
    pub enabled: bool,
    /// Pins the entry to one account.
    pub account_id: Option<AccountId>,
    /// Pins the entry to accounts that carry all of these tags.
    pub tags: Vec<String>,
}

/// A named list of entries.
#[derive(Clone, PartialEq, Debug)]
pub struct Combo {
    /// Stored id.
    pub id: ComboId,
    /// `[A-Za-z0-9._-]{1,64}`.
    pub name: Arc<str>,
    /// The operator's switch.
    pub enabled: bool,
    /// Order of the entries.
    pub strategy: Strategy,
    /// Order inside a tier (strategy `tier` only).
    pub tier_inner: Strategy,
    /// Entries in listed order.
    pub entries: Vec<Entry>,
    /// Keep a conversation on the entry that served it; `None` = default of the strategy.
    pub sticky_enabled: Option<bool>,
    /// Life of that binding in seconds.
    pub sticky_ttl_s: u32,
    /// Consecutive requests per start under round-robin.
    pub rr_sticky_count: u32,
    /// Ceiling of upstream attempts of one request.
    pub max_attempts: u32,
    /// Ceiling of time until the first content; `None` = the router's total.
    pub deadline_ms: Option<u32>,
    /// Go on after a content-policy refusal.
    pub fallback_on_policy: bool,
    /// Put entries known to lack a needed capability last.
    pub capability_filter: bool,
}
