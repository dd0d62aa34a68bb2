//! A tape as lines of JSON (storage §4.5): headers redacted by name, texts by pattern and by what the headers carry, media
//! replaced.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::actors::capture::tape::{Taken, Taped};
use crate::redact::{
    Known, media_mark, redact_header_value, redact_json, redact_text, without_media,
};

/// Version of the form.
const VERSION: u32 = 1;

/// The file of a tape.
pub(super) fn lines(taped: &Taped) -> String {
    let truncated = taped.parts.iter().any(|taken| taken.cut);
    let head =
        json!({"v": VERSION, "request_id": taped.id, "ts": taped.ts, "truncated": truncated});
    let mut out = format!("{head}\n");
    let sent = taped.parts.iter().flat_map(|taken| &taken.headers);
    let known = Known::of_headers(sent.map(|(name, value)| (&**name, &**value)));
    for taken in &taped.parts {
        for line in part(taken) {
            out.push_str(&known.json(line).to_string());
            out.push('\n');
        }
    }
    out
}

fn part(taken: &Taken) -> Vec<Value> {
    let mut head = Map::new();
    head.insert("part".to_owned(), taken.part.as_str().into());
    head.insert("attempt".to_owned(), taken.attempt.into());
    head.insert("line".to_owned(), redact_text(&taken.first_line).into());
    head.insert("headers".to_owned(), headers(taken));
    if taken.cut {
        head.insert("cut".to_owned(), true.into());
    }
    let whole = joined(taken);
    if !taken.cut
        && let Ok(value) = serde_json::from_slice::<Value>(&whole)
    {
        head.insert("body".to_owned(), clean(value));
        return vec![head.into()];
    }
    let kind = content_type(taken);
    let Ok(text) = std::str::from_utf8(&whole).or_else(|error| {
        // Only the end may be in the middle of a character.
        let whole = if taken.cut { whole.get(..error.valid_up_to()) } else { None };
        whole.map_or(Err(error), std::str::from_utf8)
    }) else {
        head.insert("body".to_owned(), media_mark(&kind, &whole));
        return vec![head.into()];
    };
    if kind.contains("event-stream") || kind.contains("ndjson") || is_events(text) {
        let mut lines = vec![head.into()];
        for (t_ms, event) in events(taken) {
            lines.push(json!({"part": taken.part.as_str(), "attempt": taken.attempt, "t_ms": t_ms, "sse": event}));
        }
        return lines;
    }
    head.insert(
        "body".to_owned(),
        if text.is_empty() { Value::Null } else { clean_text(text).into() },
    );
    vec![head.into()]
}

fn clean(value: Value) -> Value {
    redact_json(without_media(value))
}

/// A text that may be a list in JSON that was cut, or not JSON at all.
fn clean_text(text: &str) -> String {
    redact_text(text).into_owned()
}

fn headers(taken: &Taken) -> Value {
    let pair = |(name, value): &(String, String)| json!([name, redact_header_value(name, value)]);
    taken.headers.iter().map(pair).collect()
}

fn content_type(taken: &Taken) -> String {
    let named = taken.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let value = named.map_or("application/octet-stream", |(_, value)| value.as_str());
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn joined(taken: &Taken) -> Bytes {
    match taken.pieces.as_slice() {
        [] => Bytes::new(),
        [(_, only)] => only.clone(),
        pieces => pieces
            .iter()
            .fold(Vec::with_capacity(taken.bytes), |mut whole, (_, piece)| {
                whole.extend_from_slice(piece);
                whole
            })
            .into(),
    }
}

fn is_events(text: &str) -> bool {
    ["data:", "event:", ":", "id:"].iter().any(|start| text.starts_with(start))
}

/// Events with the time at which their last byte was there. The text between blank lines, or, where there are none, each
/// line.
fn events(taken: &Taken) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let by_line = content_type(taken).contains("ndjson");
    let mut last = 0;
    for (t_ms, piece) in &taken.pieces {
        last = *t_ms;
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let at_start = open.is_empty() || open.ends_with(b"\n");
            let blank = at_start && line.trim_ascii().is_empty();
            if blank {
                if !open.is_empty() {
                    found.push((*t_ms, event(&std::mem::take(&mut open))));
                }
                continue;
            }
            open.extend_from_slice(line);
            if by_line && open.ends_with(b"\n") {
                found.push((*t_ms, event(&std::mem::take(&mut open))));
            }
        }
    }
    if !open.trim_ascii().is_empty() {
        found.push((last, event(&open)));
    }
    found
}

