//! Calls on their way to the client: its own names, namespaces and forms (translation §2.5, §4.6).

use super::{ClientTool, ClientTools, tool_input};
use crate::ir::{Event, Part, PartKind, RawJson, Response, Str, ToolInput, ToolKind, ToolUse};
use crate::json;

/// The property that a schema got so that it has one (§2.5, rule 11).
pub const PLACEHOLDER: &str = "_unused";

/// Spells the calls of one answer as the client declared its tools.
#[derive(Debug)]
pub struct ClientNames {
    tools: ClientTools,
    /// Calls whose arguments change: they are held until they are whole.
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    part: u32,
    tool: ClientTool,
    text: String,
}

impl ClientNames {
    /// For the tools of one request.
    pub fn new(tools: ClientTools) -> Self {
        Self { tools, held: Vec::new() }
    }

    /// Hands on an event in the client's spelling.
    pub fn event(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartStart {
                part,
                choice,
                kind: PartKind::ToolUse { id, name, kind, namespace, signature },
            } => {
                let Some(tool) = self.tools.get(&name) else {
                    let kind = PartKind::ToolUse { id, name, kind, namespace, signature };
                    out.push(Event::PartStart { part, choice, kind });
                    return;
                };
                let kind = PartKind::ToolUse {
                    id,
                    name: tool.name.clone(),
                    kind: tool.kind.clone(),
                    namespace: tool.namespace.clone(),
                    signature,
                };
                if changes_input(tool) {
                    self.held.push(Held { part, tool: tool.clone(), text: String::new() });
                }
                out.push(Event::PartStart { part, choice, kind });
            }
            Event::ToolInput { part, text } => {
                match self.held.iter_mut().find(|held| held.part == part) {
                    Some(held) => held.text.push_str(&text),
                    None => out.push(Event::ToolInput { part, text }),
                }
            }
            Event::PartStop { part, full } => {
                let full = full.map(|mut full| {
                    self.part(&mut full);
                    full
                });
                if let Some(at) = self.held.iter().position(|held| held.part == part) {
                    let held = self.held.remove(at);
                    let text = input_text(input(&held.tool, held.text.into()));
                    if !text.is_empty() {
                        out.push(Event::ToolInput { part, text });
                    }
                }
                out.push(Event::PartStop { part, full });
            }
            event => out.push(event),
        }
    }

    /// Spells the calls of a whole answer.
    pub fn response(&self, response: &mut Response) {
        for part in response.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            self.part(part);
        }
    }

    fn part(&self, part: &mut Part) {
        let Part::ToolUse(call) = part else { return };
        let ToolUse { name, namespace, kind, input: arguments, .. } = call;
        let Some(tool) = self.tools.get(name) else { return };
        if changes_input(tool) {
            let written = input_text(std::mem::replace(arguments, ToolInput::Text(Str::new())));
            *arguments = input(tool, written);
        }
        *name = tool.name.clone();
        *namespace = tool.namespace.clone();
        *kind = tool.kind.clone();
    }
}

fn changes_input(tool: &ClientTool) -> bool {
    tool.unwrap_input || tool.strip_placeholder
}

fn input_text(input: ToolInput) -> Str {
    match input {
        ToolInput::Json(json) => json.get().into(),
        ToolInput::Text(text) => text,
    }
}

/// The arguments that the client gets for what the model wrote.
fn input(tool: &ClientTool, written: Str) -> ToolInput {
    if tool.unwrap_input {
        let inner = json::member(&written, "input").and_then(json::string);
        let text = inner.map(|text| Str::from(text.as_ref()));
        return ToolInput::Text(text.unwrap_or(written));
    }
    let mut members = Vec::new();
    let is_object = json::visit(&written, |key, raw| {
        if key != PLACEHOLDER {
            members.push(format!("{}:{raw}", json::quote(key)));
        }
    });
    let object = is_object.then(|| RawJson::parse(format!("{{{}}}", members.join(","))).ok());
    match object.flatten() {
        Some(json) => ToolInput::Json(json),
        None => tool_input(&ToolKind::Function, written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Choice, EventOrder};
    use crate::translate::{Fold, unfold};

    fn tools() -> ClientTools {
        let plain = ClientTool {
            name: "my tool!".into(),
            namespace: None,
            kind: ToolKind::Function,
            unwrap_input: false,
            strip_placeholder: false,
        };
        let mut tools = ClientTools::default();
        tools.insert("my_tool_".into(), plain.clone());
        let spaced = ClientTool { name: "f".into(), namespace: Some("n".into()), ..plain.clone() };
        tools.insert("n__f".into(), spaced);
        let custom = ClientTool {
            name: "apply".into(),
            kind: ToolKind::Custom,
            unwrap_input: true,
            ..plain.clone()
        };
        tools.insert("apply".into(), custom);
        tools.insert(
            "empty".into(),
            ClientTool { name: "empty".into(), strip_placeholder: true, ..plain },
        );
        tools
    }

    fn call(name: &'static str, written: &'static str) -> Part {
        Part::ToolUse(ToolUse {
            id: "1".into(),
            name: name.into(),
            input: tool_input(&ToolKind::Function, written.into()),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
            cache: None,
            ext: crate::ir::Ext::default(),
        })
    }

    #[test]
    fn t053_t062_t065_calls_go_back_as_the_client_declared_them() {
        for (upstream, written, name, namespace, told) in [
            ("my_tool_", r#"{"a":1}"#, "my tool!", None, r#"{"a":1}"#),
            ("other", "{}", "other", None, "{}"),
            ("n__f", "{}", "f", Some("n"), "{}"),
            ("apply", r#"{"input":"x\ny"}"#, "apply", None, "x\ny"),
            ("apply", r#"{"input":5}"#, "apply", None, r#"{"input":5}"#),
            ("apply", "{bad", "apply", None, "{bad"),
            ("empty", r#"{ "_unused":"" }"#, "empty", None, "{}"),
            (
                "empty",
                r#"{"a":12345678901234567890,"_unused":""}"#,
                "empty",
                None,
                r#"{"a":12345678901234567890}"#,
            ),
            ("empty", "{bad", "empty", None, "{bad"),
        ] {
            let choice = Choice { parts: vec![call(upstream, written)], ..Choice::new(0) };
            let mut whole = Response { choices: vec![choice], ..Response::default() };
            let (mut order, mut fold) = (EventOrder::default(), Fold::default());
            let mut names = ClientNames::new(tools());
            let mut events = Vec::new();
            unfold(whole.clone()).into_iter().for_each(|event| names.event(event, &mut events));
            for event in events {
                order.check(&event).unwrap();
                fold.push(event);
            }
            names.response(&mut whole);
            let streamed = fold.finish().unwrap();
            assert_eq!(streamed.choices[0].parts, whole.choices[0].parts, "{upstream} {written}");
            let Part::ToolUse(seen) = &whole.choices[0].parts[0] else { panic!("{whole:?}") };
            assert_eq!((&*seen.name, seen.namespace.as_deref()), (name, namespace));
            assert_eq!(input_text(seen.input.clone()), told, "{upstream} {written}");
        }
    }
}
