//! What a key has used: its holder's own view, and the counters of its limits at start.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::UnixMs;
use crate::id::KeyId;
use crate::store::column::Cell;
use crate::store::error::StoreError;
use crate::store::schema::{counters, usage_hourly as hourly};
use crate::store::usage::{HOUR_MS, hour_of};

/// Models listed in a key holder's view.
pub const MAX_MODELS: usize = 50;

/// Span of a key holder's view (`GET /v1/usage?period=`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Period {
    /// Since local midnight.
    Today,
    /// The last 24 hours.
    Last24Hours,
    /// The last 7 days.
    Last7Days,
    /// The last 30 days.
    Last30Days,
    /// Since the first of the local month.
    #[default]
    Month,
}

impl Period {
    /// `None` for a text that names no period.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "today" => Some(Self::Today),
            "24h" => Some(Self::Last24Hours),
            "7d" => Some(Self::Last7Days),
            "30d" => Some(Self::Last30Days),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    /// The text that names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Last24Hours => "24h",
            Self::Last7Days => "7d",
            Self::Last30Days => "30d",
            Self::Month => "month",
        }
    }

    /// Where it begins. Rolling periods begin with a whole hour, because that is what is stored.
    #[must_use]
    pub fn start(self, now: UnixMs, zone: &TimeZone) -> UnixMs {
        match self {
            Self::Today => local_start(now, zone, Start::Day),
            Self::Last24Hours => hour_of(now.saturating_sub(24 * HOUR_MS)),
            Self::Last7Days => hour_of(now.saturating_sub(7 * 24 * HOUR_MS)),
            Self::Last30Days => hour_of(now.saturating_sub(30 * 24 * HOUR_MS)),
            Self::Month => local_start(now, zone, Start::Month),
        }
    }
}

/// Sums of a key over a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyTotals {
    /// Requests.
    pub requests: i64,
    /// Of these, failed or refused.
    pub failed: i64,
    /// Input tokens, with cache.
    pub input_tokens: i64,
    /// Input tokens read from the cache.
    pub cached_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Micro-dollars paid.
    pub paid_umicro: i64,
    /// Micro-dollars at list price.
    pub list_umicro: i64,
}

/// Sums of a key over one model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelUsage {
    /// Catalog id, or node id; the caller knows its prefix.
    pub provider: String,
    /// Upstream's model id.
    pub model: String,
    /// The sums.
    pub totals: KeyTotals,
}

/// What a key used in a period.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyUsage {
    /// Over all models.
    pub totals: KeyTotals,
    /// The most expensive first, at most [`MAX_MODELS`].
    pub by_model: Vec<ModelUsage>,
}

/// What a key has spent, micro-dollars, by the UTC calendar (SEC-AK-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpend {
    /// The key.
    pub key: KeyId,
    /// Since UTC midnight.
    pub day: i64,
    /// Since the first of the UTC month.
    pub month: i64,
    /// For ever.
    pub total: i64,
}

/// `sum` whose result SQLite's interface can give: diesel's own has an arbitrary precision.
mod sums {
    diesel::define_sql_function! {
        #[aggregate]
        #[sql_name = "sum"]
        fn sum_of(x: diesel::sql_types::BigInt) -> diesel::sql_types::Nullable<diesel::sql_types::BigInt>;
    }
}
use sums::sum_of;

