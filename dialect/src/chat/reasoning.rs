//! How a chat upstream is told to reason: one field, or a switch of the vendor's own (providers §1.3).

use serde_json::{Value, json};

use crate::effort::{Effort, Level, Levels};
use crate::profile::{ReasoningStyle, Think};

/// What is known of the upstream and its model.
#[derive(Clone, Copy, Debug)]
pub struct Reasoner<'a> {
    /// The upstream's id of the model.
    pub model: &'a str,
    /// The provider's way; it wins over the model's.
    pub style: Option<ReasoningStyle>,
    /// The model's way.
    pub think: Option<Think>,
    /// The steps that the model takes.
    pub levels: Option<&'a Levels>,
}

/// A top-level field and its value; `None` = the field must not be there.
pub type Field = (&'static str, Option<Value>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Effort,
    Step,
    ThinkingType,
    Zai,
    Deepseek,
    Kimi,
    Minimax,
    Hunyuan,
    EnableThinking,
    Openrouter,
}

/// The fields that an effort comes to.
pub fn fields(effort: Effort, cx: &Reasoner<'_>) -> Vec<Field> {
    let Some(style) = style(cx) else { return Vec::new() };
    match style {
        Style::Effort => vec![effort_field(effort, cx, any)],
        Style::Step => match effort {
            Effort::Off => vec![("reasoning_effort", None)],
            Effort::Auto | Effort::Level(_) | Effort::Budget(_) => {
                vec![effort_field(effort, cx, up_to_high)]
            }
        },
        Style::ThinkingType => vec![thinking_type(effort, "enabled")],
        Style::Minimax => vec![thinking_type(effort, "adaptive")],
        Style::Zai => with_word(effort, cx, takes_effort_zai(cx.model), |level| match level {
            Level::Minimal | Level::Low | Level::Medium => Level::Low,
            Level::High | Level::XHigh => Level::High,
            Level::Max | Level::Ultra => Level::Max,
        }),
        Style::Deepseek => with_word(effort, cx, true, |level| match level {
            Level::XHigh | Level::Max | Level::Ultra => Level::Max,
            Level::Minimal | Level::Low | Level::Medium | Level::High => Level::High,
        }),
        Style::Kimi => with_word(effort, cx, is_kimi_k3(cx.model), |level| match level {
            Level::Minimal | Level::Low => Level::Low,
            Level::Medium => Level::Medium,
            Level::High | Level::XHigh => Level::High,
            Level::Max | Level::Ultra => Level::Max,
        }),
        Style::Hunyuan => match effort.budget() {
            Some(0) => vec![thinking_type(Effort::Off, "")],
            None => vec![thinking_type(Effort::Auto, "enabled")],
            Some(budget) => {
                vec![("thinking", Some(json!({"type": "enabled", "budget_tokens": budget})))]
            }
        },
        Style::EnableThinking => {
            let budget = effort.budget().filter(|budget| *budget > 0);
            let on = effort.budget() != Some(0);
            vec![("enable_thinking", Some(on.into())), ("thinking_budget", budget.map(Value::from))]
        }
        Style::Openrouter => vec![("reasoning", Some(openrouter(effort, cx)))],
    }
}

/// The word for an effort; `None` leaves the field to the model.
pub fn word(effort: Effort, cx: &Reasoner<'_>) -> Option<&'static str> {
    word_within(effort, cx, any)
}

/// The step for an upstream that lists its steps, else `within` of them.
pub fn step(effort: Effort, cx: &Reasoner<'_>, within: fn(Level) -> Level) -> Option<Level> {
    let level = effort.level()?;
    let levels = cx.levels.filter(|levels| !levels.steps().is_empty());
    Some(match levels {
        Some(levels) => levels.nearest(level).unwrap_or(level),
        None => within(level),
    })
}

/// The level up to `high`, for models that know no more.
pub fn up_to_high(level: Level) -> Level {
    level.min(Level::High)
}

/// Version of a Kimi model: `kimi-k2.5` is (2, 5).
pub fn kimi_version(model: &str) -> Option<(u32, u32)> {
    let lower = model.to_ascii_lowercase();
    version_after(&lower, "kimi-k")
        .or_else(|| lower.strip_prefix('k').and_then(|_| version_after(&lower, "k")))
}

/// The provider's style wins over the model's; a provider that says nothing takes the model's.
fn style(cx: &Reasoner<'_>) -> Option<Style> {
    let own_switch = match cx.think {
        Some(Think::Zai) => Some(Style::Zai),
        Some(Think::Deepseek) => Some(Style::Deepseek),
        Some(Think::Kimi) => Some(Style::Kimi),
        Some(Think::Minimax) => Some(Style::Minimax),
        Some(Think::Hunyuan) => Some(Style::Hunyuan),
        Some(
            Think::ClaudeAdaptive
            | Think::ClaudeBudget
            | Think::OpenaiEffort
            | Think::GeminiLevel
            | Think::GeminiBudget
            | Think::Qwen
            | Think::Step
            | Think::Kiro,
        )
        | None => None,
    };
    match cx.style {
        Some(ReasoningStyle::Effort) => Some(Style::Effort),
        Some(ReasoningStyle::ThinkingType) => Some(own_switch.unwrap_or(Style::ThinkingType)),
        Some(ReasoningStyle::EnableThinking) => Some(Style::EnableThinking),
        Some(ReasoningStyle::Openrouter) => Some(Style::Openrouter),
        Some(ReasoningStyle::None) => None,
        None => Some(match cx.think {
            Some(Think::Qwen) => Style::EnableThinking,
            Some(Think::Step) => Style::Step,
            _ => own_switch.unwrap_or(Style::Effort),
        }),
    }
}

fn any(level: Level) -> Level {
    if level == Level::Ultra { Level::Max } else { level }
}

fn word_within(
    effort: Effort,
    cx: &Reasoner<'_>,
    within: fn(Level) -> Level,
) -> Option<&'static str> {
    match effort {
        Effort::Auto => None,
        Effort::Off => Some(match cx.levels {
            Some(levels) if !levels.has_none() => levels.lowest().unwrap_or(Level::Low).as_str(),
            Some(_) | None => "none",
        }),
        Effort::Level(_) | Effort::Budget(_) => step(effort, cx, within).map(Level::as_str),
    }
}

