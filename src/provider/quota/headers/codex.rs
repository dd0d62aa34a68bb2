//! Codex: `x-codex-primary-*`, `x-codex-secondary-*`, and the same of further limits (`x-codex-<limit id>-primary-*`).

use super::{HeadersCx, Told, number};
use crate::provider::quota::document::Credits;
use crate::provider::quota::number::whole;
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window, named_by_length};
use crate::routing::instant;
use crate::routing::lock::Scope;

pub(super) const PREFIX: &str = "x-codex-";
const PLACES: [&str; 2] = ["primary", "secondary"];
const USED: &str = "-used-percent";

pub(super) fn read(told: &Told<'_>, cx: &HeadersCx<'_>, into: &mut Reading) {
    let mut windows: Vec<Window> = Vec::new();
    for (rest, _) in told.behind(PREFIX) {
        let Some(path) = rest.strip_suffix(USED) else { continue };
        let window = PLACES.iter().find_map(|place| {
            let limit = path.strip_suffix(place)?;
            match limit.strip_suffix('-') {
                Some(id) => window(told, cx, path, place, Some(id)),
                None if limit.is_empty() => window(told, cx, path, place, None),
                None => None,
            }
        });
        windows.extend(window);
    }
    let header = |name: &str| told.get(&format!("{PREFIX}{name}"));
    let is_on = |name: &str| header(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let unlimited = is_on("credits-unlimited");
    let has_credits = is_on("credits-has-credits") || unlimited;
    if has_credits {
        // The plan is used up and it serves on: credits pay (accounts §4.6).
        for window in windows.iter_mut().filter(|w| w.status == Status::Exhausted) {
            window.overage = true;
        }
        if cx.served() {
            into.overage = Reading::overage_of(windows.iter().filter(|window| window.overage));
        }
    }
    if has_credits || header("credits-balance").is_some() {
        let amount = header("credits-balance").and_then(number);
        into.credits = Some(Credits { amount, unit: Unit::Credits, unlimited });
    }
    if let Some(plan) = header("plan-type").filter(|plan| !plan.is_empty()) {
        into.plan = Some(plan.to_owned());
    }
    into.take(windows);
}

fn window(
    told: &Told<'_>,
    cx: &HeadersCx<'_>,
    path: &str,
    place: &str,
    limit: Option<&str>,
) -> Option<Window> {
    let header = |what: &str| told.get(&format!("{PREFIX}{path}-{what}"));
    let used = header("used-percent").and_then(number)?;
    let seconds = header("window-minutes")
        .and_then(number)
        .and_then(|minutes| whole(minutes * 60.0))
        .filter(|s| *s > 0);
    let resets_at =
        header("reset-at").and_then(|value| instant::reset(value, cx.now)).or_else(|| {
            let delay = instant::decimal(header("reset-after-seconds")?, instant::SECOND)?;
            instant::after(delay, cx.now)
        });
    if seconds.is_none() && resets_at.is_none() && used == 0.0 {
        // A plan without such a window says 0 of nothing.
        return None;
    }
    let (name, label) = match seconds {
        Some(seconds) => named_by_length(seconds),
        None => (place.to_owned(), place.to_owned()),
    };
    let family = limit.map(family);
    let (name, label, scope) = match family {
        Some(family) => {
            (format!("{name}_{family}"), format!("{label}, {family}"), Scope::Family(family))
        }
        None => (name, label, Scope::All),
    };
    Some(Window::new(name, label, scope).percent(Some(used)).resets(resets_at).lasts(seconds))
}

/// A further limit's name, as error rules call its family.
pub(in crate::provider::quota) fn family(limit: &str) -> String {
    let id = limit.trim().to_ascii_lowercase();
    let bare = id.strip_prefix("codex_").or_else(|| id.strip_prefix("codex-"));
    bare.map_or(id.clone(), str::to_owned)
}
