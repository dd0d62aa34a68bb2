//! Tables `account_hot_state` and `account_locks`: what an account's actor wants to know again.

use diesel::prelude::*;
use serde_json::{Value, json};

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::routing::account::AuthState;
use crate::routing::lock::Lock;
use crate::store::column::{self, Cell};
use crate::store::error::StoreError;
use crate::store::schema::{account_hot_state as state, account_locks as locks, accounts};

const STATE: &str = "account_hot_state";
const LOCKS: &str = "account_locks";

/// Credential state (A§0.3).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum StoredAuth {
    /// Usable.
    #[default]
    Ok,
    /// A refresh was under way. Never loaded: see [`load`].
    Refreshing,
    /// The refresh token is dead, the access token still works.
    Expiring {
        /// End of the access token, Unix ms.
        until: UnixMs,
        /// What it is dead of then.
        reason: String,
    },
    /// No valid access token.
    Expired {
        /// Next refresh; `None` = no refresh path.
        next_try: Option<UnixMs>,
    },
    /// Only the operator can mend it.
    Dead {
        /// Short reason: `revoked`, `secrets_unreadable` …
        reason: String,
        /// Unix ms.
        since: UnixMs,
    },
}

/// Quota state (A§0.3); the numbers are in [`HotState::quota_detail`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoredQuota {
    /// Nothing known; eligible.
    #[default]
    Unknown,
    /// Enough left.
    Ok,
    /// Nearly used up.
    Low,
    /// Used up.
    Exhausted,
}

/// Health (A§0.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoredHealth {
    /// Well.
    #[default]
    Ok,
    /// Some failures.
    Degraded,
    /// Many failures.
    Unhealthy,
}

/// Hot state of an account. Never holds a token.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HotState {
    /// Credential state.
    pub auth: StoredAuth,
    /// Quota state.
    pub quota: StoredQuota,
    /// Canonical quota document (A§4.1); `None` = nothing observed.
    pub quota_detail: Option<Value>,
    /// When the quota was observed, Unix ms.
    pub quota_observed_at: Option<UnixMs>,
    /// Health.
    pub health: StoredHealth,
    /// Last lease, Unix ms.
    pub last_used_at: Option<UnixMs>,
    /// Last success, Unix ms.
    pub last_ok_at: Option<UnixMs>,
    /// Last failure as shown to the operator, redacted.
    pub last_error: Option<Value>,
}

impl HotState {
    /// What routing may do with the credential; one that cannot be read is dead (SEC-KEY-3).
    #[must_use]
    pub fn auth_state(&self, readable: bool) -> AuthState {
        match self.auth {
            _ if !readable => AuthState::Dead,
            StoredAuth::Dead { .. } => AuthState::Dead,
            StoredAuth::Expired { next_try } => AuthState::Expired { next_try },
            StoredAuth::Ok | StoredAuth::Refreshing | StoredAuth::Expiring { .. } => AuthState::Ok,
        }
    }
}

column::names!(StoredQuota, quota_text, quota_from, {
    Unknown => "unknown",
    Ok => "ok",
    Low => "low",
    Exhausted => "exhausted",
});

column::names!(StoredHealth, health_text, health_from, {
    Ok => "ok",
    Degraded => "degraded",
    Unhealthy => "unhealthy",
});

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = state, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    account_id: String,
    auth: String,
    auth_detail: String,
    quota: String,
    quota_json: String,
    quota_observed_at: Option<UnixMs>,
    health: String,
    last_used_at: Option<UnixMs>,
    last_ok_at: Option<UnixMs>,
    last_error: Option<String>,
    updated_at: UnixMs,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = locks, treat_none_as_default_value = false)]
struct RawLock {
    account_id: String,
    scope: String,
    until: UnixMs,
    reason: String,
    class: String,
    level: i64,
    set_at: UnixMs,
}

/// Replaces an account's hot state and locks.
///
/// # Errors
///
/// No such account, or the database fails.
pub fn save(
    conn: &mut SqliteConnection,
    id: AccountId,
    open_locks: &[Lock],
    hot: &HotState,
    now: UnixMs,
) -> Result<(), StoreError> {
    let id = id.to_string();
    let known: i64 = accounts::table.filter(accounts::id.eq(&id)).count().get_result(conn)?;
    if known == 0 {
        return Err(StoreError::not_found("accounts", id));
    }
    let row = write(&id, hot, now);
    diesel::insert_into(state::table)
        .values(&row)
        .on_conflict(state::account_id)
        .do_update()
        .set(&row)
        .execute(conn)?;
    diesel::delete(locks::table.filter(locks::account_id.eq(&id))).execute(conn)?;
    for lock in open_locks.iter().filter(|lock| lock.until > now) {
        diesel::replace_into(locks::table).values(&write_lock(&id, lock)).execute(conn)?;
    }
    Ok(())
}

/// Hot state and open locks of every account that has some. Locks that ended by `now` are left out.
///
/// A refresh that was under way when the process ended becomes `Ok` or `Expired`, by the end of the
/// access token (A§0.3).
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn load(
    conn: &mut SqliteConnection,
    now: UnixMs,
) -> Result<Vec<(AccountId, HotState, Vec<Lock>)>, StoreError> {
    select(conn, None, now)
}

/// Hot state and open locks of one account; defaults when nothing was stored. As [`load`].
///
/// # Errors
///
/// See [`load`].
pub fn load_one(
    conn: &mut SqliteConnection,
    id: AccountId,
    now: UnixMs,
) -> Result<(HotState, Vec<Lock>), StoreError> {
    let found = select(conn, Some(id), now)?.pop();
    Ok(found.map(|(_, hot, locks)| (hot, locks)).unwrap_or_default())
}

