//! The objects of a config file, each with the members that differ from what their absence means.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::apply::Titles;
use crate::config::export::text::{Variables, Writer, usd};
use crate::config::keys;
use crate::config::settings::is_oauth_key;
use crate::provider::node::{AuthStyle, ModelSource, NetworkPolicy};
use crate::provider::proxy::ProxyUrl;
use crate::routing::account::{AccountKind, Tier};
use crate::routing::budget::{Budget, NOTIFY_AT};
use crate::routing::combo::{Entry, Strategy};
use crate::secret::Secret;
use crate::store::accounts::AccountRow;
use crate::store::aliases::AliasRow;
use crate::store::api_keys::ApiKeyRow;
use crate::store::combos::ComboRow;
use crate::store::models::ModelRow;
use crate::store::nodes::NodeRow;
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;
use crate::store::proxies::ProxyRow;
use crate::store::settings::SettingRow;

pub(super) fn settings(
    file: &mut Writer,
    variables: &mut Variables,
    rows: &BTreeMap<String, SettingRow>,
) {
    let known = |key: &str| keys::setting(key).is_some() || is_oauth_key(key);
    let mut rows = rows.iter().filter(|(key, _)| known(key)).peekable();
    if rows.peek().is_none() {
        return;
    }
    file.head(&["settings"], false);
    for (key, row) in rows {
        let value = match &row.value {
            Some(value) => value.clone(),
            None => variables.refer(&["ninerouter", key], format!("setting `{key}`")).into(),
        };
        // Dotted keys are groups; a provider's id in one of them may hold anything.
        let parts: Vec<&str> = key.split('.').collect();
        file.path(&parts, value);
    }
}

pub(super) fn proxy(
    file: &mut Writer,
    variables: &mut Variables,
    row: &ProxyRow,
    url: Option<&Secret>,
) {
    file.head(&["proxies"], true);
    file.line("name", row.name.as_str());
    // A URL that cannot be read is taken for one with a password.
    let url = url.and_then(|url| ProxyUrl::parse(url.expose()).ok());
    match url.filter(|url| url.login().is_none()) {
        Some(url) => file.line("url", url.display()),
        None => {
            let what = format!("URL of proxy `{}`", row.name);
            file.line("url", variables.refer(&["proxy", &row.name, "url"], what));
        }
    }
    file.line("no_proxy", Some(row.no_proxy.as_str()).filter(|list| !list.is_empty()));
    file.unless(true, "enabled", row.enabled);
}

pub(super) fn node(file: &mut Writer, row: &NodeRow) {
    let node = &row.node;
    let (kind, api_type) = node.node_type.stored();
    file.head(&["nodes"], true);
    file.line("name", node.name.as_str());
    file.line("prefix", node.prefix.as_str());
    file.line("type", kind);
    file.line("api_type", api_type);
    file.line("base_url", node.base_url.as_str());
    let (style, header) = match &node.auth_style {
        None => (None, None),
        Some(AuthStyle::Bearer) => (Some("bearer"), None),
        Some(AuthStyle::XApiKey) => (Some("x-api-key"), None),
        Some(AuthStyle::None) => (Some("none"), None),
        Some(AuthStyle::Header(name)) => (Some("header"), Some(name.as_str())),
    };
    file.line("auth_style", style);
    file.line("auth_header", header);
    file.line("headers", headers(&node.headers));
    // Written always: its absence means the policy of the installation.
    file.line("network", network(node.network));
    file.unless(false, "insecure_http", node.insecure_http);
    if node.model_source == ModelSource::Manual {
        file.line("model_source", "manual");
    }
    file.line("test_model", row.test_model.as_deref());
}

pub(super) fn provider(file: &mut Writer, row: &ProviderOverride, titles: &Titles) {
    file.head(&["providers", &titles.provider(&row.provider)], false);
    file.unless(true, "enabled", row.enabled);
    file.line("tier", row.tier.map(Tier::as_str));
    file.line("account_strategy", row.account_strategy.as_deref());
    file.line("sticky_count", row.sticky_count);
    file.line("affinity_ttl_s", row.affinity_ttl_s);
    file.line("cooldown_base_s", row.cooldown_base_s);
    file.line("cooldown_max_s", row.cooldown_max_s);
    file.line("max_in_flight", row.max_in_flight);
    file.line("refresh_lead_s", row.refresh_lead_s);
    file.line("min_remaining_percent", row.min_remaining_percent);
    file.line("headers", headers(&row.headers));
    file.line("retry_statuses", row.retry_statuses.clone().unwrap_or(Value::Null));
    file.line("count_notional", row.count_notional);
    file.line("proxy", titles.way(&row.proxy));
}

