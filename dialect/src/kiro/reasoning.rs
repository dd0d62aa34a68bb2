//! How the models behind Kiro are told to reason (providers §3.6).

use serde_json::{Value, json};

use crate::effort::{Effort, Level};
use crate::ir::Request;
use crate::translate::{Envelope, Target};

/// The budget where the client leaves it to the model, tokens.
const AUTO_BUDGET: u32 = 10_000;
/// The largest budget that the tag takes, tokens.
const MAX_BUDGET: u32 = 32_000;

/// What a model understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// Tags in front of the instructions: Claude up to 4.5.
    Tags,
    /// Claude's own fields: from 4.6 on.
    Adaptive,
    /// OpenAI's own field: GPT 5.6 and later.
    Effort,
    /// Nothing.
    None,
}

impl Style {
    fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase().replace('.', "-");
        if model.contains("claude") {
            return match version(&model) {
                Some(version) if version >= (4, 6) => Self::Adaptive,
                _ => Self::Tags,
            };
        }
        match model.split_once("gpt-") {
            Some((_, rest)) if version(rest).is_some_and(|version| version >= (5, 6)) => {
                Self::Effort
            }
            _ => Self::None,
        }
    }
}

/// The first number in a name, and the one right behind it. Longer ones are dates.
fn version(name: &str) -> Option<(u32, u32)> {
    let number = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
    let mut words = name.split(['-', '_', ':', '@']);
    let major = words.find_map(number)?;
    Some((major, words.next().and_then(number).unwrap_or(0)))
}

/// The effort that is asked for; `None` = none.
fn asked(request: &Request) -> Option<Effort> {
    request.reasoning.effort.filter(|effort| *effort != Effort::Off)
}

/// Whether the model is asked to reason in words, so that its reasoning comes in tags.
pub(crate) fn thinks_in_tags(request: &Request, target: &Target) -> bool {
    target.envelope == Envelope::Kiro && tags(request, &target.model).is_some()
}

/// The tags in front of the instructions.
pub(super) fn tags(request: &Request, model: &str) -> Option<String> {
    let effort = asked(request).filter(|_| Style::of(model) == Style::Tags)?;
    let budget = effort.budget().unwrap_or(AUTO_BUDGET).clamp(1, MAX_BUDGET);
    Some(format!(
        "<thinking_mode>enabled</thinking_mode><max_thinking_length>{budget}</max_thinking_length>"
    ))
}

/// `additionalModelRequestFields`.
pub(super) fn fields(request: &Request, model: &str) -> Option<Value> {
    let effort = asked(request)?;
    match Style::of(model) {
        Style::Tags | Style::None => None,
        Style::Adaptive => {
            let mut fields = json!({ "thinking": { "type": "adaptive", "display": "summarized" } });
            if let Some(level) = effort.level() {
                let word = match level {
                    Level::Minimal | Level::Low => "low",
                    Level::Medium => "medium",
                    Level::High | Level::XHigh | Level::Max | Level::Ultra => "high",
                };
                if let Value::Object(members) = &mut fields {
                    members.insert("output_config".into(), json!({ "effort": word }));
                }
            }
            Some(fields)
        }
        Style::Effort => {
            let word = match effort.level()? {
                Level::Minimal | Level::Low => "low",
                Level::Medium => "medium",
                Level::High => "high",
                Level::XHigh | Level::Max | Level::Ultra => "xhigh",
            };
            Some(json!({ "reasoning": { "effort": word } }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use crate::ir::Reasoning;

    #[test]
    fn each_family_is_told_in_its_own_words() {
        let adaptive = |word: Option<&str>| {
            let mut fields = json!({"thinking": {"type": "adaptive", "display": "summarized"}});
            if let Some(word) = word {
                fields["output_config"] = json!({ "effort": word });
            }
            Some(fields)
        };
        let gpt = |word: &str| Some(json!({"reasoning": {"effort": word}}));
        let budget = |tokens: u32| {
            Some(format!(
                "<thinking_mode>enabled</thinking_mode><max_thinking_length>{tokens}</max_thinking_length>"
            ))
        };
        let level = Effort::Level;
        for (model, effort, tags_wanted, fields_wanted) in [
            ("claude-sonnet-4.5", level(Level::Medium), budget(8192), None),
            ("claude-sonnet-4-5", Effort::Auto, budget(10_000), None),
            ("claude-haiku-4.5", level(Level::Max), budget(32_000), None),
            ("CLAUDE_3_7_SONNET_20250219_V1_0", Effort::Budget(5), budget(5), None),
            ("claude-sonnet-4.5", Effort::Off, None, None),
            ("claude-opus-4.6", level(Level::Minimal), None, adaptive(Some("low"))),
            ("claude-opus-5", level(Level::Max), None, adaptive(Some("high"))),
            ("claude-opus-4.8", Effort::Auto, None, adaptive(None)),
            ("claude-opus-4.8", Effort::Off, None, None),
            ("gpt-5.6-sol", level(Level::Max), None, gpt("xhigh")),
            ("gpt-5.6-luna", Effort::Budget(600), None, gpt("low")),
            ("gpt-5.6-luna", Effort::Auto, None, None),
            ("gpt-5.5", level(Level::High), None, None),
            ("deepseek-3.2", level(Level::High), None, None),
        ] {
            let reasoning = Reasoning { effort: Some(effort), ..Reasoning::default() };
            let request = Request { reasoning, ..Request::default() };
            assert_eq!(tags(&request, model), tags_wanted, "{model} {effort:?}");
            assert_eq!(fields(&request, model), fields_wanted, "{model} {effort:?}");
            let mut target = Target::new(Dialect::Anth, model);
            assert!(!thinks_in_tags(&request, &target));
            target.envelope = Envelope::Kiro;
            assert_eq!(thinks_in_tags(&request, &target), tags_wanted.is_some());
        }
        assert_eq!(tags(&Request::default(), "claude-sonnet-4.5"), None);
    }
}
