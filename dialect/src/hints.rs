//! What in a request body tells conversations apart (accounts §6.5, items 2, 5, 6 and 7).

use std::ops::{ControlFlow, Range};

use crate::peek::Peek;
use crate::{Dialect, json};

/// How much of the system text and of the first user message goes into the content key.
const HEAD_CHARS: usize = 100;

/// Candidates for a session key from the body, strongest first; the caller checks their form.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SessionHints {
    /// The session part of `metadata.user_id` (Messages).
    pub claude_session: Option<String>,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// `conversation.id`, `conversation` or `conversation_id`.
    pub conversation: Option<String>,
    /// `session_id`.
    pub session_id: Option<String>,
    /// For two turns and more: the start of the system text and of the first user message, to be
    /// hashed.
    pub content: Option<String>,
}

/// Reads the hints. Looks into the turns, so call it only when affinity is wanted.
pub fn session_hints(dialect: Dialect, body: &[u8], peek: &Peek) -> SessionHints {
    let text_at = |range: &Range<usize>| {
        body.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok())
    };
    let metadata = peek.metadata.as_ref().filter(|_| dialect == Dialect::Anth).and_then(text_at);
    SessionHints {
        claude_session: metadata.and_then(claude_session),
        prompt_cache_key: peek.prompt_cache_key.clone(),
        conversation: peek.conversation.clone(),
        session_id: peek.session_id.clone(),
        content: peek
            .turns
            .as_ref()
            // One turn alone tells nothing: it is not looked through.
            .filter(|_| peek.turn_count >= 2)
            .and_then(text_at)
            .and_then(|turns| content_key(dialect, turns, peek.system.as_ref().and_then(text_at))),
    }
}

/// `user_…_account_…_session_<id>`, or JSON with a `session_id`.
fn claude_session(metadata: &str) -> Option<String> {
    let user_id = json::member(metadata, "user_id").and_then(json::string)?;
    if user_id.trim_start().starts_with('{') {
        return json::member(user_id.trim(), "session_id").and_then(json::text);
    }
    let (_, session) = user_id.rsplit_once("_session_")?;
    (!session.is_empty()).then(|| session.to_owned())
}

fn content_key(dialect: Dialect, turns: &str, system: Option<&str>) -> Option<String> {
    let mut system = system.map(head).unwrap_or_default();
    let mut user = None;
    let mut count = 0_u32;
    json::each_element(turns, |turn| {
        let (mut role, mut content) = (None, None);
        json::visit(turn, |key, raw| match key {
            "role" => role = json::string(raw),
            "content" | "parts" => content = Some(raw),
            _ => {}
        });
        let text = || content.map(head).unwrap_or_default();
        match role.as_deref() {
            Some("system" | "developer") => {
                if system.is_empty() {
                    system = text();
                }
                return ControlFlow::Continue(());
            }
            // Gemini allows a turn without a role; it is the user's.
            Some("user") => user = user.take().or_else(|| Some(text())),
            None if dialect == Dialect::Gem => user = user.take().or_else(|| Some(text())),
            _ => {}
        }
        count = count.saturating_add(1);
        // Nothing after the second turn changes the key once the user has spoken.
        if count >= 2 && user.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .ok()?;
    let user = user.filter(|_| count >= 2)?;
    (!user.is_empty() || !system.is_empty()).then(|| format!("{system}\u{0}{user}"))
}

/// The first characters of a content: a string, an array of parts, or an object with parts.
fn head(raw: &str) -> String {
    let mut out = String::new();
    collect(raw, &mut out);
    let end = out.char_indices().nth(HEAD_CHARS).map_or(out.len(), |(at, _)| at);
    out.truncate(end);
    out
}

fn collect(raw: &str, out: &mut String) {
    if let Some(text) = json::start_of_string(raw, HEAD_CHARS) {
        out.push_str(&text);
    } else if json::is_object(raw) {
        let inner = json::member(raw, "parts").or_else(|| json::member(raw, "text"));
        if let Some(inner) = inner {
            collect(inner, out);
        }
    } else if json::is_array(raw) {
        // What does not parse contributes nothing: the peek has judged the body already.
        json::visit_elements(raw, |part| {
            if out.chars().nth(HEAD_CHARS).is_none() {
                collect(part, out);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek;

    fn hints(dialect: Dialect, body: &str) -> SessionHints {
        session_hints(dialect, body.as_bytes(), &peek(dialect, body.as_bytes()).unwrap())
    }

    #[test]
    fn claude_code_names_its_session_in_the_user_id() {
        for (user_id, want) in [
            (r#""user_ab_account_cd_session_0f-1""#, Some("0f-1")),
            (r#""{\"device_id\":\"d\",\"session_id\":\"s1\"}""#, Some("s1")),
            (r#""user_ab""#, None),
            (r#""user_session_""#, None),
            ("5", None),
        ] {
            let body = format!(r#"{{"model":"a","metadata":{{"user_id":{user_id}}}}}"#);
            assert_eq!(hints(Dialect::Anth, &body).claude_session.as_deref(), want, "{user_id}");
            assert_eq!(hints(Dialect::Chat, &body).claude_session, None);
        }
    }

    #[test]
    fn content_key_needs_two_turns_and_ignores_later_ones() {
        let two = hints(
            Dialect::Chat,
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"},
                {"role":"assistant","content":"yo"}]}"#,
        );
        assert_eq!(two.content.as_deref(), Some("S\u{0}hi"));
        let more = hints(
            Dialect::Chat,
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"hi"}]},
                {"role":"assistant","content":"yo"},{"role":"user","content":"again"}]}"#,
        );
        assert_eq!(more.content, two.content);
        for body in [
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"}]}"#,
            r#"{"messages":[]}"#,
            r#"{"messages":"x"}"#,
        ] {
            assert_eq!(hints(Dialect::Chat, body).content, None, "{body}");
        }
    }

    #[test]
    fn content_key_is_found_in_each_dialect() {
        for (dialect, body) in [
            (
                Dialect::Anth,
                r#"{"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"x"}]}"#,
            ),
            (
                Dialect::Resp,
                r#"{"instructions":"S","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call"}]}"#,
            ),
            (
                Dialect::Gem,
                r#"{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":[]}]}"#,
            ),
        ] {
            assert_eq!(hints(dialect, body).content.as_deref(), Some("S\u{0}hi"), "{dialect:?}");
        }
        assert_eq!(hints(Dialect::Resp, r#"{"input":"hi"}"#).content, None);
    }

    #[test]
    fn only_the_head_of_long_texts_counts() {
        let long = "é".repeat(500);
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"{long}"}},{{"role":"assistant","content":"x"}}]}}"#
        );
        let key = hints(Dialect::Chat, &body).content.unwrap();
        assert_eq!(key.chars().count(), HEAD_CHARS + 1);
    }
}
