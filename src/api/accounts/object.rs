//! The account object of `api.md` §3.1: what is stored, what its actor says, what it did in the last day.

use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::accounts::status;
use crate::api::merge::members;
use crate::clock::UnixMs;
use crate::routing::account::{AccountConfig, AccountView, ProxyChoice, ShownAuth, Tier};
use crate::routing::lock::Lock;
use crate::store::accounts::AccountRow;
use crate::store::usage::Totals;

/// Where the parts of an object come from.
pub(super) struct Parts<'a> {
    pub(super) row: &'a AccountRow,
    /// `None` = its actor is not there yet.
    pub(super) view: Option<&'a AccountView>,
    /// Last characters of its key, for people; `None` = it has none.
    pub(super) last4: Option<&'a str>,
    pub(super) day: Option<&'a Totals>,
}

/// The members a caller can set, as it may send them.
pub(super) fn input_of(row: &AccountRow) -> Map<String, Value> {
    let config = &row.config;
    members(json!({
        "label": config.label,
        "priority": config.priority,
        "weight": config.weight,
        "enabled": config.enabled,
        "tags": config.tags,
        "max_concurrent": config.max_concurrent,
        "proxy": proxy_object(&config.proxy),
        "endpoint": config.endpoint,
        "params": params(config),
        "tier": config.tier.map(Tier::as_str),
        "min_remaining_percent": config.min_remaining_percent,
        "allow_overage": config.allow_overage,
        "allowed_models": config.allowed_models,
        "excluded_models": config.excluded_models,
        "refresh_enabled": config.refresh_enabled,
        "notes": row.about.notes,
    }))
}

pub(super) fn object(now: UnixMs, parts: &Parts<'_>, snapshot: &Snapshot) -> Value {
    let Parts { row, view, last4, day } = *parts;
    let config = &row.config;
    let mut object = input_of(row);
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("id", config.id.to_string().into());
    put("provider", (*config.provider).into());
    put("kind", config.kind.as_str().into());
    put("email", row.about.email.clone().into());
    put("plan", row.about.plan.clone().into());
    put("ownership", config.ownership.as_str().into());
    put("follow_path", config.follow_path.clone().into());
    put("validation", row.about.validation.clone().into());
    put("validated_at", row.about.validated_at.into());
    put("source", row.about.source.clone().into());
    put("secrets", secrets(view, last4));
    put("state", state(now, view, snapshot));
    put("quota", quota_of(now, view).unwrap_or_default());
    let nothing = Totals::default();
    let day = day.unwrap_or(&nothing);
    put(
        "stats_24h",
        json!({"requests": day.requests, "failed": day.failed, "list_umicro": day.list_umicro}),
    );
    put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
    put("rev", row.rev.into());
    put("created_at", config.created_at.into());
    Value::Object(object)
}

fn secrets(view: Option<&AccountView>, last4: Option<&str>) -> Value {
    let shown = view.map(|view| &*view.shown);
    json!({
        "api_key": last4.map(|last4| json!({"set": true, "last4": last4})),
        "access_token_expires_at": shown.and_then(|shown| shown.expires_at),
        "refreshable": shown.is_some_and(|shown| shown.refreshable),
        "last_refresh_at": shown.and_then(|shown| shown.last_refresh_at),
        "generation": shown.map(|shown| shown.generation),
    })
}

fn state(now: UnixMs, view: Option<&AccountView>, snapshot: &Snapshot) -> Value {
    let Some(view) = view else {
        return json!({"status": "unstable", "text": "its actor is not there yet", "until": null});
    };
    let status = status::of(now, view, status::reserve(view, snapshot));
    let locks: Vec<Value> = view.locks.iter().filter(|lock| lock.until > now).map(lock).collect();
    json!({
        "status": status.word,
        "text": status.text,
        "until": status.until,
        "auth": auth(&view.shown.auth),
        "quota": status::quota(now, view).as_str(),
        "health": if view.faulted { "unhealthy" } else { "ok" },
        "locks": locks,
        "in_flight": view.in_flight,
        "max_in_flight": view.max_concurrent,
        "last_used_at": Some(view.last_used_at).filter(|at| *at > 0),
        "last_ok_at": view.shown.last_ok_at,
        "last_error": view.shown.last_error,
    })
}

fn lock(lock: &Lock) -> Value {
    json!({
        "scope": lock.scope.to_string(),
        "reason": &*lock.reason,
        "class": lock.class.as_str(),
        "until": lock.until,
        "level": lock.level,
    })
}

fn auth(auth: &ShownAuth) -> Value {
    match auth {
        ShownAuth::Ok => json!({"state": "ok"}),
        ShownAuth::Refreshing => json!({"state": "refreshing"}),
        ShownAuth::Expiring { until } => json!({"state": "expiring", "until": until}),
        ShownAuth::Expired { next_try } => json!({"state": "expired", "next_try": next_try}),
        ShownAuth::Dead { reason, since } => {
            json!({"state": "dead", "reason": reason, "since": since})
        }
    }
}

/// The canonical form of accounts §4.1; `None` = nothing is known.
pub(in crate::api) fn quota_of(now: UnixMs, view: Option<&AccountView>) -> Option<Value> {
    let document = view?.shown.quota.as_deref()?;
    // A document of texts and numbers always is JSON.
    serde_json::to_value(document.as_of(now)).ok()
}

/// `{mode, id}`.
pub(in crate::api) fn proxy_object(choice: &ProxyChoice) -> Value {
    match choice {
        ProxyChoice::Inherit => json!({"mode": "inherit", "id": null}),
        ProxyChoice::Direct => json!({"mode": "direct", "id": null}),
        ProxyChoice::Proxy(id) => json!({"mode": "proxy", "id": id}),
    }
}

fn params(config: &AccountConfig) -> Value {
    let params =
        config.params.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Value::Object(params.collect())
}