/// One event: JSON in its lines is cleaned as JSON, all else as text.
fn event(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().map(event_line).collect();
    lines.join("\n")
}

fn event_line(line: &str) -> String {
    let (head, data) = match line.strip_prefix("data:") {
        Some(data) => ("data: ", data.trim_start()),
        None => ("", line),
    };
    match serde_json::from_str::<Value>(data) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => format!("{head}{}", clean(value)),
        Ok(_) | Err(_) => clean_text(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::capture::Part;

    fn taken(kind: &str, pieces: &[&str]) -> Taken {
        let pieces: Vec<(u32, Bytes)> = pieces
            .iter()
            .enumerate()
            .map(|(n, piece)| {
                (u32::try_from(n * 10).unwrap(), Bytes::copy_from_slice(piece.as_bytes()))
            })
            .collect();
        Taken {
            part: Part::UpstreamResponse,
            attempt: 1,
            first_line: "200".to_owned(),
            headers: vec![
                ("content-type".to_owned(), kind.to_owned()),
                ("Set-Cookie".to_owned(), "sid=hush".to_owned()),
            ],
            bytes: pieces.iter().map(|(_, piece)| piece.len()).sum(),
            pieces,
            cut: false,
        }
    }

    fn written(taken: Taken) -> Vec<Value> {
        let taped = Taped { id: "req_1".to_owned(), ts: 5, parts: vec![taken], ..Taped::default() };
        lines(&taped).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_whole_body_is_an_object_without_secrets_and_media() {
        let secret = format!("sk-{}", "Ab34".repeat(8));
        let body = json!({"text": format!("key {secret}"), "refresh_token": "hush", "max_tokens": 7,
            "image": format!("data:image/png;base64,{}", "QUJD".repeat(100))});
        let lines = written(taken("application/json", &[&body.to_string()]));
        assert_eq!(lines[0], json!({"v": 1, "request_id": "req_1", "ts": 5, "truncated": false}));
        let text = lines[1].to_string();
        for bad in [secret.as_str(), "hush", "QUJDQUJD"] {
            assert!(!text.contains(bad), "{text}");
        }
        assert_eq!(lines[1]["body"]["max_tokens"], 7);
        assert_eq!(lines[1]["body"]["image"]["type"], "image/png");
    }

    #[test]
    fn a_stream_is_its_events_with_their_times() {
        let lines = written(taken(
            "text/event-stream; charset=utf-8",
            &[
                "event: a\ndata: {\"api_key\":\"hu",
                "sh\"}\n\n: ping\n\nda",
                "ta: [DONE]\n\n",
                "data: rest",
            ],
        ));
        let events: Vec<(u64, &str)> = lines[2..]
            .iter()
            .map(|line| (line["t_ms"].as_u64().unwrap(), line["sse"].as_str().unwrap()))
            .collect();
        assert!(
            events[0].1.starts_with("event: a\ndata: {\"api_key\":\"[redacted:4:"),
            "{events:?}"
        );
        assert_eq!(events[0].0, 10);
        assert_eq!(events[1..], [(10, ": ping"), (20, "data: [DONE]"), (30, "data: rest")]);
        assert!(lines[1].get("body").is_none());
    }

    #[test]
    fn what_is_no_text_is_told_by_type_and_length() {
        let mut audio = taken("audio/mpeg", &[""]);
        audio.pieces = vec![(0, Bytes::from_static(&[0xff, 0xfb, 0x90, 0x00]))];
        let lines = written(audio);
        assert_eq!(
            (&lines[1]["body"]["type"], &lines[1]["body"]["len"]),
            (&"audio/mpeg".into(), &4.into())
        );
    }

    #[test]
    fn a_body_that_was_cut_is_redacted_as_text() {
        let secret = format!("sk-{}", "Ab34".repeat(8));
        let mut part = taken(
            "application/json",
            &[&format!("{{\"password\":\"hush\",\"a\":\"{secret} and mo")],
        );
        part.cut = true;
        let lines = written(part);
        assert_eq!(lines[0]["truncated"], true);
        let text = lines[1]["body"].as_str().unwrap();
        assert!(!text.contains("hush") && !text.contains(&secret), "{text}");
    }
}
