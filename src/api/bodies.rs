//! Captured bodies: switching the capture, showing what it kept of a request, and a bundle to hand on.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use crate::actors::capture::{self, CaptureMode, Capturing};
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::requests::detail;
use crate::api::{Api, blocking};
use crate::auth::audit::{Event, EventName};
use crate::id::KeyId;
use crate::store::usage::StoredRequest;

/// Longest capture, minutes.
const LONGEST: i64 = 1_440;
/// Length of one whose end is not named.
const USUAL: i64 = 10;
const MINUTE_MS: i64 = 60_000;

/// What is to be captured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    mode: Option<String>,
    api_key_id: Option<String>,
    minutes: Option<i64>,
}

pub(super) async fn begin(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Wish = call.typed()?;
    let key = wish.api_key_id.as_deref().map(|text| {
        let known = text
            .parse::<KeyId>()
            .ok()
            .filter(|id| api.shared().snapshot.load().keys.iter().any(|key| key.id == *id));
        known.ok_or_else(|| ApiError::invalid("api_key_id", "there is no such key"))
    });
    let mode = match (wish.mode.as_deref(), key.transpose()?) {
        (Some("all"), None) => CaptureMode::All,
        (Some("failed"), None) => CaptureMode::Failed,
        (Some("key"), Some(key)) => CaptureMode::Key(key),
        (Some("key"), None) => {
            return Err(ApiError::invalid("api_key_id", "is missing: whose bodies?"));
        }
        (Some("all" | "failed"), Some(_)) => {
            return Err(ApiError::invalid("api_key_id", "belongs to mode `key` alone"));
        }
        _ => return Err(ApiError::invalid("mode", "expected all, failed or key")),
    };
    let minutes = wish.minutes.unwrap_or(USUAL);
    if !(1..=LONGEST).contains(&minutes) {
        let why = format!("must be a number from 1 to {LONGEST}");
        return Err(ApiError::invalid("minutes", why));
    }
    let shared = api.shared();
    let until = shared.clock.now_ms().saturating_add(minutes.saturating_mul(MINUTE_MS));
    let capturing = Capturing { mode, until };
    let event =
        Event::ok(EventName::DebugLoggingOn).with("mode", mode.as_str()).with("until", until);
    shared.audit.record(&call.caller, event);
    shared.capture.begin(capturing);
    Ok(Reply::ok(state(Some(capturing))))
}

pub(super) async fn end(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    crate::api::keys::no_more(&call.object()?)?;
    let shared = api.shared();
    if let Some(ended) = shared.capture.end() {
        let event = Event::ok(EventName::DebugLoggingOff).with("mode", ended.mode.as_str());
        shared.audit.record(&call.caller, event);
    }
    Ok(Reply::gone())
}

/// The capture as `status` shows it; null = none runs.
pub(super) fn state(capturing: Option<Capturing>) -> Value {
    let Some(Capturing { mode, until }) = capturing else { return Value::Null };
    let key = match mode {
        CaptureMode::Key(id) => Some(id.to_string()),
        CaptureMode::All | CaptureMode::Failed => None,
    };
    json!({"mode": mode.as_str(), "api_key_id": key, "until": until})
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let (row, _) = api.find_request(&call).await?;
    let data_dir = api.data_dir();
    let found = blocking(move || captured(&data_dir, &row)).await?;
    found.map(Reply::ok).ok_or_else(|| {
        let message =
            "no bodies of this request are kept: capture was off, or they are older than a day";
        ApiError::new(404, "not_found", message)
    })
}

/// A zip to hand on to whoever helps: the row, what ran here, and, for callers who may see them, the bodies.
pub(super) async fn report(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let (row, steps) = api.find_request(&call).await?;
    let snapshot = api.shared().snapshot.load_full();
    let id = row.id.clone();
    let request = Value::Object(detail(&snapshot, row.clone(), &steps));
    let about = &api.service.about;
    let versions = json!({
        "ninerouter": env!("CARGO_PKG_VERSION"),
        "commit": about.commit,
        "runtime": about.runtime,
        "sqlite": crate::store::sqlite_version(),
    });
    let event = Event::ok(EventName::LogsExported).with("what", "report").with("id", id.as_str());
    api.shared().audit.record(&call.caller, event);
    let bodies = call.caller.is_sudo().then(|| api.data_dir());
    let bytes = blocking(move || {
        let mut files = vec![
            ("request.json", crate::redact::redact_json(request)),
            ("versions.json", versions),
        ];
        if let Some(data_dir) = bodies
            && let Some(found) = captured(&data_dir, &row)?
        {
            files.push(("bodies.json", found));
        }
        archive(&files).map_err(|error| {
            ApiError::unavailable(format!("the report cannot be put together: {error}"))
        })
    })
    .await?;
    Ok(Reply::file("application/zip", format!("ninerouter-{id}.zip"), bytes.into()))
}

impl Api {
    /// Where everything lies.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.shared().snapshot.load().fixed.data_dir.clone()
    }
}

/// Objects as the files of a zip. They tell their times themselves.
fn archive(files: &[(&str, Value)]) -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, object) in files {
        zip.start_file(*name, SimpleFileOptions::default())?;
        writeln!(zip, "{object:#}")?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The file of a request as one object: its head, and its lines as `parts`. Blocking.
pub(super) fn captured(data_dir: &Path, row: &StoredRequest) -> Result<Option<Value>, ApiError> {
    if !row.captured {
        return Ok(None);
    }
    let read = capture::files(data_dir).and_then(|files| files.read(row.ts, &row.id));
    let bytes = read.map_err(|error| {
        ApiError::new(503, "unavailable", format!("the captured bodies cannot be read: {error}"))
    })?;
    let Some(bytes) = bytes else { return Ok(None) };
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut head = lines.next().unwrap_or_else(|| json!({}));
    if let Value::Object(head) = &mut head {
        head.insert("parts".to_owned(), lines.collect());
    }
    Ok(Some(head))
}
