//! Table `accounts`: cold configuration of an account, without secrets and hot state.

use diesel::prelude::*;
use sha2::{Digest, Sha256};

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::routing::account::AccountConfig;
use crate::secret::Secret;
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::accounts;
use crate::store::seal::Sealer;
use crate::store::secrets;

const TABLE: &str = "accounts";

/// An account as stored.
#[derive(Clone, PartialEq, Debug)]
pub struct AccountRow {
    /// Its configuration.
    pub config: AccountConfig,
    /// What is known about it beside.
    pub about: AccountAbout,
    /// Who owns it; `None` = the operator.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

/// What is known about an account beside its configuration; nothing here steers a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountAbout {
    /// E-mail address its vendor names.
    pub email: Option<String>,
    /// What makes it "the same account again" (accounts §0.1).
    pub identity_key: Option<String>,
    /// Plan its vendor names.
    pub plan: Option<String>,
    /// What its last check said: `verified`, `unverified`, `refused`.
    pub validation: Option<String>,
    /// When that was, Unix ms.
    pub validated_at: Option<UnixMs>,
    /// The operator's text.
    pub notes: Option<String>,
    /// How it came: `connect`, `import:<what>`, `manual`, `config_file`.
    pub source: Option<String>,
}

/// The columns of a configuration; those of [`AccountAbout`] keep their values when it changes.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    provider: String,
    kind: String,
    label: String,
    priority: i64,
    weight: i64,
    enabled: bool,
    tags: String,
    allowed_models: String,
    excluded_models: String,
    max_concurrent: Option<i64>,
    endpoint: Option<String>,
    params: String,
    tier: Option<String>,
    refresh_enabled: bool,
    ownership: String,
    follow_path: Option<String>,
    min_remaining_percent: Option<i64>,
    allow_overage: Option<bool>,
    proxy_mode: String,
    proxy_id: Option<String>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = accounts)]
struct RawAbout {
    email: Option<String>,
    identity_key: Option<String>,
    plan: Option<String>,
    validation: Option<String>,
    validated_at: Option<UnixMs>,
    notes: Option<String>,
    source: Option<String>,
}

/// Every account, by provider, priority and label.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<AccountRow>, StoreError> {
    let rows: Vec<(Raw, RawAbout)> = accounts::table
        .order((accounts::provider, accounts::priority, accounts::label))
        .select((Raw::as_select(), RawAbout::as_select()))
        .load(conn)?;
    rows.iter().map(read).collect()
}

/// The account with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let row: Option<(Raw, RawAbout)> = accounts::table
        .find(id.to_string())
        .select((Raw::as_select(), RawAbout::as_select()))
        .first(conn)
        .optional()?;
    row.as_ref().map(read).transpose()
}

/// The account a config file names: (provider, label), the label without regard to case.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find_by_label(
    conn: &mut SqliteConnection,
    provider: &str,
    label: &str,
) -> Result<Option<AccountRow>, StoreError> {
    let row: Option<(Raw, RawAbout)> = accounts::table
        .filter(accounts::provider.eq(provider))
        .filter(accounts::label.eq(label))
        .select((Raw::as_select(), RawAbout::as_select()))
        .first(conn)
        .optional()?;
    row.as_ref().map(read).transpose()
}

/// The account of a provider with this identity (accounts §0.1).
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find_by_identity(
    conn: &mut SqliteConnection,
    provider: &str,
    identity_key: &str,
) -> Result<Option<AccountRow>, StoreError> {
    let row: Option<(Raw, RawAbout)> = accounts::table
        .filter(accounts::provider.eq(provider))
        .filter(accounts::identity_key.eq(identity_key))
        .select((Raw::as_select(), RawAbout::as_select()))
        .first(conn)
        .optional()?;
    row.as_ref().map(read).transpose()
}

