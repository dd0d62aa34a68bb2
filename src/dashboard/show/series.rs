//! What was used over time (api §5, `usage/series`, `usage/table`) as charts.

use jiff::ToSpan;
use ninerouter_templates::Monogram;
use ninerouter_templates::chart::{Bar, Bars, Group, Shares};
use ninerouter_templates::moment::Now;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::dashboard::json::Read;

/// Groups with a colour of their own; what is left is one more.
const MOST: usize = 7;
/// Tiers by their word, their names, and their colours.
const TIERS: [(&str, &str, u8); 4] = [
    ("subscription", "Subscription", 2),
    ("cheap", "Cheap", 4),
    ("paid", "Paid", 1),
    ("free", "Free", 3),
];

/// Where the last `days` begin, the present one among them: a midnight of the operator's zone.
pub(in crate::dashboard) fn days_ago(now: &Now, days: i8) -> UnixMs {
    let present = jiff::Timestamp::from_millisecond(now.unix_ms).unwrap_or_default();
    let today = now.zone.to_datetime(present).date();
    let first = today.checked_sub((i64::from(days) - 1).days()).unwrap_or(today);
    // A zone may skip midnight: then the first instant after it.
    let begin = now.zone.to_ambiguous_zoned(first.at(0, 0, 0, 0)).compatible();
    begin.map_or(now.unix_ms, |begin| begin.timestamp().as_millisecond())
}

/// Tokens by day and provider; `None` = there were none.
pub(in crate::dashboard) fn tokens_per_day(now: &Now, series: &Value) -> Option<Bars> {
    let values = series.list("/values/tokens");
    let amount = |group: usize, bar: usize| {
        let row = values.get(group).and_then(Value::as_array);
        row.and_then(|row| row.get(bar)).and_then(Value::as_i64).unwrap_or_default()
    };
    let all = series.list("/groups");
    if all.is_empty() {
        return None;
    }
    let mut groups: Vec<Group> = all.iter().take(MOST).map(group).collect();
    let has_rest = all.len() > MOST;
    if has_rest {
        groups.push(Group { name: "Others".to_owned(), tint: 0 });
    }
    let idle: Vec<i64> = series.list("/no_data").iter().filter_map(Value::as_i64).collect();
    let buckets = series.list("/buckets");
    let bar = |(at, begin): (usize, &Value)| {
        let mut values: Vec<i64> =
            (0..all.len().min(MOST)).map(|group| amount(group, at)).collect();
        if has_rest {
            values.push(
                (MOST..all.len()).map(|group| amount(group, at)).fold(0, i64::saturating_add),
            );
        }
        let begin = begin.as_i64().unwrap_or_default();
        Bar {
            label: written(now, begin, "%a %-d %b"),
            short: written(now, begin, "%-d"),
            values,
            so_far: at + 1 == buckets.len(),
            no_data: idle.iter().any(|idle| usize::try_from(*idle) == Ok(at)),
        }
    };
    Some(Bars {
        id: "tokens",
        title: "Tokens per day".to_owned(),
        unit: "tokens",
        groups,
        bars: buckets.iter().enumerate().map(bar).collect(),
    })
}

/// A provider has the colour of its mark.
fn group(object: &Value) -> Group {
    let (id, label) = (object.text("/id"), object.text("/label"));
    Group { name: label.to_owned(), tint: Monogram::new(id, label).tint }
}

fn written(now: &Now, at: UnixMs, format: &str) -> String {
    let instant = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    instant.to_zoned(now.zone.clone()).strftime(format).to_string()
}

/// Tokens by tier, out of `usage/table?by=tier`.
pub(in crate::dashboard) fn tiers(table: &Value) -> Shares {
    let part = |row: &Value| {
        let word = row.text("/id");
        let (name, tint) = TIERS
            .iter()
            .find(|(known, ..)| *known == word)
            .map_or(("Not known", 0), |(_, name, tint)| (*name, *tint));
        let of = |at| row.int(at).unwrap_or_default();
        let tokens = of("/input_tokens").saturating_add(of("/output_tokens"));
        (Group { name: name.to_owned(), tint }, tokens)
    };
    let parts = table.list("/data").iter().map(part).filter(|(_, tokens)| *tokens > 0).collect();
    Shares { id: "tier-share", title: "Tokens by tier".to_owned(), parts }
}

