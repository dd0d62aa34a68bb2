//! The operator's own error rules (setting `error_rules`, accounts §5.2 step 5).

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::routing::classify::{Class, Next};
use crate::routing::facts::Facts;
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Retry, UNKNOWN_STEPS, Verdict};

/// What the operator wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleAction {
    /// Give the answer back to the client.
    Stop,
    /// The same, and lock the model on this account.
    StopAndLock,
    /// Try the next candidate, lock nothing.
    Next,
    /// Try the next candidate, lock the model on this account.
    NextAndLock,
}

/// A rule of the operator.
#[derive(Clone, Debug)]
pub struct ErrorRule {
    /// Provider id; `None` = every provider.
    pub provider: Option<String>,
    /// Statuses; empty = any.
    pub statuses: Vec<u16>,
    /// Texts of which one must be in the provider's message, in any case.
    pub matches: Vec<String>,
    /// Patterns of which one must match the provider's message.
    pub regexes: Vec<Regex>,
    /// What is done then.
    pub action: RuleAction,
}

/// Why a rule cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ErrorRuleError {
    /// The setting is no list of objects.
    #[error("`error_rules` must be a list of objects")]
    NotAList,
    /// A member has the wrong type or is unknown.
    #[error("error rule {index}: `{member}` is not understood")]
    Member {
        /// Position in the list, from 1.
        index: usize,
        /// Name of the member.
        member: String,
    },
    /// A regular expression does not compile.
    #[error("error rule {index}: the regular expression `{pattern}` is not valid: {why}")]
    Regex {
        /// Position in the list, from 1.
        index: usize,
        /// The expression.
        pattern: String,
        /// What the engine says.
        why: String,
    },
    /// A rule without any condition would catch every answer.
    #[error("error rule {index} has no condition: give `status`, `match` or `regex`")]
    NoCondition {
        /// Position in the list, from 1.
        index: usize,
    },
}

impl ErrorRule {
    /// Reads the setting's value.
    ///
    /// # Errors
    /// Names the first rule that is not understood.
    pub fn parse_list(value: &Value) -> Result<Vec<Self>, ErrorRuleError> {
        let items = value.as_array().ok_or(ErrorRuleError::NotAList)?;
        items.iter().zip(1..).map(|(item, index)| Self::parse(item, index)).collect()
    }

    fn parse(value: &Value, index: usize) -> Result<Self, ErrorRuleError> {
        let object = value.as_object().ok_or(ErrorRuleError::NotAList)?;
        let wrong = |member: &str| ErrorRuleError::Member { index, member: member.to_owned() };
        let mut rule = Self {
            provider: None,
            statuses: Vec::new(),
            matches: Vec::new(),
            regexes: Vec::new(),
            action: RuleAction::Next,
        };
        let mut action = None;
        for (name, value) in object {
            match name.as_str() {
                "provider" => match value {
                    Value::Null => {}
                    Value::String(id) => rule.provider = Some(id.clone()),
                    Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        return Err(wrong(name));
                    }
                },
                "status" => rule.statuses = statuses(value).ok_or_else(|| wrong(name))?,
                "match" => rule.matches = texts(value).ok_or_else(|| wrong(name))?,
                "regex" => {
                    let patterns = texts(value).ok_or_else(|| wrong(name))?;
                    rule.regexes = compile(&patterns, index)?;
                }
                "action" => {
                    action =
                        Some(value.as_str().and_then(parse_action).ok_or_else(|| wrong(name))?);
                }
                _ => return Err(wrong(name)),
            }
        }
        rule.action = action.ok_or_else(|| wrong("action"))?;
        if rule.statuses.is_empty() && rule.matches.is_empty() && rule.regexes.is_empty() {
            return Err(ErrorRuleError::NoCondition { index });
        }
        Ok(rule)
    }

    fn applies(&self, facts: &Facts<'_>) -> bool {
        let provider = self.provider.as_ref().is_none_or(|id| id == facts.provider);
        let status = self.statuses.is_empty()
            || [facts.status, facts.http_status]
                .into_iter()
                .flatten()
                .any(|status| self.statuses.contains(&status));
        let has_words = !(self.matches.is_empty() && self.regexes.is_empty());
        provider && status && (!has_words || self.reads(facts))
    }

    fn reads(&self, facts: &Facts<'_>) -> bool {
        let message = facts.message.to_lowercase();
        self.matches.iter().any(|text| message.contains(&text.to_lowercase()))
            || self.regexes.iter().any(|regex| regex.is_match(facts.message))
    }
}

