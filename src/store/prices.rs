//! Table `prices`: the operator's prices, micro-dollars per 1 000 000 tokens.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::column::{Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::prices;

const TABLE: &str = "prices";

/// A price as stored. `None` = inherit, 0 = free.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PriceRow {
    /// Catalog id, or node id.
    pub provider: String,
    /// Catalog id of the model.
    pub model: String,
    /// Input that was not cached.
    pub input: Option<i64>,
    /// Input read from the cache.
    pub cached: Option<i64>,
    /// Input written to the five-minute cache.
    pub cache_write_5m: Option<i64>,
    /// Input written to the one-hour cache.
    pub cache_write_1h: Option<i64>,
    /// Output.
    pub output: Option<i64>,
    /// Output spent on reasoning.
    pub reasoning: Option<i64>,
    /// Micro-dollars per request.
    pub per_request: Option<i64>,
    /// The operator's note.
    pub note: Option<String>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = prices, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    provider: String,
    model: String,
    input: Option<i64>,
    cached: Option<i64>,
    cache_write_5m: Option<i64>,
    cache_write_1h: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    per_request: Option<i64>,
    note: Option<String>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

/// Every price, by provider and model.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<PriceRow>, StoreError> {
    let rows: Vec<Raw> = prices::table
        .order((prices::provider, prices::model))
        .select(Raw::as_select())
        .load(conn)?;
    rows.into_iter().map(read).collect()
}

/// Stores a price (`rev` + 1 when there was one).
///
/// # Errors
///
/// A value is refused, or the database fails.
pub fn upsert(conn: &mut SqliteConnection, row: &PriceRow, stamp: Stamp) -> Result<(), StoreError> {
    let mut new = Raw {
        provider: row.provider.clone(),
        model: row.model.clone(),
        input: row.input,
        cached: row.cached,
        cache_write_5m: row.cache_write_5m,
        cache_write_1h: row.cache_write_1h,
        output: row.output,
        reasoning: row.reasoning,
        per_request: row.per_request,
        note: row.note.clone(),
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    };
    let place = prices::table.find((row.provider.clone(), row.model.clone()));
    let old: Option<(i64, UnixMs)> =
        place.clone().select((prices::rev, prices::created_at)).first(conn).optional()?;
    match old {
        None => {
            diesel::insert_into(prices::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(place).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Puts a price back to the catalog's. True = one was stored.
///
/// # Errors
///
/// The database fails.
pub fn delete(
    conn: &mut SqliteConnection,
    provider: &str,
    model: &str,
) -> Result<bool, StoreError> {
    Ok(diesel::delete(prices::table.find((provider, model))).execute(conn)? > 0)
}

fn read(raw: Raw) -> Result<PriceRow, StoreError> {
    let id = [raw.provider.as_str(), "/", &raw.model].concat();
    Ok(PriceRow {
        managed_by: Cell { table: TABLE, id: &id }.owner(raw.managed_by.as_deref())?,
        provider: raw.provider,
        model: raw.model,
        input: raw.input,
        cached: raw.cached,
        cache_write_5m: raw.cache_write_5m,
        cache_write_1h: raw.cache_write_1h,
        output: raw.output,
        reasoning: raw.reasoning,
        per_request: raw.per_request,
        note: raw.note,
        rev: raw.rev,
    })
}
