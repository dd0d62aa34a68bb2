//! ChatGPT plans: windows by length, further limits by name, credits.

use serde_json::Value;

use crate::provider::quota::document::Credits;
use crate::provider::quota::headers::codex_family;
use crate::provider::quota::number::{first, flag, number, seconds, when, whole, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window, named_by_length};
use crate::routing::lock::Scope;

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    body.as_object()?;
    let by_id = body.get("rate_limits_by_limit_id");
    let main = first(body, &["rate_limit", "rate_limits"], objects)
        .or_else(|| by_id?.get("codex").and_then(objects));
    let mut known = false;
    if let Some(limit) = main {
        known = true;
        take(limit, None, into);
    }
    if let Some(review) = body.get("code_review_rate_limit").and_then(objects) {
        known = true;
        take(review, Some("review"), into);
    }
    for (id, limit) in by_id.and_then(Value::as_object).into_iter().flatten() {
        if id != "codex" && limit.is_object() {
            known = true;
            take(limit, Some(&codex_family(id)), into);
        }
    }
    for extra in body.get("additional_rate_limits").and_then(Value::as_array).into_iter().flatten()
    {
        let name = first(extra, &["limit_name", "limit_id", "metered_feature"], |v| {
            words(v).map(str::to_owned)
        });
        if let (Some(name), Some(limit)) = (name, extra.get("rate_limit").and_then(objects)) {
            take(limit, Some(&codex_family(&name)), into);
        }
    }
    into.plan = body.get("plan_type").and_then(words).map(str::to_owned);
    into.credits = body.get("credits").and_then(credits);
    if into.credits.as_ref().is_some_and(|c| c.unlimited || c.amount.is_some_and(|n| n > 0.0)) {
        for window in into.windows.iter_mut().filter(|w| w.status == Status::Exhausted) {
            window.overage = true;
        }
    }
    (known || into.plan.is_some()).then_some(())
}

fn objects(value: &Value) -> Option<&Value> {
    value.is_object().then_some(value)
}

fn take(limit: &Value, family: Option<&str>, into: &mut Reading) {
    let now = into.observed_at;
    let places = [["primary_window", "primary"], ["secondary_window", "secondary"]];
    let mut windows: Vec<Window> = places
        .iter()
        .filter_map(|names| window(first(limit, names, objects)?, names.last()?, family, now))
        .collect();
    let reached = limit.get("limit_reached").and_then(flag) == Some(true)
        || limit.get("allowed").and_then(flag) == Some(false);
    if reached && windows.iter().all(|window| window.status != Status::Exhausted) {
        // Rounded down: the fullest window is the one that is reached; of equals the last to reset.
        let fullness = |w: &Window| (w.percent.unwrap_or(0.0), w.resets_at);
        let fullest = windows.iter_mut().max_by(|a, b| {
            let ((a, a_at), (b, b_at)) = (fullness(a), fullness(b));
            a.total_cmp(&b).then(a_at.cmp(&b_at))
        });
        if let Some(window) = fullest {
            window.status = Status::Exhausted;
        }
    }
    into.take(windows);
}

fn window(value: &Value, place: &str, family: Option<&str>, now: i64) -> Option<Window> {
    let left = || first(value, &["remaining_percent", "percent_remaining"], number);
    let used = first(value, &["used_percent", "percent_used"], number)
        .or_else(|| left().map(|left| 100.0 - left));
    let length = value.get("limit_window_seconds").and_then(seconds).or_else(|| {
        let minutes = first(value, &["window_minutes", "limit_window_minutes"], number)?;
        whole(minutes * 60.0)
    });
    let reset =
        first(value, &["reset_at", "resets_at", "resetAt"], |at| when(at, now)).or_else(|| {
            let after = first(value, &["reset_after_seconds", "resets_in_seconds"], number)?;
            now.checked_add(i64::try_from(whole(after * 1_000.0)?).ok()?)
        });
    if used.is_none() && length.is_none() && reset.is_none() {
        return None;
    }
    let (name, label) = match length.filter(|s| *s > 0) {
        Some(length) => named_by_length(length),
        None => (place.to_owned(), place.to_owned()),
    };
    let (name, label, scope) = match family {
        Some(family) => (
            format!("{name}_{family}"),
            format!("{label}, {family}"),
            Scope::Family(family.to_owned()),
        ),
        None => (name, label, Scope::All),
    };
    Some(Window::new(name, label, scope).percent(used).resets(reset).lasts(length))
}

fn credits(value: &Value) -> Option<Credits> {
    let unlimited = value.get("unlimited").and_then(flag) == Some(true);
    let amount = value.get("balance").and_then(number);
    let has = value.get("has_credits").and_then(flag);
    (unlimited || amount.is_some() || has == Some(true)).then_some(Credits {
        amount: if has == Some(false) { Some(0.0) } else { amount },
        unit: Unit::Credits,
        unlimited,
    })
}