/// Replaces what is known about an account beside its configuration.
///
/// # Errors
///
/// No such account, another account of the provider has the identity, or the database fails.
pub fn set_about(
    conn: &mut SqliteConnection,
    id: AccountId,
    about: &AccountAbout,
) -> Result<(), StoreError> {
    let id = id.to_string();
    let changed = diesel::update(accounts::table.find(&id))
        .set((
            accounts::email.eq(&about.email),
            accounts::identity_key.eq(&about.identity_key),
            accounts::plan.eq(&about.plan),
            accounts::validation.eq(&about.validation),
            accounts::validated_at.eq(about.validated_at),
            accounts::notes.eq(&about.notes),
            accounts::source.eq(&about.source),
        ))
        .execute(conn)?;
    if changed == 0 { Err(StoreError::not_found(TABLE, id)) } else { Ok(()) }
}

/// Stores a new account, or the new configuration of one with the same id (`rev` + 1).
///
/// A secret goes where the account's kind keeps it, and only when it differs from the stored one.
///
/// # Errors
///
/// The label is taken, a value is refused, stored secrets cannot be read with this master key, or the
/// database fails.
pub fn upsert(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    config: &AccountConfig,
    secret: Option<&Secret>,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let mut new = write(config, stamp);
    match raw(conn, &new.id)? {
        None => {
            let source = stamp.managed_by.map_or("manual", Owner::as_str);
            diesel::insert_into(accounts::table)
                .values((&new, accounts::source.eq(source)))
                .execute(conn)?;
        }
        Some(old) => {
            new.rev = old.rev + 1;
            new.created_at = old.created_at;
            diesel::update(accounts::table.find(&old.id)).set(&new).execute(conn)?;
        }
    }
    if let Some(secret) = secret {
        set_identity(conn, config, secret, stamp)?;
        secrets::replace_operator_secret(conn, sealer, config, secret, stamp.now)?;
    }
    Ok(())
}

/// Keeps the operator's text on an account. It is no change of its configuration: `rev` stays.
///
/// # Errors
///
/// The database fails.
pub fn set_notes(
    conn: &mut SqliteConnection,
    id: AccountId,
    notes: Option<&str>,
) -> Result<(), StoreError> {
    let place = accounts::table.find(id.to_string());
    diesel::update(place).set(accounts::notes.eq(notes)).execute(conn)?;
    Ok(())
}

/// Switches an account on or off, if nobody changed it since `rev`. Returns the new `rev`.
///
/// # Errors
///
/// No such account, another `rev`, or the database fails.
pub fn set_enabled(
    conn: &mut SqliteConnection,
    id: AccountId,
    enabled: bool,
    rev: i64,
    now: UnixMs,
) -> Result<i64, StoreError> {
    let id = id.to_string();
    let row = accounts::table.find(&id).filter(accounts::rev.eq(rev));
    let changed = diesel::update(row)
        .set((
            accounts::enabled.eq(enabled),
            accounts::rev.eq(rev + 1),
            accounts::updated_at.eq(now),
        ))
        .execute(conn)?;
    if changed > 0 {
        return Ok(rev + 1);
    }
    match raw(conn, &id)? {
        Some(_) => Err(StoreError::Conflict { table: TABLE, id }),
        None => Err(StoreError::not_found(TABLE, id)),
    }
}

/// Removes an account with its secrets, state and locks. True = there was one.
///
/// Usage rows stay; combo entries pinned to it lose the pin.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, id: AccountId) -> Result<bool, StoreError> {
    Ok(diesel::delete(accounts::table.find(id.to_string())).execute(conn)? > 0)
}

