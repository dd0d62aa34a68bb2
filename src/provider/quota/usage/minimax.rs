//! MiniMax: an interval and a week per group of models. The same names count what is left on the older page, and what
//! is used on the newer one.

use serde_json::Value;

use crate::provider::quota::number::{number, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Unit, Window, named_by_length};
use crate::routing::lock::Scope;

const WEEK: u64 = 7 * 86_400;

/// What `*_usage_count` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    /// What is used.
    Used,
    /// What is left.
    Left,
}

pub(super) fn read(body: &Value, counts: Counts, into: &mut Reading) -> Option<()> {
    let status = body.get("base_resp").and_then(|base| number(base.get("status_code")?));
    if status.is_some_and(|status| status != 0.0) {
        return None;
    }
    let remains = body.get("model_remains")?.as_array()?;
    for group in remains {
        let name = group.get("model_name").and_then(words).unwrap_or("MiniMax-M*");
        let chat = name.to_ascii_lowercase().starts_with("minimax-m");
        interval(group, name, chat, counts, into);
        week(group, name, chat, counts, into);
    }
    Some(())
}

fn interval(group: &Value, model: &str, chat: bool, counts: Counts, into: &mut Reading) {
    let now = into.observed_at;
    let at = |name: &str| when(group.get(name)?, now);
    let (start, end) = (at("start_time"), at("end_time"));
    let left_ms = || group.get("remains_time").and_then(number);
    let reset = end.or_else(|| {
        let left: i64 = format!("{:.0}", left_ms()?).parse().ok()?;
        now.checked_add(left)
    });
    let length = start
        .zip(end)
        .and_then(|(start, end)| u64::try_from(end.checked_sub(start)?).ok())
        .map(|ms| ms / 1_000)
        .filter(|s| *s > 0);
    let (name, label) =
        length.map_or_else(|| ("interval".to_owned(), "Interval".to_owned()), named_by_length);
    let window = part(group, "current_interval", scoped(&name, &label, model, chat), counts);
    into.take(window.map(|window| window.resets(reset).lasts(length)));
}

fn week(group: &Value, model: &str, chat: bool, counts: Counts, into: &mut Reading) {
    let reset = group.get("weekly_end_time").and_then(|at| when(at, into.observed_at));
    let window = part(group, "current_weekly", scoped("7d", "Week (7 d)", model, chat), counts);
    into.take(window.map(|window| window.resets(reset).lasts(Some(WEEK))));
}

/// `None` when the group has no such part: no allowance, or none told.
fn part(group: &Value, prefix: &str, window: Window, counts: Counts) -> Option<Window> {
    let member = |suffix: &str| group.get(format!("{prefix}_{suffix}")).and_then(number);
    let (total, count) = (member("total_count"), member("usage_count"));
    let percent_left = member("remaining_percent");
    if percent_left.is_none() && total.is_none_or(|total| total <= 0.0) {
        return None;
    }
    let used = match counts {
        Counts::Used => count,
        Counts::Left => total.zip(count).map(|(total, left)| (total - left).max(0.0)),
    };
    let counted = window.counted(Unit::Requests, used, total);
    Some(match percent_left {
        // It says the same on both pages.
        Some(left) => {
            let used_percent = 100.0 - left;
            let used = total.map(|total| total * used_percent.clamp(0.0, 100.0) / 100.0);
            Window { used, ..counted.percent(Some(used_percent)) }
        }
        None => counted,
    })
}

/// Images and speech have allowances of their own.
fn scoped(name: &str, label: &str, model: &str, chat: bool) -> Window {
    if chat {
        return Window::new(name, label, Scope::All);
    }
    let model = model.to_ascii_lowercase();
    Window::new(format!("{name}_{model}"), format!("{label}, {model}"), Scope::Feature(model))
}
