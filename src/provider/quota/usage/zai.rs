//! Z.ai and BigModel: `limits[]` with a percentage used. Unit 3 counts hours, 6 weeks.

use serde_json::Value;

use crate::provider::quota::number::{number, seconds, when, words};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Window, named_by_length};
use crate::routing::lock::Scope;

pub(super) fn read(body: &Value, into: &mut Reading) -> Option<()> {
    let data = body.get("data")?;
    let limits = data.get("limits")?.as_array()?;
    for limit in limits {
        let length = length(limit);
        let window = match limit.get("type").and_then(words) {
            Some("TOKENS_LIMIT") => {
                let (name, label) = length
                    .map_or_else(|| ("tokens".to_owned(), "Tokens".to_owned()), named_by_length);
                Window::new(name, label, Scope::All)
            }
            // The plan's tools (search, vision servers); chat goes on without them.
            Some("TIME_LIMIT") => Window::new("tools", "Tools", Scope::Feature("tools".to_owned())),
            Some(other) => {
                let name = other.to_ascii_lowercase();
                Window::new(name.clone(), name.replace('_', " "), Scope::Feature(name))
            }
            None => continue,
        };
        let reset = limit.get("nextResetTime").and_then(|at| when(at, into.observed_at));
        let used = limit.get("percentage").and_then(number);
        into.take([window.percent(used).resets(reset).lasts(length)]);
    }
    into.plan = data.get("level").and_then(words).map(str::to_owned);
    Some(())
}

fn length(limit: &Value) -> Option<u64> {
    let unit = match limit.get("unit").and_then(seconds)? {
        1 => 86_400,
        3 => 3_600,
        6 => 7 * 86_400,
        _ => return None,
    };
    limit.get("number").and_then(seconds)?.checked_mul(unit)
}
