//! Table `api_keys`: keys of the router's clients. Their text is not stored anywhere.

use diesel::prelude::*;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::id::KeyId;
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::api_keys;

const TABLE: &str = "api_keys";

/// A key as stored. Lists that are `None` allow everything.
#[derive(Clone, PartialEq, Debug)]
pub struct ApiKeyRow {
    /// Stored id.
    pub id: KeyId,
    /// Keyed MAC of the key's text.
    pub lookup: [u8; 32],
    /// First characters, for people.
    pub prefix: String,
    /// Last four characters, for people.
    pub last4: String,
    /// Unique name.
    pub name: String,
    /// Imported from another router: opaque text (SEC-AK-3).
    pub legacy: bool,
    /// Version of the key that made `lookup`.
    pub hmac_key_version: i64,
    /// The operator's switch.
    pub enabled: bool,
    /// Unix ms.
    pub revoked_at: Option<UnixMs>,
    /// Unix ms.
    pub expires_at: Option<UnixMs>,
    /// Unix ms, at most once a minute.
    pub last_used_at: Option<UnixMs>,
    /// `inference`, `models`, `usage:own`.
    pub scopes: Vec<String>,
    /// Globs over `prefix/model`.
    pub allowed_models: Option<Vec<String>>,
    /// Provider ids.
    pub allowed_providers: Option<Vec<String>>,
    /// Names of combos.
    pub allowed_combos: Option<Vec<String>>,
    /// Networks the client must be in.
    pub allowed_cidrs: Option<Vec<String>>,
    /// Requests per minute.
    pub rpm: Option<i64>,
    /// Tokens per minute.
    pub tpm: Option<i64>,
    /// Requests at once.
    pub max_concurrent: Option<i64>,
    /// Micro-dollars per UTC day.
    pub usd_day: Option<i64>,
    /// Micro-dollars per UTC month.
    pub usd_month: Option<i64>,
    /// Micro-dollars for ever.
    pub usd_total: Option<i64>,
    /// Bodies of its requests are kept for debugging.
    pub capture_bodies: bool,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
    /// Unix ms. Set on writing a new row.
    pub created_at: UnixMs,
}

impl ApiKeyRow {
    /// A key without limits that is not stored yet.
    #[must_use]
    pub fn new(id: KeyId, name: String, lookup: [u8; 32], prefix: String, last4: String) -> Self {
        let scopes = ["inference", "models", "usage:own"];
        Self {
            id,
            lookup,
            prefix,
            last4,
            name,
            legacy: false,
            hmac_key_version: 1,
            enabled: true,
            revoked_at: None,
            expires_at: None,
            last_used_at: None,
            scopes: scopes.map(str::to_owned).to_vec(),
            allowed_models: None,
            allowed_providers: None,
            allowed_combos: None,
            allowed_cidrs: None,
            rpm: None,
            tpm: None,
            max_concurrent: None,
            usd_day: None,
            usd_month: None,
            usd_total: None,
            capture_bodies: false,
            managed_by: None,
            rev: 1,
            created_at: 0,
        }
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = api_keys, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    lookup: Vec<u8>,
    prefix: String,
    last4: String,
    name: String,
    legacy: bool,
    hmac_key_version: i64,
    enabled: bool,
    revoked_at: Option<UnixMs>,
    expires_at: Option<UnixMs>,
    last_used_at: Option<UnixMs>,
    scopes: String,
    allowed_models: Option<String>,
    allowed_providers: Option<String>,
    allowed_combos: Option<String>,
    allowed_cidrs: Option<String>,
    rpm: Option<i64>,
    tpm: Option<i64>,
    max_concurrent: Option<i64>,
    usd_day: Option<i64>,
    usd_month: Option<i64>,
    usd_total: Option<i64>,
    capture_bodies: bool,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

/// Every key, by name.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<ApiKeyRow>, StoreError> {
    let rows: Vec<Raw> =
        api_keys::table.order(api_keys::name).select(Raw::as_select()).load(conn)?;
    rows.into_iter().map(read).collect()
}

/// The key with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: KeyId) -> Result<Option<ApiKeyRow>, StoreError> {
    let row: Option<Raw> =
        api_keys::table.find(id.to_string()).select(Raw::as_select()).first(conn).optional()?;
    row.map(read).transpose()
}