pub(super) fn account(
    file: &mut Writer,
    variables: &mut Variables,
    row: &AccountRow,
    titles: &Titles,
) {
    let config = &row.config;
    let provider = titles.provider(&config.provider);
    let reference = match config.kind {
        AccountKind::ApiKey => {
            let what = format!("API key of account `{provider}/{}`", config.label);
            Some(variables.refer(&[&provider, &config.label, "api_key"], what))
        }
        AccountKind::None => None,
        AccountKind::OAuth | AccountKind::Imported | AccountKind::ServiceAccount => return,
    };
    file.head(&["accounts"], true);
    file.line("provider", provider);
    file.line("label", config.label.as_str());
    match reference {
        Some(reference) => file.line("api_key", reference),
        None => file.line("kind", "none"),
    }
    file.unless(1, "priority", config.priority);
    file.unless(1, "weight", config.weight);
    file.unless(true, "enabled", config.enabled);
    file.line("tags", config.tags.clone());
    file.line("allowed_models", config.allowed_models.clone());
    file.line("excluded_models", config.excluded_models.clone());
    file.line("max_concurrent", config.max_concurrent);
    file.line("endpoint", config.endpoint.as_deref());
    if !config.params.is_empty() {
        let mut params = config.params.clone();
        params.sort();
        let params = params.into_iter().map(|(name, value)| (name, Value::from(value)));
        file.line("params", params.collect::<Map<_, _>>());
    }
    file.line("tier", config.tier.map(Tier::as_str));
    file.line("min_remaining_percent", config.min_remaining_percent);
    file.line("allow_overage", config.allow_overage);
    file.line("proxy", titles.way(&config.proxy));
    file.unless(true, "refresh_enabled", config.refresh_enabled);
    file.line("notes", row.about.notes.as_deref());
}

pub(super) fn model(file: &mut Writer, row: &ModelRow, titles: &Titles) {
    file.head(&["models"], true);
    file.line("provider", titles.provider(&row.provider));
    file.line("id", row.model.as_str());
    file.unless(true, "enabled", row.enabled);
    file.line("name", row.name.as_deref());
    file.unless("chat", "kind", row.kind.as_str());
    file.line("ctx", row.ctx);
    file.line("max_output", row.max_output);
    // An empty set says that the model can do nothing of it, its absence that nobody knows.
    if let Some(caps) = &row.caps {
        file.list("caps", caps);
    }
    file.line("think", row.think.as_deref());
}

pub(super) fn price(file: &mut Writer, row: &PriceRow, titles: &Titles) {
    file.head(&["prices"], true);
    file.line("provider", titles.provider(&row.provider));
    file.line("model", row.model.as_str());
    for (member, amount) in [
        ("input", row.input),
        ("cached", row.cached),
        ("cache_write_5m", row.cache_write_5m),
        ("cache_write_1h", row.cache_write_1h),
        ("output", row.output),
        ("reasoning", row.reasoning),
        ("per_request", row.per_request),
    ] {
        file.line(member, amount.map(usd));
    }
    file.line("note", row.note.as_deref());
}

pub(super) fn combo(file: &mut Writer, row: &ComboRow) {
    let combo = &row.combo;
    file.head(&["combos"], true);
    file.line("name", &*combo.name);
    file.line("description", row.description.as_deref());
    file.unless(true, "enabled", combo.enabled);
    file.line("strategy", combo.strategy.as_str());
    file.unless(Strategy::Fallback.as_str(), "tier_inner", combo.tier_inner.as_str());
    file.list("entries", &combo.entries.iter().map(entry).collect::<Vec<_>>());
    if combo.sticky_enabled.is_some() || combo.sticky_ttl_s != 3_600 {
        let sticky = json!({"enabled": combo.sticky_enabled, "ttl_s": combo.sticky_ttl_s});
        file.line("sticky", sticky);
    }
    file.unless(1, "rr_sticky_count", combo.rr_sticky_count);
    file.unless(12, "max_attempts", combo.max_attempts);
    file.line("deadline_ms", combo.deadline_ms);
    file.unless(false, "fallback_on_policy", combo.fallback_on_policy);
    file.unless(true, "capability_filter", combo.capability_filter);
    file.line("report_real_model", row.report_real_model);
}

