//! Table `account_secrets`: sealed credentials, written under their generation (A§3.2).

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::credential::Credential;
use crate::routing::account::{AccountConfig, AccountKind};
use crate::secret::Secret;
use crate::store::column::{self, Cell};
use crate::store::error::StoreError;
use crate::store::schema::account_secrets as table;
use crate::store::seal::{Place, Sealer};

const TABLE: &str = "account_secrets";

/// Name in `extra` under which a service-account document is kept.
pub const SERVICE_ACCOUNT: &str = "service_account";

/// New values of a credential. `None` and absent names keep what is stored.
#[derive(Clone, Debug, Default)]
pub struct NewSecrets {
    /// API key.
    pub api_key: Option<Secret>,
    /// Bearer token.
    pub access_token: Option<Secret>,
    /// Token that buys the next bearer token.
    pub refresh_token: Option<Secret>,
    /// Identity token.
    pub id_token: Option<Secret>,
    /// Merged into the stored `extra`, never replacing it whole (A§3.2).
    pub extra: BTreeMap<String, Secret>,
    /// End of the access token; `Some(None)` = unknown.
    pub expires_at: Option<Option<UnixMs>>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = table, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    account_id: String,
    access_token: Option<String>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    api_key: Option<String>,
    extra: Option<String>,
    expires_at: Option<UnixMs>,
    last_refresh_at: Option<UnixMs>,
    generation: i64,
    updated_at: UnixMs,
}

/// The credential of an account as a lease carries it. An account without secrets has an empty one.
///
/// # Errors
///
/// The master key is another one, a sealed value is damaged, or the database fails.
pub fn credential(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: AccountId,
) -> Result<Credential, StoreError> {
    let id = id.to_string();
    let Some(raw) = raw(conn, &id)? else { return Ok(Credential::default()) };
    let cell = Cell { table: TABLE, id: &id };
    Ok(Credential {
        api_key: open(sealer, &id, "api_key", raw.api_key.as_deref())?,
        access_token: open(sealer, &id, "access_token", raw.access_token.as_deref())?,
        extra: open_extra(sealer, &id, raw.extra.as_deref())?,
        expires_at: raw.expires_at,
        refreshed_at: raw.last_refresh_at,
        refreshable: raw.refresh_token.is_some(),
        generation: cell.number("generation", raw.generation)?,
    })
}

/// The refresh token, decrypted only when it is used (SEC-KEY-4).
///
/// # Errors
///
/// As [`credential`].
pub fn refresh_token(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: AccountId,
) -> Result<Option<Secret>, StoreError> {
    let id = id.to_string();
    let Some(raw) = raw(conn, &id)? else { return Ok(None) };
    open(sealer, &id, "refresh_token", raw.refresh_token.as_deref())
}

