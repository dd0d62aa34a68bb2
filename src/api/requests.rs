//! The request log: rows by filter, one row with everything known of it, files of many, and removing old ones.

use ninerouter_dialect::Usage;
use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::bodies::captured;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::export::{NDJSON, pages};
use crate::api::merge::members;
use crate::api::page::{Cut, keyset};
use crate::api::usage::FILTER;
use crate::api::{Api, blocking};
use crate::auth::audit::{Event, EventName};
use crate::clock::UnixMs;
use crate::provider::price::{Price, Share, shares};
use crate::store::Store;
use crate::store::usage::{
    self, Listed, RequestFilter, StatusFilter, StoredAttempt, StoredRequest,
};

/// Members of the query beside those of all usage.
const OWN: [&str; 6] = ["q", "status", "streaming", "fallback", "captured", "min_ms"];
/// Rows that are read at a time for a file.
const STEP: usize = 500;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &OWN, &["limit", "cursor"]].concat())?;
    let cut = Cut::of(&call)?;
    let filter = RequestFilter { before: cut.moment()?, ..api.request_filter(&call)? };
    let limit = cut.limit;
    let rows = api.read(move |conn| usage::list_requests(conn, &filter, limit + 1)).await?;
    let keyed = rows.iter().map(|listed| {
        let row = &listed.row;
        (format!("{} {}", row.ts, row.id), object(listed).into())
    });
    Ok(keyset(&cut, keyed))
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let (row, steps) = api.find_request(&call).await?;
    let snapshot = api.shared().snapshot.load_full();
    Ok(Reply::ok(detail(&snapshot, row, &steps).into()))
}

pub(super) async fn export(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &OWN, &["bodies"]].concat())?;
    let bodies = call.flag("bodies")?;
    if bodies {
        api.require_sudo(&call.caller)?;
    }
    let filter = api.request_filter(&call)?;
    let event = Event::ok(EventName::LogsExported).with("what", "requests");
    api.shared().audit.record(&call.caller, event.with("bodies", bodies));
    let store = api.shared().store.clone();
    let data_dir = api.data_dir();
    let parts = pages(None, move |before| {
        let filter = RequestFilter { before, ..filter.clone() };
        let rows = store.read(|conn| usage::list_requests(conn, &filter, STEP))?;
        let next = rows.last().filter(|_| rows.len() == STEP);
        let next = next.map(|listed| Some((listed.row.ts, listed.row.id.clone())));
        let item = |listed: &Listed| {
            let mut item = object(listed);
            if bodies && listed.row.captured {
                let found = captured(&data_dir, &listed.row).ok().flatten();
                item.insert("bodies".to_owned(), found.unwrap_or_default());
            }
            Value::Object(item)
        };
        Ok((rows.iter().map(item).collect(), next))
    });
    Ok(Reply::stream(NDJSON, "requests.ndjson", parts))
}

/// Ends a request that runs: its client gets an error, its upstream is hung up on.
pub(super) async fn cancel(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    let id = call.param("id");
    if api.shared().live.running().cancel(id) {
        return Ok(Reply::ok(json!({"id": id, "cancelled": true})));
    }
    // One that has ended is told from one that never was.
    api.find_request(&call).await?;
    Err(ApiError::new(409, "conflict", "the request has ended; there is nothing to cancel"))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&["before"])?;
    let before = crate::api::period::instant(&call, "before")?;
    let before = before.ok_or_else(|| ApiError::invalid("before", "is missing"))?;
    let store = api.shared().store.clone();
    let removed = blocking(move || remove_rows(&store, before)).await?;
    Ok(Reply::ok(json!({ "removed": removed })))
}

/// Rows of requests and their hourly sums; daily sums and counters are kept for ever (storage §5).
pub(super) async fn remove_usage(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&["before"])?;
    let before = crate::api::period::instant(&call, "before")?;
    let before = before.ok_or_else(|| ApiError::invalid("before", "is missing"))?;
    let store = api.shared().store.clone();
    let (rows, hours) = blocking(move || {
        let rows = remove_rows(&store, before)?;
        Ok((rows, store.prune_hours(before)?))
    })
    .await?;
    Ok(Reply::ok(json!({"removed": rows, "removed_hours": hours})))
}