/// An entry: its target alone, where it has nothing else.
fn entry(entry: &Entry) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    if entry.weight != 1 {
        put("weight", entry.weight.into());
    }
    if let Some(tier) = entry.tier {
        put("tier", tier.as_str().into());
    }
    if !entry.enabled {
        put("enabled", false.into());
    }
    if let Some(id) = entry.account_id {
        put("account_id", id.to_string().into());
    }
    if !entry.tags.is_empty() {
        put("tags", entry.tags.clone().into());
    }
    if members.is_empty() {
        return entry.target.as_str().into();
    }
    let mut whole = Map::from_iter([("target".to_owned(), entry.target.as_str().into())]);
    whole.extend(members);
    Value::Object(whole)
}

pub(super) fn aliases(file: &mut Writer, rows: &[AliasRow]) {
    if rows.is_empty() {
        return;
    }
    file.head(&["aliases"], false);
    for row in rows {
        file.named(&row.alias, row.target.as_str());
    }
}

pub(super) fn key(file: &mut Writer, variables: &mut Variables, row: &ApiKeyRow) {
    file.head(&["keys"], true);
    file.line("name", row.name.as_str());
    let what = format!("text of the router's key `{}`", row.name);
    file.line("key", variables.refer(&["ninerouter_key", &row.name], what));
    file.unless(true, "enabled", row.enabled);
    file.line("expires_at", row.expires_at);
    file.line("scopes", row.scopes.clone());
    for (member, list) in [
        ("allowed_models", &row.allowed_models),
        ("allowed_providers", &row.allowed_providers),
        ("allowed_combos", &row.allowed_combos),
        ("allowed_cidrs", &row.allowed_cidrs),
    ] {
        // An empty list allows nothing, its absence everything.
        if let Some(list) = list {
            file.list(member, list);
        }
    }
    file.line("rpm", row.rpm);
    file.line("tpm", row.tpm);
    file.line("max_concurrent", row.max_concurrent);
    file.line("usd_day", row.usd_day.map(usd));
    file.line("usd_month", row.usd_month.map(usd));
    file.line("usd_total", row.usd_total.map(usd));
    file.unless(false, "capture_bodies", row.capture_bodies);
}

pub(super) fn budget(file: &mut Writer, budget: &Budget, titles: &Titles) {
    let Some(id) = titles.name(&budget.scope) else {
        let (scope, window) = (budget.scope.as_str(), budget.window.as_str());
        file.note(&format!(
            "A budget ({scope}, {window}) is left out: what it counts is no longer there."
        ));
        return;
    };
    file.head(&["budgets"], true);
    file.line("scope", budget.scope.as_str());
    file.line("id", Some(id).filter(|id| !id.is_empty()));
    file.line("window", budget.window.as_str());
    file.line("limit_usd", budget.limits.umicro.map(usd));
    file.line("limit_tokens", budget.limits.tokens);
    file.line("limit_requests", budget.limits.requests);
    file.line("tz", budget.tz.as_deref());
    file.unless("block", "action", budget.action.as_str());
    if budget.notify_at != NOTIFY_AT {
        file.list("notify_at", &budget.notify_at);
    }
    file.unless(true, "enabled", budget.enabled);
}

fn network(policy: NetworkPolicy) -> Option<&'static str> {
    match policy {
        NetworkPolicy::Public => Some("public"),
        NetworkPolicy::Private => Some("private"),
        NetworkPolicy::Loopback => Some("loopback"),
        // Of the environment's default alone; its absence means that.
        NetworkPolicy::PrivateAndLoopback => None,
    }
}

fn headers(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}
