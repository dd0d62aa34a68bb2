//! What runs here: version, listeners, accounts by state, findings of the start.

use std::fs;

use serde_json::{Value, json};

use crate::actors::router::Views;
use crate::api::Api;
use crate::api::accounts::status;
use crate::api::bodies;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::clock::UnixMs;
use crate::config::boot::{Finding, Severity};
use crate::store::alerts;

/// What start-up knows of this process, for people.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Commit it was built from.
    pub commit: String,
    /// Unix ms.
    pub started_at: UnixMs,
    /// Listeners as they are written in settings: `127.0.0.1:20128`, `unix:/path`.
    pub listeners: Vec<String>,
    /// Address under which this machine reaches it; empty without a listener.
    pub base_url: String,
    /// `debug build, 4 workers, foreground (pid 4711)`.
    pub runtime: String,
    /// Who may use it, in one sentence.
    pub mode: String,
    /// Findings of the start-up audit.
    pub findings: Vec<Finding>,
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let about = &api.service.about;
    let shared = api.shared();
    let now = shared.clock.now_ms();
    let views = api.ask(Views).await?;
    // Their newest tokens would be lost with this process.
    let unsaved = shared.exchanges.unsaved_accounts();
    let open = api.read(alerts::open).await?.len();
    let snapshot = shared.snapshot.load();
    let base = match &snapshot.settings.base_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => about.base_url.clone(),
    };
    Ok(Reply::ok(json!({
        "name": snapshot.settings.instance_name,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": about.commit,
        "started_at": about.started_at,
        "uptime_s": (now - about.started_at).max(0) / 1_000,
        "listeners": about.listeners,
        "base_urls": base_urls(&base),
        "runtime": about.runtime,
        "mode": about.mode,
        "accounts": status::counts(now, &views, &snapshot),
        "in_flight": shared.in_flight.used(),
        "alerts": open,
        "jobs": api.service.jobs.running(),
        "unsaved_accounts": unsaved.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "redis": "off",
        "capture": bodies::state(shared.capture.running()),
        "db": database(&shared.store),
        "boot_findings": about.findings.iter().map(finding).collect::<Vec<_>>(),
    })))
}

fn base_urls(base: &str) -> Value {
    if base.is_empty() {
        return Value::Null;
    }
    json!({
        "openai": format!("{base}/v1"),
        "anthropic": base,
        "gemini": format!("{base}/v1beta"),
    })
}

fn database(store: &crate::store::Store) -> Value {
    let bytes = fs::metadata(store.path()).map_or(0, |meta| meta.len());
    json!({"path": store.path(), "bytes": bytes, "wal_bytes": store.wal_bytes()})
}

fn finding(finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
        Severity::Fatal(_) => "fatal",
    };
    json!({"id": finding.id, "severity": severity, "text": finding.text})
}
