//! Combos (api §4) as rows of their list, and answers to "who would serve?".

use std::collections::HashMap;

use ninerouter_templates::Tone;
use ninerouter_templates::combo::{Candidate, Row, Simulation, Stop};
use ninerouter_templates::format::grouped;
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

/// Strategies that this version has: word of the API, name, effect.
pub(in crate::dashboard) const STRATEGIES: [(&str, &str, &str); 4] = [
    ("fallback", "In this order", "The first entry that can serve does. Recommended."),
    ("round-robin", "In turn", "Each entry has its turn; one that cannot serve is passed over."),
    ("weighted", "By weight", "Chance decides, by the entries' weights."),
    ("tier", "By price", "Subscriptions first, then cheap, paid and free ones."),
];

/// Where the figures of the last day are read.
pub(in crate::dashboard) const DAYS: &str = "/api/usage/table?by=combo&period=24h&limit=500";

/// Figures of a day in words, by combo: `310 requests in 24 h, 99.1 % answered`.
pub(in crate::dashboard) fn days(table: &Value) -> HashMap<String, String> {
    let words = |row: &Value| {
        let requests = row.int("/requests").unwrap_or_default();
        let noun = if requests == 1 { "request" } else { "requests" };
        let answered = match row.part("/success_percent").as_f64() {
            Some(percent) => format!(", {percent} % answered"),
            None => String::new(),
        };
        format!("{} {noun} in 24 h{answered}", grouped(requests))
    };
    table.list("/data").iter().map(|row| (row.text("/id").to_owned(), words(row))).collect()
}

/// A row of the list; `days` as of [`days`].
pub(in crate::dashboard) fn row(
    sight: &Sight,
    combo: &Value,
    days: &HashMap<String, String>,
) -> Row {
    let strategy = combo.text("/strategy");
    let known = STRATEGIES.iter().find(|(word, ..)| *word == strategy);
    Row {
        id: combo.text("/id").to_owned(),
        name: combo.text("/name").to_owned(),
        strategy: known.map_or(strategy, |(_, name, _)| name).to_owned(),
        enabled: combo.is("/enabled"),
        path: combo.list("/entries").iter().map(|entry| stop(sight, entry)).collect(),
        serving: serving(sight, combo.part("/serving_now")),
        day: days.get(combo.text("/id")).cloned().unwrap_or_default(),
        managed: !combo.part("/managed_by").is_null(),
    }
}

fn serving(sight: &Sight, now: &Value) -> String {
    let target = now.text("/target");
    match now.text("/account_label") {
        "" => target.to_owned(),
        label => format!("{target} · {}", sight.account(now.text("/account_id"), label)),
    }
}

fn stop(sight: &Sight, entry: &Value) -> Stop {
    let (tone, why) = standing(entry.part("/state"));
    Stop {
        target: entry.text("/target").to_owned(),
        tone,
        why: if tone == Tone::Ok { String::new() } else { why },
        until: entry.int("/state/until").map(|at| sight.now.until(at)),
    }
}

/// How an entry stands: tone and words.
pub(in crate::dashboard) fn standing(state: &Value) -> (Tone, String) {
    let text = state.text("/text").to_owned();
    match state.text("/status") {
        "ready" => (Tone::Ok, "could serve now".to_owned()),
        "off" => (Tone::Neutral, "left out".to_owned()),
        "missing" => (Tone::Warn, text),
        _ => (Tone::Bad, text),
    }
}

/// An answer of `explain` or `simulate`.
pub(in crate::dashboard) fn simulation(sight: &Sight, model: &str, answer: &Value) -> Simulation {
    let candidate = |one: &Value| {
        let account = match one.text("/account_label") {
            "" => String::new(),
            label => sight.account(one.text("/account_id"), label),
        };
        let about = [account.as_str(), one.text("/tier")];
        let about: Vec<&str> = about.into_iter().filter(|part| !part.is_empty()).collect();
        Candidate {
            target: one.text("/target").to_owned(),
            about: about.join(" · "),
            why: one.text("/skip_reason").to_owned(),
            until: one.int("/until").map(|at| sight.now.until(at)),
        }
    };
    Simulation {
        model: model.to_owned(),
        serves: answer.text("/would_serve").to_owned(),
        order: answer.list("/order").iter().map(candidate).collect(),
        unusable: answer.list("/unusable").iter().map(unusable).collect(),
        problem: String::new(),
    }
}

fn unusable(one: &Value) -> String {
    one.as_str()
        .map_or_else(|| format!("{}: {}", one.text("/target"), one.text("/reason")), str::to_owned)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use ninerouter_templates::moment::Now;
    use serde_json::json;

    use super::*;

    fn sight() -> Sight {
        let now = Now { unix_ms: 1_796_000_000_000, zone: TimeZone::UTC };
        Sight { now, providers: HashMap::new(), hidden: None }
    }

    #[test]
    fn a_row_tells_who_serves_and_why_not_the_others() {
        let days = days(&json!({"data": [
            {"id": "c", "requests": 1_310, "success_percent": 99.1},
            {"id": "", "requests": 7, "success_percent": null},
        ]}));
        let row = row(
            &sight(),
            &json!({
                "id": "c", "name": "daily", "strategy": "fallback", "enabled": true,
                "entries": [
                    {"target": "cc/a", "state": {"status": "skipped", "text": "out of quota", "until": 1_796_000_060_000_i64}},
                    {"target": "glm/b", "state": {"status": "ready", "text": "could serve now"}},
                ],
                "serving_now": {"target": "glm/b", "account_label": "work"},
            }),
            &days,
        );
        assert_eq!(row.day, "1,310 requests in 24 h, 99.1 % answered");
        assert_eq!(
            (row.strategy.as_str(), row.serving.as_str()),
            ("In this order", "glm/b · work")
        );
        assert_eq!((row.path[0].tone, row.path[0].why.as_str()), (Tone::Bad, "out of quota"));
        assert_eq!((row.path[1].tone, row.path[1].why.as_str()), (Tone::Ok, ""));
        assert!(row.path[0].until.is_some());
    }

    #[test]
    fn an_answer_names_its_candidates_in_order() {
        let answer = json!({"would_serve": "b/2", "order": [
            {"target": "a/1", "account_label": "x", "tier": "paid", "eligible": false, "skip_reason": "cooling down"},
            {"target": "b/2", "tier": "free", "eligible": true, "skip_reason": null},
        ]});
        let told = simulation(&sight(), "daily", &answer);
        assert_eq!(told.order[0].about, "x · paid");
        assert_eq!((told.order[1].why.as_str(), told.serves.as_str()), ("", "b/2"));
    }
}
