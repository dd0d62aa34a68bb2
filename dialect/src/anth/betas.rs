//! Tokens of `anthropic-beta` that a body needs (translation §2.14; the values are those of providers §3.1).

use crate::Dialect;
use crate::ir::{
    Builtin, CacheMark, CacheTtl, MediaSource, OutputFormat, Part, Request, Tool, ToolResult,
};
use crate::json;

/// Features that only the encoder knows of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// The model reasons within a number of tokens.
    pub(super) budget: bool,
    /// The body says how hard to try.
    pub(super) effort: bool,
}

/// The tokens, for features that the encoded body uses. The caller joins them to the client's own.
pub(super) fn betas(request: &Request, used: &Used) -> Vec<&'static str> {
    let tools = Tools::of(&request.tools);
    let (hour, files) = (marks_an_hour(request), names_files(request));
    let edits =
        request.context_management.as_ref().filter(|(dialect, _)| *dialect == Dialect::Anth);
    let fast = request
        .ext
        .get(Dialect::Anth, "speed")
        .is_some_and(|raw| json::string(raw.get()).is_some_and(|speed| speed == "fast"));
    let schema = matches!(request.output, OutputFormat::JsonSchema { .. });
    let table = [
        (used.budget && !request.tools.is_empty(), "interleaved-thinking-2025-05-14"),
        (used.effort, "effort-2025-11-24"),
        (schema || tools.strict, "structured-outputs-2025-12-15"),
        (edits.is_some(), "context-management-2025-06-27"),
        (edits.is_some_and(|(_, raw)| raw.get().contains("\"compact_")), "compact-2026-01-12"),
        (tools.advanced, "advanced-tool-use-2025-11-20"),
        (fast, "fast-mode-2026-02-01"),
        (hour, "extended-cache-ttl-2025-04-11"),
        (files, "files-api-2025-04-14"),
        (tools.has(Builtin::WebFetch), "web-fetch-2025-09-10"),
        (tools.has(Builtin::CodeExecution), "code-execution-2025-08-25"),
        (tools.has(Builtin::Memory), "context-management-2025-06-27"),
        (
            tools.has(Builtin::Mcp) || request.ext.get(Dialect::Anth, "mcp_servers").is_some(),
            "mcp-client-2025-11-20",
        ),
        (tools.has(Builtin::ComputerUse), "computer-use-2025-01-24"),
        (tools.eager, "fine-grained-tool-streaming-2025-05-14"),
    ];
    let mut tokens: Vec<&'static str> = Vec::new();
    for (needed, token) in table {
        if needed && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    tokens
}

/// What the declarations use.
#[derive(Default)]
struct Tools {
    strict: bool,
    advanced: bool,
    eager: bool,
    kinds: Vec<Builtin>,
}

impl Tools {
    fn of(tools: &[Tool]) -> Self {
        let mut seen = Self::default();
        for tool in tools {
            match tool {
                Tool::Function(tool) => {
                    seen.strict |= tool.strict == Some(true);
                    seen.advanced |= tool.defer_loading == Some(true)
                        || tool.ext.get(Dialect::Anth, "input_examples").is_some();
                    seen.eager |= tool
                        .ext
                        .get(Dialect::Anth, "eager_input_streaming")
                        .is_some_and(|raw| raw.get() == "true");
                }
                Tool::Builtin(tool) if tool.origin == Dialect::Anth => seen.kinds.push(tool.kind),
                Tool::Custom { .. } | Tool::Namespace { .. } | Tool::Builtin(_) => {}
            }
        }
        seen.advanced |= seen.has(Builtin::ToolSearch);
        seen
    }

    fn has(&self, kind: Builtin) -> bool {
        self.kinds.contains(&kind)
    }
}

fn marks_an_hour(request: &Request) -> bool {
    let hour = |mark: Option<&CacheMark>| mark.is_some_and(|mark| mark.ttl == CacheTtl::Hour1);
    let in_tools = request.tools.iter().any(|tool| match tool {
        Tool::Function(tool) => hour(tool.cache.as_ref()),
        Tool::Builtin(tool) => json::member(tool.raw.get(), "cache_control")
            .and_then(|mark| json::member(mark, "ttl"))
            .is_some_and(|ttl| ttl == "\"1h\""),
        Tool::Custom { .. } | Tool::Namespace { .. } => false,
    });
    in_tools
        || hour(request.cache.automatic.as_ref())
        || request.system.iter().any(|part| hour(part.cache.as_ref()))
        || any_part(request, &|part| hour(part.cache()))
}

fn names_files(request: &Request) -> bool {
    any_part(request, &|part| match part {
        Part::Image { source, .. } | Part::Document { source, .. } => {
            matches!(source, MediaSource::FileId { dialect: Dialect::Anth, .. })
        }
        Part::Opaque { dialect: Dialect::Anth, raw } => {
            json::member(raw.get(), "type").is_some_and(|kind| kind == "\"container_upload\"")
        }
        _ => false,
    })
}

/// Whether any part, also inside results, is so.
fn any_part(request: &Request, is: &dyn Fn(&Part) -> bool) -> bool {
    request.turns.iter().flat_map(|turn| &turn.parts).any(|part| {
        let inside = match part {
            Part::ToolResult(ToolResult { content, .. }) => content.iter().any(is),
            _ => false,
        };
        inside || is(part)
    })
}
