//! What models of known families can do, for ids that no catalog lists (translation §1.6).

use crate::effort::Levels;

use super::{BudgetCaps, LevelCaps, ModelCaps, ThinkingCaps};

/// The abilities that the name of a model tells; unknown ones stay open.
pub fn family_caps(model: &str) -> ModelCaps {
    let bare = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase().replace('.', "-");
    let caps = |thinking, max_output| ModelCaps { thinking, max_output, ..ModelCaps::default() };
    if bare.contains("claude") {
        return claude(&bare);
    }
    if let Some((_, rest)) = bare.split_once("gemini-") {
        return gemini(rest);
    }
    if let Some((_, rest)) = bare.split_once("gpt-5") {
        return gpt5(rest);
    }
    if ["o1", "o3", "o4"].iter().any(|family| bare.starts_with(family)) {
        let thinking = levels(&["low", "medium", "high"], false);
        return ModelCaps { default_sampling_only: true, ..caps(thinking, Some(100_000)) };
    }
    if bare.contains("gpt-4o") {
        return caps(ThinkingCaps::None, Some(16_384));
    }
    if bare.contains("gpt-4-1") {
        return caps(ThinkingCaps::None, Some(32_768));
    }
    if bare.contains("grok-3-mini") {
        return caps(levels(&["low", "high"], false), None);
    }
    if bare == "grok-4" {
        return caps(ThinkingCaps::None, None);
    }
    if has_switch(&bare) { caps(ThinkingCaps::Switch, None) } else { ModelCaps::default() }
}

fn claude(bare: &str) -> ModelCaps {
    let Some(version) = version(bare) else { return ModelCaps::default() };
    let opus = bare.contains("opus");
    let max_output: u32 = match version {
        (0..=2, _) | (3, 0..=4) => 4096,
        (3, 5 | 6) => 8192,
        (4, 0 | 1) if opus => 32_000,
        (4, 6) if opus => 128_000,
        (3, _) | (4, 0..=6) => 64_000,
        _ => 128_000,
    };
    let budget =
        BudgetCaps { min: 1024, max: max_output.saturating_sub(1), off: true, dynamic: true };
    let thinking = match version {
        (0..=2, _) | (3, 0..=6) => ThinkingCaps::None,
        (3, _) | (4, 0..=5) => ThinkingCaps::Budget(budget),
        (4, 6) => {
            let words = level_caps(&["low", "medium", "high", "max"], true);
            ThinkingCaps::Hybrid(budget, words)
        }
        _ => {
            let words = ["low", "medium", "high", "xhigh", "max"];
            ThinkingCaps::Adaptive(level_caps(&words, true))
        }
    };
    ModelCaps {
        thinking,
        max_output: Some(max_output),
        default_sampling_only: version >= (4, 7),
        prefill: Some(version < (4, 6)),
        structured_output: Some(version >= (4, 5)),
        ..ModelCaps::default()
    }
}

/// The generation of a Gemini model, as its id tells it.
pub(super) fn gemini_version(model: &str) -> Option<(u32, u32)> {
    let bare = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase().replace('.', "-");
    version(bare.strip_prefix("gemini-")?)
}

fn gemini(rest: &str) -> ModelCaps {
    let Some(version) = version(rest) else { return ModelCaps::default() };
    let budget = |min, max, off| ThinkingCaps::Budget(BudgetCaps { min, max, off, dynamic: true });
    let (pro, lite) = (rest.contains("pro"), rest.contains("lite"));
    let (thinking, max_output) = match version {
        (0..=1, _) | (2, 0..=4) => (ThinkingCaps::None, 8192),
        (2, _) if pro => (budget(128, 32_768, false), 65_536),
        (2, _) if lite => (budget(512, 24_576, true), 65_536),
        (2, _) => (budget(0, 24_576, true), 65_536),
        (3, 0) if pro => (levels(&["low", "high"], false), 65_536),
        _ if pro => (levels(&["low", "medium", "high"], false), 65_536),
        _ => (levels(&["minimal", "low", "medium", "high"], false), 65_536),
    };
    ModelCaps { thinking, max_output: Some(max_output), ..ModelCaps::default() }
}

