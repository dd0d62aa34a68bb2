//! What a feed's address leaves out: requests and log lines that its page does not show (dashboard §1.3).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::actors::live::channel::Event;
use crate::actors::live::topic::Topic;
use crate::api::call::Call;
use crate::api::error::ApiError;

/// Members of the query.
pub(super) const QUERY: [&str; 13] = [
    "provider",
    "model",
    "account_id",
    "api_key_id",
    "combo_id",
    "tool",
    "tier",
    "status",
    "streaming",
    "fallback",
    "level",
    "target",
    "q",
];
/// Those that compare one member of a row.
const COLUMNS: [(&str, &str); 8] = [
    ("provider", "provider"),
    ("model", "model_key"),
    ("account_id", "account_id"),
    ("api_key_id", "api_key_id"),
    ("combo_id", "combo_id"),
    ("tool", "tool"),
    ("tier", "tier"),
    ("status", "status"),
];
/// Members of a row and of a line that a text is looked for in.
const ROW_TEXTS: [&str; 6] =
    ["id", "external_id", "requested_model", "model_key", "error_code", "error_class"];
/// Most severe first.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What is left in.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    columns: Vec<(&'static str, String)>,
    streaming: Option<bool>,
    fallback: Option<bool>,
    /// Lines as severe as this, or more.
    level: Option<usize>,
    target: Option<String>,
    /// Lower case.
    text: Option<String>,
    /// Running requests that the feed was told of: their ends replace rows, those of others are new ones.
    running: HashSet<String>,
}

impl Filter {
    pub(super) fn of(call: &Call) -> Result<Self, ApiError> {
        let column = |(member, column): &(&str, &'static str)| {
            call.query(member).map(|text| (*column, text.to_owned()))
        };
        let flag = |name: &str| match call.query(name) {
            None => Ok(None),
            Some(_) => call.flag(name).map(Some),
        };
        let level = match call.query("level") {
            None => None,
            Some(word) => {
                Some(LEVELS.iter().position(|level| *level == word).ok_or_else(|| {
                    ApiError::invalid("level", format!("expected one of {}", LEVELS.join(", ")))
                })?)
            }
        };
        Ok(Self {
            columns: COLUMNS.iter().filter_map(column).collect(),
            streaming: flag("streaming")?,
            fallback: flag("fallback")?,
            level,
            target: call.query("target").map(str::to_owned),
            text: call.query("q").map(str::to_lowercase),
            running: HashSet::new(),
        })
    }

    /// The event as the feed is told it; `None` when nothing of it is left.
    pub(super) fn keep(&mut self, event: Arc<Event>) -> Option<Arc<Event>> {
        match (event.topic, &event.object, &event.data) {
            (Topic::Req, Some(id), row) => {
                if self.running.remove(id) {
                    return Some(event);
                }
                self.takes_row(row).then(|| Arc::new(event.with_members(vec![row.clone()])))
            }
            (Topic::Req, None, Value::Array(rows)) => {
                let left: Vec<Value> = rows.iter().filter(|r| self.takes_row(r)).cloned().collect();
                let running =
                    left.iter().filter(|row| row.get("status") == Some(&"running".into()));
                let ids = running.filter_map(|row| row.get("id").and_then(Value::as_str));
                self.running.extend(ids.map(str::to_owned));
                some_of(event, left)
            }
            (Topic::Log, None, Value::Array(lines)) => {
                let left = lines.iter().filter(|line| self.takes_line(line)).cloned().collect();
                some_of(event, left)
            }
            _ => Some(event),
        }
    }

    fn takes_row(&self, row: &Value) -> bool {
        let text = |member: &str| row.get(member).and_then(Value::as_str).unwrap_or_default();
        let flag = |member: &str| row.get(member).and_then(Value::as_bool);
        self.columns.iter().all(|(column, wanted)| text(column) == wanted)
            && self.streaming.is_none_or(|wanted| flag("stream") == Some(wanted))
            && self.fallback.is_none_or(|wanted| flag("fallback") == Some(wanted))
            && self.finds(ROW_TEXTS.into_iter().map(text))
    }

    fn takes_line(&self, line: &Value) -> bool {
        let text = |member: &str| line.get(member).and_then(Value::as_str).unwrap_or_default();
        let level = LEVELS.iter().position(|level| *level == text("level"));
        let severe = self.level.is_none_or(|least| level.is_some_and(|level| level <= least));
        let fields = line.get("fields").map(Value::to_string).unwrap_or_default();
        severe
            && self.target.as_deref().is_none_or(|wanted| text("component").starts_with(wanted))
            && self.finds([text("message"), text("component"), &fields])
    }

