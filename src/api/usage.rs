//! What was used: sums of a period, as a whole or by one dimension.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::csv;
use crate::api::error::ApiError;
use crate::api::merge::members;
use crate::api::page::page;
use crate::api::period::span;
use crate::store::usage::{self, Dimension, Filter, Totals};
use crate::store::{Connection, StoreError, accounts, api_keys, combos};

/// Members of the query that every route here knows.
pub(super) const FILTER: [&str; 10] = [
    "period",
    "from",
    "to",
    "provider",
    "model",
    "account_id",
    "api_key_id",
    "combo_id",
    "tool",
    "tier",
];

pub(super) async fn summary(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &["compare"]].concat())?;
    let compare = call.flag("compare")?;
    let filter = api.usage_filter(&call)?;
    let length = filter.to.saturating_sub(filter.from);
    let before = Filter { from: filter.from - length, to: filter.from, ..filter.clone() };
    let shown = filter.clone();
    let (now, previous) = api
        .read(move |conn| {
            let previous = if compare { Some(usage::summary(conn, &before)?) } else { None };
            Ok((usage::summary(conn, &filter)?, previous))
        })
        .await?;
    let mut body = figures(&now);
    body.insert("from".to_owned(), shown.from.into());
    body.insert("to".to_owned(), shown.to.into());
    if let Some(previous) = previous {
        body.insert("previous".to_owned(), figures(&previous).into());
    }
    Ok(Reply::ok(body.into()))
}

pub(super) async fn table(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &["by", "sort", "limit", "cursor", "format"]].concat())?;
    let as_csv = csv::is_wanted(&call)?;
    let by = call.query("by").unwrap_or("model");
    let dimension = Dimension::parse(by).ok_or_else(|| {
        ApiError::invalid("by", "expected provider, model, account, key, combo, tool or tier")
    })?;
    let order = Order::parse(call.query("sort"))?;
    let filter = api.usage_filter(&call)?;
    let (groups, labels) = api
        .read(move |conn| Ok((usage::by(conn, &filter, dimension)?, labels(conn, dimension)?)))
        .await?;
    let whole: i64 = groups.values().map(|totals| order.of(totals)).sum();
    let snapshot = api.shared().snapshot.load();
    let mut rows: Vec<_> = groups.into_iter().collect();
    rows.sort_by(|(a_id, a), (b_id, b)| {
        (order.of(b), b.requests).cmp(&(order.of(a), a.requests)).then_with(|| a_id.cmp(b_id))
    });
    // The key that pages go by is the place in this order.
    let rows = rows.into_iter().enumerate().map(|(place, (id, totals))| {
        let mut row = figures(&totals);
        let (id, label) = named(dimension, &id, &labels, &snapshot);
        row.insert("id".to_owned(), id.into());
        row.insert("label".to_owned(), label.into());
        row.insert("share_percent".to_owned(), percent(order.of(&totals), whole));
        row.insert("last_used_at".to_owned(), Some(totals.last_hour).filter(|at| *at > 0).into());
        (format!("{place:08}"), Value::Object(row))
    });
    if as_csv {
        let rows: Vec<Value> = rows.map(|(_, row)| row).collect();
        return Ok(csv::reply("usage.csv", &csv::COLUMNS, &rows));
    }
    page(&call, rows)
}

/// What a table is sorted by, the largest first.
#[derive(Clone, Copy)]
enum Order {
    Paid,
    List,
    Requests,
    Tokens,
}

impl Order {
    fn parse(word: Option<&str>) -> Result<Self, ApiError> {
        match word {
            None | Some("requests") => Ok(Self::Requests),
            Some("paid_umicro") => Ok(Self::Paid),
            Some("list_umicro") => Ok(Self::List),
            Some("tokens") => Ok(Self::Tokens),
            Some(_) => Err(ApiError::invalid(
                "sort",
                "expected requests, tokens, paid_umicro or list_umicro",
            )),
        }
    }

    fn of(self, totals: &Totals) -> i64 {
        match self {
            Self::Paid => totals.paid_umicro,
            Self::List => totals.list_umicro,
            Self::Requests => totals.requests,
            Self::Tokens => totals.input_tokens.saturating_add(totals.output_tokens),
        }
    }
}

