//! Tables `combos` and `combo_entries`: named lists of targets.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::id::ComboId;
use crate::routing::combo::{Combo, Entry, Strategy};
use crate::store::column::{self, Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::{combo_entries as entries, combos};

const TABLE: &str = "combos";
const ENTRIES: &str = "combo_entries";

/// A combo as stored.
#[derive(Clone, PartialEq, Debug)]
pub struct ComboRow {
    /// What routing needs of it.
    pub combo: Combo,
    /// The operator's note.
    pub description: Option<String>,
    /// Answer with the name of the model that served; `None` = the setting.
    pub report_real_model: Option<bool>,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

impl ComboRow {
    /// A combo that is not stored yet.
    #[must_use]
    pub fn new(combo: Combo) -> Self {
        Self { combo, description: None, report_real_model: None, managed_by: None, rev: 1 }
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = combos, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    name: String,
    description: Option<String>,
    enabled: bool,
    strategy: String,
    tier_inner: Option<String>,
    sticky_enabled: Option<bool>,
    sticky_ttl_s: i64,
    rr_sticky_count: i64,
    max_attempts: i64,
    deadline_ms: Option<i64>,
    fallback_on_policy: bool,
    capability_filter: bool,
    report_real_model: Option<bool>,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = entries, treat_none_as_default_value = false)]
struct RawEntry {
    id: String,
    combo_id: String,
    position: i64,
    target: String,
    weight: i64,
    tier: Option<String>,
    enabled: bool,
    account_id: Option<String>,
    tags: String,
}

/// Every combo with its entries, by name.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<ComboRow>, StoreError> {
    let rows: Vec<Raw> = combos::table.order(combos::name).select(Raw::as_select()).load(conn)?;
    let mut by_combo: HashMap<String, Vec<Entry>> = HashMap::new();
    let all: Vec<RawEntry> = entries::table
        .order((entries::combo_id, entries::position))
        .select(RawEntry::as_select())
        .load(conn)?;
    for raw in &all {
        by_combo.entry(raw.combo_id.clone()).or_default().push(read_entry(raw)?);
    }
    rows.into_iter()
        .map(|raw| {
            let own = by_combo.remove(&raw.id).unwrap_or_default();
            read(raw, own)
        })
        .collect()
}

/// The combo with this id.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: ComboId) -> Result<Option<ComboRow>, StoreError> {
    let row = combos::table.find(id.to_string()).select(Raw::as_select()).first(conn).optional()?;
    with_entries(conn, row)
}

/// The combo with this name, without regard to case.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find_by_name(
    conn: &mut SqliteConnection,
    name: &str,
) -> Result<Option<ComboRow>, StoreError> {
    let row: Option<Raw> = combos::table
        .filter(combos::name.eq(name))
        .select(Raw::as_select())
        .first(conn)
        .optional()?;
    with_entries(conn, row)
}

fn with_entries(
    conn: &mut SqliteConnection,
    row: Option<Raw>,
) -> Result<Option<ComboRow>, StoreError> {
    let Some(raw) = row else { return Ok(None) };
    let own: Vec<RawEntry> = entries::table
        .filter(entries::combo_id.eq(&raw.id))
        .order(entries::position)
        .select(RawEntry::as_select())
        .load(conn)?;
    let own = own.iter().map(read_entry).collect::<Result<_, _>>()?;
    read(raw, own).map(Some)
}

