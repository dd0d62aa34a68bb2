//! Which tool sends a request, by its user agent: a label for usage rows, never an authorisation.

/// Prefixes of user agents, lower case, most specific first.
const TOOLS: [(&str, &str); 16] = [
    ("claude-cli", "claude-code"),
    ("claude-code", "claude-code"),
    ("codex", "codex"),
    ("geminicli", "gemini-cli"),
    ("gemini-cli", "gemini-cli"),
    ("qwencode", "qwen-code"),
    ("opencode", "opencode"),
    ("cursor", "cursor"),
    ("cline", "cline"),
    ("openclaw", "openclaw"),
    ("githubcopilot", "copilot"),
    ("openai/", "openai-sdk"),
    ("anthropic/", "anthropic-sdk"),
    ("google-genai-sdk", "google-sdk"),
    ("ai-sdk", "ai-sdk"),
    ("curl/", "curl"),
];

/// Family of a user agent; `other` when nobody knows it.
#[must_use]
pub(super) fn tool_of(user_agent: Option<&str>) -> &'static str {
    let Some(agent) = user_agent else { return "other" };
    let known = TOOLS.iter().find(|(prefix, _)| {
        agent.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    known.map_or("other", |(_, tool)| tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_how_their_agent_begins() {
        for (agent, want) in [
            (Some("claude-cli/2.1.330 (external, cli)"), "claude-code"),
            (Some("codex_cli_rs/0.169.0"), "codex"),
            (Some("GeminiCLI/0.61.0/gemini-2.5-pro"), "gemini-cli"),
            (Some("OpenAI/Python 3.54.0"), "openai-sdk"),
            (Some("curl/8.5.0"), "curl"),
            (Some("é"), "other"),
            (Some("Mozilla/5.0 claude-cli"), "other"),
            (None, "other"),
        ] {
            assert_eq!(tool_of(agent), want, "{agent:?}");
        }
    }
}
