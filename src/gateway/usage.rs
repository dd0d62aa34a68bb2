//! `GET /v1/usage`: the key holder's own limits, spending and resets (endpoints §4.10).

use std::sync::Arc;

use actix_web::HttpResponse;
use ninerouter_dialect::ErrorKind;
use serde_json::{Value, json};

use crate::actors::budgets::Standing;
use crate::auth::key::KeyRecord;
use crate::auth::refusal::Refusal as Denial;
use crate::gateway::admission::{self, Door};
use crate::gateway::models::text;
use crate::gateway::reply::{self, Refusal};
use crate::routing::budget::Budget;
use crate::store::usage::{KeyUsage, Period, key_usage};

/// Answers with what the calling key used.
///
/// # Errors
/// The refusal to render.
pub(super) async fn serve(door: Door) -> Result<HttpResponse, Box<Refusal>> {
    let inside = admission::admit(&door)?;
    let shared = Arc::clone(&door.worker.shared);
    let Some(key) = inside.caller().key().cloned() else {
        return Err(Box::new(Denial::KeyMissing.into()));
    };
    let now = shared.clock.now_ms();
    shared
        .limits
        .count_usage_query(key.id, now)
        .map_err(|limit| Box::new(Refusal::from(Denial::from(limit))))?;
    let name = text(door.http.query_string(), "period").unwrap_or_else(|| "month".to_owned());
    let period = Period::parse(&name).ok_or_else(|| {
        let message = format!("unknown period `{name}`; use today, 24h, 7d, 30d or month");
        Box::new(Refusal::new(ErrorKind::InvalidRequest, message).param("period"))
    })?;
    let from = period.start(now, &inside.snapshot.settings.timezone);
    let (store, id) = (shared.store.clone(), key.id);
    let read = tokio::task::spawn_blocking(move || store.read(|conn| key_usage(conn, id, from)));
    let usage = match read.await {
        Ok(Ok(usage)) => usage,
        Ok(Err(error)) => return Err(unreadable(&error.to_string())),
        Err(error) => return Err(unreadable(&error.to_string())),
    };
    let by_model: Vec<_> = by_model(&usage, &inside.snapshot);
    let mut limits: Vec<_> =
        shared.limits.usage_view(&key, now).iter().map(|limit| limit.to_json()).collect();
    let budgets = shared.budgets.of_key(key.id, now);
    limits.extend(budgets.iter().flat_map(|(budget, standing)| budget_lines(budget, standing)));
    let answer = json!({
        "object": "usage",
        "key": about(&key),
        "period": period.as_str(),
        "from": from,
        "to": now,
        "totals": {
            "requests": usage.totals.requests,
            "failed": usage.totals.failed,
            "input_tokens": usage.totals.input_tokens,
            "cached_tokens": usage.totals.cached_tokens,
            "output_tokens": usage.totals.output_tokens,
            "paid_umicro": usage.totals.paid_umicro,
            "list_umicro": usage.totals.list_umicro,
        },
        "limits": limits,
        "by_model": by_model,
    });
    Ok(reply::json(200, &door.request_id, answer.to_string()))
}

fn about(key: &KeyRecord) -> Value {
    json!({"id": key.id.to_string(), "name": key.name, "expires_at": key.expires_at})
}

/// A budget of the key, one line per limit of it (endpoints §4.10).
fn budget_lines(budget: &Budget, standing: &Standing) -> Vec<Value> {
    let kind = format!("budget_{}", budget.window.as_str());
    let (limits, spent, resets_at) = (budget.limits, standing.spent, standing.resets_at);
    let left = |limit: i64, used: i64| limit.saturating_sub(used).max(0);
    let money = limits.umicro.map(|limit| {
        json!({"kind": kind, "limit_umicro": limit, "used_umicro": spent.umicro,
            "remaining_umicro": left(limit, spent.umicro), "resets_at": resets_at})
    });
    let count = |unit: &str, limit: Option<i64>, used: i64| {
        limit.map(|limit| {
            json!({"kind": kind, "unit": unit, "limit": limit, "used": used,
                "remaining": left(limit, used), "resets_at": resets_at})
        })
    };
    let tokens = count("tokens", limits.tokens, spent.tokens);
    let requests = count("requests", limits.requests, spent.requests);
    money.into_iter().chain(tokens).chain(requests).collect()
}

fn by_model(usage: &KeyUsage, snapshot: &crate::actors::snapshot::Snapshot) -> Vec<Value> {
    let row = |model: &crate::store::usage::ModelUsage| {
        let prefix =
            snapshot.catalog.by_id(&model.provider).map_or(model.provider.as_str(), |p| p.prefix());
        json!({
            "model": format!("{prefix}/{}", model.model),
            "requests": model.totals.requests,
            "input_tokens": model.totals.input_tokens,
            "output_tokens": model.totals.output_tokens,
            "paid_umicro": model.totals.paid_umicro,
        })
    };
    usage.by_model.iter().map(row).collect()
}

fn unreadable(why: &str) -> Box<Refusal> {
    tracing::warn!("usage of a key cannot be read: {why}");
    Box::new(
        Refusal::new(ErrorKind::Unavailable, "usage cannot be read now; try again")
            .code("db_unavailable")
            .retry_after(2),
    )
}
