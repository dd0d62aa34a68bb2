//! Prices: the operator's own over what catalog and upstreams say. US dollars per million tokens, as decimal text.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found, page};
use crate::api::providers::provider_named;
use crate::api::{Api, managed};
use crate::config::file;
use crate::provider::price::Price;
use crate::store::prices::{self, PriceRow};
use crate::store::usage::{self, Dimension, Filter, PriceSource};
use crate::store::{Connection, Stamp, StoreError};

const WHAT: &str = "price";

/// Members of the query of a list.
pub(super) const FILTER: [&str; 5] = ["q", "unpriced", "overridden", "provider", "used_days"];
/// Longest look back, days.
const LONGEST: i64 = 3_650;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&page::QUERY[..], &FILTER].concat())?;
    page(&call, api.prices(&call).await?)
}

impl Api {
    /// The prices that a call asks for, with their sort keys.
    pub(super) async fn prices(&self, call: &Call) -> Result<Vec<(String, Value)>, ApiError> {
        let (unpriced, overridden) = (call.flag("unpriced")?, call.flag("overridden")?);
        let used = self.used_models(call).await?;
        let rows = self.read(prices::list).await?;
        let snapshot = self.shared().snapshot.load();
        let only =
            call.query("provider").map(|name| provider_named(&snapshot, name)).transpose()?;
        let mut items = Vec::new();
        for provider in snapshot.catalog.providers() {
            if only.as_ref().is_some_and(|only| only.id != provider.id) {
                continue;
            }
            let live = snapshot.names.live.of(&provider.id);
            let live = live.iter().flat_map(|live| live.models()).map(|model| &model.id);
            let listed = provider.models.iter().map(|model| &model.id).chain(live);
            let stored =
                rows.iter().filter(|row| row.provider == *provider.id).map(|row| &row.model);
            let mut ids: Vec<&String> = listed.chain(stored).collect();
            ids.sort();
            ids.dedup();
            for id in ids {
                let row = rows.iter().find(|row| row.provider == *provider.id && row.model == *id);
                let known = snapshot.list_price(provider, id);
                let is_used = || used.as_ref().is_none_or(|used| used.contains(&provider.id, id));
                let wanted =
                    (!unpriced || known.is_none()) && (!overridden || row.is_some()) && is_used();
                let key = format!("{}/{id}", provider.prefix());
                if wanted && found(call, &[&key]) {
                    items.push((key.clone(), object(&provider.id, id, &key, known.as_ref(), row)));
                }
            }
        }
        items.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(items)
    }

    /// What was used in the last `used_days`; `None` = that is not asked for.
    async fn used_models(&self, call: &Call) -> Result<Option<Used>, ApiError> {
        let Some(text) = call.query("used_days") else { return Ok(None) };
        let days = text.parse::<i64>().ok().filter(|days| (1..=LONGEST).contains(days));
        let days = days.ok_or_else(|| {
            ApiError::invalid("used_days", format!("must be a number from 1 to {LONGEST}"))
        })?;
        let to = self.shared().clock.now_ms();
        let filter = Filter { from: to - days * DAY_MS, to, ..Filter::default() };
        let found = self.read(move |conn| usage::by(conn, &filter, Dimension::Model)).await?;
        Ok(Some(Used(found.into_keys().collect())))
    }
}

/// Models that were used: provider, and the upstream's id.
struct Used(HashSet<(String, String)>);

impl Used {
    fn contains(&self, provider: &str, model: &str) -> bool {
        self.0.contains(&(provider.to_owned(), model.to_owned()))
    }
}

