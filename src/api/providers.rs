//! Providers: the catalog's entries and the operator's nodes, with the settings that are kept for each.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::actors::router::Views;
use crate::actors::snapshot::Snapshot;
use crate::api::accounts::change::proxy_problem;
use crate::api::accounts::input::proxy_of;
use crate::api::accounts::{proxy_object, status};
use crate::api::call::{Call, Reply};
use crate::api::error::{ApiError, shown};
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found, page};
use crate::api::settings::requester;
use crate::api::{Api, managed};
use crate::config::file;
use crate::config::keys::nearest;
use crate::provider::catalog::Provider;
use crate::routing::account::{AccountView, Tier};
use crate::store::provider_overrides::{self, ProviderOverride};
use crate::store::{Connection, Stamp, StoreError, accounts};

const WHAT: &str = "provider";

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&page::QUERY[..], &["filter"]].concat())?;
    let connected = match call.query("filter") {
        None | Some("all") => false,
        Some("connected") => true,
        Some(_) => return Err(ApiError::invalid("filter", "expected `connected` or `all`")),
    };
    let (rows, views) = (api.read(provider_overrides::list).await?, api.ask(Views).await?);
    let now = api.shared().clock.now_ms();
    let snapshot = api.shared().snapshot.load();
    let mut items = Vec::new();
    for provider in snapshot.catalog.providers() {
        let own: Vec<AccountView> =
            views.iter().filter(|view| view.config.provider == provider.id).cloned().collect();
        let aliases = provider.aliases.join(" ");
        if (!connected || !own.is_empty())
            && found(&call, &[&provider.id, &provider.name, &aliases])
        {
            let row = rows.iter().find(|row| row.provider == *provider.id);
            let counts = status::counts(now, &own, &snapshot);
            items.push((provider.id.to_string(), object(&snapshot, provider, row, counts)));
        }
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    page(&call, items)
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    Ok(Reply::ok(api.provider(call.param("id")).await?))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let id = provider_named(&api.shared().snapshot.load(), call.param("id"))?.id.to_string();
    let wanted = id.clone();
    let old = api.read(move |conn| find(conn, &wanted)).await?;
    managed(WHAT, old.as_ref().and_then(|row| row.managed_by))?;
    let seen = old.as_ref().map_or(0, |row| row.rev);
    if rev.is_some_and(|rev| rev != seen) {
        return Err(ApiError::conflict(api.provider(&id).await?));
    }
    let base = old.clone().unwrap_or_else(|| ProviderOverride::new(id.clone()));
    let way = match patch.remove("proxy") {
        None => base.proxy.clone(),
        Some(choice) => proxy_of(&choice)?,
    };
    let mut given = input_of(&base);
    // The way names a proxy by its id here, by its name in a file.
    given.retain(|name, value| !value.is_null() && name != "proxy");
    let mut new = file::provider(&id, &Value::Object(merged(given, patch)))?;
    new.proxy = way;
    let now = api.shared().clock.now_ms();
    api.write(move |conn| {
        if let Some(why) = proxy_problem(conn, &new.proxy)? {
            return Ok(Err(why));
        }
        if find(conn, &new.provider)?.map_or(0, |row| row.rev) != seen {
            return Ok(Err(ApiError::conflict(Value::Null)));
        }
        provider_overrides::upsert(conn, &new, Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::ok(api.provider(&id).await?))
}

/// The operator's own OAuth client: settings `oauth.<provider>.client_id` and `.client_secret`; null = none.
pub(super) async fn put_client(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let given = call.object()?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, call.param("id"))?;
    if provider.oauth.is_none() {
        let message = format!("{} has no sign-in, so it has no OAuth client", provider.name);
        return Err(ApiError::new(409, "conflict", message));
    }
    let mut changes = Map::new();
    for (name, value) in given {
        if !matches!(name.as_str(), "client_id" | "client_secret") {
            let name = shown(&name);
            return Err(ApiError::unknown_field(&name, format!("unknown member `{name}`")));
        }
        changes.insert(format!("oauth.{}.{name}", provider.id), value);
    }
    if changes.is_empty() {
        return Err(ApiError::invalid("client_secret", "is missing"));
    }
    let requester = requester(api, &call, &mut Map::new())?;
    api.patch_settings(&call.caller, changes, None, requester).await?;
    Ok(Reply::ok(api.provider(&provider.id).await?))
}

/// Deletes the accounts of a provider; what they used stays in the statistics.
pub(super) async fn remove_data(api: &Api, call: Call) -> Result<Reply, ApiError> {
    no_more(&call.object()?)?;
    let id = provider_named(&api.shared().snapshot.load(), call.param("id"))?.id.to_string();
    let deleted = api
        .write(move |conn| {
            let rows = accounts::list(conn)?;
            let own: Vec<_> = rows.iter().filter(|row| *row.config.provider == *id).collect();
            for row in &own {
                if let Err(why) = managed("account", row.managed_by) {
                    return Ok(Err(why.with("account", row.config.label.clone().into())));
                }
            }
            for row in &own {
                accounts::delete(conn, row.config.id)?;
            }
            Ok(Ok(own.len()))
        })
        .await?;
    api.reload().await?;
    Ok(Reply::ok(json!({ "deleted": deleted })))
}

impl Api {
    async fn provider(&self, name: &str) -> Result<Value, ApiError> {
        let views = self.ask(Views).await?;
        let id = provider_named(&self.shared().snapshot.load(), name)?.id.to_string();
        let row = self.read(move |conn| find(conn, &id)).await?;
        let now = self.shared().clock.now_ms();
        let snapshot = self.shared().snapshot.load();
        let provider = provider_named(&snapshot, name)?;
        let own: Vec<AccountView> =
            views.into_iter().filter(|view| view.config.provider == provider.id).collect();
        let counts = status::counts(now, &own, &snapshot);
        Ok(object(&snapshot, provider, row.as_ref(), counts))
    }
}

/// The provider or node that an id or a prefix names.
///
/// # Errors
/// 404 with the nearest name.
pub(super) fn provider_named<'s>(
    snapshot: &'s Snapshot,
    name: &str,
) -> Result<&'s Arc<Provider>, ApiError> {
    let catalog = &snapshot.catalog;
    let found = catalog.by_id(name).or_else(|| catalog.by_prefix(name));
    found.ok_or_else(|| {
        let near = nearest(&name.to_lowercase(), catalog.prefixes());
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let message = format!("there is no provider or node `{}`{near}", shown(name));
        ApiError::new(404, "not_found", message)
    })
}

