//! The monthly report: what a month was used for, what it cost, and what would have been paid without plans.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::csv;
use crate::api::error::ApiError;
use crate::api::usage::{figures, labels, named};
use crate::clock::UnixMs;
use crate::store::usage::{self, Dimension, Filter, Point, Totals};
use crate::store::{Connection, StoreError};

const DAY_MS: i64 = 86_400_000;
/// Days that are named as those with the most tokens.
const TOP_DAYS: usize = 5;
/// The parts of a report, and their words.
const PARTS: [(&str, Dimension); 6] = [
    ("provider", Dimension::Provider),
    ("model", Dimension::Model),
    ("account", Dimension::Account),
    ("key", Dimension::Key),
    ("combo", Dimension::Combo),
    ("tool", Dimension::Tool),
];

type Groups = BTreeMap<(String, String), Totals>;
type Part = (&'static str, Dimension, Groups, std::collections::HashMap<String, String>);

pub(super) async fn month(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&["month", "format"])?;
    let as_csv = csv::is_wanted(&call)?;
    let snapshot = api.shared().snapshot.load_full();
    let zone = snapshot.settings.timezone.clone();
    let first = match call.query("month") {
        Some(text) => first_of(text)
            .ok_or_else(|| ApiError::invalid("month", "expected a month such as 2026-11"))?,
        None => this_month(api.shared().clock.now_ms(), &zone),
    };
    let bad = || ApiError::invalid("month", "is too far away");
    let begin = |date: Date| midnight(date, &zone).ok_or_else(bad);
    let next = first.checked_add(1.month()).map_err(|_far| bad())?;
    let before = first.checked_sub(1.month()).map_err(|_far| bad())?;
    let filter = Filter { from: begin(first)?, to: begin(next)?, ..Filter::default() };
    let earlier = Filter { from: begin(before)?, to: filter.from, ..Filter::default() };
    let span = filter.clone();
    let (whole, previous, parts, days) = api
        .read(move |conn| {
            let mut parts = Vec::new();
            for (word, dimension) in PARTS {
                let groups = usage::by(conn, &filter, dimension)?;
                parts.push((word, dimension, groups, labels(conn, dimension)?));
            }
            let days = days(conn, &filter)?;
            Ok((usage::summary(conn, &filter)?, usage::summary(conn, &earlier)?, parts, days))
        })
        .await?;
    if as_csv {
        return Ok(as_table(first, &parts, &snapshot));
    }
    let budgets = crate::api::budgets::list(api, Call::default()).await?.into_json();
    let mut report = Map::new();
    let month = format!("{:04}-{:02}", first.year(), first.month());
    report.insert("month".to_owned(), month.into());
    report.insert("from".to_owned(), span.from.into());
    report.insert("to".to_owned(), span.to.into());
    report.insert("totals".to_owned(), figures(&whole).into());
    report.insert("previous".to_owned(), figures(&previous).into());
    report.insert("change".to_owned(), change(&whole, &previous));
    for part in &parts {
        report.insert(["by_", part.0].concat(), rows(part, &snapshot).into());
    }
    report.insert("top_days".to_owned(), days);
    let budgets = budgets.as_ref().and_then(|list| list.get("data")).cloned();
    report.insert("budgets".to_owned(), budgets.unwrap_or_else(|| json!([])));
    Ok(Reply::ok(report.into()))
}

/// The rows of one part, the most expensive at list price first.
fn rows((_, dimension, groups, names): &Part, snapshot: &Snapshot) -> Vec<Value> {
    let mut groups: Vec<_> = groups.iter().collect();
    groups.sort_by_key(|(id, totals)| {
        (std::cmp::Reverse((totals.list_umicro, totals.requests)), (*id).clone())
    });
    let row = |(id, totals): (&(String, String), &Totals)| {
        let mut row = figures(totals);
        let (id, label) = named(*dimension, id, names, snapshot);
        row.insert("id".to_owned(), id.into());
        row.insert("label".to_owned(), label.into());
        Value::Object(row)
    };
    groups.into_iter().map(row).collect()
}

