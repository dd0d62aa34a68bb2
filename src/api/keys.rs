//! Router keys: made, listed, limited, revoked, rotated (SEC-AK-1…8).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found, page};
use crate::api::{Api, managed};
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::key::{KeyHasher, generate, shown_parts};
use crate::auth::limits::LimitKind;
use crate::clock::UnixMs;
use crate::config::file;
use crate::id::KeyId;
use crate::secret::Secret;
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::former_keys::{self, FormerKey};
use crate::store::{Connection, Stamp, StoreError};

/// Longest time a rotated text stays valid, seconds.
const LONGEST_GRACE: u32 = 86_400;
const WHAT: &str = "API key";

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let rows = api.read(api_keys::list).await?;
    let former = api.read(former_keys::list).await?;
    let shown = rows.iter().filter(|row| found(&call, &[&row.name, &row.prefix, &row.last4]));
    page(&call, shown.map(|row| (row.name.clone(), api.key_object(row, &former))))
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id = call.id(WHAT)?;
    let row = api.read(move |conn| api_keys::find(conn, id)).await?;
    let row = row.ok_or_else(|| ApiError::not_found(WHAT, call.param("id")))?;
    let former = api.read(former_keys::list).await?;
    Ok(Reply::ok(api.key_object(&row, &former)))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let object = merged(Map::new(), call.object()?);
    let mut row = file::key(&Value::Object(object))?;
    api.check_key_names(&row)?;
    let text = api.new_text(&mut row)?;
    let (row, former) = api
        .change_keys(move |conn, now| {
            api_keys::upsert(conn, &row, Stamp::operator(now))?;
            Ok(Ok(row.id))
        })
        .await?;
    if row.capture_bodies {
        api.note_capture(&call.caller, &row);
    }
    let key = api.key_object(&row, &former);
    // The only reply that ever holds the text.
    Ok(Reply::created(json!({"key": key, "text": text.expose()})))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: KeyId = call.id(WHAT)?;
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let (row, former) = api.key_of(id).await?;
    let current = api.key_object(&row, &former);
    managed(WHAT, row.managed_by)?;
    let mut base = input_of(&row);
    for amount in ["usd_day", "usd_month", "usd_total"] {
        // Both spellings at once would be a contradiction.
        if patch.contains_key(amount) {
            base.remove(&format!("{amount}_umicro"));
        }
    }
    let mut new = file::key(&Value::Object(merged(base, patch)))?;
    api.check_key_names(&new)?;
    keep_identity(&mut new, &row);
    let (seen, captured) = (row.rev, row.capture_bodies);
    let (row, former) = api
        .change_keys(move |conn, now| {
            let Some(stored) = api_keys::find(conn, id)? else {
                return Ok(Err(ApiError::not_found(WHAT, &id.to_string())));
            };
            if stored.rev != rev.unwrap_or(seen) || stored.rev != seen {
                return Ok(Err(ApiError::conflict(current)));
            }
            api_keys::upsert(conn, &new, Stamp::operator(now))?;
            Ok(Ok(id))
        })
        .await?;
    if row.capture_bodies != captured {
        api.note_capture(&call.caller, &row);
    }
    Ok(Reply::ok(api.key_object(&row, &former)))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: KeyId = call.id(WHAT)?;
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    let (row, former) = api.key_of(id).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.key_object(&row, &former)));
    }
    api.write(move |conn| api_keys::delete(conn, id).map(Ok)).await?;
    api.reload().await?;
    Ok(Reply::gone())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Revocation {
    /// Streams that run are cut as well.
    now: bool,
}