/// `rest` is what follows `gpt-5`.
fn gpt5(rest: &str) -> ModelCaps {
    if rest.contains("chat") {
        let (thinking, max_output) = (ThinkingCaps::None, Some(16_384));
        return ModelCaps { thinking, max_output, ..ModelCaps::default() };
    }
    let minor = version(&format!("5{rest}")).map_or(0, |(_, minor)| minor);
    let thinking = if minor >= 2 || rest.contains("codex-max") {
        levels(&["none", "low", "medium", "high", "xhigh"], true)
    } else if minor == 1 {
        levels(&["none", "low", "medium", "high"], true)
    } else {
        levels(&["minimal", "low", "medium", "high"], false)
    };
    ModelCaps {
        thinking,
        max_output: Some(128_000),
        default_sampling_only: true,
        ..ModelCaps::default()
    }
}

/// Families whose reasoning is switched on and off.
fn has_switch(bare: &str) -> bool {
    let at_least = |mark: &str, least| {
        let found = bare.split_once(mark).and_then(|(_, rest)| version(rest));
        found.is_some_and(|version| version >= least)
    };
    at_least("glm-", (4, 5))
        || at_least("deepseek-v", (3, 1))
        || at_least("qwen", (3, 0))
        || bare.contains("kimi-k2-thinking")
        || bare.contains("minimax-m2")
}

fn level_caps(words: &[&str], off: bool) -> LevelCaps {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    LevelCaps { levels: Levels::try_from(words).unwrap_or_default(), off, dynamic: true }
}

fn levels(words: &[&str], off: bool) -> ThinkingCaps {
    ThinkingCaps::Levels(level_caps(words, off))
}

/// The first number in a name, and the one right behind it. Longer ones are dates.
fn version(name: &str) -> Option<(u32, u32)> {
    let number = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
    let mut words = name.split(['-', '_', ':', '@']);
    let major = words.find_map(number)?;
    Some((major, words.next().and_then(number).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_family_and_its_version() {
        for (model, thinking, max_output) in [
            ("claude-3-5-sonnet-20241022", "None", Some(8192)),
            ("claude-3-haiku-20240307", "None", Some(4096)),
            ("anthropic/claude-3.7-sonnet", "Budget", Some(64_000)),
            ("claude-opus-4-20250514", "Budget", Some(32_000)),
            ("claude-4.5-sonnet", "Budget", Some(64_000)),
            ("claude-opus-4-6", "Hybrid", Some(128_000)),
            ("claude-sonnet-4.6", "Hybrid", Some(64_000)),
            ("claude-opus-4-7", "Adaptive", Some(128_000)),
            ("claude-haiku-5", "Adaptive", Some(128_000)),
            ("claude-latest", "Unknown", None),
            ("models/gemini-2.0-flash", "None", Some(8192)),
            ("gemini-2.5-flash-preview-09-2025", "Budget", Some(65_536)),
            ("gemini-3.1-pro", "Levels", Some(65_536)),
            ("gpt-5-2025-08-07", "Levels", Some(128_000)),
            ("gpt-5-chat-latest", "None", Some(16_384)),
            ("o4-mini", "Levels", Some(100_000)),
            ("gpt-4.1-nano", "None", Some(32_768)),
            ("glm-4.6", "Switch", None),
            ("glm-4", "Unknown", None),
            ("qwen3-coder", "Switch", None),
            ("qwen-3-max", "Switch", None),
            ("llama3", "Unknown", None),
        ] {
            let caps = family_caps(model);
            let name = format!("{:?}", caps.thinking);
            assert!(name.starts_with(thinking), "{model}: {name}");
            assert_eq!(caps.max_output, max_output, "{model}");
        }
        assert!(family_caps("claude-opus-4-7").default_sampling_only);
        assert_eq!(family_caps("claude-sonnet-4-5").prefill, Some(true));
        assert_eq!(family_caps("claude-sonnet-4-6").prefill, Some(false));
        assert_eq!(family_caps("claude-haiku-4-5").structured_output, Some(true));
        assert_eq!(family_caps("claude-opus-4-1").structured_output, Some(false));
        assert_eq!(family_caps("glm-4.6").structured_output, None);
    }
}
