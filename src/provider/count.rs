//! Token counts by the upstream's own counter: what it is asked, what it answers (translation §2.12).

use std::collections::BTreeMap;

use bytes::Bytes;
use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::Envelope;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// Members of a prompt that Anthropic's counter takes; others it refuses (providers §3.1).
const ANTHROPIC: [&str; 6] = ["model", "messages", "system", "tools", "tool_choice", "thinking"];
/// Members that are counted by Gemini's.
const GEMINI: [&str; 8] = [
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "cachedContent",
    "cached_content",
];
/// Names under which Gemini's own counter takes a whole request.
const WRAPPED: [&str; 2] = ["generateContentRequest", "generate_content_request"];

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The prompt in the body of a client's counting call. Gemini's may be wrapped in an object of its own.
#[must_use]
pub fn prompt(dialect: Dialect, body: &Bytes) -> Bytes {
    let wrapped = || {
        let members: Members<'_> = serde_json::from_slice(body).ok()?;
        let inner = WRAPPED.iter().find_map(|name| members.get(*name))?;
        Some(body.slice_ref(inner.get().as_bytes()))
    };
    let wrapped = (dialect == Dialect::Gem).then(wrapped).flatten();
    wrapped.unwrap_or_else(|| body.clone())
}

/// The body of the upstream's counting call for a prompt in its dialect: what counts, for `model`. `None`
/// when it has no counter that sees the whole prompt: Code Assist's sees the turns alone.
#[must_use]
pub fn request(
    dialect: Dialect,
    envelope: Envelope,
    model: &str,
    prompt: &[u8],
) -> Option<Vec<u8>> {
    let mut members: Members<'_> = serde_json::from_slice(prompt).ok()?;
    match (dialect, envelope) {
        (Dialect::Anth, Envelope::Plain) => {
            let model = to_raw_value(model).ok()?;
            members.retain(|name, _| ANTHROPIC.contains(&name.as_str()));
            members.insert("model".to_owned(), &model);
            serde_json::to_vec(&members).ok()
        }
        (Dialect::Gem, Envelope::Vertex) => {
            members.retain(|name, _| GEMINI.contains(&name.as_str()));
            serde_json::to_vec(&members).ok()
        }
        (Dialect::Gem, Envelope::Plain) => {
            // Beside the turns it counts nothing unless all stands in an object that names the model.
            let whole =
                if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
            let model = to_raw_value(&whole).ok()?;
            members.retain(|name, _| GEMINI.contains(&name.as_str()));
            members.insert("model".to_owned(), &model);
            serde_json::to_vec(&BTreeMap::from([(WRAPPED[0], members)])).ok()
        }
        _ => None,
    }
}

/// The count in the upstream's answer.
#[must_use]
pub fn answer(dialect: Dialect, body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Counted {
        input_tokens: Option<u64>,
        #[serde(rename = "totalTokens")]
        total_tokens: Option<u64>,
    }
    let counted: Counted = serde_json::from_slice(body).ok()?;
    match dialect {
        Dialect::Gem => counted.total_tokens,
        Dialect::Anth | Dialect::Resp => counted.input_tokens,
        Dialect::Chat => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(dialect: Dialect, envelope: Envelope, model: &str, prompt: &Value) -> Option<Value> {
        let body = request(dialect, envelope, model, prompt.to_string().as_bytes())?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_counter_is_asked_what_counts_and_no_more() {
        let prompt = json!({
            "model": "client/name", "messages": [], "system": "s", "tools": [], "max_tokens": 9,
            "stream": true, "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"},
        });
        let want = json!({
            "model": "claude", "messages": [], "system": "s", "tools": [],
            "thinking": {"type": "adaptive"},
        });
        assert_eq!(asked(Dialect::Anth, Envelope::Plain, "claude", &prompt), Some(want));

        let prompt = json!({
            "contents": [{"parts": []}], "systemInstruction": {"parts": []}, "tools": [],
            "generationConfig": {"maxOutputTokens": 9}, "safetySettings": [],
        });
        let counts = json!({
            "contents": [{"parts": []}], "systemInstruction": {"parts": []}, "tools": [],
        });
        assert_eq!(asked(Dialect::Gem, Envelope::Vertex, "g", &prompt), Some(counts.clone()));
        for (model, named) in [("g", "models/g"), ("tunedModels/t", "tunedModels/t")] {
            let mut wrapped = counts.clone();
            wrapped["model"] = json!(named);
            let want = json!({"generateContentRequest": wrapped});
            assert_eq!(asked(Dialect::Gem, Envelope::Plain, model, &prompt), Some(want));
        }
        for (dialect, envelope) in [
            (Dialect::Gem, Envelope::CloudCode),
            (Dialect::Resp, Envelope::Codex),
            (Dialect::Chat, Envelope::Plain),
        ] {
            assert_eq!(asked(dialect, envelope, "m", &prompt), None, "{dialect:?} {envelope:?}");
        }
        assert_eq!(request(Dialect::Anth, Envelope::Plain, "m", b"[1]"), None);
    }

    #[test]
    fn numbers_and_spellings_are_kept_as_written() {
        let prompt = br#"{"messages":[{"n":12345678901234567890.0}]}"#;
        let got = request(Dialect::Anth, Envelope::Plain, "m", prompt).unwrap();
        assert_eq!(got, br#"{"messages":[{"n":12345678901234567890.0}],"model":"m"}"#);
    }

    #[test]
    fn a_wrapped_prompt_is_taken_out() {
        let bare = r#"{"contents":[]}"#;
        for body in [
            bare.to_owned(),
            format!(r#"{{"generateContentRequest": {bare}}}"#),
            format!(r#"{{"model":"m","generate_content_request":{bare}}}"#),
        ] {
            assert_eq!(prompt(Dialect::Gem, &Bytes::from(body.clone())), bare, "{body}");
            assert_eq!(prompt(Dialect::Anth, &Bytes::from(body.clone())), body);
        }
    }

    #[test]
    fn answers_are_read_in_each_dialect() {
        for (dialect, body, want) in [
            (Dialect::Anth, r#"{"input_tokens":7}"#, Some(7)),
            (Dialect::Gem, r#"{"totalTokens":8,"promptTokensDetails":[]}"#, Some(8)),
            (Dialect::Resp, r#"{"object":"response.input_tokens","input_tokens":9}"#, Some(9)),
            (Dialect::Anth, r#"{"totalTokens":8}"#, None),
            (Dialect::Gem, r#"{"totalTokens":-1}"#, None),
            (Dialect::Anth, "<html>", None),
        ] {
            assert_eq!(answer(dialect, body.as_bytes()), want, "{body}");
        }
    }
}