/// The key with this name.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find_by_name(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<Option<ApiKeyRow>, StoreError> {
    let row: Option<Raw> = api_keys::table
        .filter(api_keys::name.eq(name))
        .select(Raw::as_select())
        .first(conn)
        .optional()?;
    row.map(read).transpose()
}

/// Stores a new key, or the new content of one with the same id (`rev` + 1).
///
/// # Errors
///
/// The name or the key itself is taken, a value is refused, or the database fails.
pub fn upsert(
    conn: &mut SqliteConnection,
    row: &ApiKeyRow,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let mut new = write(row, stamp);
    let old: Option<(i64, UnixMs)> = api_keys::table
        .find(&new.id)
        .select((api_keys::rev, api_keys::created_at))
        .first(conn)
        .optional()?;
    match old {
        None => {
            diesel::insert_into(api_keys::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(api_keys::table.find(&new.id)).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Notes that a key was used. The caller does so at most once a minute per key (SEC-AK-2).
///
/// # Errors
///
/// The database fails.
pub fn touch(
    conn: &mut SqliteConnection,
    id: KeyId,
    at: UnixMs,
    last_used: &Value,
) -> Result<(), StoreError> {
    diesel::update(api_keys::table.find(id.to_string()))
        .set((api_keys::last_used_at.eq(at), api_keys::last_used.eq(last_used.to_string())))
        .execute(conn)?;
    Ok(())
}

/// Removes a key. True = there was one. Its usage rows stay.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, id: KeyId) -> Result<bool, StoreError> {
    Ok(diesel::delete(api_keys::table.find(id.to_string())).execute(conn)? > 0)
}

fn read(raw: Raw) -> Result<ApiKeyRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let lookup = <[u8; 32]>::try_from(raw.lookup.as_slice())
        .map_err(|_wrong_length| StoreError::corrupt(TABLE, &raw.id, "`lookup` is not 32 bytes"))?;
    Ok(ApiKeyRow {
        id: cell.id("id", &raw.id)?,
        lookup,
        scopes: cell.list("scopes", &raw.scopes)?,
        allowed_models: cell.optional_list("allowed_models", raw.allowed_models.as_deref())?,
        allowed_providers: cell
            .optional_list("allowed_providers", raw.allowed_providers.as_deref())?,
        allowed_combos: cell.optional_list("allowed_combos", raw.allowed_combos.as_deref())?,
        allowed_cidrs: cell.optional_list("allowed_cidrs", raw.allowed_cidrs.as_deref())?,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        prefix: raw.prefix,
        last4: raw.last4,
        name: raw.name,
        legacy: raw.legacy,
        hmac_key_version: raw.hmac_key_version,
        enabled: raw.enabled,
        revoked_at: raw.revoked_at,
        expires_at: raw.expires_at,
        last_used_at: raw.last_used_at,
        rpm: raw.rpm,
        tpm: raw.tpm,
        max_concurrent: raw.max_concurrent,
        usd_day: raw.usd_day,
        usd_month: raw.usd_month,
        usd_total: raw.usd_total,
        capture_bodies: raw.capture_bodies,
        rev: raw.rev,
        created_at: raw.created_at,
    })
}

fn write(row: &ApiKeyRow, stamp: Stamp) -> Raw {
    let list = |list: &Option<Vec<String>>| list.as_deref().map(column::list_text);
    Raw {
        id: row.id.to_string(),
        lookup: row.lookup.to_vec(),
        prefix: row.prefix.clone(),
        last4: row.last4.clone(),
        name: row.name.clone(),
        legacy: row.legacy,
        hmac_key_version: row.hmac_key_version,
        enabled: row.enabled,
        revoked_at: row.revoked_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        scopes: column::list_text(&row.scopes),
        allowed_models: list(&row.allowed_models),
        allowed_providers: list(&row.allowed_providers),
        allowed_combos: list(&row.allowed_combos),
        allowed_cidrs: list(&row.allowed_cidrs),
        rpm: row.rpm,
        tpm: row.tpm,
        max_concurrent: row.max_concurrent,
        usd_day: row.usd_day,
        usd_month: row.usd_month,
        usd_total: row.usd_total,
        capture_bodies: row.capture_bodies,
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    }
}
