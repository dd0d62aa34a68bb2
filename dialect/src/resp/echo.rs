//! What an answer repeats of its request (translation §3.1).

use serde_json::{Map, Value, json};

use super::request::{
    effort_word, encode_format, encode_tool, encode_tool_choice, summary_word, verbosity_word,
};
use super::wire::{Format, TextOptions};
use crate::ir::{Request, SystemOrigin};
use crate::translate::ResponseEcho;

/// The members of an answer that repeat the request, in the order of the wire. `request` is the client's
/// own, before it was adapted to any target.
pub fn echo(request: &Request) -> ResponseEcho {
    let mut echo = Map::new();
    let mut put = |key: &str, value: Value| {
        echo.insert(key.to_owned(), value);
    };
    let text = |text: &Option<crate::ir::Str>| text.as_deref().map_or(Value::Null, Value::from);
    put("instructions", instructions(request));
    put("max_output_tokens", json!(request.max_tokens));
    put("parallel_tool_calls", json!(request.parallel_tool_calls.unwrap_or(true)));
    put("previous_response_id", text(&request.previous_response_id));
    put(
        "reasoning",
        json!({
            "effort": request.reasoning.effort.and_then(effort_word),
            "summary": summary_word(request.reasoning.summary),
        }),
    );
    put("store", json!(request.store.unwrap_or(false)));
    put("temperature", json!(request.sampling.temperature.unwrap_or(1.0)));
    put("text", text_options(request));
    let choice =
        request.tool_choice.as_ref().map(|choice| encode_tool_choice(choice, &request.tools));
    put("tool_choice", choice.unwrap_or_else(|| "auto".into()));
    let tools = request.tools.iter().filter_map(|tool| {
        let mut tool = serde_json::to_value(encode_tool(tool, true)?).ok()?;
        // Clients' types have both, whatever the request had.
        if let Some(members) = tool.as_object_mut()
            && members.get("type").is_some_and(|kind| kind == "function")
        {
            members.entry("strict").or_insert(Value::Null);
            members.entry("description").or_insert(Value::Null);
        }
        Some(tool)
    });
    put("tools", tools.collect());
    put("top_p", json!(request.sampling.top_p.unwrap_or(1.0)));
    put("truncation", request.truncation.as_deref().unwrap_or("disabled").into());
    put("user", text(&request.user));
    put("metadata", Value::Object(request.metadata.clone()));
    for (key, value) in [
        ("prompt_cache_key", text(&request.cache.key)),
        ("prompt_cache_retention", text(&request.cache.retention)),
        ("safety_identifier", text(&request.safety_identifier)),
        ("top_logprobs", json!(request.top_logprobs)),
        ("background", json!(request.background)),
    ] {
        if !value.is_null() {
            put(key, value);
        }
    }
    ResponseEcho(echo)
}

fn instructions(request: &Request) -> Value {
    let own = request.system.iter().filter(|part| part.origin == SystemOrigin::Top);
    let own: Vec<&str> = own.map(|part| &*part.text).collect();
    if own.is_empty() { Value::Null } else { own.join("\n\n").into() }
}

fn text_options(request: &Request) -> Value {
    let format = Some(encode_format(&request.output).unwrap_or(Format::Text));
    let verbosity = request.verbosity.map(verbosity_word);
    json!(TextOptions { format, verbosity })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::Warnings;

    fn echoed(body: &str) -> Value {
        let request =
            super::super::decode_request(body.as_bytes(), &mut Warnings::default()).unwrap();
        Value::Object(echo(&request).0)
    }

    #[test]
    fn an_empty_request_gets_the_defaults_of_the_dialect() {
        assert_eq!(
            echoed(r#"{"model":"m","input":"q"}"#),
            json!({
                "instructions": null, "max_output_tokens": null, "parallel_tool_calls": true,
                "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
                "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
                "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
                "user": null, "metadata": {},
            })
        );
    }

    #[test]
    fn what_the_client_said_is_repeated() {
        let seen = echoed(
            r#"{"model":"m","input":"q","instructions":"I","max_output_tokens":9,
            "reasoning":{"effort":"low","summary":"auto"},"temperature":0.2,"store":true,
            "text":{"format":{"type":"json_object"},"verbosity":"low"},
            "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}],
            "tool_choice":{"type":"function","name":"f"},"metadata":{"a":"b"},"prompt_cache_key":"k"}"#,
        );
        assert_eq!(seen["instructions"], "I");
        assert_eq!(seen["reasoning"], json!({"effort": "low", "summary": "auto"}));
        assert_eq!(seen["text"], json!({"format": {"type": "json_object"}, "verbosity": "low"}));
        assert_eq!(seen["tools"][0]["strict"], Value::Null);
        assert_eq!(seen["tool_choice"], json!({"type": "function", "name": "f"}));
        assert_eq!(seen["metadata"], json!({"a": "b"}));
        assert_eq!((&seen["prompt_cache_key"], &seen["store"]), (&json!("k"), &json!(true)));
    }
}