/// What `key` used from the hour `from` on.
///
/// # Errors
///
/// The database fails.
pub fn key_usage(
    conn: &mut SqliteConnection,
    key: KeyId,
    from: UnixMs,
) -> Result<KeyUsage, StoreError> {
    type Sum = Option<i64>;
    type Row = (String, String, Sum, Sum, Sum, Sum, Sum, Sum, Sum);
    let rows: Vec<Row> = hourly::table
        .filter(hourly::api_key_id.eq(key.to_string()))
        .filter(hourly::hour.ge(from))
        .group_by((hourly::provider, hourly::model))
        .select((
            hourly::provider,
            hourly::model,
            sum_of(hourly::requests),
            sum_of(hourly::failed),
            sum_of(hourly::input_tokens),
            sum_of(hourly::cached_tokens),
            sum_of(hourly::output_tokens),
            sum_of(hourly::paid_cost),
            sum_of(hourly::list_cost),
        ))
        .load(conn)?;
    let mut usage = KeyUsage::default();
    for (provider, model, requests, failed, input, cached, output, paid, list) in rows {
        let totals = KeyTotals {
            requests: requests.unwrap_or(0),
            failed: failed.unwrap_or(0),
            input_tokens: input.unwrap_or(0),
            cached_tokens: cached.unwrap_or(0),
            output_tokens: output.unwrap_or(0),
            paid_umicro: paid.unwrap_or(0),
            list_umicro: list.unwrap_or(0),
        };
        usage.totals.add(&totals);
        // Refused before a target was chosen: in the totals, but of no model.
        if !model.is_empty() {
            usage.by_model.push(ModelUsage { provider, model, totals });
        }
    }
    usage.by_model.sort_by(|a, b| {
        let cost = |m: &ModelUsage| (m.totals.paid_umicro, m.totals.list_umicro, m.totals.requests);
        cost(b).cmp(&cost(a)).then_with(|| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)))
    });
    usage.by_model.truncate(MAX_MODELS);
    Ok(usage)
}

/// What every key has spent, for the counters of its limits at start.
///
/// # Errors
///
/// The database fails, or a counter names no key.
pub fn key_spend(conn: &mut SqliteConnection, now: UnixMs) -> Result<Vec<KeySpend>, StoreError> {
    let day = spent_since(conn, local_start(now, &TimeZone::UTC, Start::Day))?;
    let month = spent_since(conn, local_start(now, &TimeZone::UTC, Start::Month))?;
    // `;` follows `:`: every name that begins with `key_spent:`.
    let totals: Vec<(String, i64)> = counters::table
        .filter(counters::name.ge("key_spent:"))
        .filter(counters::name.lt("key_spent;"))
        .select((counters::name, counters::value))
        .load(conn)?;
    let of = |sums: &BTreeMap<String, i64>, id: &str| sums.get(id).copied().unwrap_or(0);
    totals
        .into_iter()
        .map(|(name, total)| {
            let id = name.strip_prefix("key_spent:").unwrap_or(&name);
            let key = Cell { table: "counters", id: &name }.id("name", id)?;
            Ok(KeySpend { key, day: of(&day, id), month: of(&month, id), total })
        })
        .collect()
}

impl KeyTotals {
    fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.paid_umicro = self.paid_umicro.saturating_add(other.paid_umicro);
        self.list_umicro = self.list_umicro.saturating_add(other.list_umicro);
    }
}

fn spent_since(
    conn: &mut SqliteConnection,
    from: UnixMs,
) -> Result<BTreeMap<String, i64>, StoreError> {
    let rows: Vec<(String, Option<i64>)> = hourly::table
        .filter(hourly::hour.ge(from))
        .filter(hourly::api_key_id.ne(""))
        .group_by(hourly::api_key_id)
        .select((hourly::api_key_id, sum_of(hourly::paid_cost)))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, paid)| (id, paid.unwrap_or(0))).collect())
}

#[derive(Clone, Copy)]
enum Start {
    Day,
    Month,
}

fn local_start(now: UnixMs, zone: &TimeZone, start: Start) -> UnixMs {
    let instant = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let today = zone.to_datetime(instant).date();
    let first = match start {
        Start::Day => today,
        Start::Month => today.checked_sub((i64::from(today.day()) - 1).days()).unwrap_or(today),
    };
    // A zone may skip midnight: then the first instant after it.
    let begin = zone.to_ambiguous_zoned(first.at(0, 0, 0, 0)).compatible();
    begin.map_or(now, |zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_where_they_say() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let now = ms("2026-10-25T12:34:56Z");
        for (name, zone, want) in [
            ("today", &berlin, "2026-10-24T22:00:00Z"),
            ("today", &TimeZone::UTC, "2026-10-25T00:00:00Z"),
            ("month", &berlin, "2026-09-30T22:00:00Z"),
            ("24h", &berlin, "2026-10-24T12:00:00Z"),
            ("7d", &berlin, "2026-10-18T12:00:00Z"),
            ("30d", &berlin, "2026-09-25T12:00:00Z"),
        ] {
            let period = Period::parse(name).unwrap();
            assert_eq!(period.start(now, zone), ms(want), "{name}");
            assert_eq!(period.as_str(), name);
        }
        assert_eq!(Period::parse("year"), None);
    }
}