pub(super) async fn put(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut given = call.object()?;
    let rev = call.rev(&mut given)?;
    let (provider, model) = place(api, &call)?;
    for fixed in ["provider", "model"] {
        if given.contains_key(fixed) {
            return Err(ApiError::invalid(fixed, "is in the path; leave it out"));
        }
    }
    given.insert("provider".to_owned(), provider.clone().into());
    given.insert("model".to_owned(), model.clone().into());
    let new = file::price(&Value::Object(merged(Map::new(), given)))?;
    let amounts = [
        new.input,
        new.cached,
        new.cache_write_5m,
        new.cache_write_1h,
        new.output,
        new.reasoning,
        new.per_request,
    ];
    if amounts.iter().all(Option::is_none) {
        return Err(ApiError::invalid("input", "name at least one price; 0 means free"));
    }
    let now = api.shared().clock.now_ms();
    let made = api
        .write(move |conn| {
            let old = find(conn, &new.provider, &new.model)?;
            if let Err(why) = may_change(old.as_ref(), rev) {
                return Ok(Err(why));
            }
            prices::upsert(conn, &new, Stamp::operator(now))?;
            Ok(Ok(old.is_none()))
        })
        .await?;
    api.reload().await?;
    let (wanted, id) = (provider.clone(), model.clone());
    let row = api.read(move |conn| find(conn, &wanted, &id)).await?;
    let snapshot = api.shared().snapshot.load();
    let entry = provider_named(&snapshot, &provider)?;
    let known = snapshot.list_price(entry, &model);
    let key = format!("{}/{model}", entry.prefix());
    let shown = object(&provider, &model, &key, known.as_ref(), row.as_ref());
    Ok(if made { Reply::created(shown) } else { Reply::ok(shown) })
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    let (provider, model) = place(api, &call)?;
    api.write(move |conn| {
        let Some(row) = find(conn, &provider, &model)? else {
            return Ok(Err(ApiError::not_found("price of your own for", &model)));
        };
        if let Err(why) = may_change(Some(&row), rev) {
            return Ok(Err(why));
        }
        prices::delete(conn, &provider, &model).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

fn place(api: &Api, call: &Call) -> Result<(String, String), ApiError> {
    let snapshot = api.shared().snapshot.load();
    let provider = provider_named(&snapshot, call.param("provider"))?;
    Ok((provider.id.to_string(), call.param("model").to_owned()))
}

fn may_change(old: Option<&PriceRow>, rev: Option<i64>) -> Result<(), ApiError> {
    managed(WHAT, old.and_then(|row| row.managed_by))?;
    let stored = old.map_or(0, |row| row.rev);
    match rev {
        Some(rev) if rev != stored => Err(ApiError::conflict(json!({"rev": stored}))),
        Some(_) | None => Ok(()),
    }
}

fn find(
    conn: &mut Connection,
    provider: &str,
    model: &str,
) -> Result<Option<PriceRow>, StoreError> {
    let fits = |row: &PriceRow| row.provider == provider && row.model == model;
    Ok(prices::list(conn)?.into_iter().find(fits))
}

fn object(
    provider: &str,
    model: &str,
    key: &str,
    known: Option<&(Price, PriceSource)>,
    row: Option<&PriceRow>,
) -> Value {
    let mut object = members(json!({"provider": provider, "model": model, "key": key}));
    object.insert("price".to_owned(), known.map(|(price, from)| price_object(price, *from)).into());
    object.insert("overridden".to_owned(), row.is_some().into());
    object.insert("note".to_owned(), row.and_then(|row| row.note.clone()).into());
    let owner = row.and_then(|row| row.managed_by).map(|owner| owner.as_str());
    object.insert("managed_by".to_owned(), owner.into());
    object.insert("rev".to_owned(), row.map_or(0, |row| row.rev).into());
    object.into()
}

/// `{input, cached, …, source}`, each amount in US dollars as text.
pub(super) fn price_object(price: &Price, from: PriceSource) -> Value {
    let source = match from {
        PriceSource::Operator => "operator",
        PriceSource::Reply => "reply",
        PriceSource::Catalog => "catalog",
        PriceSource::Live => "live",
        PriceSource::Pattern => "pattern",
        PriceSource::None | PriceSource::Imported => "none",
    };
    let usd = |amount: Option<i64>| amount.map(usd);
    json!({
        "input": usd(price.input),
        "cached": usd(price.cached),
        "cache_write_5m": usd(price.cache_write_5m),
        "cache_write_1h": usd(price.cache_write_1h),
        "output": usd(price.output),
        "reasoning": usd(price.reasoning),
        "per_request": usd(price.per_request),
        "source": source,
    })
}

/// Micro-dollars as dollars: exact, at least two digits behind the point.
pub(super) fn usd(umicro: i64) -> String {
    let sign = if umicro < 0 { "-" } else { "" };
    let (whole, rest) = (umicro.unsigned_abs() / 1_000_000, umicro.unsigned_abs() % 1_000_000);
    let digits = format!("{rest:06}");
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("{sign}{whole}.{}", digits.get(..kept).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        for (umicro, want) in [
            (0, "0.00"),
            (1, "0.000001"),
            (3_000_000, "3.00"),
            (1_250_000, "1.25"),
            (75_000, "0.075"),
            (-500_000, "-0.50"),
        ] {
            assert_eq!(usd(umicro), want);
        }
    }
}
