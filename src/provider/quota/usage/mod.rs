//! Usage endpoints (accounts §4.2): how each is asked, and what its answer says. An answer is read leniently: what is
//! missing or nonsense is unknown, and only a body that is no usage page at all is refused.

mod balance;
mod claude;
mod codex;
mod copilot;
mod google;
mod kimi;
mod kiro;
mod minimax;
mod request;
mod zai;

use serde_json::Value;

use crate::clock::UnixMs;
use crate::provider::catalog::Provider;
use crate::provider::quota::document::Source;
use crate::provider::quota::reading::Reading;

pub use request::{UsageRequest, has_usage, usage_request};

/// Shape of a usage endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Claude subscriptions.
    Claude,
    /// ChatGPT plans.
    Codex,
    /// Code Assist: buckets per model.
    GeminiCli,
    /// Antigravity: the model list carries quota.
    Antigravity,
    /// GitHub Copilot.
    Copilot,
    /// Kiro.
    Kiro,
    /// Kimi Code.
    Kimi,
    /// Z.ai, BigModel.
    Zai,
    /// MiniMax, whose counts mean what is used.
    MiniMax,
    /// MiniMax' older page, whose counts mean what is left.
    MiniMaxRemains,
    /// DeepSeek's balance.
    DeepSeek,
    /// OpenRouter's key or credits.
    OpenRouter,
    /// A balance in `data.available_balance` (Moonshot).
    Moonshot,
    /// A balance in `balance` (Vercel).
    Vercel,
    /// Ollama Cloud.
    Ollama,
}

impl Style {
    /// How a provider's usage endpoint is read; `None` = it has none, or one that nobody has documented.
    #[must_use]
    pub fn of(provider: &Provider) -> Option<Self> {
        let url = provider.apis.usage.as_deref()?;
        Some(match &*provider.id {
            "claude" => Self::Claude,
            "codex" => Self::Codex,
            "gemini-cli" => Self::GeminiCli,
            "antigravity" => Self::Antigravity,
            "github" => Self::Copilot,
            "kiro" => Self::Kiro,
            "kimi-coding" | "kimi" => Self::Kimi,
            "glm" | "glm-cn" => Self::Zai,
            "minimax" if !url.contains("coding_plan") => Self::MiniMax,
            "minimax-cn" if url.contains("token_plan") => Self::MiniMax,
            "minimax" | "minimax-cn" => Self::MiniMaxRemains,
            "deepseek" => Self::DeepSeek,
            "openrouter" => Self::OpenRouter,
            "moonshot" => Self::Moonshot,
            "vercel-ai-gateway" => Self::Vercel,
            "ollama" => Self::Ollama,
            _ => return None,
        })
    }

    /// True for Google's hosts, which want more distance between calls (accounts §4.4).
    #[must_use]
    pub fn is_google(self) -> bool {
        matches!(self, Self::GeminiCli | Self::Antigravity)
    }
}

/// The body is no usage page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer is not a usage page")]
pub struct NotUsage;

/// Reads an answer. `asked_at` dates it: what came slowly is old news.
///
/// # Errors
/// The body is not what such an endpoint sends: no JSON, an error inside a success, or nothing of quota in it.
pub fn parse(
    style: Style,
    provider: &Provider,
    body: &[u8],
    asked_at: UnixMs,
) -> Result<Reading, NotUsage> {
    let body: Value = serde_json::from_slice(body).map_err(|_not_json| NotUsage)?;
    let mut reading = Reading::new(Source::Endpoint, asked_at);
    let found = match style {
        Style::Claude => claude::read(&body, &mut reading),
        Style::Codex => codex::read(&body, &mut reading),
        Style::GeminiCli => google::buckets(&body, provider, &mut reading),
        Style::Antigravity => google::models(&body, provider, &mut reading),
        Style::Copilot => copilot::read(&body, &mut reading),
        Style::Kiro => kiro::read(&body, &mut reading),
        Style::Kimi => kimi::read(&body, &mut reading),
        Style::Zai => zai::read(&body, &mut reading),
        Style::MiniMax => minimax::read(&body, minimax::Counts::Used, &mut reading),
        Style::MiniMaxRemains => minimax::read(&body, minimax::Counts::Left, &mut reading),
        Style::DeepSeek => balance::deepseek(&body, &mut reading),
        Style::OpenRouter => balance::openrouter(&body, &mut reading),
        Style::Moonshot => balance::moonshot(&body, &mut reading),
        Style::Vercel => balance::vercel(&body, &mut reading),
        Style::Ollama => balance::ollama(&body, &mut reading),
    };
    found.map(|()| reading).ok_or(NotUsage)
}

#[cfg(test)]
mod tests;
