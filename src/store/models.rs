//! Tables `models` (what the operator added or changed) and `live_models` (what upstreams list).

use diesel::prelude::*;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::{live_models as live, models};

const TABLE: &str = "models";
const LIVE: &str = "live_models";

/// Why a model has a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelOrigin {
    /// The operator added it.
    Manual,
    /// The operator changed what the catalog says.
    Override,
}

/// A model as stored.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelRow {
    /// Catalog id, or node id.
    pub provider: String,
    /// Model id.
    pub model: String,
    /// Why it has a row.
    pub source: ModelOrigin,
    /// The operator's switch.
    pub enabled: bool,
    /// Display name.
    pub name: Option<String>,
    /// `chat`, `embedding` …
    pub kind: String,
    /// Tokens of context.
    pub ctx: Option<u32>,
    /// Tokens of output.
    pub max_output: Option<u32>,
    /// Full set of capabilities, when overridden.
    pub caps: Option<Vec<String>>,
    /// How it thinks.
    pub think: Option<String>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

/// A model an upstream listed.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveModel {
    /// Model id.
    pub model: String,
    /// What the upstream said of it.
    pub facts: Value,
}

column::names!(ModelOrigin, origin_text, origin_from, {
    Manual => "manual",
    Override => "override",
});

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = models, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    provider: String,
    model: String,
    source: String,
    enabled: bool,
    name: Option<String>,
    kind: String,
    ctx: Option<i64>,
    max_output: Option<i64>,
    caps: Option<String>,
    think: Option<String>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

/// Every stored model, by provider and id.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<ModelRow>, StoreError> {
    let rows: Vec<Raw> = models::table
        .order((models::provider, models::model))
        .select(Raw::as_select())
        .load(conn)?;
    rows.into_iter().map(read).collect()
}

/// Stores a model (`rev` + 1 when there was one).
///
/// # Errors
///
/// A value is refused, or the database fails.
pub fn upsert(conn: &mut SqliteConnection, row: &ModelRow, stamp: Stamp) -> Result<(), StoreError> {
    let mut new = write(row, stamp);
    let place = models::table.find((row.provider.clone(), row.model.clone()));
    let old: Option<(i64, UnixMs)> =
        place.clone().select((models::rev, models::created_at)).first(conn).optional()?;
    match old {
        None => {
            diesel::insert_into(models::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(place).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Removes a stored model. True = there was one.
///
/// # Errors
///
/// The database fails.
pub fn delete(
    conn: &mut SqliteConnection,
    provider: &str,
    model: &str,
) -> Result<bool, StoreError> {
    Ok(diesel::delete(models::table.find((provider, model))).execute(conn)? > 0)
}

/// Replaces the list an upstream gave to one account (`""` = a list that needs no account).
///
/// # Errors
///
/// The database fails.
pub fn replace_live(
    conn: &mut SqliteConnection,
    provider: &str,
    account_id: &str,
    list: &[LiveModel],
    now: UnixMs,
) -> Result<(), StoreError> {
    let old =
        live::table.filter(live::provider.eq(provider)).filter(live::account_id.eq(account_id));
    diesel::delete(old).execute(conn)?;
    for item in list {
        // An upstream may list a model twice: the last one counts.
        diesel::replace_into(live::table)
            .values((
                live::provider.eq(provider),
                live::account_id.eq(account_id),
                live::model.eq(&item.model),
                live::facts.eq(item.facts.to_string()),
                live::fetched_at.eq(now),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// The list an upstream gave to one account, with the instant it was fetched.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn live(
    conn: &mut SqliteConnection,
    provider: &str,
    account_id: &str,
) -> Result<Vec<(LiveModel, UnixMs)>, StoreError> {
    let rows: Vec<(String, String, UnixMs)> = live::table
        .filter(live::provider.eq(provider))
        .filter(live::account_id.eq(account_id))
        .order(live::model)
        .select((live::model, live::facts, live::fetched_at))
        .load(conn)?;
    rows.into_iter()
        .map(|(model, facts, at)| {
            let facts = Cell { table: LIVE, id: &model }.json("facts", &facts)?;
            Ok((LiveModel { model, facts }, at))
        })
        .collect()
}

/// A live list's row: the account it was given to, and what it says.
pub type LiveRow = (String, String, LiveModel);

/// What every account was told, by provider and account; of one `provider` when given.
///
/// # Errors
///
/// The database fails. Facts that cannot be read count as none.
pub fn live_lists(
    conn: &mut SqliteConnection,
    provider: Option<&str>,
) -> Result<Vec<LiveRow>, StoreError> {
    let mut query = live::table
        .order((live::provider, live::account_id, live::model))
        .select((live::provider, live::account_id, live::model, live::facts))
        .into_boxed();
    if let Some(provider) = provider {
        query = query.filter(live::provider.eq(provider));
    }
    let rows: Vec<(String, String, String, String)> = query.load(conn)?;
    let row = |(provider, account, model, facts): (_, _, _, String)| {
        let facts = serde_json::from_str(&facts).unwrap_or(Value::Null);
        (provider, account, LiveModel { model, facts })
    };
    Ok(rows.into_iter().map(row).collect())
}

fn read(raw: Raw) -> Result<ModelRow, StoreError> {
    let id = [raw.provider.as_str(), "/", &raw.model].concat();
    let cell = Cell { table: TABLE, id: &id };
    Ok(ModelRow {
        source: cell.name("source", &raw.source, origin_from)?,
        ctx: cell.optional_number("ctx", raw.ctx)?,
        max_output: cell.optional_number("max_output", raw.max_output)?,
        caps: cell.optional_list("caps", raw.caps.as_deref())?,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        provider: raw.provider,
        model: raw.model,
        enabled: raw.enabled,
        name: raw.name,
        kind: raw.kind,
        think: raw.think,
        rev: raw.rev,
    })
}

fn write(row: &ModelRow, stamp: Stamp) -> Raw {
    Raw {
        provider: row.provider.clone(),
        model: row.model.clone(),
        source: origin_text(row.source).to_owned(),
        enabled: row.enabled,
        name: row.name.clone(),
        kind: row.kind.clone(),
        ctx: row.ctx.map(i64::from),
        max_output: row.max_output.map(i64::from),
        caps: row.caps.as_deref().map(column::list_text),
        think: row.think.clone(),
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    }
}
