//! GitHub Copilot: chat, Responses or Messages with small restrictions (translation §5.4).
//!
//! Answers need one thing: Copilot's chat gives one turn of Claude in two choices, which
//! [`chat::StreamDecoder`](crate::chat::StreamDecoder) puts together. So answers to [`splits_turns`] are
//! never handed on as they are.

mod facts;
mod request;

pub use facts::{Facts, Initiator, facts};
pub use request::{adapt, edits};

use crate::Dialect;

/// The dialect in which Copilot serves a model of which neither the catalog nor its own list says so
/// (providers §3.5).
pub fn dialect_of(model: &str) -> Dialect {
    let model = model.to_ascii_lowercase();
    if model.starts_with("claude-") {
        Dialect::Anth
    } else if model.contains("-codex") || model.starts_with("gpt-5.4-mini") || is_late(&model) {
        Dialect::Resp
    } else {
        Dialect::Chat
    }
}

/// GPT from 5.5 on.
fn is_late(model: &str) -> bool {
    let Some(version) = model.strip_prefix("gpt-") else { return false };
    let mut numbers = version.split('-').next().unwrap_or_default().splitn(2, '.');
    let mut number = || numbers.next().map_or(Some(0), |number| number.parse::<u32>().ok());
    matches!((number(), number()), (Some(major), Some(minor)) if (major, minor) >= (5, 5))
}

/// Whether answers may give one turn in two choices.
pub fn splits_turns(dialect: Dialect, model: &str) -> bool {
    dialect == Dialect::Chat && model.to_ascii_lowercase().contains("claude")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_their_dialect() {
        for (model, want) in [
            ("gpt-4.1", Dialect::Chat),
            ("gpt-4o", Dialect::Chat),
            ("gpt-5-mini", Dialect::Chat),
            ("gpt-5.2", Dialect::Chat),
            ("gpt-5.4", Dialect::Chat),
            ("gpt-5.4-mini", Dialect::Resp),
            ("gpt-5.2-codex", Dialect::Resp),
            ("GPT-5.1-Codex-Max", Dialect::Resp),
            ("gpt-5.5", Dialect::Resp),
            ("gpt-5.10-x", Dialect::Resp),
            ("gpt-6-sol", Dialect::Resp),
            ("gpt-99999999999", Dialect::Chat),
            ("gemini-3.1-pro-preview", Dialect::Chat),
            ("grok-code-fast-1", Dialect::Chat),
            ("claude-sonnet-4.6", Dialect::Anth),
            ("", Dialect::Chat),
        ] {
            assert_eq!(dialect_of(model), want, "{model}");
        }
        assert!(splits_turns(Dialect::Chat, "claude-opus-4.5"));
        assert!(!splits_turns(Dialect::Anth, "claude-opus-4.5"));
        assert!(!splits_turns(Dialect::Chat, "gpt-4.1"));
    }
}
