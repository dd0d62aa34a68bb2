//! An account (api §3.1) as card, row and page show it.

use ninerouter_templates::Monogram;
use ninerouter_templates::account::{Account, LockLine, Standing, Window};
use ninerouter_templates::format::{grouped, money};
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

/// Figures of a quota that are older are marked.
const STALE_MS: i64 = 3_600_000;
/// Windows of a card.
const MOST_WINDOWS: usize = 6;

/// The account.
pub(in crate::dashboard) fn account(sight: &Sight, object: &Value) -> Account {
    let provider = object.text("/provider");
    let name = sight.provider(provider);
    let state = object.part("/state");
    let quota = object.part("/quota");
    let observed = quota.int("/observed_at");
    let email = if sight.hidden.is_some() { "" } else { object.text("/email") };
    Account {
        id: object.text("/id").to_owned(),
        provider: provider.to_owned(),
        mark: Monogram::new(provider, name),
        label: sight.account(object.text("/id"), object.text("/label")),
        about: about(name, object),
        email: email.to_owned(),
        standing: Standing::parse(state.text("/status")).unwrap_or(Standing::Unstable),
        line: sentence(&sight.said(state.text("/text"))),
        until: state.int("/until").map(|at| sight.now.until(at)),
        enabled: object.is("/enabled"),
        windows: windows(sight, quota),
        no_windows: no_windows(quota),
        credits: credits(quota),
        locks: state.list("/locks").iter().map(|lock| lock_line(sight, lock)).collect(),
        facts: facts(object),
        in_flight: in_flight(state),
        day: day(object.part("/stats_24h")),
        last_used: state.int("/last_used_at").map(|at| sight.now.ago(at)),
        as_of: observed.map(|at| sight.now.ago(at)),
        stale: quota.is("/stale") || observed.is_some_and(|at| sight.now.unix_ms - at > STALE_MS),
        refreshable: object.is("/secrets/refreshable"),
        signed_in: matches!(object.text("/kind"), "oauth"),
        managed: !object.part("/managed_by").is_null(),
        movable: object.part("/managed_by").is_null(),
    }
}

/// How soon an account needs somebody: for the order of cards.
pub(in crate::dashboard) fn urgency(object: &Value) -> usize {
    const ORDER: [&str; 11] = [
        "sign_in_again",
        "token_expired",
        "out_of_quota",
        "cooling_down",
        "unstable",
        "expires_soon",
        "partly_blocked",
        "reserved",
        "low",
        "ready",
        "unused",
    ];
    let word = object.text("/state/status");
    ORDER.iter().position(|known| *known == word).unwrap_or(ORDER.len())
}

