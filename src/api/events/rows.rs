//! Rows of the request log as events show them: the columns of storage §4.1, and the way the request went.

use serde_json::{Map, Value, json};

use crate::actors::live::running::RunningRequest;
use crate::api::merge::members;
use crate::store::usage::{
    AttemptOutcome, AttemptRow, RequestRow, UsageRecord, dialect_text, exec_tier_text,
    price_source_text, request_kind_text, status_text,
};

/// A request that ended.
pub(super) fn finished(record: &UsageRecord) -> Value {
    let row = &record.request;
    let mut object = who_and_what(row);
    object.extend(where_and_how(row));
    object.extend(figures(row));
    object.insert("path".to_owned(), path(&record.attempts).into());
    Value::Object(object)
}

/// A request that runs: what is not known yet is null.
pub(super) fn running(request: &RunningRequest) -> Value {
    let asked = request.asked();
    let target = asked.as_ref().map(|asked| &asked.entry.target);
    let key = request.key.as_deref();
    let row = RequestRow {
        id: request.request_id.clone(),
        ts: request.started_at,
        api_key_id: key.map(|key| key.id),
        api_key_name: key.map(|key| key.name.clone()),
        tool: request.tool.clone(),
        dialect: request.dialect,
        stream: request.stream,
        requested_model: request.requested_model.clone(),
        provider: target.map(|target| target.provider.id.to_string()),
        model: target.map(|target| target.upstream_model.clone()),
        model_key: target.map(|target| target.key.clone()),
        account_id: asked.as_ref().map(|asked| asked.account),
        account_label: asked.as_ref().map(|asked| asked.label.clone()),
        entry_index: asked.as_ref().map(|asked| asked.entry.index),
        attempts: asked.as_ref().map_or(0, |asked| asked.attempt),
        output_tokens: request.output_tokens(),
        estimated: true,
        ..RequestRow::default()
    };
    let mut object = who_and_what(&row);
    object.extend(where_and_how(&row));
    object.extend(figures(&row));
    object.insert("status".to_owned(), "running".into());
    object.insert("http_status".to_owned(), Value::Null);
    object.insert("path".to_owned(), row.model_key.into_iter().collect::<Vec<_>>().into());
    Value::Object(object)
}

/// One line of the list of what runs (api §2).
pub(super) fn in_flight(request: &RunningRequest) -> Value {
    let asked = request.asked();
    json!({
        "request_id": request.request_id,
        "started_at": request.started_at,
        "tool": request.tool,
        "requested_model": request.requested_model,
        "target": asked.as_ref().map(|asked| asked.entry.target.key.as_str()),
        "account_label": asked.as_ref().map(|asked| asked.label.as_str()),
        "output_tokens": request.output_tokens(),
    })
}

fn who_and_what(row: &RequestRow) -> Map<String, Value> {
    members(json!({
        "id": row.id,
        "ts": row.ts,
        "external_id": row.external_id,
        "api_key_id": row.api_key_id.map(|id| id.to_string()),
        "api_key_name": row.api_key_name,
        "tool": row.tool,
        "client_ip": row.client_ip,
        "dialect": dialect_text(row.dialect),
        "entrypoint": row.entrypoint,
        "kind": request_kind_text(row.kind),
        "stream": row.stream,
        "requested_model": row.requested_model,
        "combo_id": row.combo_id.map(|id| id.to_string()),
        "combo_name": row.combo_name,
    }))
}

fn where_and_how(row: &RequestRow) -> Map<String, Value> {
    members(json!({
        "provider": row.provider,
        "model": row.model,
        "model_key": row.model_key,
        "account_id": row.account_id.map(|id| id.to_string()),
        "account_label": row.account_label,
        "tier": row.tier.map(|tier| tier.as_str()),
        "exec_tier": row.exec_tier.map(exec_tier_text),
        "entry_index": row.entry_index,
        "status": status_text(row.status),
        "http_status": row.http_status,
        "error_class": row.error_class,
        "error_code": row.error_code,
        "incomplete": row.incomplete,
        "attempts": row.attempts,
        "fallback": row.fallback,
    }))
}

fn figures(row: &RequestRow) -> Map<String, Value> {
    members(json!({
        "input_tokens": row.input_tokens,
        "cached_tokens": row.cached_tokens,
        "cache_write_5m_tokens": row.cache_write_5m_tokens,
        "cache_write_1h_tokens": row.cache_write_1h_tokens,
        "output_tokens": row.output_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "estimated": row.estimated,
        "list_umicro": row.list_cost,
        "paid_umicro": row.paid_cost,
        "price_source": price_source_text(row.price_source),
        "overage": row.overage,
        "notional": row.notional,
        "queue_ms": row.queue_ms,
        "ttft_ms": row.ttft_ms,
        "total_ms": row.total_ms,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "captured": row.captured,
        "body_bytes": row.body_bytes,
    }))
}

/// The targets in order; those that did not answer are marked.
fn path(attempts: &[AttemptRow]) -> Vec<String> {
    let last = attempts.len().saturating_sub(1);
    let one = |(at, attempt): (usize, &AttemptRow)| match attempt.outcome {
        AttemptOutcome::Ok => attempt.target.clone(),
        AttemptOutcome::Failed | AttemptOutcome::Aborted if at == last => attempt.target.clone(),
        _ => format!("skip:{}", attempt.target),
    };
    attempts.iter().enumerate().map(one).collect()
}
