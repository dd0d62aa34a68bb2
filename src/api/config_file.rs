//! The config file: checked, compared, applied, and written out of what is stored. What a text refers to (`env:NAME`,
//! `file:/path`) is read where the router runs.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::{Api, blocking};
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::key::KeyHasher;
use crate::config::apply::{self, ApplyError, Text};
use crate::config::export;
use crate::config::file::FileError;

/// A config file as a caller sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    text: String,
    /// For messages and for relative paths in it; its ending tells TOML from JSON.
    #[serde(default = "unnamed")]
    name: PathBuf,
    #[serde(default)]
    prune: bool,
}

fn unnamed() -> PathBuf {
    PathBuf::from("config.toml")
}

pub(super) async fn validate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let sent: Sent = call.typed()?;
    let options = Arc::clone(&api.service.options);
    let checked = blocking(move || {
        let text = Text { name: &sent.name, text: sent.text.as_bytes() };
        Ok(apply::validate_text(text, &options))
    })
    .await?;
    let (errors, warnings) = match &checked {
        Ok(warnings) => (&[][..], warnings.as_slice()),
        Err(errors) => (errors.as_slice(), &[][..]),
    };
    Ok(Reply::ok(json!({
        "ok": checked.is_ok(),
        "errors": errors.iter().map(mistake).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(mistake).collect::<Vec<_>>(),
    })))
}

pub(super) async fn diff(api: &Api, call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::ok(api.plan_of(call.typed()?, false).await?))
}

pub(super) async fn apply(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let plan = api.plan_of(call.typed()?, true).await?;
    api.note_plan(&call.caller, &plan).await;
    api.reload().await?;
    Ok(Reply::ok(plan))
}

pub(super) async fn export(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let store = api.shared().store.clone();
    let text = blocking(move || export::export(&store).map_err(ApiError::from)).await?;
    Ok(Reply::ok(json!({ "text": text })))
}

/// Changes of a file that a row of the audit log names.
const NOTED: usize = 20;

impl Api {
    /// Notes what a file changed, before it takes effect.
    async fn note_plan(&self, caller: &Caller, plan: &Value) {
        let changes = plan.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
        let word = |change: &Value, name: &str| {
            change.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (settings, objects): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| word(change, "kind") == "setting");
        if !objects.is_empty() {
            let objects: Vec<String> = objects
                .iter()
                .take(NOTED)
                .map(|c| [word(c, "action"), word(c, "kind"), word(c, "name")].join(" "))
                .collect();
            let event = Event::ok(EventName::SettingsChanged);
            let event = event.with("source", "config_file").with("changes", changes.len());
            let event = event.with("objects", objects);
            self.shared().audit.record(caller, event);
        }
        if !settings.is_empty() {
            let keys: Vec<String> = settings.iter().map(|c| word(c, "name")).collect();
            self.note_settings(caller, &keys, "config_file").await;
        }
    }

    async fn plan_of(&self, sent: Sent, change: bool) -> Result<Value, ApiError> {
        let store = self.shared().store.clone();
        let options = Arc::clone(&self.service.options);
        let fixed = Arc::clone(&self.shared().snapshot.load().fixed);
        let plan = blocking(move || {
            let hasher = KeyHasher::new(&fixed.key_secret.current);
            let text = Text { name: &sent.name, text: sent.text.as_bytes() };
            let plan = if change {
                apply::apply_text(&store, text, &options, &hasher, sent.prune)
            } else {
                apply::preview_text(&store, text, &options, &hasher, sent.prune)
            };
            plan.map_err(refused)
        })
        .await?;
        let mut plan = plan.to_json();
        if let Value::Object(members) = &mut plan {
            members.insert("applied".to_owned(), change.into());
        }
        Ok(plan)
    }
}

fn mistake(error: &FileError) -> Value {
    json!({"file": error.file, "line": error.line, "column": error.column, "message": error.message})
}

/// Every mistake with its place, in the order of the file.
fn refused(error: ApplyError) -> ApiError {
    match error {
        ApplyError::Store(error) => error.into(),
        ApplyError::File(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let list: Vec<Value> = errors.iter().map(mistake).collect();
            ApiError::new(422, "validation_failed", lines.join("\n")).with("errors", list.into())
        }
    }
}
