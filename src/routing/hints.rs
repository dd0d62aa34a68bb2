//! Where answers hide the instant of recovery: headers, body members, words (accounts §4.3, REL-UP-5).

use std::borrow::Cow;

use serde_json::Value;

use crate::clock::UnixMs;
use crate::routing::facts::Facts;
use crate::routing::instant;

/// Words that stand before a duration in vendors' messages.
const MARKS: &[&str] = &[
    "try again in ",
    "retry in ",
    "retry after ",
    "try again after ",
    "reset after ",
    "resets after ",
    "reset in ",
    "resets in ",
];

/// Windows of `x-ratelimit-{remaining,reset}-…`.
const OPENAI_WINDOWS: &[&str] = &[
    "requests",
    "tokens",
    "requests-minute",
    "tokens-minute",
    "requests-hour",
    "tokens-hour",
    "requests-day",
    "tokens-day",
];
/// Windows of `anthropic-ratelimit-…-{remaining,reset}`.
const ANTHROPIC_WINDOWS: &[&str] = &["requests", "tokens", "input-tokens", "output-tokens"];

/// The instant the answer names, wherever it does; the most exact source first.
pub(crate) fn any(facts: &Facts<'_>) -> Option<UnixMs> {
    waits(&|name| facts.header(name), facts.now)
        .or_else(|| body(facts))
        .or_else(|| windows(&|name| facts.header(name), facts.now))
        .or_else(|| metadata_headers(facts))
        .or_else(|| text(facts))
}

/// What the provider's own message says: `try again in 1.2s`.
pub(crate) fn text(facts: &Facts<'_>) -> Option<UnixMs> {
    instant::after(instant::duration_after(&facts.text, MARKS)?, facts.now)
}

/// `retry-after-ms` (exact) before `retry-after`.
pub(crate) fn waits<'a>(header: &dyn Fn(&str) -> Option<&'a str>, now: UnixMs) -> Option<UnixMs> {
    let exact = header("retry-after-ms")
        .and_then(|value| instant::after(instant::decimal(value.trim(), 1)?, now));
    exact.or_else(|| instant::retry_after(header("retry-after")?, now))
}

/// Members of the body: `resets_at`, `resets_in_seconds`, `retry_after`, Google's `RetryInfo`.
pub(crate) fn body(facts: &Facts<'_>) -> Option<UnixMs> {
    let now = facts.now;
    let seconds = |name: &str| {
        instant::after(instant::decimal(&facts.field_text(name)?, instant::SECOND)?, now)
    };
    facts
        .field_text("resets_at")
        .and_then(|value| instant::reset(&value, now))
        .or_else(|| seconds("resets_in_seconds"))
        .or_else(|| seconds("retry_after"))
        .or_else(|| seconds("retry_after_seconds"))
        .or_else(|| retry_info_ms(facts).and_then(|delay| instant::after(delay, now)))
}

/// Milliseconds of Google's `RetryInfo.retryDelay` (`"31s"`, or `{seconds, nanos}`).
pub(crate) fn retry_info_ms(facts: &Facts<'_>) -> Option<i64> {
    facts.details().find_map(|detail| match detail.get("retryDelay")? {
        Value::String(text) => instant::duration(text),
        Value::Object(parts) => {
            instant::decimal(&parts.get("seconds").map(Value::to_string)?, instant::SECOND)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    })
}

/// `x-ratelimit-*`, `anthropic-ratelimit-*`, `ratelimit-*`: the reset of the window that is used up.
pub(crate) fn windows<'a>(header: &dyn Fn(&str) -> Option<&'a str>, now: UnixMs) -> Option<UnixMs> {
    let at = |name: &str| instant::reset(header(name)?, now);
    let is_zero = |name: &str| header(name).is_some_and(|value| value.trim() == "0");
    let openai = OPENAI_WINDOWS
        .iter()
        .map(|w| (format!("x-ratelimit-remaining-{w}"), format!("x-ratelimit-reset-{w}")));
    let anthropic = ANTHROPIC_WINDOWS.iter().map(|w| {
        (format!("anthropic-ratelimit-{w}-remaining"), format!("anthropic-ratelimit-{w}-reset"))
    });
    let pairs: Vec<(String, String)> = openai.chain(anthropic).collect();
    // Several windows can be used up: all of them must have passed.
    let used_up =
        pairs.iter().filter(|(left, _)| is_zero(left)).filter_map(|(_, reset)| at(reset)).max();
    // Resets without any `remaining` still mean "not before".
    let unqualified = || {
        let known = pairs.iter().any(|(left, _)| header(left).is_some());
        if known { None } else { pairs.iter().filter_map(|(_, reset)| at(reset)).max() }
    };
    let single = || {
        let left = header("x-ratelimit-remaining").or_else(|| header("ratelimit-remaining"));
        if left.is_some_and(|value| value.trim() != "0") {
            return None;
        }
        at("x-ratelimit-reset")
            .or_else(|| at("x-ratelimit-reset-after"))
            .or_else(|| at("ratelimit-reset"))
            .or_else(|| structured(header("ratelimit")?, now))
    };
    used_up.or_else(unqualified).or_else(single)
}

/// `ratelimit: limit=100, remaining=0, reset=30`.
fn structured(value: &str, now: UnixMs) -> Option<UnixMs> {
    let member = |name: &str| {
        value.split([',', ';']).find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if member("remaining").is_some_and(|left| left != "0") {
        return None;
    }
    instant::reset(member("reset")?, now)
}

/// OpenRouter repeats the upstream's headers inside `error.metadata.headers`.
fn metadata_headers(facts: &Facts<'_>) -> Option<UnixMs> {
    let headers = facts.field("metadata")?.get("headers")?.as_object()?;
    let found: Vec<(String, Cow<'_, str>)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(s) => Cow::Borrowed(s.as_str()),
                Value::Number(n) => Cow::Owned(n.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((name.to_ascii_lowercase(), text))
        })
        .collect();
    let get = |name: &str| found.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref());
    waits(&get, facts.now).or_else(|| windows(&get, facts.now))
}
