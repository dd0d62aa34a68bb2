//! What the way back needs to know of the request: how the client spells its tools, and what it asked
//! to see.

use std::collections::HashMap;

use crate::Dialect;
use crate::ir::{Request, Str, ToolKind};

/// A tool as the client declared it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientTool {
    /// Its name.
    pub name: Str,
    /// The namespace that it was declared in.
    pub namespace: Option<Str>,
    /// How the client is called.
    pub kind: ToolKind,
    /// The declaration sent upstream wraps free text in `{"input": …}`: unwrap it (§2.4, item 11).
    pub unwrap_input: bool,
    /// The declaration sent upstream got the placeholder property `_unused`: take it out (§2.5).
    pub strip_placeholder: bool,
}

/// Tools whose calls differ between the upstream and the client, by the upstream's name.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ClientTools(HashMap<Str, ClientTool>);

impl ClientTools {
    /// Notes a tool that goes by `upstream_name` there. A tool that is spelled alike on both sides needs
    /// no note.
    pub fn insert(&mut self, upstream_name: Str, tool: ClientTool) {
        self.0.insert(upstream_name, tool);
    }

    /// The tool that the upstream means; `None` = it is spelled alike.
    pub fn get(&self, upstream_name: &str) -> Option<&ClientTool> {
        self.0.get(upstream_name)
    }
}

/// How an answer is told to the client. Made with the request, one for each attempt.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplyPlan {
    /// The client's dialect.
    pub client: Dialect,
    /// The model as the client asked for it: what the answer names (endpoints §1).
    pub model: Str,
    /// Tools that go by other names or forms.
    pub tools: ClientTools,
    /// Whether the client may see reasoning.
    pub shows_thinking: bool,
    /// Whether the client may get sealed reasoning (`include`, signatures).
    pub shows_encrypted: bool,
    /// Whether a chat client asked for the usage chunk.
    pub include_usage: bool,
    /// The format of sound that was asked for, in OpenAI's word: by the client, or for it of a chat upstream.
    pub sound: Option<Str>,
    /// Whether the client declared a web search tool (§3.5).
    pub declared_web_search: bool,
    /// What is said of the prompt's size until the upstream says it, tokens.
    pub estimated_input: u64,
    /// The answer's id where the upstream gives none.
    pub answer_id: Str,
    /// Reasoning was asked for in words: it comes in tags at the start of the text (Kiro).
    pub think_tags: bool,
    /// When the answer began, Unix seconds; for sources that do not say.
    pub created: u64,
    /// The client's request: Responses repeats much of it.
    pub echo: ResponseEcho,
}

/// What a Responses answer repeats of its request, as JSON members in the order of §3.1.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ResponseEcho(pub serde_json::Map<String, serde_json::Value>);

impl ReplyPlan {
    /// The plan for a request as the client sent it, before tools are renamed.
    pub fn new(client: Dialect, request: &Request, created: u64) -> Self {
        use crate::ir::{Builtin, BuiltinTool, Summary, Tool};
        let summary = request.reasoning.summary;
        let asked = request.reasoning.effort.is_some_and(|e| e != crate::effort::Effort::Off);
        let shows_thinking = match client {
            // Reasoning rides beside the text, where clients that do not know it never look.
            Dialect::Chat | Dialect::Resp => summary != Summary::None,
            // Clients that did not ask must not get blocks that they do not expect (§3.1, T125).
            Dialect::Anth => asked,
            Dialect::Gem => !matches!(summary, Summary::Unset | Summary::None),
        };
        let declared_web_search = request.tools.iter().any(|tool| {
            matches!(tool, Tool::Builtin(BuiltinTool { kind: Builtin::WebSearch, .. }))
        });
        Self {
            client,
            model: request.model.clone(),
            tools: ClientTools::default(),
            shows_thinking,
            shows_encrypted: request.reasoning.include_encrypted,
            include_usage: request.include_usage,
            sound: request.audio.as_ref().and_then(|audio| audio.format.clone()),
            declared_web_search,
            estimated_input: 0,
            answer_id: Str::new(),
            think_tags: false,
            created,
            echo: ResponseEcho::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::{Effort, Level};
    use crate::ir::{Reasoning, Summary};

    #[test]
    fn t125_clients_see_reasoning_that_they_can_expect() {
        let high = Some(Effort::Level(Level::High));
        for (client, effort, summary, want) in [
            (Dialect::Anth, None, Summary::Unset, false),
            (Dialect::Anth, Some(Effort::Off), Summary::Unset, false),
            (Dialect::Anth, high, Summary::Unset, true),
            (Dialect::Chat, None, Summary::Unset, true),
            (Dialect::Chat, high, Summary::None, false),
            (Dialect::Resp, None, Summary::Unset, true),
            (Dialect::Gem, high, Summary::Unset, false),
            (Dialect::Gem, None, Summary::Auto, true),
        ] {
            let reasoning = Reasoning { effort, summary, include_encrypted: false };
            let request = Request { reasoning, ..Request::default() };
            let plan = ReplyPlan::new(client, &request, 0);
            assert_eq!(plan.shows_thinking, want, "{client:?} {effort:?} {summary:?}");
        }
    }
}
