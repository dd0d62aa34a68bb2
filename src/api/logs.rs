//! The operational log: its newest lines, as a list and as a file, and another level for a while.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::export::NDJSON;
use crate::api::page::{Cut, keyset};
use crate::api::period::{SPAN, span_or_all};
use crate::auth::audit::{Event, EventName};
use crate::log::{self, LogLevel, LogLine, Wanted};

/// Members of the query.
const FILTER: [&str; 3] = ["level", "q", "target"];
/// Longest time of another level, minutes.
const LONGEST: i64 = 15;
const MINUTE_MS: i64 = 60_000;

/// What a change of the level says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    level: Option<String>,
    minutes: Option<i64>,
}

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &SPAN, &["limit", "cursor"]].concat())?;
    let cut = Cut::of(&call)?;
    let before = cut.number()?.and_then(|id| u64::try_from(id).ok());
    let wanted = Wanted { before, ..api.wanted_lines(&call)? };
    let lines = log::console().find(&wanted, cut.limit + 1);
    Ok(keyset(&cut, lines.iter().map(|line| (line.id.to_string(), object(line)))))
}

pub(super) async fn export(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&FILTER[..], &SPAN].concat())?;
    let mut lines = log::console().find(&api.wanted_lines(&call)?, usize::MAX);
    lines.reverse();
    let event = Event::ok(EventName::LogsExported).with("what", "log");
    api.shared().audit.record(&call.caller, event);
    let text: String = lines.iter().map(|line| format!("{}\n", object(line))).collect();
    Ok(Reply::file(NDJSON, "ninerouter-log.ndjson".to_owned(), text.into()))
}

pub(super) async fn change_level(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let change: Change = call.typed()?;
    let word = change.level.ok_or_else(|| ApiError::invalid("level", "is missing"))?;
    let level = level_of(&word)?;
    let minutes = change.minutes.unwrap_or(LONGEST);
    if !(1..=LONGEST).contains(&minutes) {
        let why = format!("must be a number from 1 to {LONGEST}");
        return Err(ApiError::invalid("minutes", why));
    }
    let until = api.shared().clock.now_ms().saturating_add(minutes.saturating_mul(MINUTE_MS));
    let event = Event::ok(EventName::SettingsChanged).with("keys", vec!["log_level"]);
    let event =
        event.with("source", "for a while").with("level", level.as_str()).with("until", until);
    api.shared().audit.record(&call.caller, event);
    log::set_level_for_a_while(level, until);
    Ok(Reply::ok(json!({"level": level.as_str(), "until": until, "usual": log::usual_level()})))
}

impl Api {
    fn wanted_lines(&self, call: &Call) -> Result<Wanted, ApiError> {
        let zone = self.shared().snapshot.load().settings.timezone.clone();
        let (from, to) = span_or_all(call, self.shared().clock.now_ms(), &zone)?;
        let text = |name: &str| call.query(name).map(str::to_owned);
        Ok(Wanted {
            level: call.query("level").map(level_of).transpose()?,
            text: text("q"),
            component: text("target"),
            from,
            to,
            before: None,
        })
    }
}

fn level_of(word: &str) -> Result<LogLevel, ApiError> {
    let bad = || ApiError::invalid("level", "expected error, warn, info, debug or trace");
    LogLevel::parse(word).ok_or_else(bad)
}

/// A line with its number, by which pages and feeds go.
fn object(line: &LogLine) -> Value {
    let mut object = Map::new();
    object.insert("id".to_owned(), line.id.into());
    if let Value::Object(members) = line.to_json() {
        object.extend(members);
    }
    Value::Object(object)
}
