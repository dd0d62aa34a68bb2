//! Which table of error rules an upstream's answers are read with (accounts §5.4).

/// Family of error answers. Each provider of the catalog has one; the rules live in `routing::rules`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ErrorFamily {
    /// Claude subscriptions and Anthropic keys.
    Anthropic,
    /// ChatGPT's Codex backend.
    Codex,
    /// Gemini API, Code Assist, Antigravity, Vertex.
    Google,
    /// GitHub Copilot.
    Copilot,
    /// Kiro (AWS JSON errors and event-stream exceptions).
    Kiro,
    /// Qwen sign-in and DashScope.
    Qwen,
    /// iFlow: business errors inside HTTP 200.
    IFlow,
    /// Cursor: connect errors.
    Cursor,
    /// Z.ai, BigModel: numeric codes.
    Zai,
    /// MiniMax: `base_resp.status_code`.
    MiniMax,
    /// Kimi and Moonshot.
    Kimi,
    /// OpenAI keys.
    OpenAi,
    /// DeepSeek.
    DeepSeek,
    /// OpenRouter.
    OpenRouter,
    /// xAI.
    XAi,
    /// Groq.
    Groq,
    /// Azure OpenAI.
    Azure,
    /// No rules of its own: generic codes and status defaults decide.
    #[default]
    Generic,
}
