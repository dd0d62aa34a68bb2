//! Rate limits that refill while they are used: `x-ratelimit-*` of OpenAI and its likes with their suffixes, the single
//! limit of OpenRouter and of RFC drafts (`ratelimit-*`, `ratelimit`).

use super::{HeadersCx, Told, number};
use crate::provider::family::ErrorFamily;
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Rhythm, Status, Unit, Window};
use crate::routing::instant;
use crate::routing::lock::Scope;

pub(super) const PREFIX: &str = "x-ratelimit-";
pub(super) const STANDARD: &str = "ratelimit";

/// A limit as three headers say it.
pub(super) struct Triple<'h> {
    pub(super) limit: Option<&'h str>,
    pub(super) left: Option<&'h str>,
    pub(super) reset: Option<&'h str>,
}

pub(super) fn read(told: &Told<'_>, cx: &HeadersCx<'_>, into: &mut Reading) {
    let before = into.windows.len();
    let mut seen: Vec<&str> = Vec::new();
    for (rest, _) in told.behind(PREFIX) {
        // `limit-requests`, `remaining-tokens-minute`, …
        let Some(("limit" | "remaining" | "reset", name)) = rest.split_once('-') else { continue };
        let Some(unit) = unit(name) else { continue };
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let part = |what: &str| told.get(&format!("{PREFIX}{what}-{name}"));
        let triple = Triple { limit: part("limit"), left: part("remaining"), reset: part("reset") };
        into.take(throttle(name, unit, &triple, length(name, cx.family), cx));
    }
    if into.windows.len() == before {
        into.take(single(told, cx));
    }
}

/// The window of one limit; `None` when it says neither how much is left nor when it is full.
pub(super) fn throttle(
    name: &str,
    unit: Unit,
    triple: &Triple<'_>,
    seconds: Option<u64>,
    cx: &HeadersCx<'_>,
) -> Option<Window> {
    let (limit, left) = (triple.limit.and_then(number), triple.left.and_then(number));
    let resets_at = triple.reset.and_then(|value| instant::reset(value, cx.now));
    if limit.is_none() && left.is_none() {
        return None;
    }
    let used = limit.zip(left).map(|(limit, left)| (limit - left).max(0.0));
    let mut window = Window::new(name, label(name), Scope::Model(cx.model.to_owned()))
        .counted(unit, used, limit)
        .resets(resets_at)
        .lasts(seconds);
    window.rhythm = Rhythm::Throttle;
    if left == Some(0.0) {
        window.status = Status::Exhausted;
    }
    Some(window)
}

/// One limit without a name.
fn single(told: &Told<'_>, cx: &HeadersCx<'_>) -> Option<Window> {
    let pick = |names: [&str; 2]| names.into_iter().find_map(|name| told.get(name));
    let reset_after = told.get("x-ratelimit-reset-after");
    let mut triple = Triple {
        limit: pick(["x-ratelimit-limit", "ratelimit-limit"]),
        left: pick(["x-ratelimit-remaining", "ratelimit-remaining"]),
        reset: pick(["x-ratelimit-reset", "ratelimit-reset"]).or(reset_after),
    };
    if triple.limit.is_none() && triple.left.is_none() {
        let structured = told.get("ratelimit")?;
        // `limit=100, remaining=0, reset=30`, or the later draft's `"default";r=0;t=30`
        let member = |names: [&str; 2]| {
            structured.split([',', ';']).find_map(|part| {
                let (key, value) = part.split_once('=')?;
                names.iter().any(|name| key.trim().eq_ignore_ascii_case(name)).then(|| value.trim())
            })
        };
        triple = Triple {
            limit: member(["limit", "q"]),
            left: member(["remaining", "r"]),
            reset: member(["reset", "t"]),
        };
    }
    // `ratelimit-limit: 100, 100;w=60`: the first number counts.
    let first = |text: &str| text.split([',', ';']).next().map_or("", str::trim).to_owned();
    let limit = triple.limit.map(first);
    throttle("requests", Unit::Requests, &Triple { limit: limit.as_deref(), ..triple }, None, cx)
}

fn unit(name: &str) -> Option<Unit> {
    if name.contains("token") {
        Some(Unit::Tokens)
    } else if name.starts_with("req") {
        Some(Unit::Requests)
    } else {
        None
    }
}

/// The window's length by its suffix; Groq's names stand for a day and a minute.
fn length(name: &str, family: ErrorFamily) -> Option<u64> {
    match name.rsplit_once('-') {
        Some((_, "second")) => Some(1),
        Some((_, "minute")) => Some(60),
        Some((_, "hour")) => Some(3_600),
        Some((_, "day")) => Some(86_400),
        Some((_, "month")) => Some(30 * 86_400),
        _ if family == ErrorFamily::Groq && name == "requests" => Some(86_400),
        _ if family == ErrorFamily::Groq && name == "tokens" => Some(60),
        _ => None,
    }
}

/// `tokens-minute` reads `Tokens per minute`.
fn label(name: &str) -> String {
    let (what, per) = match name.rsplit_once('-') {
        Some((what, per @ ("second" | "minute" | "hour" | "day" | "month"))) => (what, Some(per)),
        _ => (name, None),
    };
    let mut label = what.replace(['-', '_'], " ");
    if let Some(first) = label.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    match per {
        Some(per) => format!("{label} per {per}"),
        None => label,
    }
}
