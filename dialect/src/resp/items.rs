//! Which items are calls of the client's tools, and which the provider ran itself; where such items
//! keep their arguments and results.

use super::object::Object;
use crate::Dialect;
use crate::ir::{RawJson, ServerTool, Str, ToolKind};

/// A tool of the client's with a call item of its own.
#[derive(Debug)]
pub(super) struct NativeCall {
    /// The type of its call items.
    pub(super) call: &'static str,
    /// The type of its output items.
    pub(super) output: &'static str,
    /// The tool's name in the neutral form.
    pub(super) name: &'static str,
    /// The member of the call item that holds the arguments.
    pub(super) input: &'static str,
    /// How ids of its call items begin.
    pub(super) prefix: &'static str,
}

const NATIVE_CALLS: [NativeCall; 5] = [
    NativeCall {
        call: "local_shell_call",
        output: "local_shell_call_output",
        name: "local_shell",
        input: "action",
        prefix: "lsh",
    },
    NativeCall {
        call: "shell_call",
        output: "shell_call_output",
        name: "shell",
        input: "action",
        prefix: "sh",
    },
    NativeCall {
        call: "apply_patch_call",
        output: "apply_patch_call_output",
        name: "apply_patch",
        input: "operation",
        prefix: "apc",
    },
    NativeCall {
        call: "computer_call",
        output: "computer_call_output",
        name: "computer",
        input: "action",
        prefix: "cu",
    },
    NativeCall {
        call: "tool_search_call",
        output: "tool_search_output",
        name: "tool_search",
        input: "arguments",
        prefix: "tsc",
    },
];

impl NativeCall {
    /// The tool whose call items have this type.
    pub(super) fn of_call(item_type: &str) -> Option<&'static Self> {
        NATIVE_CALLS.iter().find(|native| native.call == item_type)
    }

    /// The tool whose output items have this type.
    pub(super) fn of_output(item_type: &str) -> Option<&'static Self> {
        NATIVE_CALLS.iter().find(|native| native.output == item_type)
    }

    /// How the neutral form names the kind of call.
    pub(super) fn kind(&self) -> ToolKind {
        ToolKind::Native(Str::from_static(self.call))
    }
}

/// Whether a native call or output item belongs to a tool that the provider ran: shells in its own
/// containers, searches among deferred tools.
pub(super) fn ran_upstream(item: &Object<'_>) -> bool {
    let hosted = |environment: Object<'_>| {
        environment.word("type").is_some_and(|kind| kind.starts_with("container"))
    };
    item.object("environment").is_some_and(hosted)
        || item.word("execution").is_some_and(|who| who == "server")
}

/// Items of tools that the provider runs: type, the member with the arguments, the one with the result.
const SERVER_CALLS: [(&str, &str, Option<&str>); 7] = [
    ("web_search_call", "action", None),
    ("file_search_call", "queries", Some("results")),
    ("code_interpreter_call", "code", Some("outputs")),
    ("mcp_call", "arguments", Some("output")),
    ("shell_call", "action", None),
    ("tool_search_call", "arguments", None),
    ("computer_call", "action", None),
];

fn server_members(item_type: &str) -> Option<(&'static str, Option<&'static str>)> {
    SERVER_CALLS
        .iter()
        .find(|(name, ..)| *name == item_type)
        .map(|&(_, input, result)| (input, result))
}

/// Reads the item of a tool that the provider ran; `None` for any other type.
pub(super) fn server_tool(item_type: &str, item: &Object<'_>) -> Option<ServerTool> {
    let (input, result) = server_members(item_type)?;
    Some(ServerTool {
        id: item.text("id").unwrap_or_default(),
        name: item_type.to_owned().into(),
        input: item.json(input).unwrap_or_else(|| RawJson::from(&serde_json::json!({}))),
        result: result.and_then(|key| item.json(key)),
        origin: Dialect::Resp,
        ext: item.others(&["type", "id", input, result.unwrap_or_default()]),
    })
}

/// The item of a tool that the provider ran, as members in order; `None` when it comes from elsewhere.
pub(super) fn server_item(call: &ServerTool) -> Option<serde_json::Map<String, serde_json::Value>> {
    if call.origin != Dialect::Resp {
        return None;
    }
    let (input, result) = server_members(&call.name)?;
    let mut item = serde_json::Map::new();
    item.insert("id".into(), (*call.id).into());
    item.insert("type".into(), (*call.name).into());
    item.insert(input.into(), call.input.to_value().ok()?);
    if let (Some(key), Some(value)) = (result, &call.result) {
        item.insert(key.into(), value.to_value().ok()?);
    }
    for field in call.ext.of(Dialect::Resp) {
        item.insert(field.key.to_string(), field.value.to_value().ok()?);
    }
    item.entry("status").or_insert_with(|| "completed".into());
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_server_tools_survive_both_ways() {
        for item in [
            r#"{"id":"ws_1","type":"web_search_call","action":{"type":"search","query":"q"},"status":"completed"}"#,
            r#"{"id":"fs_1","type":"file_search_call","queries":["a"],"results":[{"score":0.5}],"status":"completed"}"#,
            r#"{"id":"ci_1","type":"code_interpreter_call","code":"1+1","outputs":[],"container_id":"c","status":"completed"}"#,
        ] {
            let object = Object::parse(item).unwrap();
            let call = server_tool(&object.word("type").unwrap(), &object).unwrap();
            let back = serde_json::Value::Object(server_item(&call).unwrap());
            assert_eq!(back, serde_json::from_str::<serde_json::Value>(item).unwrap());
        }
    }

    #[test]
    fn hosted_shells_are_told_from_the_clients_own() {
        for (item, hosted) in [
            (r#"{"environment":{"type":"container_reference"}}"#, true),
            (r#"{"environment":{"type":"local"}}"#, false),
            (r#"{"execution":"server"}"#, true),
            (r#"{"execution":"client"}"#, false),
            ("{}", false),
        ] {
            assert_eq!(ran_upstream(&Object::parse(item).unwrap()), hosted, "{item}");
        }
    }
}