/// All parts under each other, each row with the word of its part.
fn as_table(first: Date, parts: &[Part], snapshot: &Snapshot) -> Reply {
    let mut all = Vec::new();
    for part in parts {
        for mut row in rows(part, snapshot) {
            if let Value::Object(row) = &mut row {
                row.insert("by".to_owned(), part.0.into());
            }
            all.push(row);
        }
    }
    let columns = [&["by"][..], &csv::COLUMNS].concat();
    csv::reply(&format!("usage-{:04}-{:02}.csv", first.year(), first.month()), &columns, &all)
}

/// The days with the most tokens. A day is 24 hours from the month's beginning on: a clock that is set moves it by an hour.
fn days(conn: &mut Connection, filter: &Filter) -> Result<Value, StoreError> {
    let (from, to) = (filter.from, filter.to);
    let count = usize::try_from((to.saturating_sub(from)).div_euclid(DAY_MS) + 1).unwrap_or(0);
    let place = |hour: UnixMs| usize::try_from(hour.saturating_sub(from).div_euclid(DAY_MS)).ok();
    let groups = usage::series(conn, filter, Dimension::Tier, count, place)?;
    let mut days = vec![(0_usize, Point::default()); count];
    for (at, (place, day)) in days.iter_mut().enumerate() {
        *place = at;
        for point in groups.values().filter_map(|points| points.get(at)) {
            day.requests += point.requests;
            day.tokens = day.tokens.saturating_add(point.tokens);
            day.paid_umicro = day.paid_umicro.saturating_add(point.paid_umicro);
            day.list_umicro = day.list_umicro.saturating_add(point.list_umicro);
        }
    }
    days.retain(|(_, day)| day.requests > 0);
    days.sort_by_key(|(at, day)| (std::cmp::Reverse(day.tokens), *at));
    days.truncate(TOP_DAYS);
    let shown = days.into_iter().map(|(at, day)| {
        let start = from.saturating_add(i64::try_from(at).unwrap_or(0).saturating_mul(DAY_MS));
        json!({"day": start, "requests": day.requests, "tokens": day.tokens,
            "paid_umicro": day.paid_umicro, "list_umicro": day.list_umicro})
    });
    Ok(shown.collect())
}

/// Percent against the month before; null where there was nothing.
fn change(now: &Totals, before: &Totals) -> Value {
    let of = |now: i64, before: i64| {
        let percent = i128::from(now.saturating_sub(before)) * 100 / i128::from(before.max(1));
        (before > 0).then(|| i64::try_from(percent).unwrap_or(i64::MAX))
    };
    let tokens = |totals: &Totals| totals.input_tokens.saturating_add(totals.output_tokens);
    json!({
        "requests_percent": of(now.requests, before.requests),
        "tokens_percent": of(tokens(now), tokens(before)),
        "paid_percent": of(now.paid_umicro, before.paid_umicro),
        "list_percent": of(now.list_umicro, before.list_umicro),
    })
}

fn first_of(month: &str) -> Option<Date> {
    let (year, month) = month.split_once('-')?;
    if year.len() != 4 || month.len() != 2 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

fn this_month(now: UnixMs, zone: &TimeZone) -> Date {
    let instant = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    zone.to_datetime(instant).date().first_of_month()
}

fn midnight(date: Date, zone: &TimeZone) -> Option<UnixMs> {
    let begin = zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).compatible().ok()?;
    Some(begin.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_and_changes_are_percents() {
        assert_eq!(first_of("2026-11"), Some(jiff::civil::date(2026, 11, 1)));
        for bad in ["2026-13", "26-11", "2026-1", "2026", "x", "2026-11-01"] {
            assert_eq!(first_of(bad), None, "{bad}");
        }
        let totals = |requests, paid| {
            let mut totals = Totals::default();
            totals.requests += requests;
            totals.paid_umicro += paid;
            totals
        };
        let (now, before) = (totals(150, 5), totals(100, 0));
        let change = change(&now, &before);
        assert_eq!(
            (&change["requests_percent"], &change["paid_percent"]),
            (&json!(50), &Value::Null)
        );
    }
}
