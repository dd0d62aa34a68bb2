//! The error tables of accounts §5.4 and the steps around them: data rows, one file per group of vendors.

mod anthropic;
mod codex;
mod compatible;
mod copilot;
mod cursor;
mod generic;
mod google;
mod kiro;
mod qwen;
pub(crate) mod rule;
mod status;
mod transport;
mod zai;

use crate::provider::family::ErrorFamily;
use crate::routing::facts::Facts;
use crate::routing::verdict::Verdict;
use rule::Rule;

pub(crate) use transport::transport;

/// Step 4 of accounts §5.2: the vendor's own table.
pub(crate) fn provider(facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    if facts.family == ErrorFamily::Anthropic
        && let Some(found) = anthropic::unified(facts)
    {
        return Some(found);
    }
    first(table(facts.family), facts)
}

/// Steps 6 and 7: codes every vendor uses, then the status alone.
pub(crate) fn fallback(facts: &Facts<'_>) -> (&'static str, Verdict) {
    first(generic::RULES, facts).unwrap_or_else(|| status::default(facts))
}

fn first(table: &'static [Rule], facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    let rule = table.iter().find(|rule| rule.matches(facts))?;
    let mut verdict = rule.verdict(facts);
    verdict.learned_window = generic::window_of(facts, verdict.class);
    Some((rule.id, verdict))
}

fn table(family: ErrorFamily) -> &'static [Rule] {
    match family {
        ErrorFamily::Anthropic => anthropic::RULES,
        ErrorFamily::Codex => codex::RULES,
        ErrorFamily::Google => google::RULES,
        ErrorFamily::Copilot => copilot::RULES,
        ErrorFamily::Kiro => kiro::RULES,
        ErrorFamily::Qwen => qwen::QWEN,
        ErrorFamily::IFlow => qwen::IFLOW,
        ErrorFamily::Cursor => cursor::RULES,
        ErrorFamily::Zai => zai::ZAI,
        ErrorFamily::MiniMax => zai::MINIMAX,
        ErrorFamily::Kimi => compatible::KIMI,
        ErrorFamily::OpenAi => compatible::OPENAI,
        ErrorFamily::DeepSeek => compatible::DEEPSEEK,
        ErrorFamily::OpenRouter => compatible::OPENROUTER,
        ErrorFamily::XAi => compatible::XAI,
        ErrorFamily::Groq => compatible::GROQ,
        ErrorFamily::Azure => compatible::AZURE,
        ErrorFamily::Generic => &[],
    }
}

#[cfg(test)]
mod tests;