/// A§0.1: the identity of a key is its SHA-256. What the config file lists twice under two labels
/// stays two accounts, so the second one has no identity.
fn set_identity(
    conn: &mut SqliteConnection,
    config: &AccountConfig,
    secret: &Secret,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let id = config.id.to_string();
    let digest = Sha256::digest(secret.expose().as_bytes());
    let key = digest.iter().map(|byte| hex(*byte)).collect::<String>();
    let taken: i64 = accounts::table
        .filter(accounts::provider.eq(&*config.provider))
        .filter(accounts::identity_key.eq(&key))
        .filter(accounts::id.ne(&id))
        .count()
        .get_result(conn)?;
    let key = match stamp.managed_by {
        Some(Owner::ConfigFile) if taken > 0 => None,
        Some(Owner::ConfigFile) | None => Some(key),
    };
    diesel::update(accounts::table.find(&id)).set(accounts::identity_key.eq(key)).execute(conn)?;
    Ok(())
}

fn hex(byte: u8) -> String {
    [byte >> 4, byte & 15]
        .into_iter()
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

fn raw(conn: &mut SqliteConnection, id: &str) -> QueryResult<Option<Raw>> {
    accounts::table.find(id).select(Raw::as_select()).first(conn).optional()
}

fn read((raw, about): &(Raw, RawAbout)) -> Result<AccountRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let config = AccountConfig {
        id: cell.id("id", &raw.id)?,
        kind: cell.name("kind", &raw.kind, column::kind_from)?,
        priority: cell.number("priority", raw.priority)?,
        weight: cell.number("weight", raw.weight)?,
        enabled: raw.enabled,
        tags: cell.list("tags", &raw.tags)?,
        allowed_models: cell.list("allowed_models", &raw.allowed_models)?,
        excluded_models: cell.list("excluded_models", &raw.excluded_models)?,
        max_concurrent: cell.optional_number("max_concurrent", raw.max_concurrent)?,
        params: cell.object("params", &raw.params)?,
        tier: cell.optional_name("tier", raw.tier.as_deref(), column::tier_from)?,
        refresh_enabled: raw.refresh_enabled,
        ownership: cell.name("ownership", &raw.ownership, column::ownership_from)?,
        follow_path: raw.follow_path.clone(),
        min_remaining_percent: cell
            .optional_number("min_remaining_percent", raw.min_remaining_percent)?,
        allow_overage: raw.allow_overage,
        proxy: cell.proxy(&raw.proxy_mode, raw.proxy_id.as_deref())?,
        created_at: raw.created_at,
        provider: raw.provider.as_str().into(),
        label: raw.label.clone(),
        endpoint: raw.endpoint.clone(),
    };
    let about = AccountAbout {
        email: about.email.clone(),
        identity_key: about.identity_key.clone(),
        plan: about.plan.clone(),
        validation: about.validation.clone(),
        validated_at: about.validated_at,
        notes: about.notes.clone(),
        source: about.source.clone(),
    };
    let managed_by = cell.owner(raw.managed_by.as_deref())?;
    Ok(AccountRow { config, about, managed_by, rev: raw.rev })
}

fn write(config: &AccountConfig, stamp: Stamp) -> Raw {
    Raw {
        id: config.id.to_string(),
        provider: config.provider.to_string(),
        kind: column::kind_text(config.kind).to_owned(),
        label: config.label.clone(),
        priority: i64::from(config.priority),
        weight: i64::from(config.weight),
        enabled: config.enabled,
        tags: column::list_text(&config.tags),
        allowed_models: column::list_text(&config.allowed_models),
        excluded_models: column::list_text(&config.excluded_models),
        max_concurrent: config.max_concurrent.map(i64::from),
        endpoint: config.endpoint.clone(),
        params: column::object_text(&config.params),
        tier: config.tier.map(|tier| column::tier_text(tier).to_owned()),
        refresh_enabled: config.refresh_enabled,
        ownership: column::ownership_text(config.ownership).to_owned(),
        follow_path: config.follow_path.clone(),
        min_remaining_percent: config.min_remaining_percent.map(i64::from),
        allow_overage: config.allow_overage,
        proxy_mode: column::proxy_mode(&config.proxy).to_owned(),
        proxy_id: column::proxy_id(&config.proxy),
        rev: 1,
        created_at: config.created_at,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    }
}
