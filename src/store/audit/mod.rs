//! Table `audit_events` and the same rows as lines of `audit.log`: what happened, chained so that a change shows
//! (SEC-AUD-1 to -4).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the table: appending, reading, pruning |
//! | `chain` | what of a row is authenticated, and with which key |
//! | `line` | a row as a line of the file |
//! | `verify` | looking for what was changed, in table and file |

mod chain;
mod line;
mod verify;

use std::ops::ControlFlow;

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::column;
use crate::store::error::StoreError;
use crate::store::schema::audit_events as events;
use crate::store::sqlite;

pub use chain::AuditKey;
pub use line::{FileLine, last_seq, to_line};
pub use verify::{Difference, Gap, Verified, verify};

/// The file in the data folder.
pub const FILE: &str = "audit.log";
/// Files put aside beside it (SEC-AUD-2).
pub const KEPT_FILES: u32 = 3;
/// Largest detail, bytes (SEC-AUD-1).
pub const MAX_DETAIL: usize = 2_048;
/// The event that says what was deleted: the checkpoint of SEC-AUD-3.
pub const PRUNED: &str = "audit_pruned";

/// Rows of one deleting transaction.
const STEP: i64 = 1_000;

/// What happened, before it has its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewEvent {
    /// When, Unix ms.
    pub ts_ms: UnixMs,
    /// Word of the event.
    pub event: String,
    /// `ok`, `denied` or `failed`.
    pub outcome: String,
    /// Kind of the one who did it.
    pub actor: String,
    /// The client's address.
    pub client_ip: Option<String>,
    /// The socket's peer.
    pub peer_ip: Option<String>,
    /// Keyed hash of the user agent.
    pub ua_hash: Option<[u8; 32]>,
    /// HTTP method.
    pub method: Option<String>,
    /// Path without query, redacted.
    pub path: Option<String>,
    /// HTTP status.
    pub status: Option<i64>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// How many equal events the row stands for.
    pub count: i64,
    /// A JSON object, at most [`MAX_DETAIL`] bytes.
    pub detail: String,
}

/// A row of the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    /// Place in the chain, from 1 on.
    pub seq: i64,
    /// What happened.
    pub event: NewEvent,
    /// The MAC of the row before; zeros for the first.
    pub prev_mac: [u8; 32],
    /// The MAC of this row.
    pub mac: [u8; 32],
}

/// Which rows are wanted; `None` takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Words of events; empty = all.
    pub events: Vec<String>,
    /// Outcome.
    pub outcome: Option<String>,
    /// The client's address.
    pub client_ip: Option<String>,
    /// From this instant on, Unix ms.
    pub from: Option<UnixMs>,
    /// Before this instant, Unix ms.
    pub to: Option<UnixMs>,
    /// Before this place in the chain.
    pub before_seq: Option<i64>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
struct Raw {
    seq: i64,
    ts_ms: UnixMs,
    event: String,
    outcome: String,
    actor: String,
    client_ip: Option<String>,
    peer_ip: Option<String>,
    ua_hash: Option<Vec<u8>>,
    method: Option<String>,
    path: Option<String>,
    status: Option<i64>,
    request_id: Option<String>,
    count: i64,
    detail: String,
    prev_mac: Vec<u8>,
    mac: Vec<u8>,
}

impl Raw {
    fn of(row: &AuditRow) -> Self {
        let event = row.event.clone();
        Self {
            seq: row.seq,
            ts_ms: event.ts_ms,
            event: event.event,
            outcome: event.outcome,
            actor: event.actor,
            client_ip: event.client_ip,
            peer_ip: event.peer_ip,
            ua_hash: event.ua_hash.map(Vec::from),
            method: event.method,
            path: event.path,
            status: event.status,
            request_id: event.request_id,
            count: event.count,
            detail: event.detail,
            prev_mac: row.prev_mac.to_vec(),
            mac: row.mac.to_vec(),
        }
    }

    /// A MAC of another length than the schema allows reads as zeros: the chain then breaks there, as it should.
    fn into_row(self) -> AuditRow {
        let fixed = |bytes: Vec<u8>| bytes.try_into().unwrap_or_default();
        AuditRow {
            seq: self.seq,
            event: NewEvent {
                ts_ms: self.ts_ms,
                event: self.event,
                outcome: self.outcome,
                actor: self.actor,
                client_ip: self.client_ip,
                peer_ip: self.peer_ip,
                ua_hash: self.ua_hash.map(fixed),
                method: self.method,
                path: self.path,
                status: self.status,
                request_id: self.request_id,
                count: self.count,
                detail: self.detail,
            },
            prev_mac: fixed(self.prev_mac),
            mac: fixed(self.mac),
        }
    }
}