/// In short transactions: rows of running requests are written in between.
fn remove_rows(store: &Store, before: UnixMs) -> Result<usize, ApiError> {
    let mut removed = 0;
    loop {
        match store.write(|conn| usage::delete_requests(conn, before))? {
            0 => return Ok(removed),
            some => removed += some,
        }
    }
}

pub(super) async fn unpriced(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&FILTER)?;
    let filter = RequestFilter { usage: api.usage_filter(&call)?, ..RequestFilter::default() };
    let found = api.read(move |conn| usage::unpriced(conn, &filter)).await?;
    let snapshot = api.shared().snapshot.load();
    let data = found.into_iter().map(|(provider, model, requests)| {
        let known = snapshot.catalog.by_id(&provider);
        let prefix = known.map_or(provider.as_str(), |known| known.prefix());
        json!({"provider": provider, "model": model, "model_key": format!("{prefix}/{model}"), "requests": requests})
    });
    Ok(Reply::ok(json!({"data": data.collect::<Vec<_>>(), "next": null})))
}

impl Api {
    /// The row the path names, with its attempts.
    pub(super) async fn find_request(
        &self,
        call: &Call,
    ) -> Result<(StoredRequest, Vec<StoredAttempt>), ApiError> {
        let id = call.param("id").to_owned();
        let found = self.read(move |conn| usage::find_request(conn, &id)).await?;
        found.ok_or_else(|| ApiError::not_found("request", call.param("id")))
    }

    fn request_filter(&self, call: &Call) -> Result<RequestFilter, ApiError> {
        let switch = |name: &str| call.query(name).map(|_| call.flag(name)).transpose();
        let min_ms = call.query("min_ms").map(|text| {
            let number = text.parse().ok().filter(|ms| *ms >= 0);
            number.ok_or_else(|| ApiError::invalid("min_ms", "must be a number of milliseconds"))
        });
        Ok(RequestFilter {
            usage: self.usage_filter(call)?,
            text: call.query("q").map(str::to_owned),
            status: call.query("status").map(status).transpose()?,
            stream: switch("streaming")?,
            fallback: switch("fallback")?,
            captured: switch("captured")?,
            min_ms: min_ms.transpose()?,
            before: None,
        })
    }
}

/// `ok`, `429` or `4xx`.
fn status(word: &str) -> Result<StatusFilter, ApiError> {
    let class = word.strip_suffix("xx").and_then(|class| class.parse().ok());
    match (word, word.parse(), class) {
        ("ok" | "error" | "client_cancelled" | "rejected", ..) => {
            Ok(StatusFilter::Word(word.to_owned()))
        }
        (_, Ok(status @ 100..=599), _) => Ok(StatusFilter::Http(status)),
        (_, _, Some(class @ 1..=5)) => Ok(StatusFilter::Class(class)),
        _ => Err(ApiError::invalid(
            "status",
            "expected ok, error, client_cancelled, rejected, a status such as 429, or a class such as 5xx",
        )),
    }
}

/// A row as lists and events show it: its columns, and the way it went.
pub(super) fn object(listed: &Listed) -> Map<String, Value> {
    let mut object = members(serde_json::to_value(&listed.row).unwrap_or_default());
    object.insert("path".to_owned(), listed.path.clone().into());
    object
}

/// Everything that is known of a request.
pub(super) fn detail(
    snapshot: &Snapshot,
    row: StoredRequest,
    steps: &[StoredAttempt],
) -> Map<String, Value> {
    let (routing, cost) = (routing(&row, steps), cost(snapshot, &row));
    let captured = row.captured;
    let mut object = object(&Listed::of(row, steps));
    // The number of attempts is the number of those that were no skips; the list has both.
    object.insert("attempts".to_owned(), serde_json::to_value(steps).unwrap_or_default());
    object.insert("routing".to_owned(), routing);
    object.insert("cost".to_owned(), cost);
    object.insert("bodies_available".to_owned(), captured.into());
    object
}

