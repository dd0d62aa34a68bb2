//! Table `aliases`: other names of targets.

use diesel::prelude::*;

use crate::store::column::{Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::aliases;

const TABLE: &str = "aliases";

/// An alias as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AliasRow {
    /// The name; may hold `*`.
    pub alias: String,
    /// What it stands for.
    pub target: String,
    /// Who owns it; `None` = the operator.
    pub managed_by: Option<Owner>,
    /// +1 on each change.
    pub rev: i64,
}

/// Every alias, by name.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<AliasRow>, StoreError> {
    let rows: Vec<(String, String, Option<String>, i64)> = aliases::table
        .order(aliases::alias)
        .select((aliases::alias, aliases::target, aliases::managed_by, aliases::rev))
        .load(conn)?;
    rows.into_iter()
        .map(|(alias, target, managed_by, rev)| {
            let managed_by = Cell { table: TABLE, id: &alias }.owner(managed_by.as_deref())?;
            Ok(AliasRow { alias, target, managed_by, rev })
        })
        .collect()
}

/// Stores a new alias, or the new target of one (`rev` + 1).
///
/// # Errors
///
/// A value is refused, or the database fails.
pub fn set(
    conn: &mut SqliteConnection,
    alias: &str,
    target: &str,
    stamp: Stamp,
) -> Result<(), StoreError> {
    diesel::insert_into(aliases::table)
        .values((
            aliases::alias.eq(alias),
            aliases::target.eq(target),
            aliases::created_at.eq(stamp.now),
            aliases::updated_at.eq(stamp.now),
            aliases::managed_by.eq(stamp.managed_by()),
        ))
        .on_conflict(aliases::alias)
        .do_update()
        .set((
            aliases::target.eq(target),
            aliases::rev.eq(aliases::rev + 1),
            aliases::updated_at.eq(stamp.now),
            aliases::managed_by.eq(stamp.managed_by()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes an alias. True = there was one.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, alias: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(aliases::table.find(alias)).execute(conn)? > 0)
}
