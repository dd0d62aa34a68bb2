//! Objects of a config file as they are written: the field names of `api.md`, defaults filled in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `[[nodes]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeObject {
    pub(super) name: String,
    pub(super) prefix: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) api_type: Option<String>,
    pub(super) base_url: String,
    pub(super) auth_style: Option<String>,
    pub(super) auth_header: Option<String>,
    #[serde(default)]
    pub(super) headers: Vec<HeaderObject>,
    pub(super) network: Option<String>,
    #[serde(default)]
    pub(super) insecure_http: bool,
    pub(super) model_source: Option<String>,
    pub(super) test_model: Option<String>,
}

/// One extra header.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderObject {
    pub(super) name: String,
    pub(super) value: String,
}

/// `[[accounts]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountObject {
    pub(super) provider: String,
    pub(super) label: String,
    pub(super) kind: Option<String>,
    pub(super) api_key: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) priority: Option<u16>,
    pub(super) weight: Option<u16>,
    pub(super) enabled: Option<bool>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) allowed_models: Vec<String>,
    #[serde(default)]
    pub(super) excluded_models: Vec<String>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) endpoint: Option<String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    pub(super) tier: Option<String>,
    pub(super) min_remaining_percent: Option<u8>,
    pub(super) allow_overage: Option<bool>,
    pub(super) proxy: Option<Value>,
    pub(super) refresh_enabled: Option<bool>,
    pub(super) notes: Option<String>,
}

/// `[[combos]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComboObject {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) strategy: Option<String>,
    pub(super) tier_inner: Option<String>,
    pub(super) entries: Vec<Value>,
    pub(super) sticky: Option<StickyObject>,
    pub(super) rr_sticky_count: Option<u32>,
    pub(super) max_attempts: Option<u32>,
    pub(super) deadline_ms: Option<u32>,
    #[serde(default)]
    pub(super) fallback_on_policy: bool,
    pub(super) capability_filter: Option<bool>,
    pub(super) report_real_model: Option<bool>,
}

/// `sticky` of a combo.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StickyObject {
    pub(super) enabled: Option<bool>,
    pub(super) ttl_s: Option<u32>,
}

/// An entry that is written as a table.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryObject {
    pub(super) target: String,
    pub(super) weight: Option<u16>,
    pub(super) tier: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) account_id: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
}

/// `[[keys]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyObject {
    pub(super) name: String,
    pub(super) key: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) expires_at: Option<Value>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) allowed_models: Option<Vec<String>>,
    pub(super) allowed_providers: Option<Vec<String>>,
    pub(super) allowed_combos: Option<Vec<String>>,
    pub(super) allowed_cidrs: Option<Vec<String>>,
    pub(super) rpm: Option<u32>,
    pub(super) tpm: Option<u32>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) usd_day: Option<Value>,
    pub(super) usd_month: Option<Value>,
    pub(super) usd_total: Option<Value>,
    pub(super) usd_day_umicro: Option<i64>,
    pub(super) usd_month_umicro: Option<i64>,
    pub(super) usd_total_umicro: Option<i64>,
    pub(super) capture_bodies: Option<bool>,
}

/// `[[models]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelObject {
    pub(super) provider: String,
    #[serde(alias = "model")]
    pub(super) id: String,
    pub(super) enabled: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) ctx: Option<u32>,
    pub(super) max_output: Option<u32>,
    pub(super) caps: Option<Vec<String>>,
    pub(super) think: Option<String>,
}

/// `[[prices]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceObject {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) input: Option<Value>,
    pub(super) cached: Option<Value>,
    pub(super) cache_write_5m: Option<Value>,
    pub(super) cache_write_1h: Option<Value>,
    pub(super) output: Option<Value>,
    pub(super) reasoning: Option<Value>,
    pub(super) per_request: Option<Value>,
    pub(super) note: Option<String>,
}

/// `[providers.<id>]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderObject {
    pub(super) enabled: Option<bool>,
    pub(super) tier: Option<String>,
    #[serde(alias = "strategy")]
    pub(super) account_strategy: Option<String>,
    pub(super) sticky_count: Option<u32>,
    pub(super) affinity_ttl_s: Option<u32>,
    pub(super) cooldown_base_s: Option<u32>,
    pub(super) cooldown_max_s: Option<u32>,
    pub(super) max_in_flight: Option<u32>,
    pub(super) refresh_lead_s: Option<u32>,
    pub(super) min_remaining_percent: Option<u8>,
    #[serde(default)]
    pub(super) headers: Vec<HeaderObject>,
    pub(super) retry_statuses: Option<Vec<u16>>,
    pub(super) count_notional: Option<bool>,
    pub(super) proxy: Option<Value>,
}

/// `[[budgets]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetObject {
    pub(super) scope: String,
    pub(super) id: Option<String>,
    pub(super) scope_id: Option<String>,
    pub(super) window: String,
    pub(super) limit_usd: Option<Value>,
    pub(super) limit_umicro: Option<i64>,
    pub(super) limit_tokens: Option<i64>,
    pub(super) limit_requests: Option<i64>,
    pub(super) tz: Option<String>,
    pub(super) action: Option<String>,
    pub(super) notify_at: Option<Vec<u8>>,
    pub(super) enabled: Option<bool>,
}

/// `[[proxies]]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyObject {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) no_proxy: Option<Value>,
    pub(super) enabled: Option<bool>,
}

/// `proxy` of an account or a provider that is written as a table.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyChoiceObject {
    pub(super) mode: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}
