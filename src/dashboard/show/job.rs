//! Long jobs (dashboard §4.5) as cards.

use ninerouter_templates::Tone;
use ninerouter_templates::format::span;
use ninerouter_templates::job::{Item, Job, State};
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

/// A job's card.
pub(in crate::dashboard) fn job(sight: &Sight, object: &Value) -> Job {
    let count = |at| u32::try_from(object.int(at).unwrap_or_default()).unwrap_or_default();
    let (done, total, failed) = (count("/done"), count("/total"), count("/failed"));
    let mut progress = format!("{done} of {total}");
    if failed > 0 {
        progress.push_str(&format!(" · {failed} failed"));
    }
    let left = object.int("/eta").map(|eta| (eta - sight.now.unix_ms) / 1_000);
    if let Some(left) = left.filter(|left| *left > 0) {
        progress.push_str(&format!(" · about {} left", span(left)));
    }
    Job {
        id: object.text("/id").to_owned(),
        title: sight.said(object.text("/title")),
        state: State::parse(object.text("/state")).unwrap_or(State::Running),
        done: (total > 0).then_some((done, total)),
        progress,
        items: object.list("/items").iter().map(|one| item(sight, one)).collect(),
    }
}

fn item(sight: &Sight, object: &Value) -> Item {
    let (tone, word) = match object.text("/state") {
        "ok" => (Tone::Ok, "done"),
        "failed" => (Tone::Bad, "failed"),
        _ => (Tone::Neutral, "waits"),
    };
    Item {
        name: sight.said(object.text("/name")),
        tone,
        word: word.to_owned(),
        message: sight.said(object.text("/message")),
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
    fn a_job_says_how_far_it_is() {
        let now = Now { unix_ms: 1_796_000_000_000, zone: TimeZone::UTC };
        let sight = Sight { now, providers: HashMap::new(), hidden: None };
        let shown = job(
            &sight,
            &json!({
                "id": "7", "title": "Add 120 keys", "state": "running", "total": 120, "done": 37, "failed": 3,
                "eta": 1_796_000_040_000_i64, "items": [{"name": "a", "state": "failed", "message": "refused"}],
            }),
        );
        assert_eq!(shown.progress, "37 of 120 · 3 failed · about 40 s left");
        assert_eq!((shown.done, shown.state), (Some((37, 120)), State::Running));
        assert_eq!((shown.items[0].tone, shown.items[0].word.as_str()), (Tone::Bad, "failed"));
    }
}
