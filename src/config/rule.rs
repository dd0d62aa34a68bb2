//! The operator's error rules (setting `error_rules`, accounts §5.2 step 5) as data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::kind::{Misfit, class_of};

/// One rule: an upstream failure that fits is handled as `action` says, before the built-in rules.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Catalog id or node prefix; absent = every provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// HTTP status it is about.
    pub status: u16,
    /// Texts that occur in the provider's message, case-insensitive.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Regular expressions that match the provider's message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regex: Vec<String>,
    /// What to do.
    pub action: RuleAction,
}

/// What an operator rule does with the attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// The answer goes back to the client.
    Stop,
    /// The same, and the model is locked for this account.
    StopAndLock,
    /// The next account or entry is tried.
    Next,
    /// The same, and the model is locked for this account.
    NextAndLock,
}

/// Checks a list of rules and gives it back in normal form.
pub(crate) fn check(value: &Value) -> Result<Value, Misfit> {
    let list = value.as_array().ok_or_else(|| Misfit {
        got: class_of(value),
        want: "a list of rules `{provider?, status, match[], regex[], action}`".into(),
    })?;
    let rules = list.iter().enumerate().map(|(at, rule)| check_rule(at, rule));
    rules.collect::<Result<Vec<Value>, Misfit>>().map(Value::from)
}

fn check_rule(at: usize, value: &Value) -> Result<Value, Misfit> {
    let misfit = |want: String| Misfit { got: format!("a bad rule at index {at}"), want };
    let rule = RuleSpec::deserialize(value).map_err(|e| misfit(format!("a rule ({e})")))?;
    if !(100..=599).contains(&rule.status) {
        return Err(misfit("`status` from 100 to 599".into()));
    }
    for pattern in &rule.regex {
        // A pattern may be long; its compiled size is bounded by the library's default limit.
        regex::Regex::new(pattern)
            .map_err(|_why| misfit("`regex` entries that are regular expressions".into()))?;
    }
    serde_json::to_value(&rule).map_err(|e| misfit(e.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_checked_one_by_one() {
        let good = json!([{"status": 429, "match": ["slow down"], "action": "next_and_lock"}]);
        assert_eq!(check(&good).unwrap(), good);
        for (bad, part) in [
            (json!({}), "an object"),
            (json!([{"status": 429}]), "action"),
            (json!([{"status": 42, "action": "stop"}]), "100 to 599"),
            (json!([{"status": 429, "action": "retry"}]), "next_and_lock"),
            (json!([{"status": 429, "action": "stop", "regex": ["("]}]), "regular expressions"),
            (json!([{"status": 429, "action": "stop", "colour": 1}]), "colour"),
        ] {
            let text = check(&bad).unwrap_err().to_string();
            assert!(text.contains(part), "{bad}: {text}");
        }
    }
}