fn select(
    conn: &mut SqliteConnection,
    only: Option<AccountId>,
    now: UnixMs,
) -> Result<Vec<(AccountId, HotState, Vec<Lock>)>, StoreError> {
    use crate::store::schema::account_secrets as secrets;

    let mut stored = accounts::table
        .left_join(state::table)
        .left_join(secrets::table)
        .order(accounts::id)
        .select((accounts::id, Option::<Raw>::as_select(), secrets::expires_at.nullable()))
        .into_boxed();
    let mut open = locks::table
        .filter(locks::until.gt(now))
        .order((locks::account_id, locks::scope))
        .select(RawLock::as_select())
        .into_boxed();
    if let Some(id) = only {
        stored = stored.filter(accounts::id.eq(id.to_string()));
        open = open.filter(locks::account_id.eq(id.to_string()));
    }
    let rows: Vec<(String, Option<Raw>, Option<UnixMs>)> = stored.load(conn)?;
    let mut open = open.load::<RawLock>(conn)?.into_iter().peekable();
    let mut out = Vec::with_capacity(rows.len());
    for (id, raw, expires_at) in rows {
        let mut own = Vec::new();
        while let Some(lock) = open.next_if(|lock| lock.account_id == id) {
            own.push(read_lock(&lock)?);
        }
        let mut hot = raw.map(|raw| read(&raw)).transpose()?.unwrap_or_default();
        if hot.auth == StoredAuth::Refreshing {
            hot.auth = if expires_at.is_some_and(|end| end <= now) {
                StoredAuth::Expired { next_try: Some(now) }
            } else {
                StoredAuth::Ok
            };
        }
        out.push((Cell { table: "accounts", id: &id }.id("id", &id)?, hot, own));
    }
    Ok(out)
}

fn write(id: &str, hot: &HotState, now: UnixMs) -> Raw {
    let (auth, auth_detail) = match &hot.auth {
        StoredAuth::Ok => ("ok", json!({})),
        StoredAuth::Refreshing => ("refreshing", json!({})),
        StoredAuth::Expiring { until, reason } => {
            ("expiring", json!({ "until": until, "reason": reason }))
        }
        StoredAuth::Expired { next_try } => ("expired", json!({ "next_try": next_try })),
        StoredAuth::Dead { reason, since } => ("dead", json!({ "reason": reason, "since": since })),
    };
    Raw {
        account_id: id.to_owned(),
        auth: auth.to_owned(),
        auth_detail: auth_detail.to_string(),
        quota: quota_text(hot.quota).to_owned(),
        quota_json: hot.quota_detail.as_ref().map_or_else(|| "{}".to_owned(), Value::to_string),
        quota_observed_at: hot.quota_observed_at,
        health: health_text(hot.health).to_owned(),
        last_used_at: hot.last_used_at,
        last_ok_at: hot.last_ok_at,
        last_error: hot.last_error.as_ref().map(Value::to_string),
        updated_at: now,
    }
}

fn read(raw: &Raw) -> Result<HotState, StoreError> {
    let cell = Cell { table: STATE, id: &raw.account_id };
    let detail = cell.json("auth_detail", &raw.auth_detail)?;
    let quota_detail = match cell.json("quota_json", &raw.quota_json)? {
        Value::Object(empty) if empty.is_empty() => None,
        other => Some(other),
    };
    let last_error = raw.last_error.as_deref();
    Ok(HotState {
        auth: cell.name("auth", &raw.auth, |name| auth_from(name, &detail))?,
        quota: cell.name("quota", &raw.quota, quota_from)?,
        quota_detail,
        quota_observed_at: raw.quota_observed_at,
        health: cell.name("health", &raw.health, health_from)?,
        last_used_at: raw.last_used_at,
        last_ok_at: raw.last_ok_at,
        last_error: last_error.map(|text| cell.json("last_error", text)).transpose()?,
    })
}

fn auth_from(name: &str, detail: &Value) -> Option<StoredAuth> {
    let instant = |key: &str| detail.get(key).and_then(Value::as_i64);
    let reason = || detail.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    match name {
        "ok" => Some(StoredAuth::Ok),
        "refreshing" => Some(StoredAuth::Refreshing),
        "expiring" => Some(StoredAuth::Expiring { until: instant("until")?, reason: reason() }),
        "expired" => Some(StoredAuth::Expired { next_try: instant("next_try") }),
        "dead" => {
            Some(StoredAuth::Dead { reason: reason(), since: instant("since").unwrap_or_default() })
        }
        _ => None,
    }
}

fn write_lock(id: &str, lock: &Lock) -> RawLock {
    RawLock {
        account_id: id.to_owned(),
        scope: lock.scope.to_string(),
        until: lock.until,
        reason: lock.reason.to_string(),
        class: column::class_text(lock.class).to_owned(),
        level: i64::from(lock.level),
        set_at: lock.set_at,
    }
}

fn read_lock(raw: &RawLock) -> Result<Lock, StoreError> {
    let cell = Cell { table: LOCKS, id: &raw.account_id };
    Ok(Lock {
        scope: cell.name("scope", &raw.scope, |text| text.parse().ok())?,
        until: raw.until,
        reason: raw.reason.as_str().into(),
        class: cell.name("class", &raw.class, column::class_from)?,
        level: cell.number("level", raw.level)?,
        set_at: raw.set_at,
    })
}