/// Appends rows to the chain, in one transaction of the caller, behind place `floor` at least: a file may know of rows that
/// a restored backup does not. Returns them with their places.
///
/// # Errors
///
/// The database fails or refuses a row.
pub fn append(
    conn: &mut SqliteConnection,
    key: &AuditKey,
    floor: i64,
    new: Vec<NewEvent>,
) -> Result<Vec<AuditRow>, StoreError> {
    let last: Option<(i64, Vec<u8>)> = events::table
        .order(events::seq.desc())
        .select((events::seq, events::mac))
        .first(conn)
        .optional()?;
    let (seq, mac) = last.unwrap_or_default();
    // Rows at the end may have been deleted by somebody else: their places stay empty.
    let mut seq = seq.max(sqlite::highest_audit_seq(conn)?).max(floor);
    let mut prev_mac: [u8; 32] = mac.try_into().unwrap_or_default();
    let mut rows = Vec::with_capacity(new.len());
    for event in new {
        seq = seq.saturating_add(1);
        let mut row = AuditRow { seq, event, prev_mac, mac: [0; 32] };
        row.mac = key.mac_of(&row);
        prev_mac = row.mac;
        diesel::insert_into(events::table).values(Raw::of(&row)).execute(conn)?;
        rows.push(row);
    }
    Ok(rows)
}

/// The newest rows that fit, at most `limit`.
///
/// # Errors
///
/// The database fails.
pub fn list(
    conn: &mut SqliteConnection,
    filter: &AuditFilter,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let mut query = events::table.order(events::seq.desc()).select(Raw::as_select()).into_boxed();
    if !filter.events.is_empty() {
        query = query.filter(events::event.eq_any(&filter.events));
    }
    if let Some(outcome) = &filter.outcome {
        query = query.filter(events::outcome.eq(outcome));
    }
    if let Some(ip) = &filter.client_ip {
        query = query.filter(events::client_ip.eq(ip));
    }
    if let Some(from) = filter.from {
        query = query.filter(events::ts_ms.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(events::ts_ms.lt(to));
    }
    if let Some(seq) = filter.before_seq {
        query = query.filter(events::seq.lt(seq));
    }
    let rows: Vec<Raw> = query.limit(i64::try_from(limit).unwrap_or(i64::MAX)).load(conn)?;
    Ok(rows.into_iter().map(Raw::into_row).collect())
}

/// Rows behind `seq`, the oldest first, at most `limit`: what the file lacks.
///
/// # Errors
///
/// The database fails.
pub fn after(
    conn: &mut SqliteConnection,
    seq: i64,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let rows: Vec<Raw> = events::table
        .filter(events::seq.gt(seq))
        .order(events::seq)
        .select(Raw::as_select())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(conn)?;
    Ok(rows.into_iter().map(Raw::into_row).collect())
}

/// The last row.
///
/// # Errors
///
/// The database fails.
pub fn last(conn: &mut SqliteConnection) -> Result<Option<AuditRow>, StoreError> {
    Ok(list(conn, &AuditFilter::default(), 1)?.pop())
}

/// Every row in order, one at a time: a chain may be longer than memory should hold.
fn each(
    conn: &mut SqliteConnection,
    mut take: impl FnMut(AuditRow) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let query = events::table.order(events::seq).select(Raw::as_select());
    for row in query.load_iter::<Raw, diesel::connection::DefaultLoadingMode>(conn)? {
        if take(row?.into_row()).is_break() {
            break;
        }
    }
    Ok(())
}

/// One step of deleting rows from before `before`, and so many that `most` are left. The checkpoint that says so comes
/// first (SEC-AUD-3); it is returned, and `None` when nothing is left to delete.
///
/// # Errors
///
/// The database fails; then nothing is deleted.
pub fn prune(
    conn: &mut SqliteConnection,
    key: &AuditKey,
    now: UnixMs,
    before: UnixMs,
    most: i64,
) -> Result<Option<AuditRow>, StoreError> {
    let rows: i64 = events::table.count().get_result(conn)?;
    // The checkpoint is a row, too.
    let too_many = if rows > most { rows.saturating_sub(most).saturating_add(1) } else { 0 };
    // Only what comes before the first row that stays: the chain has one beginning.
    let first_young: Option<i64> = events::table
        .filter(events::ts_ms.ge(before))
        .order(events::seq)
        .select(events::seq)
        .first(conn)
        .optional()?;
    let oldest: Vec<(i64, Vec<u8>)> = events::table
        .order(events::seq)
        .select((events::seq, events::mac))
        .limit(STEP)
        .load(conn)?;
    let goes = |(at, (seq, _)): &(usize, &(i64, Vec<u8>))| {
        i64::try_from(*at).is_ok_and(|at| at < too_many)
            || first_young.is_none_or(|young| *seq < young)
    };
    let Some((_, (through, mac))) = oldest.iter().enumerate().take_while(|row| goes(row)).last()
    else {
        return Ok(None);
    };
    let detail = serde_json::json!({"through_seq": through, "mac": column::hex(mac)});
    let checkpoint = NewEvent {
        ts_ms: now,
        event: PRUNED.to_owned(),
        outcome: "ok".to_owned(),
        actor: "system".to_owned(),
        count: 1,
        detail: detail.to_string(),
        ..NewEvent::default()
    };
    let checkpoint = append(conn, key, 0, vec![checkpoint])?.pop();
    diesel::delete(events::table.filter(events::seq.le(through))).execute(conn)?;
    Ok(checkpoint)
}
