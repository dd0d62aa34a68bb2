//! `POST /api/prices/recalculate`: what the request log holds, at the prices of now (dashboard §5.16).

use std::rc::Rc;

use crate::actors::snapshot::Snapshot;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::jobs::{Kind, Outcome};
use crate::api::keys::no_more;
use crate::api::requests::usage_of;
use crate::api::{Api, blocking};
use crate::clock::UnixMs;
use crate::routing::account::Tier;
use crate::store::Store;
use crate::store::usage::{
    PriceSource, Repriced, StoredRequest, reprice, request_span, requests_between,
};

const RECALCULATE: Kind = Kind { name: "recalculate_costs", parallel: 1 };
const TIERS: [Tier; 4] = [Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free];
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Rows of one transaction: those of running requests are written in between.
const STEP: i64 = 200;

/// A job of one piece for each day. What was the price until a day's turn comes counts until then; budgets go on with
/// what they have counted until they are counted anew.
pub(super) async fn recalculate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    no_more(&call.object()?)?;
    let pieces = match api.read(request_span).await? {
        Some((first, last)) => days(first, last),
        None => Vec::new(),
    };
    let title = "Recalculate what requests cost".to_owned();
    api.start_job(RECALCULATE, String::new(), title, pieces, |api: Rc<Api>, from| async move {
        let (store, snapshot) = (api.shared().store.clone(), api.shared().snapshot.load_full());
        let done = blocking(move || day(&store, &snapshot, from)).await;
        told(done)
    })
    .await
}

fn told(done: Result<(usize, usize), ApiError>) -> Outcome {
    let (changed, all) = done.map_err(|why| why.message)?;
    Ok(Some(format!("{changed} of {all} changed")))
}

/// The UTC days of a span, the newest first, each with its name.
fn days(first: UnixMs, last: UnixMs) -> Vec<(String, UnixMs)> {
    let (first, last) = (first.div_euclid(DAY_MS), last.div_euclid(DAY_MS));
    let name = |start: UnixMs| {
        let instant =
            jiff::Timestamp::from_millisecond(start).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        jiff::tz::TimeZone::UTC.to_datetime(instant).date().to_string()
    };
    let starts = (first..=last).rev().map(|day| day.saturating_mul(DAY_MS));
    starts.map(|start| (name(start), start)).collect()
}

/// One day's rows: how many changed, of how many. Blocking.
fn day(store: &Store, snapshot: &Snapshot, from: UnixMs) -> Result<(usize, usize), ApiError> {
    let span = (from, from.saturating_add(DAY_MS));
    let zone = &snapshot.settings.timezone;
    let (mut changed, mut all) = (0, 0);
    let mut after = None;
    loop {
        let rows = store.read(|conn| requests_between(conn, span, after.as_ref(), STEP))?;
        let Some(last) = rows.last() else { return Ok((changed, all)) };
        after = Some((last.ts, last.id.clone()));
        all += rows.len();
        let new: Vec<Repriced> =
            rows.into_iter().filter_map(|row| repriced(snapshot, row)).collect();
        if !new.is_empty() {
            changed += new.len();
            store.write(|conn| reprice(conn, &new, zone))?;
        }
    }
}

/// A row that costs something else now. What an upstream said itself stays, unless the operator has a price of his
/// own; what reached no upstream, and what another router counted, stays.
fn repriced(snapshot: &Snapshot, row: StoredRequest) -> Option<Repriced> {
    let provider = snapshot.catalog.by_id(row.provider.as_deref()?)?;
    let key = row.model_key.as_deref()?;
    let model = key.split_once('/').map_or(key, |(_, model)| model);
    let listed = snapshot.list_price(provider, model).map(|(_, source)| source);
    let counts = match row.price_source.as_str() {
        "operator" | "catalog" | "live" | "pattern" => true,
        "reply" => listed == Some(PriceSource::Operator),
        "none" => row.list_cost.is_none(),
        _ => false,
    };
    if !counts {
        return None;
    }
    let tier = TIERS.into_iter().find(|tier| row.tier.as_deref() == Some(tier.as_str()))?;
    let bill = snapshot.bill_model(provider, model, tier, &usage_of(&row), None, row.overage);
    let (list, paid, source) = (bill.list, bill.paid, bill.source);
    let is_new = (list, paid) != (row.list_cost, row.paid_cost);
    is_new.then_some(Repriced { row, list, paid, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_and_the_newest_comes_first() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let found = days(at("2026-10-24T23:00:00Z"), at("2026-10-26T00:00:00Z"));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["2026-10-26", "2026-10-25", "2026-10-24"]);
        assert_eq!(found[0].1, at("2026-10-26T00:00:00Z"));
    }
}
