//! What a simulated provider reads of a request body.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::wire::Wire;

/// Few fields, read without building a tree: all that the load behaviour needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) model: Option<String>,
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Head {
    pub(super) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|o| o.include_usage).unwrap_or(false)
    }
}

/// What the answer is about: the client's last words, and the tool it may be asked to call.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ask {
    pub(super) text: String,
    pub(super) tool: Option<(String, Value)>,
}

impl Ask {
    /// Reads a parsed request body of the given wire format.
    pub(super) fn read(wire: Wire, body: &Value) -> Self {
        let turns = match wire {
            Wire::Chat | Wire::Messages => body.get("messages"),
            Wire::Responses => body.get("input"),
            Wire::Gemini => body.get("contents"),
        };
        let (text, answered) = match turns {
            Some(Value::String(text)) => (text.clone(), false),
            Some(Value::Array(turns)) => last_words(turns),
            _ => (String::new(), false),
        };
        // A turn that already holds the tool's result is answered in words, else a client's
        // agent loop would never end.
        let wanted = !answered && text.contains("tool");
        let tool = wanted.then(|| first_tool(wire, body)).flatten();
        Self { text, tool }
    }
}

/// Text of the last user turn, and whether a tool's result stands at or behind it.
fn last_words(turns: &[Value]) -> (String, bool) {
    let mut answered = false;
    for turn in turns.iter().rev() {
        if is_tool_result(turn) {
            answered = true;
            continue;
        }
        if turn.get("role").and_then(Value::as_str).unwrap_or("user") == "user" {
            let content = turn.get("content").or_else(|| turn.get("parts"));
            return (content.map(text_of).unwrap_or_default(), answered);
        }
    }
    (String::new(), answered)
}

fn is_tool_result(turn: &Value) -> bool {
    let has = |list: Option<&Value>, test: &dyn Fn(&Value) -> bool| {
        list.and_then(Value::as_array).is_some_and(|parts| parts.iter().any(test))
    };
    turn.get("role").and_then(Value::as_str) == Some("tool")
        || turn.get("type").and_then(Value::as_str) == Some("function_call_output")
        || has(turn.get("content"), &|p| {
            p.get("type").and_then(Value::as_str) == Some("tool_result")
        })
        || has(turn.get("parts"), &|p| p.get("functionResponse").is_some())
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|p| p.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

/// Name of the first declared tool, with arguments that its schema would accept.
fn first_tool(wire: Wire, body: &Value) -> Option<(String, Value)> {
    let first = body.get("tools")?.as_array()?.first()?;
    let declared = match wire {
        Wire::Chat => first.get("function")?,
        Wire::Responses | Wire::Messages => first,
        Wire::Gemini => first
            .get("functionDeclarations")
            .or_else(|| first.get("function_declarations"))?
            .as_array()?
            .first()?,
    };
    let schema = ["parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema"]
        .iter()
        .find_map(|key| declared.get(*key));
    let name = declared.get("name")?.as_str()?.to_owned();
    Some((name, Value::Object(sample_arguments(schema))))
}

fn sample_arguments(schema: Option<&Value>) -> Map<String, Value> {
    let properties = schema.and_then(|s| s.get("properties")).and_then(Value::as_object);
    let sample = |property: &Value| {
        let kind = property.get("type").and_then(Value::as_str).unwrap_or("string");
        match kind.to_ascii_lowercase().as_str() {
            "integer" | "number" => Value::from(1),
            "boolean" => Value::from(true),
            "array" => Value::Array(Vec::new()),
            "object" => Value::Object(Map::new()),
            _ => Value::from("Oslo"),
        }
    };
    properties
        .map(|all| all.iter().map(|(name, p)| (name.clone(), sample(p))).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tool_is_called_when_declared_and_mentioned_in_every_wire() {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
        let table = [
            (
                Wire::Chat,
                json!({"messages": [{"role": "user", "content": "use the tool"}],
                    "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}),
            ),
            (
                Wire::Messages,
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "use the tool"}]}],
                    "tools": [{"name": "f", "input_schema": schema}]}),
            ),
            (
                Wire::Responses,
                json!({"input": "use the tool", "tools": [{"type": "function", "name": "f", "parameters": schema}]}),
            ),
            (
                Wire::Gemini,
                json!({"contents": [{"role": "user", "parts": [{"text": "use the tool"}]}],
                    "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}),
            ),
        ];
        for (wire, body) in table {
            let ask = Ask::read(wire, &body);
            assert_eq!(ask.text, "use the tool", "{wire:?}");
            assert_eq!(
                ask.tool,
                Some(("f".into(), json!({"city": "Oslo", "days": 1}))),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn tool_result_is_answered_in_words() {
        let body = json!({"messages": [{"role": "user", "content": "use the tool"},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "tool", "tool_call_id": "call_1", "content": "-3 C"}],
            "tools": [{"type": "function", "function": {"name": "f"}}]});
        assert_eq!(Ask::read(Wire::Chat, &body).tool, None);
    }
}
