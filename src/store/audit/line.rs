//! A row as one line of `audit.log`: JSON, ASCII where a terminal could be fooled, with the names that filters made for
//! other routers look for.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::rotating;
use crate::store::audit::{AuditKey, AuditRow, FILE, KEPT_FILES, NewEvent};
use crate::store::column::hex;

/// What a line turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileLine {
    /// A row.
    Row(Box<AuditRow>),
    /// Something else.
    Unreadable,
}

/// Names under which filters written for similar routers look for an event (SEC-AUD, aliases).
fn alias(event: &str) -> Option<&'static str> {
    match event {
        "session_invalid" => Some("jwt_validation_failed"),
        "login_rate_limited" => Some("rate_limit_exceeded"),
        _ => None,
    }
}

/// The row as a line with its line feed.
#[must_use]
pub fn to_line(row: &AuditRow) -> String {
    let event = &row.event;
    let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("seq", row.seq.into());
    put("ts_ms", event.ts_ms.into());
    put("event", event.event.as_str().into());
    if let Some(alias) = alias(&event.event) {
        put("alias", alias.into());
    }
    put("outcome", event.outcome.as_str().into());
    put("actor", event.actor.as_str().into());
    put("client_ip", json!(event.client_ip));
    put("peer_ip", json!(event.peer_ip));
    put("ua_hash", json!(event.ua_hash.map(|hash| hex(&hash))));
    put("method", json!(event.method));
    put("path", json!(event.path));
    put("status", json!(event.status));
    put("request_id", json!(event.request_id));
    put("count", event.count.into());
    put("detail", detail);
    put("prev_mac", hex(&row.prev_mac).into());
    put("mac", hex(&row.mac).into());
    let mut line = inert(&Value::Object(object).to_string());
    line.push('\n');
    line
}

/// JSON text in which nothing moves a cursor or turns the reading direction: such characters stand only in strings,
/// where an escape means the same.
fn inert(json: &str) -> String {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if is_bad(c) {
            // All of them have four digits.
            let [_, _, high, low] = u32::from(c).to_be_bytes();
            out.push_str("\\u");
            out.push_str(&hex(&[high, low]));
        } else {
            out.push(c);
        }
    }
    out
}

/// Reads a line back.
fn read(line: &str) -> Option<AuditRow> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| value.get(name).and_then(Value::as_i64);
    let hash = |name: &str| unhex(value.get(name)?.as_str()?);
    Some(AuditRow {
        seq: number("seq")?,
        event: NewEvent {
            ts_ms: number("ts_ms")?,
            event: text("event")?,
            outcome: text("outcome")?,
            actor: text("actor")?,
            client_ip: text("client_ip"),
            peer_ip: text("peer_ip"),
            ua_hash: hash("ua_hash"),
            method: text("method"),
            path: text("path"),
            status: number("status"),
            request_id: text("request_id"),
            count: number("count")?,
            detail: value.get("detail")?.to_string(),
        },
        prev_mac: hash("prev_mac")?,
        mac: hash("mac")?,
    })
}

/// Every line of the files in `data_dir`, the oldest first.
pub(super) fn lines(data_dir: &Path) -> impl Iterator<Item = io::Result<FileLine>> {
    let files = rotating::files(&data_dir.join(FILE), KEPT_FILES);
    files.into_iter().flat_map(|path| {
        let (lines, error) = match File::open(&path) {
            Ok(file) => (Some(BufReader::new(file).split(b'\n')), None),
            Err(error) => (None, Some(Err(error))),
        };
        let lines = lines.into_iter().flatten().map(|line| {
            let line = line?;
            let row = std::str::from_utf8(&line).ok().and_then(read);
            Ok(row.map_or(FileLine::Unreadable, |row| FileLine::Row(Box::new(row))))
        });
        lines.chain(error)
    })
}

/// Place of the last row in the file that is a row of this chain; `None` when it holds none.
///
/// # Errors
/// The file cannot be read.
pub fn last_seq(data_dir: &Path, key: &AuditKey) -> io::Result<Option<i64>> {
    // The file that is written to, or when it has just been begun the one before it.
    for path in rotating::files(&data_dir.join(FILE), KEPT_FILES).iter().rev() {
        let mut last = None;
        for line in BufReader::new(File::open(path)?).split(b'\n') {
            let line = line?;
            let row = std::str::from_utf8(&line).ok().and_then(read);
            let ours = row.filter(|row| key.mac_of(row) == row.mac);
            last = ours.map(|row| row.seq).or(last);
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// 32 bytes of 64 hex digits.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(detail: &str, path: &str) -> AuditRow {
        AuditRow {
            seq: 7,
            event: NewEvent {
                ts_ms: 5,
                event: "session_invalid".to_owned(),
                outcome: "denied".to_owned(),
                actor: "anonymous".to_owned(),
                client_ip: Some("192.0.2.1".to_owned()),
                ua_hash: Some([3; 32]),
                path: Some(path.to_owned()),
                count: 2,
                detail: detail.to_owned(),
                ..NewEvent::default()
            },
            prev_mac: [1; 32],
            mac: [2; 32],
        }
    }

    #[test]
    fn t_aud_08_injected_text_stays_in_one_line_and_comes_back() {
        let evil = "/a\n{\"seq\":9}\u{9b}31m\u{202e}\u{1b}[2J\"\\";
        let row = row(&json!({"why": evil, "n": 1.5}).to_string(), evil);
        let line = to_line(&row);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line}");
        assert_eq!(read(line.trim_end()), Some(row));
    }

    #[test]
    fn known_filters_find_their_names() {
        let line = to_line(&row("{}", "/"));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["event"], "session_invalid");
        assert_eq!(value["alias"], "jwt_validation_failed");
    }
}
