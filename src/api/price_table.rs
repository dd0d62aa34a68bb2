//! Prices as a table to take away, change in a spreadsheet and bring back (dashboard §5.16).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::csv;
use crate::api::error::{ApiError, shown};
use crate::api::prices::FILTER;
use crate::api::providers::provider_named;
use crate::config::file;
use crate::provider::price::Price;
use crate::store::prices::{self, PriceRow};
use crate::store::{Owner, Stamp};

const COLUMNS: [&str; 9] = [
    "provider",
    "model",
    "input",
    "cached",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "per_request",
];
/// Lines whose mistakes are told.
const MISTAKES: usize = 50;
/// Changes that are told one by one.
const CHANGES: usize = 500;

/// `GET /api/prices/export`: the prices in effect. An empty cell is a price nobody states.
pub(super) async fn export(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&FILTER)?;
    let rows = api.prices(&call).await?.into_iter().map(|(_, item)| {
        let mut row = Map::new();
        for name in COLUMNS {
            let value = item.get(name).or_else(|| item.get("price")?.get(name));
            row.insert(name.to_owned(), value.cloned().unwrap_or_default());
        }
        Value::Object(row)
    });
    Ok(csv::reply("prices.csv", &COLUMNS, &rows.collect::<Vec<_>>()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    text: String,
}

/// One line that says something new.
struct Change {
    row: PriceRow,
    action: &'static str,
}

/// `POST /api/prices/import`: all lines or none. A price that is the catalog's own stays the catalog's; a line of
/// empty cells takes the operator's price away.
pub(super) async fn import(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let dry_run = call.flag("dry_run")?;
    let Sent { text } = call.typed()?;
    let stored = api.read(prices::list).await?;
    let snapshot = api.shared().snapshot.load_full();
    let (changes, unchanged) = changes(&text, &stored, &snapshot)?;
    let told: Vec<Value> = changes
        .iter()
        .take(CHANGES)
        .map(|change| {
            let PriceRow { provider, model, .. } = &change.row;
            json!({"action": change.action, "provider": provider, "model": model})
        })
        .collect();
    let count = changes.len();
    if !dry_run && count > 0 {
        let now = api.shared().clock.now_ms();
        api.write(move |conn| {
            for Change { row, action } in &changes {
                match *action {
                    "remove" => {
                        prices::delete(conn, &row.provider, &row.model)?;
                    }
                    _ => prices::upsert(conn, row, Stamp::operator(now))?,
                }
            }
            Ok(Ok(()))
        })
        .await?;
        api.reload().await?;
    }
    Ok(Reply::ok(json!({
        "changed": count, "unchanged": unchanged, "changes": told, "applied": !dry_run,
    })))
}

/// What the lines change, and how many change nothing.
fn changes(
    text: &str,
    stored: &[PriceRow],
    snapshot: &Snapshot,
) -> Result<(Vec<Change>, usize), ApiError> {
    let rows = csv::parse(text).map_err(|line| {
        let why = format!("line {line}: a cell in quotes has no end, or goes on behind it");
        ApiError::invalid("text", why)
    })?;
    let mut rows = rows.into_iter();
    let head = rows.next().map(|(_, head)| head).unwrap_or_default();
    let head: Vec<String> = head.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    if let Some(name) = head.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        let why = format!("there is no column `{}`; expected {}", shown(name), COLUMNS.join(","));
        return Err(ApiError::invalid("text", why));
    }
    if !["provider", "model"].iter().all(|name| head.iter().any(|own| own == name)) {
        let why = format!("the first line must name the columns: {}", COLUMNS.join(","));
        return Err(ApiError::invalid("text", why));
    }
    let (mut changes, mut unchanged) = (Vec::<Change>::new(), 0);
    let mut mistakes = Vec::new();
    for (line, cells) in rows {
        match change(&head, &cells, stored, snapshot) {
            Ok(Some(new)) if changes.iter().any(|old| is_same_place(&old.row, &new.row)) => {
                mistakes.push((line, "names a model that another line names already".to_owned()));
            }
            Ok(Some(new)) => changes.push(new),
            Ok(None) => unchanged += 1,
            Err(why) => mistakes.push((line, why)),
        }
    }
    let Some((line, why)) = mistakes.first() else { return Ok((changes, unchanged)) };
    let error =
        ApiError::new(422, "validation_failed", format!("line {line}: {why}; nothing was changed"));
    let told = mistakes.iter().take(MISTAKES);
    Err(told.fold(error, |error, (line, why)| error.field(&format!("line {line}"), why.as_str())))
}

fn is_same_place(one: &PriceRow, other: &PriceRow) -> bool {
    (&one.provider, &one.model) == (&other.provider, &other.model)
}

/// What a line changes; `None` = nothing.
fn change(
    head: &[String],
    cells: &[String],
    stored: &[PriceRow],
    snapshot: &Snapshot,
) -> Result<Option<Change>, String> {
    if cells.len() != head.len() {
        return Err(format!("has {} cells instead of {}", cells.len(), head.len()));
    }
    let filled = head.iter().zip(cells).map(|(name, cell)| (name, cell.trim()));
    let filled = filled.filter(|(_, cell)| !cell.is_empty());
    let object: Map<String, Value> =
        filled.map(|(name, cell)| (name.clone(), cell.into())).collect();
    let said = |why: ApiError| why.message;
    let mut row = file::price(&Value::Object(object)).map_err(|why| said(why.into()))?;
    let provider = provider_named(snapshot, &row.provider).map_err(said)?;
    row.provider = provider.id.to_string();
    let listed = snapshot.listed_price(provider, &row.model).map(|(price, _)| price);
    keep_own(&mut row, &listed.unwrap_or_default());
    let old = stored.iter().find(|old| is_same_place(old, &row));
    let is_empty = amounts(&row).iter().all(Option::is_none);
    let action = match old {
        None if is_empty => return Ok(None),
        Some(old) if amounts(old) == amounts(&row) => return Ok(None),
        None => "add",
        Some(_) if is_empty => "remove",
        Some(_) => "change",
    };
    if old.is_some_and(|old| old.managed_by == Some(Owner::ConfigFile)) {
        return Err("the price is set by the config file; change it there".to_owned());
    }
    row.note = old.and_then(|old| old.note.clone());
    Ok(Some(Change { row, action }))
}

/// Leaves of a row what differs from what is listed anyway: a catalog that is brought up to date goes on to count.
fn keep_own(row: &mut PriceRow, listed: &Price) {
    for (own, listed) in [
        (&mut row.input, listed.input),
        (&mut row.cached, listed.cached),
        (&mut row.cache_write_5m, listed.cache_write_5m),
        (&mut row.cache_write_1h, listed.cache_write_1h),
        (&mut row.output, listed.output),
        (&mut row.reasoning, listed.reasoning),
        (&mut row.per_request, listed.per_request),
    ] {
        if *own == listed {
            *own = None;
        }
    }
}

fn amounts(row: &PriceRow) -> [Option<i64>; 7] {
    [
        row.input,
        row.cached,
        row.cache_write_5m,
        row.cache_write_1h,
        row.output,
        row.reasoning,
        row.per_request,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_listed_anyway_is_not_kept() {
        let listed = Price { input: Some(3_000_000), output: Some(15_000_000), ..Price::default() };
        let mut row = PriceRow {
            input: Some(3_000_000),
            output: Some(12_000_000),
            cached: Some(0),
            ..PriceRow::default()
        };
        keep_own(&mut row, &listed);
        assert_eq!((row.input, row.output, row.cached), (None, Some(12_000_000), Some(0)));
    }
}