fn find(conn: &mut Connection, id: &str) -> Result<Option<ProviderOverride>, StoreError> {
    Ok(provider_overrides::list(conn)?.into_iter().find(|row| row.provider == id))
}

fn object(
    snapshot: &Snapshot,
    provider: &Provider,
    row: Option<&ProviderOverride>,
    accounts: Value,
) -> Value {
    let params = provider.params.iter().map(|param| {
        json!({
            "name": param.name,
            "label": param.label,
            "required": param.required,
            "default": Some(&param.default).filter(|text| !text.is_empty()),
        })
    });
    let endpoints = provider.endpoints.iter().map(|endpoint| {
        json!({
            "name": endpoint.name,
            "wire": endpoint.wire.as_words(),
            "url": format!("{}{}", endpoint.base_url, endpoint.path),
            "overridden": provider.overridden,
        })
    });
    let needs_secret = provider.oauth.as_ref().is_some_and(|oauth| oauth.client_secret_required);
    let client = snapshot.oauth_client(&provider.id);
    let has_secret = client.is_some_and(|client| client.client_secret.is_some());
    let settings = row.cloned().unwrap_or_else(|| ProviderOverride::new(provider.id.to_string()));
    json!({
        "id": &*provider.id,
        "name": provider.name,
        "aliases": provider.aliases,
        "node": provider.node,
        "tier": snapshot.tier(provider, None).as_str(),
        "upstream_status": provider.upstream_status,
        "status_note": provider.status_note,
        "risk_notice": provider.risk_notice,
        "kinds": provider.kinds,
        "auth": provider.auth,
        "params": params.collect::<Vec<_>>(),
        "endpoints": endpoints.collect::<Vec<_>>(),
        "client_secret": {"required": needs_secret, "set": has_secret},
        "signup_url": provider.signup_url,
        "key_url": provider.key_url,
        "models": provider.models.len(),
        "accounts": accounts,
        "settings": input_of(&settings),
        "managed_by": row.and_then(|row| row.managed_by).map(|owner| owner.as_str()),
        "rev": row.map_or(0, |row| row.rev),
    })
}

fn input_of(row: &ProviderOverride) -> Map<String, Value> {
    let headers = row.headers.iter().map(|(name, value)| json!({"name": name, "value": value}));
    members(json!({
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
        "proxy": proxy_object(&row.proxy),
        "headers": headers.collect::<Vec<_>>(),
        "retry_statuses": row.retry_statuses,
        "count_notional": row.count_notional,
    }))
}
