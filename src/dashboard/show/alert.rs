//! Open alerts (api §2) as Overview shows them.

use ninerouter_templates::Tone;
use ninerouter_templates::overview::{Alert, Alerts};
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

/// Alerts that are shown; the rest is a number.
const MOST: usize = 3;

/// The worst ones first.
pub(in crate::dashboard) fn alerts(sight: &Sight, open: &[Value]) -> Alerts {
    let mut open: Vec<&Value> = open.iter().collect();
    open.sort_by_key(|alert| rank(alert.text("/severity")));
    let shown = open.iter().take(MOST).map(|alert| one(sight, alert)).collect();
    Alerts { shown, more: open.len().saturating_sub(MOST) }
}

fn rank(severity: &str) -> u8 {
    match severity {
        "bad" => 0,
        "warn" => 1,
        _ => 2,
    }
}

fn one(sight: &Sight, alert: &Value) -> Alert {
    let link = alert.text("/link");
    Alert {
        id: alert.text("/id").to_owned(),
        tone: match alert.text("/severity") {
            "bad" => Tone::Bad,
            "warn" => Tone::Warn,
            _ => Tone::Info,
        },
        title: sight.said(alert.text("/title")),
        consequence: sight.said(alert.text("/consequence")),
        // Only ways within the dashboard.
        action: link.starts_with("/dashboard").then(|| ("Open".to_owned(), link.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::tz::TimeZone;
    use ninerouter_templates::moment::Now;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_three_are_shown() {
        let alert = |severity: &str, link: &str| json!({"id": severity, "severity": severity, "link": link});
        let open = [
            alert("info", "https://x.example"),
            alert("warn", "/dashboard/providers"),
            alert("bad", ""),
            alert("info", ""),
        ];
        let now = Now { unix_ms: 0, zone: TimeZone::UTC };
        let sight = Sight { now, providers: HashMap::new(), hidden: None };
        let shown = alerts(&sight, &open);
        let ids: Vec<_> = shown.shown.iter().map(|alert| alert.id.as_str()).collect();
        assert_eq!((ids, shown.more), (vec!["bad", "warn", "info"], 1));
        assert!(shown.shown[1].action.is_some() && shown.shown[2].action.is_none());
    }
}