pub(super) async fn revoke(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: KeyId = call.id(WHAT)?;
    let wish: Revocation = call.typed()?;
    let (row, _) = api.key_of(id).await?;
    managed(WHAT, row.managed_by)?;
    let (row, former) = api
        .change_keys(move |conn, now| {
            let Some(mut row) = api_keys::find(conn, id)? else {
                return Ok(Err(ApiError::not_found(WHAT, &id.to_string())));
            };
            row.enabled = false;
            row.revoked_at = row.revoked_at.filter(|at| *at <= now).or(Some(now));
            api_keys::upsert(conn, &row, Stamp::operator(now))?;
            former_keys::delete(conn, id)?;
            Ok(Ok(id))
        })
        .await?;
    if wish.now {
        api.shared().revoked.cut(id);
    }
    Ok(Reply::ok(api.key_object(&row, &former)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// How long the old text stays valid; 0 = not at all.
    grace_s: u32,
}

pub(super) async fn rotate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: KeyId = call.id(WHAT)?;
    let wish: Rotation = call.typed()?;
    if wish.grace_s > LONGEST_GRACE {
        return Err(ApiError::invalid("grace_s", format!("must be 0 to {LONGEST_GRACE}")));
    }
    let (row, _) = api.key_of(id).await?;
    managed(WHAT, row.managed_by)?;
    let mut fresh = row.clone();
    let text = api.new_text(&mut fresh)?;
    let grace = i64::from(wish.grace_s) * 1_000;
    let (row, former) = api
        .change_keys(move |conn, now| {
            let Some(mut row) = api_keys::find(conn, id)? else {
                return Ok(Err(ApiError::not_found(WHAT, &id.to_string())));
            };
            if row.revoked_at.is_some_and(|at| at <= now) {
                let message = "the key is revoked; make a new one (`ninerouter key create`)";
                return Ok(Err(ApiError::new(409, "conflict", message)));
            }
            former_keys::delete(conn, id)?;
            if grace > 0 {
                let (prefix, last4) = (row.prefix.clone(), row.last4.clone());
                let old =
                    FormerKey { key: id, lookup: row.lookup, prefix, last4, until: now + grace };
                former_keys::insert(conn, &old, now)?;
            }
            (row.lookup, row.prefix, row.last4) = (fresh.lookup, fresh.prefix, fresh.last4);
            (row.legacy, row.hmac_key_version) = (false, fresh.hmac_key_version);
            api_keys::upsert(conn, &row, Stamp::operator(now))?;
            Ok(Ok(id))
        })
        .await?;
    let key = api.key_object(&row, &former);
    Ok(Reply::ok(json!({"key": key, "text": text.expose()})))
}

impl Api {
    async fn key_of(&self, id: KeyId) -> Result<(ApiKeyRow, Vec<FormerKey>), ApiError> {
        let read = move |conn: &mut Connection| {
            Ok(api_keys::find(conn, id)?.zip(Some(former_keys::list(conn)?)))
        };
        self.read(read).await?.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }

    /// Writes, takes the keys into use, and gives the key that was written.
    async fn change_keys(
        &self,
        work: impl FnOnce(&mut Connection, UnixMs) -> Result<Result<KeyId, ApiError>, StoreError>
        + Send
        + 'static,
    ) -> Result<(ApiKeyRow, Vec<FormerKey>), ApiError> {
        let now = self.shared().clock.now_ms();
        let id = self.write(move |conn| work(conn, now)).await?;
        self.reload().await?;
        self.key_of(id).await
    }

    /// From now on the bodies of a key's requests are kept, or no longer: the audit log tells who wanted it.
    fn note_capture(&self, caller: &Caller, row: &ApiKeyRow) {
        let name = match row.capture_bodies {
            true => EventName::DebugLoggingOn,
            false => EventName::DebugLoggingOff,
        };
        let event = Event::ok(name).with("mode", "key").with("id", row.id.to_string());
        self.shared().audit.record(caller, event);
    }

    /// Makes a text and puts what is kept of it into `row`.
    fn new_text(&self, row: &mut ApiKeyRow) -> Result<Secret, ApiError> {
        let text = generate().map_err(|why| ApiError::unavailable(why.to_string()))?;
        let fixed = Arc::clone(&self.shared().snapshot.load().fixed);
        row.lookup = KeyHasher::new(&fixed.key_secret.current).mac(text.expose());
        (row.prefix, row.last4) = shown_parts(text.expose(), false);
        row.legacy = false;
        Ok(text)
    }

    /// Names in a key's lists must mean something: a misspelt one would lock out, or let in, without a word.
    fn check_key_names(&self, row: &ApiKeyRow) -> Result<(), ApiError> {
        let snapshot = self.shared().snapshot.load();
        for (index, name) in row.allowed_providers.iter().flatten().enumerate() {
            let catalog = &snapshot.catalog;
            if catalog.by_id(name).or_else(|| catalog.by_prefix(name)).is_none() {
                let why = format!("there is no provider or node `{name}`");
                return Err(ApiError::invalid(&format!("allowed_providers[{index}]"), why));
            }
        }
        for (index, name) in row.allowed_combos.iter().flatten().enumerate() {
            if !snapshot.names.combos.contains_key(name.as_str()) {
                let why = format!("there is no combo `{name}`");
                return Err(ApiError::invalid(&format!("allowed_combos[{index}]"), why));
            }
        }
        Ok(())
    }

    fn key_object(&self, row: &ApiKeyRow, former: &[FormerKey]) -> Value {
        let now = self.shared().clock.now_ms();
        let mut object = input_of(row);
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("id", row.id.to_string().into());
        put("prefix", row.prefix.clone().into());
        put("last4", row.last4.clone().into());
        put("legacy", row.legacy.into());
        put("revoked_at", row.revoked_at.into());
        put("last_used_at", row.last_used_at.into());
        put("spent", self.spent(row, now));
        let old = former.iter().find(|old| old.key == row.id && old.until > now);
        let old =
            old.map(|old| json!({"prefix": old.prefix, "last4": old.last4, "until": old.until}));
        put("former", old.into());
        put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
        put("rev", row.rev.into());
        put("created_at", row.created_at.into());
        Value::Object(object)
    }

    /// What limits with an amount have counted; members without a limit are not counted live.
    fn spent(&self, row: &ApiKeyRow, now: UnixMs) -> Value {
        let snapshot = self.shared().snapshot.load();
        let record = snapshot.keys.iter().find(|key| key.id == row.id);
        let views = record.map(|key| self.shared().limits.usage_view(key, now)).unwrap_or_default();
        let of = |kind| views.iter().find(|view| view.kind == kind).map(|view| view.used);
        json!({
            "day_umicro": of(LimitKind::UsdDay),
            "month_umicro": of(LimitKind::UsdMonth),
            "total_umicro": of(LimitKind::UsdTotal),
        })
    }
}

/// The members of a key that a caller can set, as it may send them.
fn input_of(row: &ApiKeyRow) -> Map<String, Value> {
    members(json!({
        "name": row.name,
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
        "usd_day_umicro": row.usd_day,
        "usd_month_umicro": row.usd_month,
        "usd_total_umicro": row.usd_total,
        "capture_bodies": row.capture_bodies,
    }))
}

/// What a change of limits leaves alone.
fn keep_identity(new: &mut ApiKeyRow, old: &ApiKeyRow) {
    new.id = old.id;
    new.lookup = old.lookup;
    new.prefix.clone_from(&old.prefix);
    new.last4.clone_from(&old.last4);
    new.legacy = old.legacy;
    new.hmac_key_version = old.hmac_key_version;
    new.revoked_at = old.revoked_at;
    new.last_used_at = old.last_used_at;
}

/// Refuses members of a body that only carries `rev`.
pub(super) fn no_more(body: &Map<String, Value>) -> Result<(), ApiError> {
    match body.keys().next() {
        None => Ok(()),
        Some(name) => {
            let name = super::error::shown(name);
            Err(ApiError::unknown_field(&name, format!("unknown member `{name}`")))
        }
    }
}