fn about(name: &str, object: &Value) -> String {
    let plan = object.text("/plan");
    if plan.is_empty() { name.to_owned() } else { format!("{name} · {}", plan.replace('_', " ")) }
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn windows(sight: &Sight, quota: &Value) -> Vec<Window> {
    let mut all: Vec<&Value> = quota.list("/windows").iter().collect();
    // The tightest first.
    all.sort_by(|a, b| used(b).total_cmp(&used(a)));
    all.into_iter().take(MOST_WINDOWS).map(|window| shown(sight, window)).collect()
}

fn used(window: &Value) -> f64 {
    window.part("/percent").as_f64().unwrap_or(-1.0)
}

fn shown(sight: &Sight, window: &Value) -> Window {
    let left = window.part("/percent").as_f64().map(|used| (100.0 - used).clamp(0.0, 100.0));
    // Rounded down: what is nearly used up does not look like one percent more.
    let left = left.map(|left| format!("{:.0}", left.floor()).parse::<u8>().unwrap_or_default());
    let resets = window.int("/resets_at");
    let text = match left {
        _ if window.is("/unlimited") => "unlimited".to_owned(),
        None => "unknown".to_owned(),
        Some(left) => match (amount(window, "/used"), amount(window, "/limit")) {
            (Some(used), Some(limit)) if window.text("/unit") != "percent" => {
                let unit = window.text("/unit");
                format!("{left}% left · {} of {} {unit}", grouped(limit - used), grouped(limit))
            }
            _ => format!("{left}% left"),
        },
    };
    Window {
        label: window.text("/label").to_owned(),
        left_percent: left.filter(|_| !window.is("/unlimited")),
        text,
        resets: resets.filter(|at| *at > sight.now.unix_ms).map(|at| sight.now.until(at)),
        pace: pace(sight, window),
    }
}

fn amount(window: &Value, at: &str) -> Option<i64> {
    window.part(at).as_f64().and_then(|amount| format!("{amount:.0}").parse().ok())
}

/// When a window that is used faster than it lasts will be empty.
fn pace(sight: &Sight, window: &Value) -> String {
    let whole = window.part("/window_seconds").as_f64().filter(|seconds| *seconds > 0.0);
    let (Some(seconds), Some(resets)) = (whole, window.int("/resets_at")) else {
        return String::new();
    };
    let percent = used(window);
    let Ok(left_ms) = u32::try_from(resets - sight.now.unix_ms) else { return String::new() };
    let gone = seconds - f64::from(left_ms) / 1_000.0;
    // Early in a window a few requests say nothing of its end.
    if !(5.0..100.0).contains(&percent) || gone < seconds * 0.1 {
        return String::new();
    }
    let empty_in = gone / percent * (100.0 - percent);
    if empty_in >= f64::from(left_ms) / 1_000.0 {
        return String::new();
    }
    let seconds = format!("{empty_in:.0}").parse().unwrap_or_default();
    format!("at this pace empty in {}", ninerouter_templates::format::span(seconds))
}

fn no_windows(quota: &Value) -> String {
    let message = quota.text("/message");
    match (quota.is_null(), message.is_empty()) {
        (_, false) => sentence(message),
        (true, true) => "Nothing is known of its quota yet.".to_owned(),
        (false, true) => "No usage data from this provider.".to_owned(),
    }
}

fn credits(quota: &Value) -> String {
    let credits = quota.part("/credits");
    if credits.is_null() {
        return String::new();
    }
    if credits.is("/unlimited") {
        return "Unlimited credits".to_owned();
    }
    match (credits.part("/amount").as_f64(), credits.text("/unit")) {
        (Some(amount), "usd") => format!("${amount:.2} of credits left"),
        (Some(amount), unit) => format!("{amount:.0} {unit} of credits left"),
        (None, _) => String::new(),
    }
}

fn lock_line(sight: &Sight, lock: &Value) -> LockLine {
    let scope = lock.text("/scope");
    let words = match scope.split_once(':') {
        None => "the whole account".to_owned(),
        Some((kind, name)) => format!("{kind} {name}"),
    };
    LockLine {
        scope: scope.to_owned(),
        words,
        reason: lock.text("/reason").to_owned(),
        until: sight.now.until(lock.int("/until").unwrap_or_default()),
    }
}

fn facts(object: &Value) -> Vec<String> {
    let mut facts = vec![format!("priority {}", object.int("/priority").unwrap_or(1))];
    let day = object.part("/stats_24h");
    facts.push(match day.int("/requests").unwrap_or_default() {
        1 => "1 request in 24 h".to_owned(),
        many => format!("{} requests in 24 h", grouped(many)),
    });
    if let Some(cost) = day.int("/list_umicro").filter(|cost| *cost > 0) {
        facts.push(format!("{} list price", money(cost)));
    }
    facts
}

fn in_flight(state: &Value) -> String {
    match (state.int("/in_flight"), state.int("/max_in_flight")) {
        (Some(running), Some(most)) if most > 0 => format!("{running} of {most}"),
        (Some(running), _) => running.to_string(),
        (None, _) => String::new(),
    }
}

fn day(day: &Value) -> String {
    let (all, failed) =
        (day.int("/requests").unwrap_or_default(), day.int("/failed").unwrap_or_default());
    match (all, failed) {
        (0, _) => "no request in 24 h".to_owned(),
        (1, 0) => "1 request in 24 h".to_owned(),
        (all, 0) => format!("{} requests in 24 h", grouped(all)),
        (all, failed) => {
            let tenths = failed.saturating_mul(1_000) / all;
            format!("{} requests in 24 h, {}.{} % failed", grouped(all), tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::tz::TimeZone;
    use ninerouter_templates::moment::Now;
    use serde_json::json;

    use super::*;
    use crate::dashboard::show::hidden::Hidden;

    const NOW: i64 = 1_796_000_000_000;

    fn sight() -> Sight {
        let providers = HashMap::from([("claude".to_owned(), "Claude Code".to_owned())]);
        Sight { now: Now { unix_ms: NOW, zone: TimeZone::UTC }, providers, hidden: None }
    }

    #[test]
    fn an_account_is_shown_with_what_is_left_not_with_what_is_used() {
        let object = json!({
            "id": "a", "provider": "claude", "kind": "oauth", "label": "work", "email": "me@x.example",
            "plan": "max_5x", "enabled": true, "priority": 2,
            "state": {"status": "low", "text": "little of its quota is left", "in_flight": 1, "max_in_flight": 8},
            "quota": {"observed_at": NOW - 2 * STALE_MS, "windows": [
                {"label": "Week", "unit": "percent", "percent": 12.0},
                {"label": "Session (5 h)", "unit": "percent", "percent": 88.4, "resets_at": NOW + 9_000_000, "window_seconds": 18_000},
                {"label": "Requests", "unit": "requests", "percent": 50.0, "used": 150, "limit": 300},
            ], "credits": {"amount": 12.5, "unit": "usd"}},
            "stats_24h": {"requests": 310, "failed": 4, "list_umicro": 4_100_000},
        });
        let shown = account(&sight(), &object);
        assert_eq!((shown.about.as_str(), shown.standing), ("Claude Code · max 5x", Standing::Low));
        let windows: Vec<_> = shown
            .windows
            .iter()
            .map(|w| (w.label.as_str(), w.left_percent, w.text.as_str()))
            .collect();
        assert_eq!(
            windows,
            [
                ("Session (5 h)", Some(11), "11% left"),
                ("Requests", Some(50), "50% left · 150 of 300 requests"),
                ("Week", Some(88), "88% left"),
            ]
        );
        assert_eq!(shown.windows[0].pace, "at this pace empty in 19 m");
        assert!(shown.stale);
        assert_eq!(shown.credits, "$12.50 of credits left");
        assert_eq!(shown.day, "310 requests in 24 h, 1.2 % failed");
        assert_eq!(shown.in_flight, "1 of 8");
        let names = Hidden::of(std::slice::from_ref(&object));
        let hidden = account(&Sight { hidden: Some(names), ..sight() }, &object);
        assert_eq!(hidden.label, "Account 1");
        assert!(!format!("{hidden:?}").contains("work") && !format!("{hidden:?}").contains("me@"));
    }

    #[test]
    fn what_is_unknown_is_not_zero() {
        let shown = account(
            &sight(),
            &json!({"id": "a", "provider": "x", "quota": {"windows": [{"label": "Day"}]}}),
        );
        assert_eq!(
            (shown.windows[0].left_percent, shown.windows[0].text.as_str()),
            (None, "unknown")
        );
        let nothing = account(&sight(), &json!({"id": "a", "provider": "x", "quota": null}));
        assert_eq!(nothing.no_windows, "Nothing is known of its quota yet.");
    }
}
