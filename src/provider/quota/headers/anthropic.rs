//! Anthropic: windows of a subscription (`anthropic-ratelimit-unified-*`), and the rate limits of a key.

use super::throttle::{Triple, throttle};
use super::{HeadersCx, Told, number};
use crate::provider::quota::reading::{Overage, Reading};
use crate::provider::quota::window::{Status, Unit, Window};
use crate::routing::instant;
use crate::routing::lock::Scope;

pub(super) const PREFIX: &str = "anthropic-ratelimit-";
const UNIFIED: &str = "unified-";
/// Rate limits of a key.
const LIMITS: [(&str, Unit); 4] = [
    ("requests", Unit::Requests),
    ("tokens", Unit::Tokens),
    ("input-tokens", Unit::Tokens),
    ("output-tokens", Unit::Tokens),
];

pub(super) fn read(told: &Told<'_>, cx: &HeadersCx<'_>, into: &mut Reading) {
    let unified =
        || told.behind(PREFIX).filter_map(|(rest, v)| Some((rest.strip_prefix(UNIFIED)?, v)));
    let mut windows: Vec<Window> = Vec::new();
    for (rest, _) in unified() {
        // `5h-status`, `7d_opus-utilization`, …; one of them is enough to know the window
        let Some((id, "status" | "utilization" | "reset")) = rest.rsplit_once('-') else {
            continue;
        };
        if windows.iter().all(|window| window.name != id)
            && let Some(window) = window(told, cx, id)
        {
            windows.push(window);
        }
    }
    let header = |name: &str| told.get(&format!("{PREFIX}{UNIFIED}{name}"));
    if header("status").is_some_and(is_rejected)
        && windows.iter().all(|window| window.status != Status::Exhausted)
        && let Some(claimed) = header("representative-claim").and_then(claimed)
        && let Some(window) = windows.iter_mut().find(|window| window.name == claimed)
    {
        window.status = Status::Exhausted;
        window.resets_at = window
            .resets_at
            .or_else(|| header("reset").and_then(|value| instant::reset(value, cx.now)));
    }
    // Beyond the plan it may serve on, and bill for it (accounts §4.6).
    let allows =
        header("overage-status").is_some_and(|s| s.to_ascii_lowercase().starts_with("allowed"));
    let in_use = header("overage-in-use").is_some_and(|s| s.eq_ignore_ascii_case("true"));
    if allows || in_use {
        for window in windows.iter_mut().filter(|w| w.status == Status::Exhausted) {
            window.overage = true;
        }
        // The request that uses the last of a window is not billed: the word decides, not the number.
        let refused =
            |window: &&Window| header(&format!("{}-status", window.name)).is_some_and(is_rejected);
        let spent = || windows.iter().filter(|window| window.overage);
        if cx.served() && in_use {
            let reset = || header("reset").and_then(|value| instant::reset(value, cx.now));
            into.overage = Reading::overage_of(spent())
                .or_else(|| Some(Overage { scope: Scope::All, until: reset() }));
        } else if cx.served() {
            into.overage = Reading::overage_of(spent().filter(refused));
        }
    }
    into.take(windows);
    into.take(LIMITS.iter().filter_map(|(name, unit)| {
        let part = |what: &str| told.get(&format!("{PREFIX}{name}-{what}"));
        let triple = Triple { limit: part("limit"), left: part("remaining"), reset: part("reset") };
        // Documented per minute.
        throttle(name, *unit, &triple, Some(60), cx)
    }));
}

fn window(told: &Told<'_>, cx: &HeadersCx<'_>, id: &str) -> Option<Window> {
    let (length, family) = match id.split_once('_') {
        Some((length, family)) => (length, Some(family)),
        None => (id, None),
    };
    let (label, seconds) = length_of(length)?;
    let scope = family.map_or(Scope::All, |family| Scope::Family(family.to_owned()));
    let label = family.map_or(label.clone(), |family| format!("{label}, {family}"));
    let header = |what: &str| told.get(&format!("{PREFIX}{UNIFIED}{id}-{what}"));
    let status = header("status");
    let mut window = Window::new(id, label, scope)
        .percent(header("utilization").and_then(number).map(as_percent))
        .resets(header("reset").and_then(|value| instant::reset(value, cx.now)))
        .lasts(Some(seconds))
        .exhausted_if(status.is_some_and(is_rejected));
    if status.is_some_and(|s| s.eq_ignore_ascii_case("allowed_warning")) {
        window.status = window.status.max(Status::Low);
    }
    Some(window)
}

/// A fraction that may slightly exceed 1; above 2 it can only be a percent.
fn as_percent(utilization: f64) -> f64 {
    if utilization > 2.0 { utilization } else { utilization * 100.0 }
}

/// `throttled` is the older word for it.
fn is_rejected(status: &str) -> bool {
    status.eq_ignore_ascii_case("rejected") || status.eq_ignore_ascii_case("throttled")
}

/// `5h`, `7d`: label and length in seconds. Everything else is no window.
fn length_of(length: &str) -> Option<(String, u64)> {
    let (digits, unit) = length.split_at_checked(length.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    let (unit, name) = match unit {
        "h" => (3_600, "h"),
        "d" => (86_400, "d"),
        _ => return None,
    };
    let seconds = count.checked_mul(unit).filter(|s| *s > 0)?;
    let label = match (count, name) {
        (7, "d") => "Week (7 d)".to_owned(),
        (_, "h") => format!("Session ({count} h)"),
        _ => format!("{count} days"),
    };
    Some((label, seconds))
}

/// The window that a claim's long name stands for: `five_hour`, `seven_day`, `seven_day_opus`.
fn claimed(claim: &str) -> Option<String> {
    match claim {
        "five_hour" => Some("5h".to_owned()),
        "seven_day" => Some("7d".to_owned()),
        other => Some(format!("7d_{}", other.strip_prefix("seven_day_")?)),
    }
}