/// Stores a new combo, or the new content of one with the same id (`rev` + 1). Entries are written
/// whole, in the order given.
///
/// # Errors
///
/// The name is taken, a value is refused, or the database fails.
pub fn upsert(conn: &mut SqliteConnection, row: &ComboRow, stamp: Stamp) -> Result<(), StoreError> {
    let mut new = write(row, stamp);
    let old: Option<(i64, UnixMs)> = combos::table
        .find(&new.id)
        .select((combos::rev, combos::created_at))
        .first(conn)
        .optional()?;
    match old {
        None => {
            diesel::insert_into(combos::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(combos::table.find(&new.id)).set(&new).execute(conn)?;
            diesel::delete(entries::table.filter(entries::combo_id.eq(&new.id))).execute(conn)?;
        }
    }
    for (position, entry) in (0i64..).zip(&row.combo.entries) {
        let raw = write_entry(&new.id, position, entry);
        diesel::insert_into(entries::table).values(&raw).execute(conn)?;
    }
    Ok(())
}

/// Removes a combo with its entries. True = there was one.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, id: ComboId) -> Result<bool, StoreError> {
    Ok(diesel::delete(combos::table.find(id.to_string())).execute(conn)? > 0)
}

fn read(raw: Raw, own: Vec<Entry>) -> Result<ComboRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let tier_inner = raw.tier_inner.as_deref();
    let combo = Combo {
        id: cell.id("id", &raw.id)?,
        name: raw.name.as_str().into(),
        enabled: raw.enabled,
        strategy: cell.name("strategy", &raw.strategy, column::strategy_from)?,
        tier_inner: cell
            .optional_name("tier_inner", tier_inner, column::strategy_from)?
            .unwrap_or(Strategy::Fallback),
        entries: own,
        sticky_enabled: raw.sticky_enabled,
        sticky_ttl_s: cell.number("sticky_ttl_s", raw.sticky_ttl_s)?,
        rr_sticky_count: cell.number("rr_sticky_count", raw.rr_sticky_count)?,
        max_attempts: cell.number("max_attempts", raw.max_attempts)?,
        deadline_ms: cell.optional_number("deadline_ms", raw.deadline_ms)?,
        fallback_on_policy: raw.fallback_on_policy,
        capability_filter: raw.capability_filter,
    };
    Ok(ComboRow {
        combo,
        managed_by: cell.owner(raw.managed_by.as_deref())?,
        description: raw.description,
        report_real_model: raw.report_real_model,
        rev: raw.rev,
    })
}

fn write(row: &ComboRow, stamp: Stamp) -> Raw {
    let combo = &row.combo;
    Raw {
        id: combo.id.to_string(),
        name: combo.name.to_string(),
        description: row.description.clone(),
        enabled: combo.enabled,
        strategy: column::strategy_text(combo.strategy).to_owned(),
        tier_inner: Some(column::strategy_text(combo.tier_inner).to_owned()),
        sticky_enabled: combo.sticky_enabled,
        sticky_ttl_s: i64::from(combo.sticky_ttl_s),
        rr_sticky_count: i64::from(combo.rr_sticky_count),
        max_attempts: i64::from(combo.max_attempts),
        deadline_ms: combo.deadline_ms.map(i64::from),
        fallback_on_policy: combo.fallback_on_policy,
        capability_filter: combo.capability_filter,
        report_real_model: row.report_real_model,
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    }
}

fn read_entry(raw: &RawEntry) -> Result<Entry, StoreError> {
    let cell = Cell { table: ENTRIES, id: &raw.id };
    let account_id = raw.account_id.as_deref();
    Ok(Entry {
        id: cell.id("id", &raw.id)?,
        target: raw.target.clone(),
        weight: cell.number("weight", raw.weight)?,
        tier: cell.optional_name("tier", raw.tier.as_deref(), column::tier_from)?,
        enabled: raw.enabled,
        account_id: account_id.map(|id| cell.id("account_id", id)).transpose()?,
        tags: cell.list("tags", &raw.tags)?,
    })
}

fn write_entry(combo_id: &str, position: i64, entry: &Entry) -> RawEntry {
    RawEntry {
        id: entry.id.to_string(),
        combo_id: combo_id.to_owned(),
        position,
        target: entry.target.clone(),
        weight: i64::from(entry.weight),
        tier: entry.tier.map(|tier| column::tier_text(tier).to_owned()),
        enabled: entry.enabled,
        account_id: entry.account_id.map(|id| id.to_string()),
        tags: column::list_text(&entry.tags),
    }
}
