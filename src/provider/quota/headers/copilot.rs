//! Copilot: `x-quota-snapshot-<name>: ent=300&rem=83.3&ov=0.0&ovPerm=false&rst=2026-06-01T00%3A00%3A00Z`.

use super::{HeadersCx, Told, number};
use crate::provider::quota::reading::Reading;
use crate::provider::quota::window::{Status, Unit, Window};
use crate::routing::instant;
use crate::routing::lock::Scope;

pub(super) const PREFIX: &str = "x-quota-snapshot-";

pub(super) fn read(told: &Told<'_>, cx: &HeadersCx<'_>, into: &mut Reading) {
    let windows: Vec<Window> =
        told.behind(PREFIX).filter_map(|(name, value)| window(cx, name, value)).collect();
    if cx.served() {
        into.overage = into
            .overage
            .take()
            .or_else(|| Reading::overage_of(windows.iter().filter(|window| window.overage)));
    }
    into.take(windows);
}

fn window(cx: &HeadersCx<'_>, name: &str, value: &str) -> Option<Window> {
    let (mut entitled, mut left, mut permitted, mut reset) = (None, None, false, None);
    for (key, value) in url::form_urlencoded::parse(value.as_bytes()) {
        match &*key {
            "ent" => entitled = value.trim().parse::<f64>().ok().filter(|n| n.is_finite()),
            "rem" => left = number(&value),
            "ovPerm" => permitted = value.eq_ignore_ascii_case("true"),
            "rst" => reset = instant::reset(&value, cx.now),
            _ => {}
        }
    }
    let unlimited = entitled.is_some_and(|entitled| entitled < 0.0);
    if left.is_none() && entitled.is_none() {
        return None;
    }
    let used_percent = left.map(|left| 100.0 - left);
    let used = entitled.zip(used_percent).map(|(all, percent)| all * percent / 100.0);
    let mut window = snapshot(name).counted(Unit::Requests, used, entitled);
    // No allotment at all says nothing; a share without counts says enough.
    if entitled.is_none() {
        window = window.percent(used_percent);
    }
    let window = window.resets(reset).endless(unlimited);
    let overage = permitted && window.status == Status::Exhausted;
    Some(Window { overage, ..window })
}

/// A window of Copilot by the name it has in headers and in the usage answer. Premium requests run out for premium
/// models alone; completions are the editor's, not ours.
pub(in crate::provider::quota) fn snapshot(name: &str) -> Window {
    let (label, scope) = match name {
        "premium_interactions" | "premium_models" => {
            ("Premium requests".to_owned(), Scope::Family("premium".to_owned()))
        }
        "chat" => ("Chat".to_owned(), Scope::All),
        "completions" => ("Completions".to_owned(), Scope::Feature("completions".to_owned())),
        other => (other.replace('_', " "), Scope::Feature(other.to_owned())),
    };
    Window::new(name, label, scope)
}
