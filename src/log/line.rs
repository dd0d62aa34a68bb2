//! One line of the log: what of an event is kept, and how it is written.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};

use crate::clock::UnixMs;
use crate::log::inert;
use crate::redact::{is_secret_name, redact_text, redact_value};

/// Longest message, and longest value of a field, bytes (SEC-LOG-5).
const LONGEST: usize = 64 * 1024;
/// Where the rest was cut.
const CUT: &str = " […]";

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something asks for attention.
    Warn,
    /// Something worth knowing happened.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

impl From<tracing::Level> for LogLevel {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// A line. Nothing in it is secret, and nothing in it acts on a terminal or a page.
#[derive(Clone, PartialEq, Debug)]
pub struct LogLine {
    /// Number of the line in this process, from 1 on.
    pub id: u64,
    /// When, Unix ms.
    pub ts: UnixMs,
    /// How much it matters.
    pub level: LogLevel,
    /// Which part of the program tells: `gateway::relay`; of a library its own path.
    pub component: String,
    /// What happened.
    pub message: String,
    /// The rest, by name.
    pub fields: Map<String, Value>,
}

impl LogLine {
    /// `{ts, level, component, message, fields}`, as the feed `log` sends it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "ts": self.ts,
            "level": self.level.as_str(),
            "component": self.component,
            "message": self.message,
            "fields": self.fields,
        })
    }

    /// Bytes it takes in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| {
            let value = value.as_str().map_or(16, str::len);
            name.len() + value + 64
        });
        self.message.len() + self.component.len() + 128 + fields.sum::<usize>()
    }

    /// The line as text, with its line feed.
    pub(super) fn to_text(&self, colour: bool) -> String {
        let mut out = String::with_capacity(self.message.len() + 96);
        let (dim, strong, end) = match (colour, self.level) {
            (false, _) => ("", "", ""),
            (true, LogLevel::Error) => ("\u{1b}[2m", "\u{1b}[31m", "\u{1b}[0m"),
            (true, LogLevel::Warn) => ("\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m"),
            (true, LogLevel::Info) => ("\u{1b}[2m", "\u{1b}[32m", "\u{1b}[0m"),
            (true, LogLevel::Debug) => ("\u{1b}[2m", "\u{1b}[34m", "\u{1b}[0m"),
            (true, LogLevel::Trace) => ("\u{1b}[2m", "\u{1b}[35m", "\u{1b}[0m"),
        };
        let level = self.level.as_str().to_ascii_uppercase();
        // A text takes whatever is written to it.
        let _always = write!(
            out,
            "{dim}{}{end} {strong}{level:>5}{end} {dim}{}:{end} {}",
            instant(self.ts),
            self.component,
            self.message
        );
        for (name, value) in &self.fields {
            let _always = write!(out, " {dim}{name}={end}{}", shown(value));
        }
        out.push('\n');
        out
    }

    /// The line as a JSON object, with its line feed.
    pub(super) fn to_json_line(&self) -> String {
        let mut object = Map::new();
        object.insert("ts".to_owned(), instant(self.ts).into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("component".to_owned(), self.component.as_str().into());
        object.insert("message".to_owned(), self.message.as_str().into());
        object.insert("fields".to_owned(), self.fields.clone().into());
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line
    }
}

/// RFC 3339, UTC, to the millisecond.
fn instant(at: UnixMs) -> String {
    match jiff::Timestamp::from_millisecond(at) {
        Ok(instant) => format!("{instant:.3}"),
        Err(_) => at.to_string(),
    }
}

/// A value behind `name=`: in quotes where it would not be seen where it ends.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            value.to_string()
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Collects the members of an event.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub message: String,
    pub fields: Map<String, Value>,
}

impl Members {
    fn put_text(&mut self, name: &str, text: &str) {
        if name == "message" {
            self.message = clean(text);
        } else if is_secret_name(name) {
            self.fields.insert(name.to_owned(), redact_value(text).into());
        } else {
            self.fields.insert(name.to_owned(), clean(text).into());
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

/// Redacted, inert, not too long.
fn clean(text: &str) -> String {
    let short = cut(text);
    let mut clean = inert(&redact_text(short)).into_owned();
    if short.len() < text.len() {
        clean.push_str(CUT);
    }
    clean
}

/// The beginning of a text, [`LONGEST`] bytes at most, to the end of a character.
fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

impl Visit for Members {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field.name(), &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put_text(field.name(), &value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put_text(field.name(), &value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        let fields = json!({"n": 3, "error": "no such file", "id": "req_1"});
        LogLine {
            id: 1,
            ts: 1_795_545_086_123,
            level: LogLevel::Warn,
            component: "gateway::relay".to_owned(),
            message: "gone".to_owned(),
            fields: fields.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn lines_are_written_as_text_and_as_json() {
        assert_eq!(
            line().to_text(false),
            "2026-11-24T18:31:26.123Z  WARN gateway::relay: gone n=3 error=\"no such file\" id=req_1\n"
        );
        let colour = line().to_text(true);
        assert!(colour.contains("\u{1b}[33m WARN\u{1b}[0m"), "{colour:?}");
        let json: Value = serde_json::from_str(&line().to_json_line()).unwrap();
        assert_eq!(
            (&json["fields"]["n"], &json["ts"]),
            (&json!(3), &"2026-11-24T18:31:26.123Z".into())
        );
    }

    #[test]
    fn values_are_redacted_by_name_and_by_pattern_and_cut() {
        let secret = format!("sk-{}", "Ab34".repeat(8));
        let mut members = Members::default();
        members.put_text("message", &format!("refused {secret}\u{1b}[31m\n"));
        members.put_text("refresh_token", "short");
        members.put_text("url", "https://user:pass@host/?key=abcdefghijkl");
        members.put_text("long", &"é".repeat(40_000));
        assert_eq!(members.message, "refused [redacted]␛[31m␊");
        let text = Value::from(members.fields.clone()).to_string();
        for bad in ["short", "pass@", "abcdefghijkl"] {
            assert!(!text.contains(bad), "{text}");
        }
        let long = members.fields["long"].as_str().unwrap();
        assert!(long.len() <= LONGEST + CUT.len() && long.ends_with(CUT));
    }
}
