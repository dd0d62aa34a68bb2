//! Pictures, sounds and files inside JSON: what is kept of them is what they were, how long and which (SEC-LOG-3).

use serde_json::{Map, Value, json};

use super::keyed_hash;

/// Base64 from this length on is content, not a name or an id.
const LONG: usize = 200;
/// Members that hold content in base64 beside one that tells its type.
const CONTENT: [&str; 3] = ["data", "b64_json", "file_data"];
/// Members that tell the type.
const TYPES: [&str; 5] = ["media_type", "mime_type", "mimeType", "format", "output_format"];

/// Members of what stands in place of content.
const MARK: [&str; 3] = ["type", "len", "hash"];

/// Puts `{type, len, hash}` in place of every picture, sound and file in `value`. Equal content has an equal hash within
/// this process.
#[must_use]
pub fn without_media(value: Value) -> Value {
    match value {
        Value::String(text) => match data_url(&text) {
            Some(kind) => mark(&kind, &text),
            None if is_content(&text) => mark("base64", &text),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(without_media).collect(),
        Value::Object(members) => Value::Object(object(members)),
        other => other,
    }
}

fn object(members: Map<String, Value>) -> Map<String, Value> {
    let kind = TYPES.iter().find_map(|name| members.get(*name)?.as_str()).map(str::to_owned);
    let clean = |(name, value): (String, Value)| {
        let value = match value {
            Value::String(text) if CONTENT.contains(&name.as_str()) && is_content(&text) => {
                mark(kind.as_deref().unwrap_or("base64"), &text)
            }
            other => without_media(other),
        };
        (name, value)
    };
    members.into_iter().map(clean).collect()
}

/// The type of a `data:` address that holds base64.
fn data_url(text: &str) -> Option<String> {
    let (head, _) = text.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    (kind.len() <= 100).then(|| kind.split(';').next().unwrap_or_default().to_owned())
}

fn is_content(text: &str) -> bool {
    text.len() >= LONG
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\n' | b'\r')
        })
}

/// What is left of content: its type, its length in bytes as it was written, and a hash that is keyed per process.
fn mark(kind: &str, text: &str) -> Value {
    json!({"type": kind, "len": text.len(), "hash": keyed_hash(text)})
}

/// The same for content that is no text.
#[must_use]
pub fn media_mark(kind: &str, bytes: &[u8]) -> Value {
    json!({"type": kind, "len": bytes.len(), "hash": super::keyed_hash_of(bytes)})
}

/// True when something in `value` stands for content that was taken out.
#[must_use]
pub fn holds_media_mark(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_media_mark),
        Value::Object(members) => {
            let is_mark = members.len() == MARK.len()
                && MARK.iter().all(|name| members.contains_key(*name))
                && members.get("len").is_some_and(Value::is_u64);
            is_mark || members.values().any(holds_media_mark)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_sounds_are_replaced_wherever_they_stand() {
        let content = "QUJD".repeat(100);
        let body = json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{content}")}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": content}},
            {"inlineData": {"mimeType": "audio/wav", "data": content}},
            {"type": "input_audio", "input_audio": {"data": content, "format": "mp3"}},
        ]}]});
        let clean = without_media(body);
        let parts = &clean["messages"][0]["content"];
        assert!(!clean.to_string().contains("QUJDQUJD"), "{clean}");
        assert_eq!(parts[0]["text"], "what is this?");
        for (at, kind, len) in [
            ("/1/image_url/url", "image/png", 422),
            ("/2/source/data", "image/jpeg", 400),
            ("/3/inlineData/data", "audio/wav", 400),
            ("/4/input_audio/data", "mp3", 400),
        ] {
            let mark = parts.pointer(at).unwrap();
            assert_eq!((&mark["type"], &mark["len"]), (&json!(kind), &json!(len)), "{at}");
        }
        assert_eq!(parts.pointer("/2/source/data/hash"), parts.pointer("/3/inlineData/data/hash"));
        assert!(holds_media_mark(&clean) && !holds_media_mark(&json!({"type": "text", "len": 1})));
        assert_eq!(without_media(json!("data:,hello")), json!("data:,hello"));
    }
}
