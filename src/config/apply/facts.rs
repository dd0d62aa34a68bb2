//! Objects as lists of comparable members: what differs between a file and the store, by name and without values.

use serde_json::{Map, Value, json};

use crate::config::apply::current::Digest32;
use crate::provider::node::{AuthStyle, ModelSource, NetworkPolicy};
use crate::routing::account::{AccountConfig, ProxyChoice, Tier};
use crate::routing::combo::Entry;
use crate::store::api_keys::ApiKeyRow;
use crate::store::budgets::BudgetRow;
use crate::store::combos::ComboRow;
use crate::store::models::{ModelOrigin, ModelRow};
use crate::store::nodes::NodeRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;

/// Members of an object under the names of `api.md`. Never printed: some stand for secrets.
pub(super) type Facts = Map<String, Value>;

/// Names of members that differ.
pub(super) fn differing(a: &Facts, b: &Facts) -> Vec<String> {
    let differs =
        |(name, value): (&String, &Value)| (b.get(name) != Some(value)).then(|| name.clone());
    a.iter().filter_map(differs).collect()
}

fn facts(value: Value) -> Facts {
    match value {
        Value::Object(map) => map,
        _ => Facts::new(),
    }
}

pub(super) fn of_value(value: &Value) -> Facts {
    facts(json!({ "value": value }))
}

pub(super) fn of_node(row: &NodeRow) -> Facts {
    let node = &row.node;
    let (kind, api_type) = node.node_type.stored();
    let (auth_style, auth_header) = match &node.auth_style {
        None => (None, None),
        Some(AuthStyle::Bearer) => (Some("bearer"), None),
        Some(AuthStyle::XApiKey) => (Some("x-api-key"), None),
        Some(AuthStyle::None) => (Some("none"), None),
        Some(AuthStyle::Header(name)) => (Some("header"), Some(name)),
    };
    let network = match node.network {
        NetworkPolicy::Public => "public",
        NetworkPolicy::Private => "private",
        NetworkPolicy::Loopback => "loopback",
        NetworkPolicy::PrivateAndLoopback => "private and loopback",
    };
    let source = match node.model_source {
        ModelSource::Fetch => "fetch",
        ModelSource::Manual => "manual",
    };
    facts(json!({
        "name": node.name,
        "prefix": node.prefix,
        "type": kind,
        "api_type": api_type,
        "base_url": node.base_url,
        "auth_style": auth_style,
        "auth_header": auth_header,
        "headers": node.headers,
        "network": network,
        "insecure_http": node.insecure_http,
        "model_source": source,
        "test_model": row.test_model,
    }))
}

pub(super) fn of_digest(digest: Option<&Digest32>) -> Facts {
    facts(json!({ "value": digest }))
}

pub(super) fn of_proxy(url: Option<&Digest32>, name: &str, no_proxy: &str, enabled: bool) -> Facts {
    facts(json!({ "name": name, "url": url, "no_proxy": no_proxy, "enabled": enabled }))
}

fn way(choice: &ProxyChoice) -> Value {
    match choice {
        ProxyChoice::Inherit => Value::Null,
        ProxyChoice::Direct => "direct".into(),
        ProxyChoice::Proxy(id) => json!([id]),
    }
}

pub(super) fn of_account(
    config: &AccountConfig,
    key: Option<&Digest32>,
    notes: Option<&str>,
) -> Facts {
    let mut params = config.params.clone();
    params.sort();
    facts(json!({
        "label": config.label,
        "kind": config.kind.as_str(),
        "api_key": key,
        "priority": config.priority,
        "weight": config.weight,
        "enabled": config.enabled,
        "tags": config.tags,
        "allowed_models": config.allowed_models,
        "excluded_models": config.excluded_models,
        "min_remaining_percent": config.min_remaining_percent,
        "allow_overage": config.allow_overage,
        "max_concurrent": config.max_concurrent,
        "endpoint": config.endpoint,
        "params": params,
        "proxy": way(&config.proxy),
        "min_remaining_percent": config.min_remaining_percent,
        "allow_overage": config.allow_overage,
        "refresh_enabled": config.refresh_enabled,
        "notes": notes,
        "tier": config.tier.map(Tier::as_str),
    }))
}