/// The action of the first rule that applies.
pub(crate) fn first_match(rules: &[ErrorRule], facts: &Facts<'_>) -> Option<RuleAction> {
    rules.iter().find(|rule| rule.applies(facts)).map(|rule| rule.action)
}

impl RuleAction {
    pub(crate) fn rule_name(self) -> &'static str {
        match self {
            Self::Stop => "operator.stop",
            Self::StopAndLock => "operator.stop_and_lock",
            Self::Next => "operator.next",
            Self::NextAndLock => "operator.next_and_lock",
        }
    }

    /// What our own tables found, bent to the operator's wish.
    pub(crate) fn apply(self, ours: Verdict, facts: &Facts<'_>) -> Verdict {
        match self {
            Self::Stop => {
                let (scope, cooldown) = (None, Cooldown::None);
                Verdict { next: Next::Return, retry: Retry::No, scope, cooldown, ..ours }
            }
            Self::StopAndLock => {
                Verdict { next: Next::Return, retry: Retry::No, ..locked(ours, facts) }
            }
            Self::Next => {
                let (scope, cooldown) = (None, Cooldown::None);
                Verdict { next: Next::NextAccount, scope, cooldown, ..movable(ours, facts) }
            }
            Self::NextAndLock => {
                Verdict { next: Next::NextAccount, ..locked(movable(ours, facts), facts) }
            }
        }
    }
}

fn locked(verdict: Verdict, facts: &Facts<'_>) -> Verdict {
    if verdict.scope.is_some() && verdict.cooldown != Cooldown::None {
        return verdict;
    }
    Verdict {
        scope: Some(Scope::Model(facts.canonical.to_owned())),
        cooldown: Cooldown::Steps(UNKNOWN_STEPS),
        ..verdict
    }
}

/// Classes that end a request become `unknown`, so that the next candidate is asked.
fn movable(verdict: Verdict, facts: &Facts<'_>) -> Verdict {
    if verdict.class.other_accounts() > 1 {
        return Verdict { retry: Retry::No, ..verdict };
    }
    Verdict { retry: Retry::No, ..Verdict::of(Class::Unknown, facts.canonical) }
}

fn parse_action(name: &str) -> Option<RuleAction> {
    match name {
        "stop" => Some(RuleAction::Stop),
        "stop_and_lock" => Some(RuleAction::StopAndLock),
        "next" => Some(RuleAction::Next),
        "next_and_lock" => Some(RuleAction::NextAndLock),
        _ => None,
    }
}

/// A status, or a list of them.
fn statuses(value: &Value) -> Option<Vec<u16>> {
    let one = |v: &Value| {
        let status = u16::try_from(v.as_u64()?).ok()?;
        (100..600).contains(&status).then_some(status)
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(one).collect(),
        Value::Number(_) => one(value).map(|status| vec![status]),
        Value::Bool(_) | Value::String(_) | Value::Object(_) => None,
    }
}

/// A text, or a list of them. Empty texts would match everything.
fn texts(value: &Value) -> Option<Vec<String>> {
    let one = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(one).collect(),
        Value::String(_) => one(value).map(|text| vec![text]),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn compile(patterns: &[String], index: usize) -> Result<Vec<Regex>, ErrorRuleError> {
    const LARGEST_PROGRAM: usize = 1 << 20;
    let one = |pattern: &String| {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(LARGEST_PROGRAM)
            .build()
            .map_err(|error| ErrorRuleError::Regex {
                index,
                pattern: pattern.clone(),
                why: error.to_string(),
            })
    };
    patterns.iter().map(one).collect()
}