/// Requests by model, out of `usage/table?by=model`; `None` = there were none.
pub(in crate::dashboard) fn requests_by_model(table: &Value) -> Option<Shares> {
    let part = |(at, row): (usize, &Value)| {
        let tint = u8::try_from(at % 8).unwrap_or_default() + 1;
        let group = Group { name: row.text("/label").to_owned(), tint };
        (group, row.int("/requests").unwrap_or_default())
    };
    let parts: Vec<(Group, i64)> = table.list("/data").iter().enumerate().map(part).collect();
    let title = "Requests by model".to_owned();
    (!parts.is_empty()).then_some(Shares { id: "served-share", title, parts })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;

    fn now(instant: &str) -> Now {
        let unix_ms = instant.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        Now { unix_ms, zone: TimeZone::get("Europe/Berlin").unwrap() }
    }

    #[test]
    fn a_week_begins_at_a_midnight_of_the_zone() {
        let begin = days_ago(&now("2026-11-30T23:30:00Z"), 7);
        // It is the first of December there already.
        assert_eq!(begin, now("2026-11-24T23:00:00Z").unix_ms);
    }

    #[test]
    fn a_series_is_bars_of_days_with_the_small_ones_together() {
        let groups: Vec<Value> =
            (0..9).map(|n| json!({"id": format!("p{n}"), "label": format!("P{n}")})).collect();
        let tokens: Vec<Value> = (0..9).map(|n| json!([0, n + 1])).collect();
        let series = json!({
            "groups": groups, "values": {"tokens": tokens}, "no_data": [0],
            "buckets": [now("2026-11-28T23:00:00Z").unix_ms, now("2026-11-29T23:00:00Z").unix_ms],
        });
        let bars = tokens_per_day(&now("2026-11-30T12:00:00Z"), &series).unwrap();
        assert_eq!((bars.groups.len(), bars.groups[7].name.as_str()), (8, "Others"));
        assert_eq!(bars.groups[0].tint, Monogram::new("p0", "P0").tint);
        let told: Vec<_> =
            bars.bars.iter().map(|b| (b.label.as_str(), b.no_data, b.so_far)).collect();
        assert_eq!(told, [("Sun 29 Nov", true, false), ("Mon 30 Nov", false, true)]);
        assert_eq!(bars.bars[1].values, [1, 2, 3, 4, 5, 6, 7, 17]);
        assert_eq!(tokens_per_day(&now("2026-11-30T12:00:00Z"), &json!({"groups": []})), None);
    }

    #[test]
    fn a_combo_shows_which_models_answered() {
        let table = json!({"data": [
            {"id": "a/1", "label": "a/1", "requests": 3}, {"id": "b/2", "label": "b/2", "requests": 1},
        ]});
        let shares = requests_by_model(&table).unwrap();
        let told: Vec<_> =
            shares.parts.iter().map(|(g, n)| (g.name.as_str(), g.tint, *n)).collect();
        assert_eq!(told, [("a/1", 1, 3), ("b/2", 2, 1)]);
        assert_eq!(requests_by_model(&json!({"data": []})), None);
    }

    #[test]
    fn tiers_have_names_and_steady_colours() {
        let shares = tiers(&json!({"data": [
            {"id": "paid", "input_tokens": 10, "output_tokens": 5}, {"id": "", "input_tokens": 1},
            {"id": "free", "input_tokens": 0},
        ]}));
        let told: Vec<_> =
            shares.parts.iter().map(|(g, n)| (g.name.as_str(), g.tint, *n)).collect();
        assert_eq!(told, [("Paid", 1, 15), ("Not known", 0, 1)]);
    }
}