pub(super) fn of_combo(row: &ComboRow) -> Facts {
    let combo = &row.combo;
    let entries: Vec<Value> = combo.entries.iter().map(entry).collect();
    facts(json!({
        "name": &*combo.name,
        "description": row.description,
        "enabled": combo.enabled,
        "strategy": combo.strategy.as_str(),
        "tier_inner": combo.tier_inner.as_str(),
        "entries": entries,
        "sticky": [json!(combo.sticky_enabled), json!(combo.sticky_ttl_s)],
        "rr_sticky_count": combo.rr_sticky_count,
        "max_attempts": combo.max_attempts,
        "deadline_ms": combo.deadline_ms,
        "fallback_on_policy": combo.fallback_on_policy,
        "capability_filter": combo.capability_filter,
        "report_real_model": row.report_real_model,
    }))
}

fn entry(entry: &Entry) -> Value {
    json!({
        "target": entry.target,
        "weight": entry.weight,
        "tier": entry.tier.map(Tier::as_str),
        "enabled": entry.enabled,
        "account_id": entry.account_id.map(|id| id.to_string()),
        "tags": entry.tags,
    })
}

pub(super) fn of_key(row: &ApiKeyRow) -> Facts {
    facts(json!({
        "key": row.lookup,
        "enabled": row.enabled,
        "expires_at": row.expires_at,
        "scopes": row.scopes,
        "allowed_models": row.allowed_models,
        "allowed_providers": row.allowed_providers,
        "allowed_combos": row.allowed_combos,
        "allowed_cidrs": row.allowed_cidrs,
        "rpm": row.rpm,
        "tpm": row.tpm,
        "max_concurrent": row.max_concurrent,
        "usd_day": row.usd_day,
        "usd_month": row.usd_month,
        "usd_total": row.usd_total,
        "capture_bodies": row.capture_bodies,
    }))
}

pub(super) fn of_model(row: &ModelRow) -> Facts {
    let source = match row.source {
        ModelOrigin::Manual => "manual",
        ModelOrigin::Override => "override",
    };
    facts(json!({
        "source": source,
        "enabled": row.enabled,
        "name": row.name,
        "kind": row.kind,
        "ctx": row.ctx,
        "max_output": row.max_output,
        "caps": row.caps,
        "think": row.think,
    }))
}

pub(super) fn of_price(row: &PriceRow) -> Facts {
    facts(json!({
        "input": row.input,
        "cached": row.cached,
        "cache_write_5m": row.cache_write_5m,
        "cache_write_1h": row.cache_write_1h,
        "output": row.output,
        "reasoning": row.reasoning,
        "per_request": row.per_request,
        "note": row.note,
    }))
}

pub(super) fn of_provider(row: &ProviderOverride) -> Facts {
    facts(json!({
        "enabled": row.enabled,
        "tier": row.tier.map(Tier::as_str),
        "account_strategy": row.account_strategy,
        "sticky_count": row.sticky_count,
        "affinity_ttl_s": row.affinity_ttl_s,
        "cooldown_base_s": row.cooldown_base_s,
        "cooldown_max_s": row.cooldown_max_s,
        "max_in_flight": row.max_in_flight,
        "refresh_lead_s": row.refresh_lead_s,
        "min_remaining_percent": row.min_remaining_percent,
        "headers": row.headers,
        "retry_statuses": row.retry_statuses,
        "count_notional": row.count_notional,
        "proxy": way(&row.proxy),
    }))
}

pub(super) fn of_budget(row: &BudgetRow) -> Facts {
    let budget = &row.budget;
    facts(json!({
        "scope": budget.scope.as_str(),
        "scope_id": budget.scope.id(),
        "window": budget.window.as_str(),
        "limit_usd": budget.limits.umicro,
        "limit_tokens": budget.limits.tokens,
        "limit_requests": budget.limits.requests,
        "tz": budget.tz,
        "action": budget.action.as_str(),
        "notify_at": budget.notify_at,
        "enabled": budget.enabled,
    }))
}
