//! Table `provider_overrides`: the operator's settings of one provider.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::routing::account::{ProxyChoice, Tier};
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::provider_overrides as table;

const TABLE: &str = "provider_overrides";

/// A provider's settings as stored. `None` = inherit.
#[derive(Clone, PartialEq, Debug)]
pub struct ProviderOverride {
    /// Catalog id, or node id.
    pub provider: String,
    /// The operator's switch.
    pub enabled: bool,
    /// Price class.
    pub tier: Option<Tier>,
    /// `priority`, `round-robin`, `weighted`, `least-used`, `quota-balanced`.
    pub account_strategy: Option<String>,
    /// Consecutive requests per account under round-robin.
    pub sticky_count: Option<u32>,
    /// Life of a session's binding to an account.
    pub affinity_ttl_s: Option<u32>,
    /// First step of ladder A.
    pub cooldown_base_s: Option<u32>,
    /// Last step of ladder A.
    pub cooldown_max_s: Option<u32>,
    /// Requests at once, over all accounts.
    pub max_in_flight: Option<u32>,
    /// Refresh this long before the end of a token.
    pub refresh_lead_s: Option<u32>,
    /// Leave this much of each quota window.
    pub min_remaining_percent: Option<u8>,
    /// The way calls for its accounts go out, unless an account says otherwise.
    pub proxy: ProxyChoice,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// Statuses to retry; JSON list of numbers.
    pub retry_statuses: Option<serde_json::Value>,
    /// Count what a flat plan covers at list price.
    pub count_notional: Option<bool>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

impl ProviderOverride {
    /// Settings that inherit everything.
    #[must_use]
    pub fn new(provider: String) -> Self {
        Self {
            provider,
            enabled: true,
            tier: None,
            account_strategy: None,
            sticky_count: None,
            affinity_ttl_s: None,
            cooldown_base_s: None,
            cooldown_max_s: None,
            max_in_flight: None,
            refresh_lead_s: None,
            min_remaining_percent: None,
            proxy: ProxyChoice::Inherit,
            headers: Vec::new(),
            retry_statuses: None,
            count_notional: None,
            managed_by: None,
            rev: 1,
        }
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = table, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    provider: String,
    enabled: bool,
    tier: Option<String>,
    account_strategy: Option<String>,
    sticky_count: Option<i64>,
    affinity_ttl_s: Option<i64>,
    cooldown_base_s: Option<i64>,
    cooldown_max_s: Option<i64>,
    max_in_flight: Option<i64>,
    refresh_lead_s: Option<i64>,
    min_remaining_percent: Option<i64>,
    proxy_mode: String,
    proxy_id: Option<String>,
    headers: String,
    retry_statuses: Option<String>,
    count_notional: Option<bool>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

/// Every stored provider, by id.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<ProviderOverride>, StoreError> {
    let rows: Vec<Raw> = table::table.order(table::provider).select(Raw::as_select()).load(conn)?;
    rows.into_iter().map(read).collect()
}

/// Stores the settings of a provider (`rev` + 1 when there were some).
///
/// # Errors
///
/// A value is refused, or the database fails.
pub fn upsert(
    conn: &mut SqliteConnection,
    row: &ProviderOverride,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let mut new = write(row, stamp);
    let old: Option<(i64, UnixMs)> = table::table
        .find(&new.provider)
        .select((table::rev, table::created_at))
        .first(conn)
        .optional()?;
    match old {
        None => {
            diesel::insert_into(table::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(table::table.find(&new.provider)).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Puts a provider back to the catalog's values. True = some were stored.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, provider: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(table::table.find(provider)).execute(conn)? > 0)
}

fn read(raw: Raw) -> Result<ProviderOverride, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.provider };
    let retry_statuses = raw.retry_statuses.as_deref();
    Ok(ProviderOverride {
        enabled: raw.enabled,
        tier: cell.optional_name("tier", raw.tier.as_deref(), column::tier_from)?,
        sticky_count: cell.optional_number("sticky_count", raw.sticky_count)?,
        affinity_ttl_s: cell.optional_number("affinity_ttl_s", raw.affinity_ttl_s)?,
        cooldown_base_s: cell.optional_number("cooldown_base_s", raw.cooldown_base_s)?,
        cooldown_max_s: cell.optional_number("cooldown_max_s", raw.cooldown_max_s)?,
        max_in_flight: cell.optional_number("max_in_flight", raw.max_in_flight)?,
        refresh_lead_s: cell.optional_number("refresh_lead_s", raw.refresh_lead_s)?,
        min_remaining_percent: cell
            .optional_number("min_remaining_percent", raw.min_remaining_percent)?,
        proxy: cell.proxy(&raw.proxy_mode, raw.proxy_id.as_deref())?,
        headers: cell.pairs("headers", &raw.headers)?,
        retry_statuses: retry_statuses.map(|t| cell.json("retry_statuses", t)).transpose()?,
        count_notional: raw.count_notional,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        rev: raw.rev,
        account_strategy: raw.account_strategy,
        provider: raw.provider,
    })
}

fn write(row: &ProviderOverride, stamp: Stamp) -> Raw {
    Raw {
        provider: row.provider.clone(),
        enabled: row.enabled,
        tier: row.tier.map(|tier| column::tier_text(tier).to_owned()),
        account_strategy: row.account_strategy.clone(),
        sticky_count: row.sticky_count.map(i64::from),
        affinity_ttl_s: row.affinity_ttl_s.map(i64::from),
        cooldown_base_s: row.cooldown_base_s.map(i64::from),
        cooldown_max_s: row.cooldown_max_s.map(i64::from),
        max_in_flight: row.max_in_flight.map(i64::from),
        refresh_lead_s: row.refresh_lead_s.map(i64::from),
        min_remaining_percent: row.min_remaining_percent.map(i64::from),
        proxy_mode: column::proxy_mode(&row.proxy).to_owned(),
        proxy_id: column::proxy_id(&row.proxy),
        headers: column::pairs_text(&row.headers),
        retry_statuses: row.retry_statuses.as_ref().map(ToString::to_string),
        count_notional: row.count_notional,
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    }
}
