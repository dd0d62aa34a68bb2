//! How much a request may hold that is taken apart: what nobody sends in earnest costs memory and time (security §10).

use super::TranslateError;
use crate::ir::{Part, Request, Tool};

/// Turns of a conversation.
const TURNS: usize = 20_000;
/// Declared tools, those of groups included.
const TOOLS: usize = 1_024;
/// Parts of all turns and of their tools' answers.
const PARTS: usize = 20_000;
/// Bytes of a tool's name, and of the id of a call.
const NAME: usize = 256;

/// Looks whether the request keeps within the limits.
///
/// # Errors
/// The first one that it exceeds, and names that hold control characters.
pub(super) fn check(request: &Request) -> Result<(), TranslateError> {
    let turns = request.turns.len().saturating_add(request.system.len());
    at_most("messages", "messages", turns, TURNS)?;
    let mut tools = 0_usize;
    for tool in &request.tools {
        tools = tools.saturating_add(declared(tool)?);
    }
    at_most("tools", "tools", tools, TOOLS)?;
    let mut parts = 0_usize;
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        parts = parts.saturating_add(1);
        match part {
            Part::ToolUse(call) => {
                name("messages", &call.name)?;
                name("messages", &call.id)?;
            }
            Part::ToolResult(result) => {
                name("messages", &result.id)?;
                result.name.as_deref().map_or(Ok(()), |text| name("messages", text))?;
                parts = parts.saturating_add(result.content.len());
            }
            _ => {}
        }
    }
    at_most("messages", "content parts", parts, PARTS)
}

/// How many tools it declares.
fn declared(tool: &Tool) -> Result<usize, TranslateError> {
    match tool {
        Tool::Function(function) => name("tools", &function.name)?,
        Tool::Custom { name: own, .. } => name("tools", own)?,
        Tool::Namespace { name: own, tools, .. } => {
            name("tools", own)?;
            let mut count = 0_usize;
            // No group holds a group.
            for tool in tools {
                count = count.saturating_add(declared(tool)?);
            }
            return Ok(count);
        }
        Tool::Builtin(_) => {}
    }
    Ok(1)
}

fn at_most(
    param: &'static str,
    what: &str,
    count: usize,
    most: usize,
) -> Result<(), TranslateError> {
    if count <= most {
        return Ok(());
    }
    let message = format!("the request has {count} {what}, more than {most}; send fewer");
    Err(TranslateError::Invalid { param: param.into(), message })
}

fn name(param: &'static str, text: &str) -> Result<(), TranslateError> {
    let why = if text.len() > NAME {
        format!("is longer than {NAME} bytes")
    } else if text.chars().any(char::is_control) {
        "holds a control character".to_owned()
    } else {
        return Ok(());
    };
    let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    let message = format!("the tool's name or call id that begins with `{shown}` {why}");
    Err(TranslateError::Invalid { param: param.into(), message })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Dialect;
    use crate::translate::RequestTranslator;

    fn decoded(body: &Value) -> Result<(), String> {
        let body = body.to_string();
        let decoded = RequestTranslator::decode(Dialect::Chat, body.as_bytes());
        decoded.map(drop).map_err(|error| error.to_string())
    }

    fn with(count: usize, member: &str, item: &Value) -> Value {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let items: Vec<&Value> = std::iter::repeat_n(item, count).collect();
        body[member] = json!(items);
        body
    }

    #[test]
    fn t_res_09_counts_are_bounded() {
        let turn = json!({"role": "user", "content": "x"});
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
        let part = json!({"type": "text", "text": "x"});
        let parts = |count| {
            let parts: Vec<&Value> = std::iter::repeat_n(&part, count).collect();
            json!({"model": "m", "messages": [{"role": "user", "content": parts}]})
        };
        assert_eq!(decoded(&with(TURNS, "messages", &turn)), Ok(()));
        assert_eq!(decoded(&with(TOOLS, "tools", &tool)), Ok(()));
        assert_eq!(decoded(&parts(PARTS)), Ok(()));
        for body in
            [with(TURNS + 1, "messages", &turn), with(TOOLS + 1, "tools", &tool), parts(PARTS + 1)]
        {
            let told = decoded(&body).unwrap_err();
            assert!(told.contains("more than") && told.contains("send fewer"), "{told}");
        }
    }

    #[test]
    fn t_res_10_names_and_ids_are_bounded_and_inert() {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
        let called = |id: &str| {
            json!({"model": "m", "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": id, "content": "y"},
            ]})
        };
        let long = "n".repeat(NAME);
        assert_eq!(decoded(&with(1, "tools", &tool(&long))), Ok(()));
        assert_eq!(decoded(&called(&long)), Ok(()));
        for bad in [format!("{long}n"), "a\u{7}b".to_owned(), "a\nb".to_owned()] {
            for body in [with(1, "tools", &tool(&bad)), called(&bad)] {
                let told = decoded(&body).unwrap_err();
                assert!(told.contains("longer than") || told.contains("control"), "{told}");
                assert!(!told.contains('\u{7}') && !told.contains('\n'), "{told:?}");
            }
        }
    }
}
