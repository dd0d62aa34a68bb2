//! `thinking` and `output_config`: how much to reason, and in which form to answer (translation §1.6, §2.6).

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::decode;
use crate::anth::object::Object;
use crate::effort::{Effort, Level, Levels};
use crate::ir::{Ext, OutputFormat, RawJson, Request, Summary};
use crate::json;
use crate::translate::{Target, ThinkingCaps, WarningKind, Warnings};

/// The least budget that the API takes, tokens.
const MIN_BUDGET: u32 = 1024;
/// What stands for "as the model likes" where a number must be given, tokens.
const AUTO_BUDGET: u32 = 10_000;

/// Reads both fields. What other dialects cannot say goes to `kept`.
pub(super) fn read(
    root: &mut Object<'_>,
    request: &mut Request,
    kept: &mut Ext,
    warnings: &mut Warnings,
) {
    let mut config = root.or_warn("output_config", warnings, Object::read).unwrap_or_default();
    if let Some(format) = config.or_warn("format", warnings, decode::read_format) {
        request.output = format;
    }
    if let Some(mut thinking) = root.or_warn("thinking", warnings, Object::read) {
        let kind = thinking.text("type").unwrap_or_default();
        let budget = thinking.count("budget_tokens");
        request.reasoning.effort = match kind.as_ref() {
            "enabled" => Some(match budget {
                Some(0) | None => Effort::Auto,
                Some(budget) => Effort::Budget(budget),
            }),
            // The step is said in `output_config`.
            "adaptive" => Some(
                config
                    .text("effort")
                    .and_then(|word| Level::parse(&word))
                    .map_or(Effort::Auto, Effort::Level),
            ),
            "disabled" => Some(Effort::Off),
            _ => {
                warnings.push(WarningKind::Dropped, "thinking", "its type is not known");
                None
            }
        };
        // Other words stay with the rest, for those who know them.
        let summary = thinking.peek("display").and_then(json::string);
        let summary = match summary.as_deref() {
            Some("omitted") => Some(Summary::Hidden),
            Some("summarized") => Some(Summary::Auto),
            Some(_) | None => None,
        };
        if let Some(summary) = summary {
            request.reasoning.summary = summary;
            thinking.take("display");
        }
        decode::keep(kept, "thinking", thinking);
    }
    decode::keep(kept, "output_config", config);
}

/// What `thinking` says.
#[derive(Serialize)]
pub(super) struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'static str>,
    #[serde(flatten)]
    rest: Members,
}

impl Thinking {
    /// Whether the model is told a number of tokens.
    pub(super) fn has_budget(&self) -> bool {
        self.budget_tokens.is_some()
    }
}

/// Spells the effort for the target's model; the step is for [`OutputConfig`].
pub(super) fn write(
    request: &Request,
    target: &Target,
    max_tokens: u32,
) -> (Option<Thinking>, Option<&'static str>) {
    let Some(effort) = request.reasoning.effort else { return (None, None) };
    let (kind, budget, level) = match (&target.caps.thinking, effort) {
        (ThinkingCaps::None, _)
        | (ThinkingCaps::Adaptive(_) | ThinkingCaps::Levels(_), Effort::Off) => {
            return (None, None);
        }
        (_, Effort::Off) => ("disabled", None, None),
        (
            ThinkingCaps::Adaptive(_) | ThinkingCaps::Levels(_) | ThinkingCaps::Hybrid(..),
            Effort::Auto,
        ) => ("adaptive", None, None),
        (ThinkingCaps::Adaptive(caps) | ThinkingCaps::Levels(caps), effort)
        | (ThinkingCaps::Hybrid(_, caps), effort @ Effort::Level(_)) => {
            ("adaptive", None, effort.level().map(|level| word(level, &caps.levels)))
        }
        (_, effort) => {
            let budget = effort.budget().unwrap_or(AUTO_BUDGET).min(max_tokens.saturating_sub(1));
            if budget < MIN_BUDGET {
                return (None, None);
            }
            ("enabled", Some(budget), None)
        }
    };
    let display = match request.reasoning.summary {
        _ if kind == "disabled" => None,
        Summary::Hidden => Some("omitted"),
        Summary::Auto | Summary::Concise | Summary::Detailed if kind == "adaptive" => {
            Some("summarized")
        }
        Summary::Unset | Summary::None | Summary::Auto | Summary::Concise | Summary::Detailed => {
            None
        }
    };
    let rest = Members::of(&request.ext, "thinking");
    (Some(Thinking { kind, budget_tokens: budget, display, rest }), level)
}

/// The word of a step for a model that knows `levels`; all five when they are not known.
fn word(level: Level, levels: &Levels) -> &'static str {
    let known = |level| levels.steps().is_empty() || levels.has(level);
    let level = match level {
        Level::Minimal => Level::Low,
        Level::Ultra => Level::Max,
        level => level,
    };
    let level = match level {
        Level::XHigh if !known(level) && known(Level::Max) => Level::Max,
        level if !known(level) => levels.nearest(level).unwrap_or(Level::High),
        level => level,
    };
    level.as_str()
}

/// What `output_config` says.
#[derive(Serialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(flatten)]
    rest: Members,
}

#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a RawJson,
}

impl<'a> OutputConfig<'a> {
    /// `None` when there is nothing to say.
    pub(super) fn new(request: &'a Request, effort: Option<&'static str>) -> Option<Self> {
        let format = match &request.output {
            OutputFormat::JsonSchema { schema, .. } => Some(Format { kind: "json_schema", schema }),
            // Without a schema it is said in words, see `translate`.
            OutputFormat::Text | OutputFormat::JsonObject => None,
        };
        let mut rest = Members::of(&request.ext, "output_config");
        if effort.is_some() {
            rest.0.retain(|(key, _)| key != "effort");
        }
        (effort.is_some() || format.is_some() || !rest.0.is_empty()).then_some(Self {
            effort,
            format,
            rest,
        })
    }

    /// Whether it says how hard to try.
    pub(super) fn has_effort(&self) -> bool {
        self.effort.is_some() || self.rest.0.iter().any(|(key, _)| key == "effort")
    }
}

/// Members that only this dialect knows.
struct Members(Vec<(String, RawJson)>);

impl Members {
    fn of(ext: &Ext, key: &str) -> Self {
        Self(decode::kept(ext, key))
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