fn effort_field(effort: Effort, cx: &Reasoner<'_>, within: fn(Level) -> Level) -> Field {
    ("reasoning_effort", word_within(effort, cx, within).map(Value::from))
}

fn thinking_type(effort: Effort, on: &str) -> Field {
    let word = if effort.budget() == Some(0) { "disabled" } else { on };
    ("thinking", Some(json!({ "type": word })))
}

/// `thinking: {type}`, and `reasoning_effort` where the model takes one.
fn with_word(
    effort: Effort,
    cx: &Reasoner<'_>,
    takes_word: bool,
    within: fn(Level) -> Level,
) -> Vec<Field> {
    let level = step(effort, cx, within).filter(|_| takes_word);
    let word = level.map(|level| Value::from(level.as_str()));
    vec![thinking_type(effort, "enabled"), ("reasoning_effort", word)]
}

fn openrouter(effort: Effort, cx: &Reasoner<'_>) -> Value {
    match effort {
        Effort::Off => json!({"enabled": false}),
        Effort::Auto => json!({"enabled": true}),
        Effort::Budget(tokens) => json!({"max_tokens": tokens}),
        Effort::Level(level) => {
            json!({"effort": step(effort, cx, any).unwrap_or(level).as_str()})
        }
    }
}

/// GLM from 5.2 on takes an effort word.
fn takes_effort_zai(model: &str) -> bool {
    version_after(model, "glm-").is_some_and(|version| version >= (5, 2))
}

fn is_kimi_k3(model: &str) -> bool {
    kimi_version(model).is_some_and(|version| version >= (3, 0))
}

/// The `major.minor` after the first `mark`.
fn version_after(model: &str, mark: &str) -> Option<(u32, u32)> {
    let lower = model.to_ascii_lowercase();
    let (_, rest) = lower.split_once(mark)?;
    let digits = |t: &str| t.chars().take_while(char::is_ascii_digit).collect::<String>();
    let major = digits(rest);
    let minor = rest.get(major.len()..).and_then(|t| t.strip_prefix('.')).map(digits);
    let minor = minor.and_then(|m| m.parse().ok()).unwrap_or(0);
    major.parse().ok().map(|major| (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        effort: Effort,
        model: &str,
        style: Option<ReasoningStyle>,
        think: Option<Think>,
    ) -> Value {
        let cx = Reasoner { model, style, think, levels: None };
        fields(effort, &cx)
            .into_iter()
            .filter_map(|(field, value)| Some((field.to_owned(), value?)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn each_vendor_is_told_in_its_own_words() {
        let high = Effort::Level(Level::High);
        for (effort, model, style, think, want) in [
            (high, "gpt-5", None, None, json!({"reasoning_effort":"high"})),
            (Effort::Off, "gpt-5.1", None, None, json!({"reasoning_effort":"none"})),
            (Effort::Auto, "gpt-5", None, None, json!({})),
            (Effort::Budget(5000), "o3", None, None, json!({"reasoning_effort":"medium"})),
            (high, "glm-4.6", None, Some(Think::Zai), json!({"thinking":{"type":"enabled"}})),
            (
                high,
                "glm-5.2",
                None,
                Some(Think::Zai),
                json!({"thinking":{"type":"enabled"},"reasoning_effort":"high"}),
            ),
            (
                Effort::Off,
                "m",
                None,
                Some(Think::Deepseek),
                json!({"thinking":{"type":"disabled"}}),
            ),
            (
                Effort::Budget(900),
                "qwen3",
                Some(ReasoningStyle::EnableThinking),
                None,
                json!({"enable_thinking":true,"thinking_budget":900}),
            ),
            (Effort::Off, "qwen3", None, Some(Think::Qwen), json!({"enable_thinking":false})),
            (
                Effort::Budget(900),
                "m",
                Some(ReasoningStyle::Openrouter),
                None,
                json!({"reasoning":{"max_tokens":900}}),
            ),
            (high, "m", Some(ReasoningStyle::None), Some(Think::Zai), json!({})),
        ] {
            assert_eq!(written(effort, model, style, think), want, "{model} {effort:?}");
        }
    }

    #[test]
    fn versions_of_kimi_are_read() {
        assert_eq!(kimi_version("kimi-k2.5"), Some((2, 5)));
        assert_eq!(kimi_version("K3"), Some((3, 0)));
        assert_eq!(kimi_version("moonshot-v1"), None);
    }
}
