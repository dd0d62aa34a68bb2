//! Table `budgets`: spending limits. Their counters live in memory.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::id::BudgetId;
use crate::routing::budget::{Budget, BudgetAction, BudgetLimits, BudgetScope, BudgetWindow};
use crate::store::column::{Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::budgets;

const TABLE: &str = "budgets";

/// A budget as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetRow {
    /// The budget.
    pub budget: Budget,
    /// Who owns it; `None` = the operator. Set from the stamp on writing.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = budgets, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    scope: String,
    scope_id: String,
    window: String,
    limit_usd: Option<i64>,
    limit_tokens: Option<i64>,
    limit_requests: Option<i64>,
    tz: String,
    action: String,
    notify_at: String,
    enabled: bool,
    rev: i64,
    created_at: UnixMs,
    updated_at: UnixMs,
    managed_by: Option<String>,
}

impl BudgetRow {
    /// Of a budget nobody owns yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { budget, managed_by: None, rev: 1 }
    }
}

/// Every budget, by scope and window.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<BudgetRow>, StoreError> {
    let rows: Vec<Raw> = budgets::table
        .order((budgets::scope, budgets::scope_id, budgets::window))
        .select(Raw::as_select())
        .load(conn)?;
    rows.into_iter().map(read).collect()
}

/// One budget.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(conn: &mut SqliteConnection, id: BudgetId) -> Result<Option<BudgetRow>, StoreError> {
    let row: Option<Raw> =
        budgets::table.find(id.to_string()).select(Raw::as_select()).first(conn).optional()?;
    row.map(read).transpose()
}

/// Stores a budget (`rev` + 1 when there was one with its id).
///
/// # Errors
///
/// A value is refused — also another budget of the same scope and window —, or the database fails.
pub fn upsert(
    conn: &mut SqliteConnection,
    row: &BudgetRow,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let budget = &row.budget;
    let mut new = Raw {
        id: budget.id.to_string(),
        scope: budget.scope.as_str().to_owned(),
        scope_id: budget.scope.id(),
        window: budget.window.as_str().to_owned(),
        limit_usd: budget.limits.umicro,
        limit_tokens: budget.limits.tokens,
        limit_requests: budget.limits.requests,
        tz: budget.tz.clone().unwrap_or_default(),
        action: budget.action.as_str().to_owned(),
        notify_at: serde_json::Value::from(budget.notify_at.clone()).to_string(),
        enabled: budget.enabled,
        rev: 1,
        created_at: stamp.now,
        updated_at: stamp.now,
        managed_by: stamp.managed_by(),
    };
    let place = budgets::table.find(new.id.clone());
    let old: Option<(i64, UnixMs)> =
        place.clone().select((budgets::rev, budgets::created_at)).first(conn).optional()?;
    match old {
        None => {
            diesel::insert_into(budgets::table).values(&new).execute(conn)?;
        }
        Some((rev, created_at)) => {
            new.rev = rev + 1;
            new.created_at = created_at;
            diesel::update(place).set(&new).execute(conn)?;
        }
    }
    Ok(())
}

/// Removes a budget. True = it was there.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, id: BudgetId) -> Result<bool, StoreError> {
    Ok(diesel::delete(budgets::table.find(id.to_string())).execute(conn)? > 0)
}

fn read(raw: Raw) -> Result<BudgetRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    let scope = |word: &str| BudgetScope::parse(word, &raw.scope_id);
    let budget = Budget {
        id: cell.id("id", &raw.id)?,
        scope: cell.name("scope", &raw.scope, scope)?,
        window: cell.name("window", &raw.window, BudgetWindow::parse)?,
        limits: BudgetLimits {
            umicro: raw.limit_usd,
            tokens: raw.limit_tokens,
            requests: raw.limit_requests,
        },
        tz: Some(raw.tz.clone()).filter(|tz| !tz.is_empty()),
        action: cell.name("action", &raw.action, BudgetAction::parse)?,
        notify_at: cell.numbers("notify_at", &raw.notify_at)?,
        enabled: raw.enabled,
    };
    Ok(BudgetRow { budget, managed_by: cell.owner(raw.managed_by.as_deref())?, rev: raw.rev })
}
