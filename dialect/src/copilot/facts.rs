//! What headers must say of a request: who speaks, and whether there is something to see.

use crate::peek::Peek;
use crate::{Dialect, json, needs};

/// What Copilot wants to know of a request beside its body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Facts {
    /// `x-initiator`.
    pub initiator: Initiator,
    /// `copilot-vision-request`: some message holds an image.
    pub vision: bool,
}

/// Who spoke last. It decides what is billed, so it is read from the conversation and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initiator {
    /// The user asks.
    User,
    /// A tool answered, or the model is to go on.
    Agent,
}

impl Initiator {
    /// The value of the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
        }
    }
}

/// Reads the facts from a client's body, whatever the client's dialect.
pub fn facts(dialect: Dialect, body: &[u8], peek: &Peek) -> Facts {
    let turns = peek.turns.as_ref().and_then(|range| body.get(range.clone()));
    let turns = turns.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    Facts { initiator: initiator(dialect, turns), vision: needs::has_image(turns) }
}

fn initiator(dialect: Dialect, turns: &str) -> Initiator {
    let mut all = Vec::new();
    // A text in place of a list is the user's.
    json::visit_elements(turns, |turn| all.push(turn));
    all.into_iter().rev().find_map(|turn| speaker(dialect, turn)).unwrap_or(Initiator::User)
}

/// Who speaks in a message or item; `None` for what programs put in by themselves.
fn speaker(dialect: Dialect, turn: &str) -> Option<Initiator> {
    let (mut role, mut kind, mut content) = (None, None, "");
    json::visit(turn, |key, raw| match key {
        "role" => role = json::string(raw),
        "type" => kind = json::string(raw),
        "content" | "parts" => content = raw,
        _ => {}
    });
    if dialect == Dialect::Resp && kind.as_deref().is_some_and(|kind| kind != "message") {
        return Some(Initiator::Agent);
    }
    match role.as_deref() {
        Some("system" | "developer") => None,
        // Gemini allows a turn without a role; it is the user's.
        Some("user" | "function") | None if dialect == Dialect::Gem => said(content),
        Some("user") => said(content),
        _ => Some(Initiator::Agent),
    }
}

/// Who speaks in a message in the user's name: results of tools come so in some dialects.
fn said(content: &str) -> Option<Initiator> {
    if let Some(text) = json::string(content) {
        return is_words(&text).then_some(Initiator::User);
    }
    let (mut results, mut words) = (false, false);
    json::visit_elements(content, |part| {
        let (mut result, mut text) = (false, None);
        json::visit(part, |key, raw| match key {
            "type" => result |= raw == "\"tool_result\"",
            "functionResponse" | "function_response" => result = true,
            "text" => text = json::string(raw),
            _ => {}
        });
        results |= result;
        words |= !result && text.is_none_or(|text| is_words(&text));
    });
    match (words, results) {
        (true, _) => Some(Initiator::User),
        (false, true) => Some(Initiator::Agent),
        (false, false) => None,
    }
}

/// Whether anybody typed it: coding tools put reminders of their own between the results of tools.
fn is_words(text: &str) -> bool {
    let mut rest = text.trim();
    while let Some(reminder) = rest.strip_prefix("<system-reminder>") {
        match reminder.split_once("</system-reminder>") {
            Some((_, behind)) => rest = behind.trim_start(),
            None => return true,
        }
    }
    !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::peek;

    fn read(dialect: Dialect, turns: &str) -> Facts {
        let body = format!(r#"{{"model":"m","{}":{turns}}}"#, dialect.turns_key());
        facts(dialect, body.as_bytes(), &peek(dialect, body.as_bytes()).unwrap())
    }

    #[test]
    fn t176_the_last_turn_tells_who_asks() {
        use Dialect::{Anth, Chat, Gem, Resp};
        let user = [
            (Chat, r#"[{"role":"user","content":"q"}]"#),
            (Chat, r#"[{"role":"tool","content":"r"},{"role":"user","content":"q"}]"#),
            (Chat, r#"[{"role":"user","content":"q"},{"role":"system","content":"s"}]"#),
            (Chat, r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]"#),
            (Resp, r#""q""#),
            (Resp, r#"[{"role":"user","content":"q"},{"role":"developer","content":"d"}]"#),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"text","text":"stop that"}]}]"#,
            ),
            (
                Anth,
                r#"[{"role":"user","content":"<system-reminder>a</system-reminder> and <system-reminder>b</system-reminder>"}]"#,
            ),
            (Anth, r#"[{"role":"user","content":"<system-reminder> is what?"}]"#),
            (Gem, r#"[{"parts":[{"text":"q"}]}]"#),
            (
                Gem,
                r#"[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}]"#,
            ),
            (Chat, "[]"),
        ];
        let agent = [
            (Chat, r#"[{"role":"user","content":"q"},{"role":"tool","content":"r"}]"#),
            (Chat, r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#),
            (
                Chat,
                r#"[{"role":"tool","content":"r"},{"role":"user","content":"<system-reminder>n</system-reminder>\n"}]"#,
            ),
            (Resp, r#"[{"type":"function_call_output","call_id":"c","output":"o"}]"#),
            (Resp, r#"[{"role":"user","content":"q"},{"type":"reasoning","summary":[]}]"#),
            (Resp, r#"[{"type":"message","role":"assistant","content":"a"}]"#),
            (
                Anth,
                r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"text","text":"<system-reminder>x</system-reminder>"}]}]"#,
            ),
            (Anth, r#"[{"role":"assistant","content":"a"}]"#),
            (Gem, r#"[{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}]"#),
            (Gem, r#"[{"role":"function","parts":[{"function_response":{"name":"f"}}]}]"#),
            (Gem, r#"[{"role":"model","parts":[{"text":"a"}]}]"#),
        ];
        for (dialect, turns) in user {
            assert_eq!(read(dialect, turns).initiator, Initiator::User, "{turns}");
        }
        for (dialect, turns) in agent {
            assert_eq!(read(dialect, turns).initiator, Initiator::Agent, "{turns}");
        }
    }

    #[test]
    fn t176_an_image_anywhere_is_something_to_see() {
        let old = r#"[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":""}}]},
            {"role":"assistant","content":"a"},{"role":"user","content":"q"}]"#;
        assert!(read(Dialect::Anth, old).vision);
        let result = r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{}}]}]}]"#;
        assert!(read(Dialect::Anth, result).vision);
        assert!(!read(Dialect::Chat, r#"[{"role":"user","content":"image_url"}]"#).vision);
    }

    proptest! {
        #[test]
        fn t180_any_turns_are_read_without_a_panic(turns in any::<String>()) {
            for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem] {
                let quoted = json::quote(&turns);
                for written in [format!("[{quoted}]"), format!(r#"[{{"role":{quoted}}}]"#), quoted] {
                    let facts = read(dialect, &written);
                    prop_assert!(!facts.vision);
                }
            }
        }
    }
}
