//! The four figures of a period (api §5, `usage/summary`).

use ninerouter_templates::format::{compact, grouped, money};
use ninerouter_templates::overview::Stats;
use ninerouter_templates::{Stat, Tab};
use serde_json::Value;

use crate::dashboard::json::Read;

/// Periods to choose from: word of the API, name.
const PERIODS: [(&str, &str); 3] = [("today", "Today"), ("7d", "7 days"), ("30d", "30 days")];

/// The word for a period that a URL asks for; an unknown one is today.
pub(in crate::dashboard) fn period(asked: Option<&str>) -> &'static str {
    let known = PERIODS.iter().find(|(word, _)| Some(*word) == asked);
    known.map_or("today", |(word, _)| word)
}

/// The figures of `period`. The feed tells those of today.
pub(in crate::dashboard) fn stats(summary: &Value, period: &str) -> Stats {
    let tab = |(word, label): &(&str, &str)| Tab {
        label: (*label).to_owned(),
        url: if *word == "today" {
            "/dashboard".to_owned()
        } else {
            format!("/dashboard?period={word}")
        },
        current: *word == period,
    };
    let of = |name: &str| summary.int(name).unwrap_or_default();
    Stats {
        periods: PERIODS.iter().map(tab).collect(),
        figures: vec![requests(summary), tokens(&of), paid(&of), saved(&of)],
        live: period == "today",
    }
}

fn requests(summary: &Value) -> Stat {
    let count = summary.int("/requests").unwrap_or_default();
    let failed = summary.int("/failed").unwrap_or_default();
    let note = match summary.part("/success_percent").as_f64() {
        None => "none yet".to_owned(),
        Some(percent) if failed == 0 => format!("{percent:.0} % answered"),
        Some(percent) => format!("{percent:.1} % answered, {} failed", grouped(failed)),
    };
    stat("Requests", count, note)
}

fn tokens(of: &impl Fn(&str) -> i64) -> Stat {
    let (input, output, cached) = (of("/input_tokens"), of("/output_tokens"), of("/cached_tokens"));
    let note =
        format!("{} in, {} of it cached, {} out", compact(input), compact(cached), compact(output));
    stat("Tokens", input.saturating_add(output), note)
}

fn paid(of: &impl Fn(&str) -> i64) -> Stat {
    let unpriced = of("/unpriced_requests");
    let note = match unpriced {
        0 => "to providers that charge by token".to_owned(),
        1 => "1 request has no price and is not in it".to_owned(),
        many => format!("{} requests have no price and are not in it", grouped(many)),
    };
    // Of nothing but unpriced requests nobody knows the cost.
    let unknown = unpriced > 0 && of("/list_umicro") == 0 && of("/paid_umicro") == 0;
    amount("You paid", of("/paid_umicro"), unknown, note)
}

fn saved(of: &impl Fn(&str) -> i64) -> Stat {
    let list = of("/list_umicro");
    let unknown = of("/unpriced_requests") > 0 && list == 0;
    amount("Saved", of("/saved_umicro"), unknown, format!("of {} at list price", money(list)))
}

fn stat(label: &str, count: i64, note: String) -> Stat {
    let (figure, full) = (compact(count), grouped(count));
    let full = if full == figure { String::new() } else { full };
    Stat { label: label.to_owned(), figure, full, note }
}

fn amount(label: &str, umicro: i64, unknown: bool, note: String) -> Stat {
    let figure = if unknown { "—".to_owned() } else { money(umicro) };
    Stat { label: label.to_owned(), figure, full: String::new(), note }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unpriced_day_costs_unknown_not_nothing() {
        let figures = |summary: Value| {
            let figures = stats(&summary, "today").figures;
            figures.into_iter().map(|stat| (stat.figure, stat.note)).collect::<Vec<_>>()
        };
        let unpriced =
            figures(json!({"requests": 2, "unpriced_requests": 2, "success_percent": 100.0}));
        assert_eq!((unpriced[2].0.as_str(), unpriced[3].0.as_str()), ("—", "—"));
        let priced = figures(json!({
            "requests": 12_345, "failed": 5, "success_percent": 99.9, "input_tokens": 10, "output_tokens": 5,
            "paid_umicro": 1_000_000, "list_umicro": 3_000_000, "saved_umicro": 2_000_000, "unpriced_requests": 1,
        }));
        assert_eq!(priced[0], ("12.3k".to_owned(), "99.9 % answered, 5 failed".to_owned()));
        assert_eq!(priced[1].0, "15");
        assert_eq!(
            priced[2],
            ("$1.00".to_owned(), "1 request has no price and is not in it".to_owned())
        );
        assert_eq!(priced[3].0, "$2.00");
    }

    #[test]
    fn only_today_follows_the_feed() {
        assert!(stats(&json!({}), period(None)).live);
        assert!(!stats(&json!({}), period(Some("7d"))).live);
        assert_eq!(period(Some("year")), "today");
    }
}
