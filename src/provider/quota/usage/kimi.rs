//! Kimi Code: a week, and windows by duration. Numbers may be texts.

use serde_json::Value;

use crate::provider::quota::number::{first, number, seconds, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Unit, Window, named_by_length};
use crate::routing::lock::Scope;

const WEEK: u64 = 7 * 86_400;

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    let usage = body.get("usage").filter(|usage| usage.is_object());
    let limits = body.get("limits").and_then(Value::as_array);
    if let Some(usage) = usage {
        let window = Window::new("7d", "Week (7 d)", Scope::All).lasts(Some(WEEK));
        let window = detailed(window, usage, into);
        into.take([window]);
    }
    for limit in limits.into_iter().flatten() {
        let Some(detail) = limit.get("detail").filter(|detail| detail.is_object()) else {
            continue;
        };
        let length = limit.get("window").and_then(length).filter(|s| *s > 0);
        let (name, label) =
            length.map_or_else(|| ("limit".to_owned(), "Limit".to_owned()), named_by_length);
        let window = Window::new(name, label, Scope::All).lasts(length);
        let window = detailed(window, detail, into);
        // A week told twice is one window.
        if into.windows.iter().all(|known| known.name != window.name) {
            into.take([window]);
        }
    }
    into.plan = body
        .get("user")
        .and_then(|user| words(user.get("membership")?.get("level")?).map(str::to_owned));
    (usage.is_some() || limits.is_some()).then_some(())
}

fn detailed(window: Window, detail: &Value, into: &Reading) -> Window {
    let limit = detail.get("limit").and_then(number);
    let left = detail.get("remaining").and_then(number);
    let used = detail
        .get("used")
        .and_then(number)
        .or_else(|| limit.zip(left).map(|(limit, left)| (limit - left).max(0.0)));
    let reset =
        first(detail, &["resetTime", "reset_at", "resetAt"], |at| when(at, into.observed_at));
    window.counted(Unit::Requests, used, limit).resets(reset)
}

fn length(window: &Value) -> Option<u64> {
    let count = window.get("duration").and_then(seconds)?;
    let unit = match window.get("timeUnit").and_then(words)? {
        "TIME_UNIT_SECOND" => 1,
        "TIME_UNIT_MINUTE" => 60,
        "TIME_UNIT_HOUR" => 3_600,
        "TIME_UNIT_DAY" => 86_400,
        "TIME_UNIT_WEEK" => WEEK,
        _ => return None,
    };
    count.checked_mul(unit)
}