/// How its target was found, as far as rows tell.
fn routing(row: &StoredRequest, steps: &[StoredAttempt]) -> Value {
    let skipped = steps.iter().filter(|step| step.outcome == "skipped");
    let reason = |step: &StoredAttempt| step.message.clone().unwrap_or_default();
    let mut filters: Vec<String> = Vec::new();
    let skipped: Vec<Value> = skipped
        .map(|step| {
            let reason = reason(step);
            if !filters.contains(&reason) {
                filters.push(reason.clone());
            }
            json!({"target": step.target, "account_label": step.account_label, "reason": reason, "until": step.until})
        })
        .collect();
    json!({
        "resolved_from": row.requested_model,
        "combo": row.combo_name,
        "entry_index": row.entry_index,
        "affinity": row.session_hash.is_some(),
        "filters": filters,
        "skipped": skipped,
    })
}

/// What it cost, and how that came about. Prices change: where those of now give another sum, only the sum is told.
fn cost(snapshot: &Snapshot, row: &StoredRequest) -> Value {
    let usage = usage_of(row);
    let price =
        row.provider.as_deref().zip(row.model_key.as_deref()).and_then(|(provider, key)| {
            let provider = snapshot.catalog.by_id(provider)?;
            let model = key.split_once('/').map_or(key, |(_, model)| model);
            snapshot.list_price(provider, model).map(|(price, _)| price)
        });
    let formula = price.and_then(|price| {
        let fits = crate::provider::price::cost_umicro(&usage, &price) == row.list_cost;
        fits.then(|| formula(&usage, &price))
    });
    json!({
        "list_umicro": row.list_cost,
        "paid_umicro": row.paid_cost,
        "price_source": row.price_source,
        "overage": row.overage,
        "notional": row.notional,
        "formula": formula,
    })
}

/// Tokens of a row.
pub(super) fn usage_of(row: &StoredRequest) -> Usage {
    let tokens = |n: i64| u64::try_from(n).unwrap_or_default();
    Usage {
        input: tokens(row.input_tokens),
        cached: tokens(row.cached_tokens),
        cache_write_5m: tokens(row.cache_write_5m_tokens),
        cache_write_1h: tokens(row.cache_write_1h_tokens),
        output: tokens(row.output_tokens),
        reasoning: tokens(row.reasoning_tokens),
        exact: !row.estimated,
    }
}

/// `1,380 input × $1.50/M + 20 output × $6.00/M`.
fn formula(usage: &Usage, price: &Price) -> String {
    let part = |share: &Share| {
        let price = share.per_million.map_or("?".to_owned(), dollars);
        format!("{} {} × {price}/M", grouped(share.tokens), share.what)
    };
    let mut parts: Vec<String> =
        shares(usage, price).iter().filter(|s| s.tokens > 0).map(part).collect();
    if let Some(request) = price.per_request.filter(|request| *request > 0) {
        parts.push(format!("{} per request", dollars(request)));
    }
    if parts.is_empty() { "no tokens".to_owned() } else { parts.join(" + ") }
}

/// Micro-USD as dollars, with two decimals or as many as it takes.
fn dollars(umicro: i64) -> String {
    let (whole, rest) = (umicro.div_euclid(1_000_000), umicro.rem_euclid(1_000_000));
    let digits = format!("{rest:06}");
    let shown = digits.trim_end_matches('0');
    format!("${whole}.{shown:0<2}")
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_names_each_price_it_used() {
        let price = Price {
            input: Some(1_500_000),
            output: Some(6_000_000),
            cached: Some(150_000),
            per_request: Some(2_500),
            ..Price::default()
        };
        let usage = Usage { input: 1_400, cached: 20, output: 20, ..Usage::default() };
        assert_eq!(
            formula(&usage, &price),
            "1,380 input × $1.50/M + 20 cached × $0.15/M + 20 output × $6.00/M + $0.0025 per request"
        );
        assert_eq!(formula(&Usage::default(), &Price::default()), "no tokens");
        assert_eq!(
            (grouped(1_234_567), dollars(12_000_000)),
            ("1,234,567".into(), "$12.00".into())
        );
    }

    #[test]
    fn a_status_is_a_word_a_number_or_a_class() {
        assert_eq!(status("rejected").unwrap(), StatusFilter::Word("rejected".into()));
        assert_eq!(status("429").unwrap(), StatusFilter::Http(429));
        assert_eq!(status("5xx").unwrap(), StatusFilter::Class(5));
        for bad in ["running", "9xx", "42", "xx", ""] {
            assert!(status(bad).is_err(), "{bad}");
        }
    }
}