impl Api {
    pub(super) fn usage_filter(&self, call: &Call) -> Result<Filter, ApiError> {
        let now = self.shared().clock.now_ms();
        let snapshot = self.shared().snapshot.load();
        let (from, to) = span(call, now, &snapshot.settings.timezone)?;
        let text = |name: &str| call.query(name).map(str::to_owned);
        let provider = call.query("provider").map(|name| {
            let found = snapshot.catalog.by_id(name).or_else(|| snapshot.catalog.by_prefix(name));
            found.map_or_else(|| name.to_owned(), |provider| provider.id.to_string())
        });
        Ok(Filter {
            from,
            to,
            provider,
            model: text("model"),
            account_id: text("account_id"),
            api_key_id: text("api_key_id"),
            combo_id: text("combo_id"),
            tool: text("tool"),
            tier: text("tier"),
        })
    }
}

pub(super) fn figures(totals: &Totals) -> Map<String, Value> {
    members(json!({
        "requests": totals.requests,
        "ok": totals.ok,
        "failed": totals.failed,
        "input_tokens": totals.input_tokens,
        "cached_tokens": totals.cached_tokens,
        "cache_write_tokens": totals.cache_write_tokens,
        "output_tokens": totals.output_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "paid_umicro": totals.paid_umicro,
        "list_umicro": totals.list_umicro,
        "saved_umicro": totals.list_umicro.saturating_sub(totals.paid_umicro).max(0),
        "unpriced_requests": totals.unpriced_requests,
        "success_percent": percent(totals.ok, totals.requests),
        "ttft_ms": {"p50": totals.ttft_ms(50), "p95": totals.ttft_ms(95)},
        "total_ms": {"p50": totals.total_ms(50), "p95": totals.total_ms(95)},
    }))
}

/// With one digit behind the point; null of nothing.
pub(super) fn percent(part: i64, whole: i64) -> Value {
    if whole <= 0 {
        return Value::Null;
    }
    let tenths = i128::from(part) * 1_000 / i128::from(whole);
    let tenths = i32::try_from(tenths).unwrap_or(i32::MAX);
    json!(f64::from(tenths) / 10.0)
}

/// Names of what has an id.
pub(super) fn labels(
    conn: &mut Connection,
    dimension: Dimension,
) -> Result<HashMap<String, String>, StoreError> {
    Ok(match dimension {
        Dimension::Account => accounts::list(conn)?
            .into_iter()
            .map(|row| (row.config.id.to_string(), row.config.label))
            .collect(),
        Dimension::Key => {
            api_keys::list(conn)?.into_iter().map(|row| (row.id.to_string(), row.name)).collect()
        }
        Dimension::Combo => combos::list(conn)?
            .into_iter()
            .map(|row| (row.combo.id.to_string(), row.combo.name.to_string()))
            .collect(),
        Dimension::Provider | Dimension::Model | Dimension::Tool | Dimension::Tier => {
            HashMap::new()
        }
    })
}

/// Id and label of a row. What was removed keeps its id as its label.
pub(super) fn named(
    dimension: Dimension,
    (id, model): &(String, String),
    labels: &HashMap<String, String>,
    snapshot: &Snapshot,
) -> (String, String) {
    let prefix = || snapshot.catalog.by_id(id).map_or(id.as_str(), |provider| provider.prefix());
    match dimension {
        _ if id.is_empty() && model.is_empty() => (String::new(), "none".to_owned()),
        Dimension::Model => {
            let key = format!("{}/{model}", prefix());
            (key.clone(), key)
        }
        Dimension::Provider => {
            let name = snapshot.catalog.by_id(id).map_or(id.as_str(), |provider| &provider.name);
            (id.clone(), name.to_owned())
        }
        Dimension::Account | Dimension::Key | Dimension::Combo => {
            (id.clone(), labels.get(id).unwrap_or(id).clone())
        }
        Dimension::Tool | Dimension::Tier => (id.clone(), id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_have_one_digit() {
        assert_eq!(percent(1, 3), json!(33.3));
        assert_eq!(percent(0, 0), Value::Null);
        assert_eq!(percent(5, 5), json!(100.0));
    }
}
