//! A model id's effort suffix, written into the body the way the upstream wants it (providers §1.3).

use ninerouter_dialect::chat::reasoning::{self, Reasoner, step, up_to_high};
use ninerouter_dialect::{BodyEdit, Dialect};
use serde_json::json;

use crate::provider::catalog::{Cap, ModelFacts, Think};
use crate::provider::edit::{remove, set, set_member};
use crate::provider::effort::{Effort, Level};
use crate::provider::profile::ReasoningStyle;

/// Least thinking budget an Anthropic upstream takes.
const LEAST_BUDGET: u32 = 1_024;
/// Budget when the client leaves it to the model, on wires that need a number.
const AUTO_BUDGET: u32 = 10_000;
/// `effort` in `output_config` is a beta of its own.
const EFFORT_BETA: &str = "effort-2025-11-24";
/// Thinking between tool calls, on models that think by budget.
const INTERLEAVED_BETA: &str = "interleaved-thinking-2025-05-14";

/// What the effort is written for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThinkCx<'a> {
    pub(super) dialect: Dialect,
    pub(super) model: &'a str,
    pub(super) facts: Option<ModelFacts<'a>>,
    pub(super) style: Option<ReasoningStyle>,
    pub(super) max_tokens: Option<u64>,
    pub(super) tools: bool,
}

impl ThinkCx<'_> {
    fn reasoner(&self) -> Reasoner<'_> {
        Reasoner {
            model: self.model,
            style: self.style,
            think: self.facts.and_then(|f| f.think),
            levels: self.facts.and_then(|f| f.levels),
        }
    }
}

/// The edits an effort comes to, and the betas they need on Anthropic's own host.
#[derive(Debug, Default)]
pub(super) struct ThinkEdits {
    pub(super) edits: Vec<BodyEdit>,
    pub(super) betas: Vec<&'static str>,
}

impl ThinkEdits {
    fn of(edits: Vec<BodyEdit>) -> Self {
        Self { edits, betas: Vec::new() }
    }
}

/// Writes `effort` for the wire. Nothing for models known not to reason.
pub(super) fn think_edits(effort: Effort, cx: &ThinkCx<'_>) -> ThinkEdits {
    if cx.facts.is_some_and(|f| f.listed && f.think.is_none() && !f.caps.has(Cap::Thinking)) {
        return ThinkEdits::default();
    }
    let effort = allowed(effort, cx);
    match cx.dialect {
        Dialect::Chat => ThinkEdits::of(chat(effort, cx)),
        Dialect::Resp => ThinkEdits::of(responses(effort, cx)),
        Dialect::Anth => anthropic(effort, cx),
        Dialect::Gem => ThinkEdits::of(gemini(effort, cx)),
    }
}

/// `think_off = false` turns off into the lowest step.
fn allowed(effort: Effort, cx: &ThinkCx<'_>) -> Effort {
    match (effort, cx.facts) {
        (Effort::Off, Some(facts)) if !facts.think_off => {
            let lowest = facts.levels.and_then(|l| l.lowest());
            Effort::Level(lowest.unwrap_or(Level::Low))
        }
        _ => effort,
    }
}

fn quoted(word: &str) -> String {
    json!(word).to_string()
}

fn responses(effort: Effort, cx: &ThinkCx<'_>) -> Vec<BodyEdit> {
    match reasoning::word(effort, &cx.reasoner()) {
        Some(word) => vec![set_member("reasoning", "effort", quoted(word))],
        // the suffix outranks the body: auto takes the body's word back
        None => vec![remove("reasoning")],
    }
}

fn chat(effort: Effort, cx: &ThinkCx<'_>) -> Vec<BodyEdit> {
    let fields = reasoning::fields(effort, &cx.reasoner());
    let edit = |(field, value): reasoning::Field| match value {
        Some(value) => set(field, value.to_string()),
        None => remove(field),
    };
    fields.into_iter().map(edit).collect()
}

fn thinking_type(effort: Effort, on: &str) -> BodyEdit {
    let word = if effort.budget() == Some(0) { "disabled" } else { on };
    set("thinking", json!({ "type": word }).to_string())
}

fn anthropic(effort: Effort, cx: &ThinkCx<'_>) -> ThinkEdits {
    match cx.facts.and_then(|f| f.think) {
        Some(Think::ClaudeAdaptive) => adaptive(effort, cx),
        Some(Think::Minimax) => ThinkEdits::of(vec![thinking_type(effort, "adaptive")]),
        _ => budget(effort, cx),
    }
}

