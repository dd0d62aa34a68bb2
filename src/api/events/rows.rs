//! Rows of the request log as events show them: as the list does, also while a request runs.

use serde_json::{Value, json};

use crate::actors::live::running::RunningRequest;
use crate::api::requests::object;
use crate::store::usage::{Listed, RequestRow, StoredRequest, UsageRecord};

/// A request that ended.
pub(super) fn finished(record: &UsageRecord) -> Value {
    object(&Listed::from(record)).into()
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
    let row = StoredRequest::from(&row);
    let mut object = object(&Listed { path: row.model_key.iter().cloned().collect(), row });
    object.insert("status".to_owned(), "running".into());
    object.insert("http_status".to_owned(), Value::Null);
    object.into()
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
        "account_id": asked.as_ref().map(|asked| asked.account.to_string()),
        "account_label": asked.as_ref().map(|asked| asked.label.as_str()),
        "output_tokens": request.output_tokens(),
    })
}