    fn finds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(wanted) = &self.text else { return true };
        texts.into_iter().any(|text| text.to_lowercase().contains(wanted))
    }
}

/// The event with the members that are left.
fn some_of(event: Arc<Event>, left: Vec<Value>) -> Option<Arc<Event>> {
    match &event.data {
        Value::Array(all) if all.len() == left.len() => Some(event),
        _ => (!left.is_empty()).then(|| Arc::new(event.with_members(left))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::actors::live::channel::{Channel, Told, Wish};
    use crate::actors::live::topic::Topics;
    use crate::clock::Clock;

    /// What is left of events that are told one after another.
    fn left(query: &[(&str, &str)], told: &[(Topic, Option<&str>, Value)]) -> Vec<(String, Value)> {
        let query = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut filter = Filter::of(&Call { query, ..Call::default() }).unwrap();
        let channel = Arc::new(Channel::new(7));
        let (topics, ping_every) = (Topics::all(), std::time::Duration::from_secs(1));
        let wish = Wish { session: None, topics, since: None, most: 1, ping_every };
        let mut feed = channel.open(wish, Clock::manual(0)).unwrap();
        let mut cx = std::task::Context::from_waker(futures_util::task::noop_waker_ref());
        let mut out = Vec::new();
        for (topic, object, data) in told {
            channel.tell(*topic, object.map(str::to_owned), data.clone());
            let next = futures_util::StreamExt::poll_next_unpin(&mut feed, &mut cx);
            let std::task::Poll::Ready(Some(Told::Event(event))) = next else { panic!("{next:?}") };
            out.extend(filter.keep(event).map(|event| (event.name(), event.data.clone())));
        }
        out
    }

    #[tokio::test]
    async fn a_row_is_left_out_unless_it_fits_every_member() {
        let row = |id: &str, provider: &str| json!({"id": id, "provider": provider, "status": "ok", "stream": true, "requested_model": "GPT-x"});
        let rows = json!([row("1", "codex"), row("2", "claude")]);
        let told = [(Topic::Req, None, rows.clone())];
        let of = |query: &[(&str, &str)]| left(query, &told);
        assert_eq!(of(&[]), [("req".to_owned(), rows)]);
        assert_eq!(of(&[("provider", "codex"), ("q", "gpt")])[0].1, json!([row("1", "codex")]));
        assert!(of(&[("provider", "codex"), ("status", "error")]).is_empty());
        assert!(of(&[("streaming", "false")]).is_empty());
    }

    #[tokio::test]
    async fn the_end_of_a_request_that_was_not_shown_is_a_new_row() {
        let running = json!({"id": "1", "status": "running"});
        let (ok, failed) =
            (json!({"id": "1", "status": "ok"}), json!({"id": "1", "status": "error"}));
        let begin = (Topic::Req, None, json!([running]));
        let end = |row: &Value| (Topic::Req, Some("1"), row.clone());
        let names = |told: Vec<(String, Value)>| told.into_iter().map(|t| t.0).collect::<Vec<_>>();
        assert_eq!(names(left(&[], &[begin.clone(), end(&ok)])), ["req", "req-1"]);
        let errors = [("status", "error")];
        assert_eq!(names(left(&errors, &[begin.clone(), end(&failed)])), ["req"]);
        assert!(left(&errors, &[begin, end(&ok)]).is_empty());
    }

    #[tokio::test]
    async fn lines_are_as_severe_as_asked_for_or_more() {
        let line = |level: &str| json!({"level": level, "component": "net", "message": "m", "fields": {"host": "X.example"}});
        let told = [(Topic::Log, None, json!([line("error"), line("info"), line("debug")]))];
        assert_eq!(left(&[("level", "info")], &told)[0].1, json!([line("error"), line("info")]));
        assert_eq!(left(&[("level", "error"), ("q", "x.ex")], &told)[0].1, json!([line("error")]));
        assert!(left(&[("target", "gateway")], &told).is_empty());
        let call =
            Call { query: [("level".to_owned(), "loud".to_owned())].into(), ..Call::default() };
        assert_eq!(Filter::of(&call).unwrap_err().status, 422);
    }
}