/// Forgets an API key. It counts as a new generation, so that whoever still holds the old one is behind.
///
/// # Errors
///
/// The database fails.
pub fn forget_api_key(
    conn: &mut SqliteConnection,
    id: AccountId,
    now: UnixMs,
) -> Result<(), StoreError> {
    diesel::update(table::table.find(id.to_string()))
        .set((
            table::api_key.eq(None::<String>),
            table::generation.eq(table::generation + 1),
            table::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Writes new values over generation `expected` (0 = none stored). Returns the new generation.
///
/// # Errors
///
/// [`StoreError::Stale`] when another generation is stored: the write is discarded (A§3.2).
/// The master key is another one, no such account, or the database fails.
pub fn update(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: AccountId,
    expected: u64,
    new: &NewSecrets,
    now: UnixMs,
) -> Result<u64, StoreError> {
    let next = expected.saturating_add(1);
    replace(conn, sealer, id, expected, next, new, now).map(|()| next)
}

/// Writes new values over generation `expected` as generation `next`, which may be more than one later: generations
/// in between were in memory only, while the disk took none.
///
/// # Errors
///
/// As [`update`].
pub fn replace(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: AccountId,
    expected: u64,
    next: u64,
    new: &NewSecrets,
    now: UnixMs,
) -> Result<(), StoreError> {
    let id = id.to_string();
    let stored = raw(conn, &id)?;
    let cell = Cell { table: TABLE, id: &id };
    let generation: u64 = match &stored {
        Some(raw) => cell.number("generation", raw.generation)?,
        None => 0,
    };
    if generation != expected {
        return Err(StoreError::Stale(id));
    }
    let is_new = stored.is_none();
    let mut row = stored.unwrap_or_else(|| Raw::empty(&id));
    // Opened before anything is written: values that cannot be read must not be half replaced.
    if !new.extra.is_empty() {
        let mut extra = open_extra(sealer, &id, row.extra.as_deref())?;
        extra.extend(new.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        row.extra = Some(seal_extra(sealer, &id, &extra)?);
    }
    for (column, cell, value) in [
        ("api_key", &mut row.api_key, &new.api_key),
        ("access_token", &mut row.access_token, &new.access_token),
        ("refresh_token", &mut row.refresh_token, &new.refresh_token),
        ("id_token", &mut row.id_token, &new.id_token),
    ] {
        if let Some(secret) = value {
            let plain = secret.expose().as_bytes();
            *cell = Some(sealer.seal(Place { table: TABLE, column, row: &id }, plain)?);
        }
    }
    if let Some(expires_at) = new.expires_at {
        row.expires_at = expires_at;
    }
    if new.access_token.is_some() {
        row.last_refresh_at = Some(now);
    }
    let expected = row.generation;
    row.generation = i64::try_from(next)
        .map_err(|_beyond_i64| StoreError::corrupt(TABLE, &id, "generation out of range"))?;
    row.updated_at = now;
    if is_new {
        diesel::insert_into(table::table).values(&row).execute(conn)?;
    } else {
        let changed = diesel::update(table::table.find(&id))
            .filter(table::generation.eq(expected))
            .set(&row)
            .execute(conn)?;
        if changed == 0 {
            return Err(StoreError::Stale(id));
        }
    }
    Ok(())
}

/// Puts the secrets of a new sign-in in place of every token and key stored; `extra` is merged. Returns the new
/// generation.
///
/// # Errors
///
/// The master key is another one, no such account, or the database fails.
pub fn start_anew(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: AccountId,
    new: &NewSecrets,
    now: UnixMs,
) -> Result<u64, StoreError> {
    let text = id.to_string();
    let generation = match raw(conn, &text)? {
        Some(raw) => Cell { table: TABLE, id: &text }.number("generation", raw.generation)?,
        None => 0,
    };
    let none = None::<String>;
    diesel::update(table::table.find(&text))
        .set((
            table::access_token.eq(&none),
            table::refresh_token.eq(&none),
            table::id_token.eq(&none),
            table::api_key.eq(&none),
        ))
        .execute(conn)?;
    update(conn, sealer, id, generation, new, now)
}

/// Puts the secret an operator gave where the account's kind keeps it. Unchanged = no write.
pub(crate) fn replace_operator_secret(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    config: &AccountConfig,
    secret: &Secret,
    now: UnixMs,
) -> Result<(), StoreError> {
    let stored = credential(conn, sealer, config.id)?;
    let mut new = NewSecrets::default();
    let current = match config.kind {
        AccountKind::ApiKey => {
            new.api_key = Some(secret.clone());
            stored.api_key.as_ref()
        }
        AccountKind::OAuth | AccountKind::Imported => {
            new.access_token = Some(secret.clone());
            stored.access_token.as_ref()
        }
        AccountKind::ServiceAccount => {
            new.extra.insert(SERVICE_ACCOUNT.to_owned(), secret.clone());
            stored.extra.get(SERVICE_ACCOUNT)
        }
        AccountKind::None => {
            let what = "an account without credential takes no secret";
            return Err(StoreError::invalid(TABLE, config.id.to_string(), what));
        }
    };
    if current == Some(secret) {
        return Ok(());
    }
    update(conn, sealer, config.id, stored.generation, &new, now).map(|_generation| ())
}

impl Raw {
    fn empty(id: &str) -> Self {
        Self {
            account_id: id.to_owned(),
            access_token: None,
            refresh_token: None,
            id_token: None,
            api_key: None,
            extra: None,
            expires_at: None,
            last_refresh_at: None,
            generation: 0,
            updated_at: 0,
        }
    }
}

fn raw(conn: &mut SqliteConnection, id: &str) -> QueryResult<Option<Raw>> {
    table::table.find(id).select(Raw::as_select()).first(conn).optional()
}

fn open(
    sealer: &Sealer,
    id: &str,
    column: &'static str,
    sealed: Option<&str>,
) -> Result<Option<Secret>, StoreError> {
    let place = Place { table: TABLE, column, row: id };
    sealed.map(|sealed| sealer.open_text(place, sealed)).transpose()
}

fn open_extra(
    sealer: &Sealer,
    id: &str,
    sealed: Option<&str>,
) -> Result<BTreeMap<String, Secret>, StoreError> {
    let Some(text) = open(sealer, id, "extra", sealed)? else { return Ok(BTreeMap::new()) };
    let object: serde_json::Map<String, Value> = serde_json::from_str(text.expose())
        .map_err(|_value_is_secret| StoreError::corrupt(TABLE, id, "bad JSON in `extra`"))?;
    let entries = object.into_iter();
    Ok(entries.map(|(name, value)| (name, Secret::new(column::text_of(value)))).collect())
}

fn seal_extra(
    sealer: &Sealer,
    id: &str,
    extra: &BTreeMap<String, Secret>,
) -> Result<String, StoreError> {
    let plain: BTreeMap<&str, &str> =
        extra.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let text = serde_json::to_vec(&plain)
        .map(Zeroizing::new)
        .map_err(|_never_for_texts| StoreError::invalid(TABLE, id, "`extra` is no JSON"))?;
    sealer.seal(Place { table: TABLE, column: "extra", row: id }, &text)
}
