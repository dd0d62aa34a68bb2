//! Legacy `/v1/completions` on top of chat: the request and the whole reply (endpoints §4.2).

use bytes::Bytes;

use crate::edit::{BodyEdit, apply_edits};
use crate::json;
use crate::peek::{PeekError, checked_text, json_error};
use crate::usage::lenient_tokens;

/// Turns a completions request into a chat request with one user message; all other members keep
/// their bytes.
///
/// # Errors
/// [`PeekError::Unsupported`] for what chat cannot do (`suffix`, `best_of` above one, `echo`),
/// [`PeekError::Invalid`] for a prompt that is not one text.
///
/// # Examples
/// ```
/// use ninerouter_dialect::completion_to_chat;
/// let chat = completion_to_chat(br#"{"model":"m","prompt":"hi","max_tokens":5}"#).unwrap();
/// assert_eq!(
///     chat,
///     r#"{"messages":[{"role":"user","content":"hi"}],"model":"m","max_tokens":5}"#
/// );
/// ```
pub fn completion_to_chat(body: &[u8]) -> Result<Bytes, PeekError> {
    let text = checked_text(body)?;
    let mut prompt = None;
    let mut refused = None;
    let mut logprobs = None;
    json::each_member(text, |m| {
        match m.key.as_ref() {
            "prompt" => prompt = Some(m.value),
            "suffix" if !json::is_blank(m.value) => refused = Some("suffix"),
            "echo" if m.value == "true" => refused = Some("echo"),
            "best_of" if lenient_tokens(m.value).is_some_and(|n| n > 1) => {
                refused = Some("best_of");
            }
            // A number here, a switch in chat.
            "logprobs" => logprobs = lenient_tokens(m.value),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    })
    .map_err(|error| json_error(&error))?;
    if let Some(param) = refused {
        let message = format!("`{param}` is not supported here; leave it out");
        return Err(PeekError::Unsupported { param, message });
    }
    let message = format!(
        r#"[{{"role":"user","content":{}}}]"#,
        json::quote(&prompt_text(prompt.unwrap_or("null"))?)
    );
    let remove = |key: &'static str| BodyEdit::Remove { key: key.into() };
    let set = |key: &'static str, json: String| BodyEdit::Set { key: key.into(), json };
    let mut edits = vec![remove("prompt"), remove("suffix"), remove("echo"), remove("best_of")];
    edits.push(set("messages", message));
    if let Some(count) = logprobs {
        edits.push(set("logprobs", "true".into()));
        if count > 0 {
            edits.push(set("top_logprobs", count.to_string()));
        }
    }
    let chat = apply_edits(&Bytes::copy_from_slice(body), &edits)?;
    Ok(Bytes::from(chat.parts.concat()))
}

/// Turns a whole chat reply into a completions reply; `None` when it is no chat reply.
pub fn chat_to_completion(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let reply = completion_object(text)?;
    reply.has_choices.then(|| reply.json.into_bytes())
}

/// A chat reply or chunk in the shape of a completions one.
pub(crate) struct Converted {
    pub(crate) json: String,
    pub(crate) has_choices: bool,
    /// It says something: text, a finish, usage.
    pub(crate) speaks: bool,
}

pub(crate) fn completion_object(text: &str) -> Option<Converted> {
    let (mut id, mut created, mut model) = (None, "0", "null");
    let (mut choices, mut usage, mut fingerprint) = (None, None, None);
    if !json::visit(text, |key, raw| match key {
        "id" => id = json::string(raw),
        "created" => created = raw,
        "model" => model = raw,
        "choices" => choices = Some(raw),
        "usage" if json::is_object(raw) => usage = Some(raw),
        "system_fingerprint" if raw != "null" => fingerprint = Some(raw),
        _ => {}
    }) {
        return None;
    }
    let mut converted = Vec::new();
    let mut speaks = usage.is_some();
    if let Some(choices) = choices {
        json::visit_elements(choices, |choice| {
            let (text, spoke) = completion_choice(choice);
            converted.push(text);
            speaks |= spoke;
        });
    }
    let id = id.unwrap_or_default();
    let id = id.strip_prefix("chatcmpl-").unwrap_or(&id);
    let id =
        json::quote(&if id.starts_with("cmpl-") { id.to_owned() } else { format!("cmpl-{id}") });
    let mut json = format!(
        r#"{{"id":{id},"object":"text_completion","created":{created},"model":{model},"choices":[{}]"#,
        converted.join(",")
    );
    for (key, value) in [("usage", usage), ("system_fingerprint", fingerprint)] {
        if let Some(value) = value {
            json.push_str(&format!(r#","{key}":{value}"#));
        }
    }
    json.push('}');
    Some(Converted { json, has_choices: choices.is_some_and(json::is_array), speaks })
}

fn completion_choice(choice: &str) -> (String, bool) {
    let (mut index, mut text, mut finish, mut logprobs) = ("0", String::new(), "null", None);
    json::visit(choice, |key, raw| match key {
        "index" => index = raw,
        "message" | "delta" => text = content_text(json::member(raw, "content").unwrap_or("null")),
        "finish_reason" => finish = raw,
        "logprobs" => logprobs = completion_logprobs(raw),
        _ => {}
    });
    let spoke = !text.is_empty() || finish != "null";
    let logprobs = logprobs.as_deref().unwrap_or("null");
    let text = json::quote(&text);
    let json = format!(
        r#"{{"index":{index},"text":{text},"logprobs":{logprobs},"finish_reason":{finish}}}"#
    );
    (json, spoke)
}

/// Content is a string or an array of text parts, which join without a separator.
fn content_text(raw: &str) -> String {
    if let Some(text) = json::string(raw) {
        return text.into_owned();
    }
    let mut out = String::new();
    json::visit_elements(raw, |part| {
        if let Some(text) = json::member(part, "text").and_then(json::string) {
            out.push_str(&text);
        }
    });
    out
}

/// Chat lists tokens with their alternatives; completions has one column per property.
fn completion_logprobs(raw: &str) -> Option<String> {
    let content = json::member(raw, "content").filter(|content| json::is_array(content))?;
    let (mut tokens, mut values, mut tops, mut offsets) = (vec![], vec![], vec![], vec![]);
    let mut offset = 0_usize;
    json::visit_elements(content, |entry| {
        let (mut token, mut value, mut top) = ("\"\"", "null", Vec::new());
        json::visit(entry, |key, raw| match key {
            "token" => token = raw,
            "logprob" => value = raw,
            "top_logprobs" => {
                json::visit_elements(raw, |alternative| {
                    let name = json::member(alternative, "token").unwrap_or("\"\"");
                    let value = json::member(alternative, "logprob").unwrap_or("null");
                    top.push(format!("{name}:{value}"));
                });
            }
            _ => {}
        });
        tokens.push(token.to_owned());
        values.push(value.to_owned());
        tops.push(format!("{{{}}}", top.join(",")));
        offsets.push(offset.to_string());
        let length = json::string(token).map_or(0, |token| token.chars().count());
        offset = offset.saturating_add(length);
    });
    Some(format!(
        r#"{{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}}"#,
        tokens.join(","),
        values.join(","),
        tops.join(","),
        offsets.join(",")
    ))
}

/// The one text of a prompt.
fn prompt_text(raw: &str) -> Result<String, PeekError> {
    let invalid =
        |message: &str| PeekError::Invalid { param: "prompt", message: message.to_owned() };
    if let Some(text) = json::string(raw) {
        return Ok(text.into_owned());
    }
    if !json::is_array(raw) {
        return Err(invalid("`prompt` must be a string"));
    }
    let mut elements = Vec::new();
    json::visit_elements(raw, |element| elements.push(element));
    match elements.as_slice() {
        [one] => json::string(one)
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| invalid("`prompt` must be text; token arrays are not supported")),
        [first, ..] if first.starts_with('"') => {
            Err(invalid("`prompt` must be one text; send one request per prompt"))
        }
        [] => Err(invalid("`prompt` must not be empty")),
        _ => Err(invalid("`prompt` must be text; token arrays are not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<String, PeekError> {
        completion_to_chat(body.as_bytes()).map(|b| String::from_utf8(b.to_vec()).unwrap())
    }

    #[test]
    fn prompts_become_one_user_message() {
        let messages = r#""messages":[{"role":"user","content":"a\"b"}]"#;
        for (body, want) in [
            (
                r#"{"model":"m","prompt":"a\"b","stop":["x"]}"#,
                format!(r#"{{{messages},"model":"m","stop":["x"]}}"#),
            ),
            (
                r#"{"prompt":["a\"b"],"echo":false,"best_of":1,"suffix":null}"#,
                format!("{{{messages}}}"),
            ),
            (
                r#"{"prompt":"a\"b","logprobs":2}"#,
                format!(r#"{{{messages},"top_logprobs":2,"logprobs":true}}"#),
            ),
            (r#"{"prompt":"a\"b","logprobs":null}"#, format!(r#"{{{messages},"logprobs":null}}"#)),
        ] {
            assert_eq!(chat(body).as_deref(), Ok(want.as_str()), "{body}");
        }
    }

    #[test]
    fn e015_what_chat_cannot_do_is_refused() {
        for (body, param, code) in [
            (r#"{"prompt":["a","b"]}"#, "prompt", None),
            (r#"{"prompt":[1,2]}"#, "prompt", None),
            (r#"{"prompt":[[1,2]]}"#, "prompt", None),
            (r#"{"prompt":[]}"#, "prompt", None),
            (r#"{"model":"m"}"#, "prompt", None),
            (r#"{"prompt":"a","suffix":"b"}"#, "suffix", Some("unsupported_parameter")),
            (r#"{"prompt":"a","best_of":2}"#, "best_of", Some("unsupported_parameter")),
            (r#"{"prompt":"a","echo":true}"#, "echo", Some("unsupported_parameter")),
        ] {
            let error = chat(body).unwrap_err();
            assert_eq!((error.param(), error.code()), (Some(param), code), "{body}");
        }
        assert_eq!(chat("[]"), Err(PeekError::NotObject));
    }

    #[test]
    fn whole_reply_is_a_text_completion() {
        let reply = br#"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m",
            "choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":1}}"#;
        let got = String::from_utf8(chat_to_completion(reply).unwrap()).unwrap();
        assert_eq!(
            got,
            r#"{"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":[{"index":0,"text":"hi","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#
        );
        assert_eq!(chat_to_completion(br#"{"error":{}}"#), None);
        assert_eq!(chat_to_completion(b"x"), None);
    }

    #[test]
    fn logprobs_become_columns() {
        let raw = r#"{"content":[{"token":"h","logprob":-0.5,"top_logprobs":[{"token":"h","logprob":-0.5}]},
            {"token":"é","logprob":-1}]}"#;
        assert_eq!(
            completion_logprobs(raw).as_deref(),
            Some(
                r#"{"tokens":["h","é"],"token_logprobs":[-0.5,-1],"top_logprobs":[{"h":-0.5},{}],"text_offset":[0,1]}"#
            )
        );
        assert_eq!(completion_logprobs("null"), None);
    }
}
