//! Models of all providers: what the catalog, live lists and the operator say of them.

use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, page};
use crate::api::prices::price_object;
use crate::api::providers::provider_named;
use crate::api::{Api, managed};
use crate::config::file;
use crate::provider::catalog::Provider;
use crate::provider::model::Model;
use crate::provider::models::LiveModel;
use crate::store::models::{self, ModelOrigin, ModelRow};
use crate::store::{Connection, Stamp, StoreError};

const WHAT: &str = "model";

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let own = ["provider", "connected", "caps", "min_ctx", "include", "kind"];
    call.only_query(&[&page::QUERY[..], &own].concat())?;
    let wish = Wish::of(&call)?;
    let rows = api.read(models::list).await?;
    let snapshot = api.shared().snapshot.load();
    let only = call.query("provider").map(|name| provider_named(&snapshot, name)).transpose()?;
    let mut items = Vec::new();
    for provider in snapshot.catalog.providers() {
        let is_asked_for = only.as_ref().is_none_or(|only| only.id == provider.id);
        let is_connected =
            || snapshot.names.served.as_ref().is_none_or(|served| served.contains(&provider.id));
        if is_asked_for && (!wish.connected || is_connected()) {
            of_provider(&snapshot, provider, &rows, &mut items);
        }
    }
    for (key, item) in &mut items {
        api.put_last_test(key, item);
    }
    items.retain(|(key, item)| wish.fits(item) && page::found(&call, &[key, text(item, "name")]));
    items.sort_by(|a, b| a.0.cmp(&b.0));
    page(&call, items)
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let given = merged(Map::new(), call.object()?);
    let mut row = file::model(&Value::Object(given))?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &row.provider)?;
    row.provider = provider.id.to_string();
    row.source = ModelOrigin::Manual;
    if provider.model(&row.model).is_some() {
        let message =
            format!("`{}` has the model `{}` already; change it instead", provider.id, row.model);
        return Err(ApiError::new(409, "conflict", message).field("id", "exists"));
    }
    let now = api.shared().clock.now_ms();
    let made = row.clone();
    api.write(move |conn| {
        if find(conn, &made.provider, &made.model)?.is_some() {
            let message =
                format!("the model `{}` is stored already; change it instead", made.model);
            return Ok(Err(ApiError::new(409, "conflict", message)));
        }
        models::upsert(conn, &made, Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::created(api.model(&row.provider, &row.model).await?))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, call.param("provider"))?;
    let id = call.param("model").to_owned();
    let (provider_id, model) = (provider.id.to_string(), id.clone());
    let old = api.read(move |conn| find(conn, &provider_id, &model)).await?;
    managed(WHAT, old.as_ref().and_then(|row| row.managed_by))?;
    let stored = old.as_ref().map_or(0, |row| row.rev);
    if rev.is_some_and(|rev| rev != stored) {
        return Err(ApiError::conflict(api.model(&provider.id, &id).await?));
    }
    for fixed in ["provider", "id", "model"] {
        if patch.contains_key(fixed) {
            return Err(ApiError::invalid(fixed, "is the model's place; it cannot change"));
        }
    }
    let listed =
        provider.model(&id).is_some() || snapshot.names.live.model(&provider.id, &id).is_some();
    if old.is_none() && !listed {
        return Err(ApiError::not_found(WHAT, &id));
    }
    let base = match &old {
        Some(row) => input_of(row),
        None => {
            let kind = provider.model(&id).map(|model| model.kind).unwrap_or_default();
            members(json!({"provider": &*provider.id, "id": id, "kind": kind}))
        }
    };
    let mut new = file::model(&Value::Object(merged(base, patch)))?;
    new.provider = provider.id.to_string();
    new.source = old.map_or(ModelOrigin::Override, |row| row.source);
    let now = api.shared().clock.now_ms();
    api.write(move |conn| {
        let seen = find(conn, &new.provider, &new.model)?.map_or(0, |row| row.rev);
        if seen != stored {
            return Ok(Err(ApiError::conflict(Value::Null)));
        }
        models::upsert(conn, &new, Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::ok(api.model(&provider.id, &id).await?))
}

/// A model that was added goes; one that was changed is again as the catalog says.
pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, call.param("provider"))?.id.to_string();
    let id = call.param("model").to_owned();
    api.write(move |conn| {
        let Some(row) = find(conn, &provider, &id)? else {
            return Ok(Err(ApiError::not_found("stored model", &id)));
        };
        if let Err(why) = managed(WHAT, row.managed_by) {
            return Ok(Err(why));
        }
        if rev.is_some_and(|rev| rev != row.rev) {
            return Ok(Err(ApiError::conflict(Value::Object(input_of(&row)))));
        }
        models::delete(conn, &provider, &id).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

impl Api {
    async fn model(&self, provider: &str, id: &str) -> Result<Value, ApiError> {
        let rows = self.read(models::list).await?;
        let snapshot = self.shared().snapshot.load();
        let provider = provider_named(&snapshot, provider)?;
        let mut items = Vec::new();
        of_provider(&snapshot, provider, &rows, &mut items);
        let found = items.into_iter().find(|(_, item)| text(item, "model") == id);
        let (key, mut item) = found.ok_or_else(|| ApiError::not_found(WHAT, id))?;
        self.put_last_test(&key, &mut item);
        Ok(item)
    }

    fn put_last_test(&self, key: &str, item: &mut Value) {
        if let Value::Object(item) = item {
            item.insert("last_test".to_owned(), self.service.model_tests.of(key));
        }
    }

    /// Ids of a provider's chat models that are switched on.
    pub(super) async fn chat_models(&self, provider: &Provider) -> Result<Vec<String>, ApiError> {
        let rows = self.read(models::list).await?;
        let snapshot = self.shared().snapshot.load();
        let mut items = Vec::new();
        of_provider(&snapshot, provider, &rows, &mut items);
        let is_chat = |item: &Value| {
            text(item, "kind") == "chat" && item.get("enabled") == Some(&Value::Bool(true))
        };
        let ids = items.iter().filter(|(_, item)| is_chat(item));
        Ok(ids.map(|(_, item)| text(item, "model").to_owned()).collect())
    }
}

/// What a list is narrowed to.
struct Wish {
    connected: bool,
    disabled: bool,
    caps: Vec<String>,
    min_ctx: Option<u64>,
    kind: Option<String>,
}

impl Wish {
    fn of(call: &Call) -> Result<Self, ApiError> {
        let disabled = match call.query("include") {
            None => false,
            Some("disabled") => true,
            Some(_) => return Err(ApiError::invalid("include", "expected `disabled`")),
        };
        let min_ctx = call.query("min_ctx").map(|text| {
            text.parse()
                .map_err(|_no_number| ApiError::invalid("min_ctx", "expected a number of tokens"))
        });
        let caps = call.query("caps").unwrap_or_default().split(',').map(str::trim);
        Ok(Self {
            connected: call.flag("connected")?,
            disabled,
            caps: caps.filter(|cap| !cap.is_empty()).map(str::to_owned).collect(),
            min_ctx: min_ctx.transpose()?,
            kind: call.query("kind").map(str::to_owned),
        })
    }

    fn fits(&self, item: &Value) -> bool {
        let list = item.get("caps").and_then(Value::as_array);
        let has = |cap: &String| list.is_some_and(|caps| caps.iter().any(|own| own == cap));
        (self.disabled || item.get("enabled") == Some(&Value::Bool(true)))
            && self.caps.iter().all(has)
            && self.min_ctx.is_none_or(|least| {
                item.get("ctx").and_then(Value::as_u64).is_some_and(|ctx| ctx >= least)
            })
            && self.kind.as_ref().is_none_or(|kind| text(item, "kind") == kind)
    }
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn of_provider(
    snapshot: &Snapshot,
    provider: &Provider,
    rows: &[ModelRow],
    items: &mut Vec<(String, Value)>,
) {
    let live = snapshot.names.live.of(&provider.id);
    let row = |id: &str| rows.iter().find(|row| row.provider == *provider.id && row.model == id);
    for model in &provider.models {
        let said = live.as_ref().and_then(|live| live.model(&model.id));
        items.push(item(snapshot, provider, &model.id, Some(model), said, row(&model.id)));
    }
    let fresh = live.iter().flat_map(|live| live.models());
    for model in fresh.filter(|model| provider.model(&model.id).is_none()) {
        items.push(item(snapshot, provider, &model.id, None, Some(model), row(&model.id)));
    }
}

/// The operator outranks the upstream's list, that one the catalog.
fn item(
    snapshot: &Snapshot,
    provider: &Provider,
    id: &str,
    model: Option<&Model>,
    live: Option<&LiveModel>,
    row: Option<&ModelRow>,
) -> (String, Value) {
    let by_operator = model.is_some_and(|model| model.by_operator);
    let number = |own: Option<u32>, live: Option<u32>| {
        if by_operator { own.or(live) } else { live.or(own) }
    };
    let key = format!("{}/{id}", provider.prefix());
    let source = match row.map(|row| row.source) {
        Some(ModelOrigin::Manual) => "manual",
        Some(ModelOrigin::Override) => "override",
        None if model.is_some() => "catalog",
        None => "live",
    };
    let named = model.map(|model| model.name.as_str());
    let name = named.or(live.and_then(|live| live.name.as_deref())).unwrap_or(id);
    let value = json!({
        "provider": &*provider.id,
        "model": id,
        "key": key,
        "name": name,
        "kind": model.map(|model| model.kind).unwrap_or_default(),
        "ctx": number(model.and_then(|m| m.ctx), live.and_then(|l| l.ctx)),
        "max_output": number(model.and_then(|m| m.out), live.and_then(|l| l.out)),
        "caps": model.map(|model| model.caps.iter().collect::<Vec<_>>()).unwrap_or_default(),
        "think": model.and_then(|model| model.think),
        "price": snapshot.list_price(provider, id).map(|(price, from)| price_object(&price, from)),
        "source": source,
        "enabled": row.map_or(model.is_none_or(|model| model.listed), |row| row.enabled),
        "managed_by": row.and_then(|row| row.managed_by).map(|owner| owner.as_str()),
        "rev": row.map_or(0, |row| row.rev),
    });
    (key, value)
}

fn input_of(row: &ModelRow) -> Map<String, Value> {
    members(json!({
        "provider": row.provider,
        "id": row.model,
        "enabled": row.enabled,
        "name": row.name,
        "kind": row.kind,
        "ctx": row.ctx,
        "max_output": row.max_output,
        "caps": row.caps,
        "think": row.think,
    }))
}

fn find(
    conn: &mut Connection,
    provider: &str,
    model: &str,
) -> Result<Option<ModelRow>, StoreError> {
    let fits = |row: &ModelRow| row.provider == provider && row.model == model;
    Ok(models::list(conn)?.into_iter().find(fits))
}
