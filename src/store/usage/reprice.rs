//! Other costs for requests that are stored: their rows, and the sums that hold them, in one transaction.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::schema::{counters, requests, usage_daily as daily, usage_hourly as hourly};
use crate::store::usage::fold::{Dimensions, local_date, spent_counter};
use crate::store::usage::hour_of;
use crate::store::usage::requests::StoredRequest;
use crate::store::usage::row::{PriceSource, price_source_text};
use crate::store::usage::write::OWN;

/// What a stored request costs by prices of now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repriced {
    /// The row as it was read.
    pub row: StoredRequest,
    /// Micro-USD at list price; `None` = unpriced.
    pub list: Option<i64>,
    /// Micro-USD paid.
    pub paid: Option<i64>,
    /// Where the price comes from.
    pub source: PriceSource,
}

/// What is added to a sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Shift {
    list: i64,
    paid: i64,
    unpriced: i64,
}

impl Repriced {
    fn shift(&self) -> Shift {
        let more =
            |new: Option<i64>, old: Option<i64>| new.unwrap_or(0).saturating_sub(old.unwrap_or(0));
        Shift {
            list: more(self.list, self.row.list_cost),
            paid: more(self.paid, self.row.paid_cost),
            unpriced: i64::from(self.list.is_none()) - i64::from(self.row.list_cost.is_none()),
        }
    }

    fn dimensions(&self) -> Dimensions {
        let row = &self.row;
        Dimensions {
            provider: row.provider.clone().unwrap_or_default(),
            model: row.model.clone().unwrap_or_default(),
            account_id: row.account_id.clone().unwrap_or_default(),
            api_key_id: row.api_key_id.clone().unwrap_or_default(),
            combo_id: row.combo_id.clone().unwrap_or_default(),
            tool: row.tool.clone(),
            tier: row.tier.clone().unwrap_or_default(),
        }
    }
}

impl Shift {
    fn add(&mut self, more: Self) {
        self.list = self.list.saturating_add(more.list);
        self.paid = self.paid.saturating_add(more.paid);
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }

    /// A sum never falls below nothing: a part of it may have been pruned.
    fn applied_to(self, (list, paid, unpriced): (i64, i64, i64)) -> (i64, i64, i64) {
        let sum = |old: i64, more: i64| old.saturating_add(more).max(0);
        (sum(list, self.list), sum(paid, self.paid), sum(unpriced, self.unpriced))
    }
}

/// First and last instant of the stored requests; `None` = there are none.
///
/// # Errors
///
/// The database fails.
pub fn request_span(conn: &mut SqliteConnection) -> Result<Option<(UnixMs, UnixMs)>, StoreError> {
    use diesel::dsl::{max, min};
    let (first, last): (Option<UnixMs>, Option<UnixMs>) =
        requests::table.select((min(requests::ts), max(requests::ts))).first(conn)?;
    Ok(first.zip(last))
}

/// Stored requests of a span in the order of time, at most `limit`, behind the one that `after` names.
///
/// # Errors
///
/// The database fails.
pub fn requests_between(
    conn: &mut SqliteConnection,
    (from, to): (UnixMs, UnixMs),
    after: Option<&(UnixMs, String)>,
    limit: i64,
) -> Result<Vec<StoredRequest>, StoreError> {
    let mut query = requests::table
        .filter(requests::ts.ge(from))
        .filter(requests::ts.lt(to))
        .order((requests::ts, requests::id))
        .limit(limit)
        .select(StoredRequest::as_select())
        .into_boxed();
    if let Some((ts, id)) = after {
        query = query
            .filter(requests::ts.gt(*ts).or(requests::ts.eq(*ts).and(requests::id.gt(id.clone()))));
    }
    Ok(query.load(conn)?)
}

/// One of the two tables of sums.
macro_rules! move_sums {
    ($conn:ident, $table:ident, $span:expr, $key:ident, $shift:ident) => {{
        let place = || {
            $table::table
                .filter($span)
                .filter($table::provider.eq(&$key.provider))
                .filter($table::model.eq(&$key.model))
                .filter($table::account_id.eq(&$key.account_id))
                .filter($table::api_key_id.eq(&$key.api_key_id))
                .filter($table::combo_id.eq(&$key.combo_id))
                .filter($table::tool.eq(&$key.tool))
                .filter($table::tier.eq(&$key.tier))
        };
        let sums: Option<(i64, i64, i64)> = place()
            .select(($table::list_cost, $table::paid_cost, $table::unpriced))
            .first($conn)
            .optional()?;
        if let Some(sums) = sums {
            let (list, paid, unpriced) = $shift.applied_to(sums);
            let new = (
                $table::list_cost.eq(list),
                $table::paid_cost.eq(paid),
                $table::unpriced.eq(unpriced),
            );
            diesel::update(place()).set(new).execute($conn)?;
        }
    }};
}

/// Writes other costs: rows, hourly and daily sums, and what keys have spent for ever. Sums that are pruned already
/// stay as they are. `zone` is that of daily sums.
///
/// # Errors
///
/// The database fails: then nothing is changed.
pub fn reprice(
    conn: &mut SqliteConnection,
    changes: &[Repriced],
    zone: &TimeZone,
) -> Result<(), StoreError> {
    let mut hours: BTreeMap<(i64, Dimensions), Shift> = BTreeMap::new();
    let mut days: BTreeMap<(String, Dimensions), Shift> = BTreeMap::new();
    let mut spent: BTreeMap<String, i64> = BTreeMap::new();
    for change in changes {
        let (row, shift) = (&change.row, change.shift());
        let new = (
            requests::list_cost.eq(change.list),
            requests::paid_cost.eq(change.paid),
            requests::price_source.eq(price_source_text(change.source)),
        );
        // A row that went meanwhile is in no sum that could be told.
        if diesel::update(requests::table.find(&row.id)).set(new).execute(conn)? == 0 {
            continue;
        }
        hours.entry((hour_of(row.ts), change.dimensions())).or_default().add(shift);
        days.entry((local_date(row.ts, zone), change.dimensions())).or_default().add(shift);
        if let Some(key) = row.api_key_id.as_deref().filter(|_| shift.paid != 0) {
            let sum = spent.entry(spent_counter(key)).or_default();
            *sum = sum.saturating_add(shift.paid);
        }
    }
    for ((hour, key), shift) in &hours {
        move_sums!(conn, hourly, hourly::hour.eq(hour), key, shift);
    }
    for ((day, key), shift) in &days {
        move_sums!(conn, daily, daily::day.eq(day).and(daily::source.eq(OWN)), key, shift);
    }
    for (name, more) in &spent {
        let place = || counters::table.filter(counters::name.eq(name));
        let old: Option<i64> = place().select(counters::value).first(conn).optional()?;
        let sum = old.unwrap_or(0).saturating_add(*more).max(0);
        if old.is_some() {
            diesel::update(place()).set(counters::value.eq(sum)).execute(conn)?;
        } else {
            let new = (counters::name.eq(name), counters::value.eq(sum));
            diesel::insert_into(counters::table).values(new).execute(conn)?;
        }
    }
    Ok(())
}
