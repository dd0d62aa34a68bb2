//! Deleting what is older than the operator wants to keep (`storage.md` §5), in small steps.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::schema::{attempts, requests};
use crate::store::sqlite;

const DAY_MS: i64 = 86_400_000;
/// Rows of one transaction: short, so that writers do not wait.
const STEP: usize = 1_000;
const HOURLY_DAYS: i64 = 400;
const LIVE_MODEL_DAYS: i64 = 30;

/// How long rows are kept. 0 = for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Setting `usage_retention_days`.
    pub requests_days: u32,
    /// Setting `attempt_retention_days`.
    pub attempts_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { requests_days: 90, attempts_days: 30 }
    }
}

/// Rows deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Of `requests`.
    pub requests: usize,
    /// Of `attempts`.
    pub attempts: usize,
    /// Of `usage_hourly`.
    pub hours: usize,
    /// Of `error_hourly`.
    pub error_hours: usize,
    /// Of `live_models`.
    pub live_models: usize,
}

impl Store {
    /// Deletes what is too old at `now`. Daily sums and counters are kept for ever.
    ///
    /// # Errors
    ///
    /// The database fails; what was deleted until then stays deleted.
    pub fn prune(&self, now: UnixMs, keep: &Retention) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        if let Some(before) = before(now, keep.attempts_days) {
            pruned.attempts = self.prune_attempts(before)?;
        }
        if let Some(before) = before(now, keep.requests_days) {
            pruned.requests = self.steps(|conn| delete_old_requests(conn, before))?;
        }
        let hours_before = now.saturating_sub(HOURLY_DAYS * DAY_MS);
        pruned.hours = self.steps(|conn| sqlite::delete_old_hours(conn, hours_before))?;
        pruned.error_hours =
            self.steps(|conn| sqlite::delete_old_error_hours(conn, hours_before))?;
        let live_before = now.saturating_sub(LIVE_MODEL_DAYS * DAY_MS);
        pruned.live_models =
            self.steps(|conn| sqlite::delete_old_live_models(conn, live_before))?;
        self.write(|conn| Ok(sqlite::optimize(conn)?))?;
        self.checkpoint_if_large()?;
        Ok(pruned)
    }

    /// Deletes hourly sums from before `before`. Returns how many.
    ///
    /// # Errors
    ///
    /// The database fails; what was deleted until then stays deleted.
    pub fn prune_hours(&self, before: UnixMs) -> Result<usize, StoreError> {
        let errors = self.steps(|conn| sqlite::delete_old_error_hours(conn, before))?;
        Ok(self.steps(|conn| sqlite::delete_old_hours(conn, before))?.saturating_add(errors))
    }

    /// Attempts have no index on their time: they are looked up on a reader, so that the scan holds
    /// up nobody, and deleted by key.
    fn prune_attempts(&self, before: UnixMs) -> Result<usize, StoreError> {
        let mut total = 0;
        loop {
            let old: Vec<(String, i64)> = self.read(|conn| {
                Ok(attempts::table
                    .filter(attempts::ts.lt(before))
                    .select((attempts::request_id, attempts::n))
                    .limit(i64::try_from(STEP).unwrap_or(i64::MAX))
                    .load(conn)?)
            })?;
            if old.is_empty() {
                return Ok(total);
            }
            self.write(|conn| {
                for (id, n) in &old {
                    diesel::delete(attempts::table.find((id, n))).execute(conn)?;
                }
                Ok(())
            })?;
            total += old.len();
        }
    }

    fn steps(
        &self,
        delete: impl Fn(&mut SqliteConnection) -> QueryResult<usize>,
    ) -> Result<usize, StoreError> {
        let mut total = 0;
        loop {
            let deleted = self.write(|conn| Ok(delete(conn)?))?;
            total += deleted;
            if deleted < STEP {
                return Ok(total);
            }
        }
    }
}

fn before(now: UnixMs, days: u32) -> Option<UnixMs> {
    (days > 0).then(|| now.saturating_sub(i64::from(days) * DAY_MS))
}

fn delete_old_requests(conn: &mut SqliteConnection, before: UnixMs) -> QueryResult<usize> {
    let old = requests::table
        .filter(requests::ts.lt(before))
        .order(requests::ts)
        .select(requests::id)
        .limit(i64::try_from(STEP).unwrap_or(i64::MAX))
        .load::<String>(conn)?;
    let mut deleted = 0;
    for id in &old {
        deleted += diesel::delete(requests::table.find(id)).execute(conn)?;
    }
    Ok(deleted)
}
