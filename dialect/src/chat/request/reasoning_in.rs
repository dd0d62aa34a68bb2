//! The many fields by which chat clients ask for reasoning (translation §2.6).

use crate::effort::{Effort, Level};
use crate::ir::{Reasoning, Summary};
use crate::json;

use super::lenient::{boolean, number};

/// What each field says. The native one wins, then the vendors' in the order below.
#[derive(Default)]
pub(super) struct ReasoningFields {
    native: Option<Effort>,
    open_router: Option<Effort>,
    thinking: Option<Effort>,
    switch: Option<bool>,
    budget: Option<Effort>,
    template: Option<Effort>,
    google: Option<Effort>,
    summary: Summary,
}

impl ReasoningFields {
    /// Takes a top-level member; `false` when it is none of these fields.
    pub(super) fn take(&mut self, key: &str, raw: &str) -> bool {
        match key {
            "reasoning_effort" => self.native = effort(raw),
            "reasoning" => self.open_router(raw),
            "include_reasoning" if raw == "false" => self.summary = Summary::None,
            "thinking" => self.thinking = thinking(raw),
            "enable_thinking" => self.switch = boolean(raw),
            "thinking_budget" => self.budget = budget(raw),
            _ => return false,
        }
        true
    }

    /// Looks into members that hold other things too and are kept for vendors of chat.
    pub(super) fn look_into(&mut self, key: &str, raw: &str) {
        match key {
            "chat_template_kwargs" => {
                let on = ["enable_thinking", "thinking"];
                let on = on.into_iter().find_map(|key| json::member(raw, key).and_then(boolean));
                self.template = on.map(switch);
            }
            "extra_body" => {
                json::visit(raw, |key, raw| {
                    if key == "google" {
                        self.google(raw);
                    } else if !self.take(key, raw) {
                        self.look_into(key, raw);
                    }
                });
            }
            "google" => self.google(raw),
            _ => {}
        }
    }

    pub(super) fn finish(self) -> Reasoning {
        let by_switch = match (self.switch, self.budget) {
            (Some(false), _) => Some(Effort::Off),
            (Some(true), None) => Some(Effort::Auto),
            (_, budget) => budget,
        };
        let vendors = [self.open_router, self.thinking, by_switch, self.template, self.google];
        let effort = self.native.or_else(|| vendors.into_iter().find_map(|effort| effort));
        Reasoning { effort, summary: self.summary, include_encrypted: false }
    }

    fn open_router(&mut self, raw: &str) {
        let (mut named, mut tokens, mut on) = (None, None, None);
        json::visit(raw, |key, raw| match key {
            "effort" => named = effort(raw),
            "max_tokens" => tokens = budget(raw),
            "enabled" => on = boolean(raw).map(switch),
            "exclude" if raw == "true" => self.summary = Summary::None,
            "summary" => {
                self.summary = match json::string(raw).as_deref() {
                    Some("concise") => Summary::Concise,
                    Some("detailed") => Summary::Detailed,
                    Some("auto") => Summary::Auto,
                    _ => self.summary,
                };
            }
            _ => {}
        });
        self.open_router = match on {
            Some(Effort::Off) => Some(Effort::Off),
            _ => named.or(tokens).or(on),
        };
    }

    fn google(&mut self, raw: &str) {
        let config = ["thinking_config", "thinkingConfig"];
        let Some(config) = config.into_iter().find_map(|key| json::member(raw, key)) else {
            return;
        };
        json::visit(config, |key, raw| match key {
            "thinking_budget" | "thinkingBudget" => self.google = budget(raw),
            "thinking_level" | "thinkingLevel" => self.google = effort(raw),
            "include_thoughts" | "includeThoughts" => {
                self.summary = if raw == "true" { Summary::Auto } else { Summary::None };
            }
            _ => {}
        });
    }
}

fn switch(on: bool) -> Effort {
    if on { Effort::Auto } else { Effort::Off }
}

/// A level by name. Groq's `default` leaves the choice to the model, like no field.
fn effort(raw: &str) -> Option<Effort> {
    let word = json::string(raw)?;
    match Level::parse(&word) {
        Some(level) => Some(Effort::Level(level)),
        None if word.eq_ignore_ascii_case("none") => Some(Effort::Off),
        None if word.eq_ignore_ascii_case("auto") => Some(Effort::Auto),
        None => None,
    }
}

/// A number of tokens: 0 is off, −1 leaves it to the model.
fn budget(raw: &str) -> Option<Effort> {
    let tokens = number(raw)?;
    if tokens < 0.0 {
        return Some(Effort::Auto);
    }
    Effort::parse(&format!("{:.0}", tokens.floor()))
}

/// Anthropic's switch, as GLM, Kimi and DeepSeek took it over.
fn thinking(raw: &str) -> Option<Effort> {
    let tokens = json::member(raw, "budget_tokens").and_then(budget);
    match json::member(raw, "type").and_then(json::string).as_deref() {
        Some("disabled") => Some(Effort::Off),
        Some("enabled") => Some(tokens.unwrap_or(Effort::Auto)),
        Some("adaptive" | "auto") => Some(Effort::Auto),
        _ => tokens,
    }
}
