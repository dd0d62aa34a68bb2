//! Table `jobs`: long work that was asked for, as it ended. What runs is in memory.

use diesel::prelude::*;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::id::JobId;
use crate::store::column::Cell;
use crate::store::error::StoreError;
use crate::store::schema::jobs;

const TABLE: &str = "jobs";

/// A job as stored.
#[derive(Clone, PartialEq, Debug)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// What kind of work.
    pub kind: String,
    /// For people.
    pub title: String,
    /// Id of the provider that it works for; `None` = it belongs to no single one.
    pub provider: Option<String>,
    /// `queued`, `running`, `done`, `failed`, `cancelled`.
    pub state: String,
    /// Pieces of work.
    pub total: u32,
    /// Pieces that ended.
    pub done: u32,
    /// Pieces that went well.
    pub ok: u32,
    /// Pieces that failed.
    pub failed: u32,
    /// What is known of each piece: an array of objects.
    pub items: Value,
    /// Unix ms.
    pub started_at: UnixMs,
    /// Unix ms; `None` = it runs.
    pub finished_at: Option<UnixMs>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = jobs, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    kind: String,
    title: String,
    provider: Option<String>,
    state: String,
    total: i64,
    done: i64,
    ok: i64,
    failed: i64,
    items: String,
    started_at: UnixMs,
    finished_at: Option<UnixMs>,
}

/// Every job, the newest first.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<JobRow>, StoreError> {
    let rows: Vec<Raw> = jobs::table
        .order((jobs::started_at.desc(), jobs::id.desc()))
        .select(Raw::as_select())
        .load(conn)?;
    rows.iter().map(read).collect()
}

/// Stores a job, or its new state.
///
/// # Errors
///
/// The database fails.
pub fn save(conn: &mut SqliteConnection, row: &JobRow) -> Result<(), StoreError> {
    let raw = Raw {
        id: row.id.to_string(),
        kind: row.kind.clone(),
        title: row.title.clone(),
        provider: row.provider.clone(),
        state: row.state.clone(),
        total: row.total.into(),
        done: row.done.into(),
        ok: row.ok.into(),
        failed: row.failed.into(),
        items: row.items.to_string(),
        started_at: row.started_at,
        finished_at: row.finished_at,
    };
    diesel::insert_into(jobs::table)
        .values(&raw)
        .on_conflict(jobs::id)
        .do_update()
        .set(&raw)
        .execute(conn)?;
    Ok(())
}

/// Ends what a process that is gone left running, and forgets what began before `before`, and all but the newest
/// `most`.
///
/// # Errors
///
/// The database fails.
pub fn tidy(
    conn: &mut SqliteConnection,
    now: UnixMs,
    before: UnixMs,
    most: i64,
) -> Result<(), StoreError> {
    diesel::update(jobs::table.filter(jobs::finished_at.is_null()))
        .set((jobs::state.eq("failed"), jobs::finished_at.eq(now)))
        .execute(conn)?;
    prune(conn, before, most)
}

/// Forgets what began before `before`, and all but the newest `most`.
///
/// # Errors
///
/// The database fails.
pub fn prune(conn: &mut SqliteConnection, before: UnixMs, most: i64) -> Result<(), StoreError> {
    let kept: Vec<String> = jobs::table
        .order((jobs::started_at.desc(), jobs::id.desc()))
        .select(jobs::id)
        .limit(most)
        .load(conn)?;
    let old = jobs::started_at.lt(before).or(jobs::id.ne_all(kept));
    diesel::delete(jobs::table.filter(jobs::finished_at.is_not_null()).filter(old))
        .execute(conn)?;
    Ok(())
}

fn read(raw: &Raw) -> Result<JobRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    Ok(JobRow {
        id: cell.id("id", &raw.id)?,
        kind: raw.kind.clone(),
        title: raw.title.clone(),
        provider: raw.provider.clone(),
        state: raw.state.clone(),
        total: cell.number("total", raw.total)?,
        done: cell.number("done", raw.done)?,
        ok: cell.number("ok", raw.ok)?,
        failed: cell.number("failed", raw.failed)?,
        items: serde_json::from_str(&raw.items).unwrap_or_else(|_damaged| Value::Array(Vec::new())),
        started_at: raw.started_at,
        finished_at: raw.finished_at,
    })
}
