//! Claude subscriptions: `five_hour`, `seven_day`, `seven_day_<family>`, each `{utilization, resets_at}` or null.

use serde_json::Value;

use crate::provider::quota::document::Credits;
use crate::provider::quota::number::{flag, number, when};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Unit, Window};
use crate::routing::lock::Scope;

const FIVE_HOURS: u64 = 5 * 3_600;
const WEEK: u64 = 7 * 86_400;

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    let members = body.as_object()?;
    let mut known = false;
    for (name, value) in members {
        let window = match name.as_str() {
            "five_hour" => Window::new("5h", "Session (5 h)", Scope::All).lasts(Some(FIVE_HOURS)),
            "seven_day" => Window::new("7d", "Week (7 d)", Scope::All).lasts(Some(WEEK)),
            other => {
                let Some(family) = other.strip_prefix("seven_day_") else { continue };
                let (name, label) = (format!("7d_{family}"), format!("Week (7 d), {family}"));
                Window::new(name, label, Scope::Family(family.to_owned())).lasts(Some(WEEK))
            }
        };
        known = true;
        // null: the plan has no such window, or it has not begun
        if value.is_object() {
            let used = value.get("utilization").and_then(number);
            let reset = value.get("resets_at").and_then(|at| when(at, into.observed_at));
            into.take([window.percent(used).resets(reset)]);
        }
    }
    let extra = members.get("extra_usage");
    if let Some(extra) = extra.filter(|e| e.get("is_enabled").and_then(flag) == Some(true)) {
        let limit = extra.get("monthly_limit").and_then(number);
        let used = extra.get("used_credits").and_then(number).unwrap_or(0.0);
        into.credits = Some(Credits {
            amount: limit.map(|limit| (limit - used).max(0.0)),
            unit: Unit::Credits,
            unlimited: limit.is_none(),
        });
    }
    known.then_some(())
}
