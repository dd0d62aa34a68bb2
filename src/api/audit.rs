//! The audit log: who did what, as a list and as a file, and whether its chain is whole.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::actors::audit::AuditError;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::export::{NDJSON, pages};
use crate::api::page::{Cut, keyset};
use crate::api::period::{SPAN, span_or_all};
use crate::api::{Api, blocking};
use crate::auth::audit::{Event, EventName};
use crate::store::audit::{self, AuditFilter, AuditRow};

/// Members of the query.
const FILTER: [&str; 3] = ["event", "outcome", "ip"];
/// Rows that are read at a time for a file.
const STEP: usize = 1_000;
/// Longest wait for the writer, and for two hundred thousand rows to be looked through.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &SPAN, &["limit", "cursor"]].concat())?;
    let cut = Cut::of(&call)?;
    let filter = AuditFilter { before_seq: cut.number()?, ..api.audit_filter(&call)? };
    let limit = cut.limit;
    let rows = api.read(move |conn| audit::list(conn, &filter, limit + 1)).await?;
    Ok(keyset(&cut, rows.iter().map(|row| (row.seq.to_string(), object(row)))))
}

pub(super) async fn export(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &SPAN].concat())?;
    let filter = api.audit_filter(&call)?;
    let event = Event::ok(EventName::LogsExported).with("what", "audit");
    api.shared().audit.record(&call.caller, event);
    let store = api.shared().store.clone();
    let parts = pages(None, move |before_seq| {
        let filter = AuditFilter { before_seq, ..filter.clone() };
        let rows = store.read(|conn| audit::list(conn, &filter, STEP))?;
        let next = rows.last().filter(|_| rows.len() == STEP).map(|row| Some(row.seq));
        Ok((rows.iter().map(object).collect(), next))
    });
    Ok(Reply::stream(NDJSON, "audit.ndjson", parts))
}

pub(super) async fn verify(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    crate::api::keys::no_more(&call.object()?)?;
    let shared = Arc::clone(api.shared());
    let found = blocking(move || match shared.audit.verify(PATIENCE) {
        Ok(found) => Ok(found),
        // Nobody writes in this process: table and file can be read as they are.
        Err(AuditError::Ended) => {
            let data_dir = shared.snapshot.load().fixed.data_dir.clone();
            let key = shared.store.audit_key();
            shared.store.read(|conn| audit::verify(conn, key, &data_dir)).map_err(ApiError::from)
        }
        Err(error @ (AuditError::Refused(_) | AuditError::Late)) => {
            Err(ApiError::new(503, "audit_unavailable", error.to_string()))
        }
    })
    .await?;
    Ok(Reply::ok(serde_json::to_value(found).unwrap_or_default()))
}

impl Api {
    fn audit_filter(&self, call: &Call) -> Result<AuditFilter, ApiError> {
        let zone = self.shared().snapshot.load().settings.timezone.clone();
        let (from, to) = span_or_all(call, self.shared().clock.now_ms(), &zone)?;
        let outcome = call.query("outcome").map(str::to_owned);
        if outcome.as_deref().is_some_and(|word| !matches!(word, "ok" | "denied" | "failed")) {
            return Err(ApiError::invalid("outcome", "expected ok, denied or failed"));
        }
        let mut events = Vec::new();
        for word in call.query("event").into_iter().flat_map(|list| list.split(',')) {
            let name = named(word.trim());
            let name = name.ok_or_else(|| ApiError::invalid("event", "there is no such event"))?;
            events.push(name.as_str().to_owned());
        }
        let client_ip = call.query("ip").map(str::to_owned);
        Ok(AuditFilter { events, outcome, client_ip, from, to, before_seq: None })
    }
}

/// The event of a word, also of the one another router uses.
fn named(word: &str) -> Option<EventName> {
    if word == "jwt_validation_failed" {
        return Some(EventName::SessionInvalid);
    }
    EventName::ALL.iter().copied().find(|name| name.as_str() == word)
}

/// A row as pages and files show it.
fn object(row: &AuditRow) -> Value {
    let event = &row.event;
    let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "seq": row.seq,
        "ts_ms": event.ts_ms,
        "event": event.event,
        "outcome": event.outcome,
        "actor": event.actor,
        "client_ip": event.client_ip,
        "peer_ip": event.peer_ip,
        "ua_hash": event.ua_hash.as_ref().map(hex),
        "method": event.method,
        "path": event.path,
        "status": event.status,
        "request_id": event.request_id,
        "count": event.count,
        "detail": serde_json::from_str::<Value>(&event.detail).unwrap_or_default(),
        "mac": hex(&row.mac),
    })
}