/// Models that think adaptively take an effort word, never a budget.
fn adaptive(effort: Effort, cx: &ThinkCx<'_>) -> ThinkEdits {
    if effort.budget() == Some(0) {
        // 4.6 must be told; the later ones think only when asked to
        let off = if is_claude_4_6(cx.model) {
            thinking_type(Effort::Off, "")
        } else {
            remove("thinking")
        };
        return ThinkEdits::of(vec![off]);
    }
    let mut out = ThinkEdits::of(vec![thinking_type(effort, "adaptive")]);
    out.edits.extend(unwelcome_with_thinking());
    if let Some(level) = effort.level() {
        out.edits.push(set_member("output_config", "effort", quoted(adaptive_word(level, cx))));
        out.betas.push(EFFORT_BETA);
    }
    out
}

/// minimal becomes low; xhigh becomes max where the set lacks it, and max becomes high likewise.
fn adaptive_word(level: Level, cx: &ThinkCx<'_>) -> &'static str {
    let levels = cx.facts.and_then(|f| f.levels).filter(|l| !l.steps().is_empty());
    let has = |l: Level| levels.map_or(l != Level::XHigh || !is_claude_4_6(cx.model), |s| s.has(l));
    let max = if has(Level::Max) { Level::Max } else { Level::High };
    match level {
        Level::Ultra => levels.and_then(|l| l.highest()).unwrap_or(max),
        Level::Max => max,
        Level::XHigh => {
            if has(Level::XHigh) {
                Level::XHigh
            } else {
                max
            }
        }
        Level::Minimal => Level::Low,
        Level::Low | Level::Medium | Level::High => level,
    }
    .as_str()
}

fn budget(effort: Effort, cx: &ThinkCx<'_>) -> ThinkEdits {
    let wanted = match effort.budget() {
        Some(0) => return ThinkEdits::of(vec![thinking_type(Effort::Off, "")]),
        Some(tokens) => tokens,
        None => AUTO_BUDGET,
    };
    let wanted = wanted.max(LEAST_BUDGET);
    // the budget must be smaller than the output limit
    let room = cx.max_tokens.map_or(u64::from(u32::MAX), |m| m.saturating_sub(1));
    let tokens = u64::from(wanted).min(room);
    if tokens < u64::from(LEAST_BUDGET) {
        return ThinkEdits::of(vec![remove("thinking")]);
    }
    let on = json!({"type": "enabled", "budget_tokens": tokens}).to_string();
    let mut out = ThinkEdits::of(vec![set("thinking", on)]);
    if cx.facts.and_then(|f| f.think) == Some(Think::ClaudeBudget) {
        out.edits.extend(unwelcome_with_thinking());
        if cx.tools {
            out.betas.push(INTERLEAVED_BETA);
        }
    }
    out
}

/// Claude refuses these beside thinking (providers §3.1); the router turned thinking on, so they go.
fn unwelcome_with_thinking() -> [BodyEdit; 3] {
    [remove("temperature"), remove("top_p"), remove("top_k")]
}

fn gemini(effort: Effort, cx: &ThinkCx<'_>) -> Vec<BodyEdit> {
    let config = match cx.facts.and_then(|f| f.think) {
        Some(Think::GeminiLevel) => match effort {
            Effort::Auto => json!({}),
            Effort::Off => {
                let lowest = cx.facts.and_then(|f| f.levels).and_then(|l| l.lowest());
                json!({"thinkingLevel": lowest.unwrap_or(Level::Low).as_str()})
            }
            Effort::Level(_) | Effort::Budget(_) => {
                let level = step(effort, &cx.reasoner(), up_to_high).unwrap_or(Level::High);
                json!({"thinkingLevel": level.as_str()})
            }
        },
        Some(Think::GeminiBudget) => {
            json!({"thinkingBudget": effort.budget().map_or(-1, |b| gemini_budget(b, cx.model))})
        }
        _ => return Vec::new(),
    };
    vec![set_member("generationConfig", "thinkingConfig", config.to_string())]
}

/// Ranges of the 2.5 family: pro cannot be switched off, flash-lite has a least budget.
fn gemini_budget(tokens: u32, model: &str) -> i64 {
    let (least, most) = if model.contains("pro") {
        (128, 32_768)
    } else if model.contains("flash-lite") && tokens > 0 {
        (512, 24_576)
    } else {
        (0, 24_576)
    };
    i64::from(tokens).clamp(least, most)
}

fn is_claude_4_6(model: &str) -> bool {
    model.contains("4-6") || model.contains("4.6")
}

#[cfg(test)]
mod tests;
